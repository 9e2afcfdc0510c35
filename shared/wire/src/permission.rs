//! What a service may send, as words that an administrator writes and an error names.
//!
//! | word | what it allows |
//! | --- | --- |
//! | `*` | everything |
//! | `send:user` | to listed people |
//! | `send:channel`, `send:channel:<id>` | to any channel, to one |
//! | `send:role`, `send:role:<id>` | to any role, to one |
//! | `send:department`, `send:department:<id>` | to any department, to one and those below it |
//! | `send:all` | to everyone |
//! | `send:on_behalf_of` | in a person's name |
//! | `category:system`, `category:business`, `category:notification` | messages of this category |
//! | `type:<message_type>` | messages of this type, whatever their category |
//! | `receipts:recipients` | seeing how far a message has got with each person |
//! | `templates:write` | making, changing and deleting templates |
//!
//! Where neither `category:` nor `type:` is among the words, what is sent is not restricted.

use crate::ids::{self, InvalidId};
use crate::template::TemplateCategory;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;
use std::fmt;
use std::str::FromStr;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Permission {
    Everything,
    ToUsers,
    /// Any channel, or one.
    ToChannel(Option<SmolStr>),
    /// Any role, or one.
    ToRole(Option<SmolStr>),
    /// Any department, or one.
    ToDepartment(Option<SmolStr>),
    ToAll,
    OnBehalfOf,
    Category(TemplateCategory),
    MessageType(SmolStr),
    SeeRecipients,
    WriteTemplates,
}

/// Why a text is no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be *, send:user, send:channel, send:channel:<id>, send:role, send:role:<id>, \
     send:department, send:department:<id>, send:all, send:on_behalf_of, category:<system|business|notification>, type:<message_type>, receipts:recipients or templates:write"
)]
pub struct InvalidPermission;

impl From<InvalidId> for InvalidPermission {
    fn from(_: InvalidId) -> Self {
        Self
    }
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        let id = |text: &str| -> Result<Option<SmolStr>, InvalidPermission> {
            ids::check(text)?;
            Ok(Some(text.into()))
        };
        Ok(match text {
            "*" => Self::Everything,
            "send:user" => Self::ToUsers,
            "send:channel" => Self::ToChannel(None),
            "send:role" => Self::ToRole(None),
            "send:department" => Self::ToDepartment(None),
            "send:all" => Self::ToAll,
            "send:on_behalf_of" => Self::OnBehalfOf,
            "category:system" => Self::Category(TemplateCategory::System),
            "category:business" => Self::Category(TemplateCategory::Business),
            "category:notification" => Self::Category(TemplateCategory::Notification),
            "receipts:recipients" => Self::SeeRecipients,
            "templates:write" => Self::WriteTemplates,
            _ => {
                if let Some(channel) = text.strip_prefix("send:channel:") {
                    Self::ToChannel(id(channel)?)
                } else if let Some(role) = text.strip_prefix("send:role:") {
                    Self::ToRole(id(role)?)
                } else if let Some(department) = text.strip_prefix("send:department:") {
                    Self::ToDepartment(id(department)?)
                } else {
                    let message_type = text.strip_prefix("type:").ok_or(InvalidPermission)?;
                    if !ids::is_message_type(message_type) {
                        return Err(InvalidPermission);
                    }
                    Self::MessageType(message_type.into())
                }
            }
        })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::ToUsers => f.write_str("send:user"),
            Self::ToChannel(None) => f.write_str("send:channel"),
            Self::ToChannel(Some(id)) => write!(f, "send:channel:{id}"),
            Self::ToRole(None) => f.write_str("send:role"),
            Self::ToRole(Some(id)) => write!(f, "send:role:{id}"),
            Self::ToDepartment(None) => f.write_str("send:department"),
            Self::ToDepartment(Some(id)) => write!(f, "send:department:{id}"),
            Self::ToAll => f.write_str("send:all"),
            Self::OnBehalfOf => f.write_str("send:on_behalf_of"),
            Self::Category(category) => write!(f, "category:{}", category.as_str()),
            Self::MessageType(message_type) => write!(f, "type:{message_type}"),
            Self::SeeRecipients => f.write_str("receipts:recipients"),
            Self::WriteTemplates => f.write_str("templates:write"),
        }
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SmolStr::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What is sent and to whom, one question at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    pub category: TemplateCategory,
    pub message_type: &'a str,
}

/// A set of permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(pub Vec<Permission>);

impl Permissions {
    /// Whether a word is among them, or one that means more.
    pub fn allows(&self, wanted: &Permission) -> bool {
        self.0.iter().any(|held| match (held, wanted) {
            (Permission::Everything, _) => true,
            (Permission::ToChannel(None), Permission::ToChannel(_)) => true,
            (Permission::ToRole(None), Permission::ToRole(_)) => true,
            (Permission::ToDepartment(None), Permission::ToDepartment(_)) => true,
            (held, wanted) => held == wanted,
        })
    }

    /// The word that is missing for such a message, if one is.
    pub fn missing_for(&self, content: Content<'_>) -> Option<Permission> {
        let mut restricted = false;
        for held in &self.0 {
            match held {
                Permission::Everything => return None,
                Permission::Category(category) if *category == content.category => return None,
                Permission::MessageType(held) if *held == content.message_type => return None,
                Permission::Category(_) | Permission::MessageType(_) => restricted = true,
                _ => {}
            }
        }
        restricted.then_some(Permission::Category(content.category))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(words: &[&str]) -> Permissions {
        Permissions(words.iter().map(|word| word.parse().unwrap()).collect())
    }

    #[test]
    fn every_word_is_read_as_it_is_written_and_nothing_else_is() {
        for word in [
            "*",
            "send:user",
            "send:channel",
            "send:channel:ops",
            "send:role",
            "send:role:admin_team",
            "send:department",
            "send:department:sales",
            "send:all",
            "send:on_behalf_of",
            "category:system",
            "type:file_share",
            "receipts:recipients",
            "templates:write",
        ] {
            assert_eq!(word.parse::<Permission>().unwrap().to_string(), word);
        }
        for bad in
            ["", "send", "send:", "send:channel:", "send:channel:../x", "category:other", "type:", "type:A B"]
        {
            assert_eq!(bad.parse::<Permission>(), Err(InvalidPermission), "{bad:?}");
        }
    }

    #[test]
    fn a_wider_word_includes_the_narrower_ones() {
        let held = permissions(&["send:channel", "send:role:ops"]);
        for (word, allowed) in [
            ("send:channel:any", true),
            ("send:role:ops", true),
            ("send:role:other", false),
            ("send:role", false),
            ("send:user", false),
        ] {
            assert_eq!(held.allows(&word.parse().unwrap()), allowed, "{word}");
        }
        assert!(permissions(&["*"]).allows(&Permission::ToAll));
    }

    #[test]
    fn what_is_sent_is_restricted_only_where_a_word_says_so() {
        let alert = Content { category: TemplateCategory::System, message_type: "alert" };
        assert_eq!(permissions(&["send:user"]).missing_for(alert), None);
        let missing = permissions(&["category:business", "type:file_share"]).missing_for(alert);
        assert_eq!(missing, Some(Permission::Category(TemplateCategory::System)));
        assert_eq!(permissions(&["category:business", "type:alert"]).missing_for(alert), None);
    }
}
