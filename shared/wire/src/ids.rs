//! Identifiers. All follow one rule, so that any of them may name a folder or stand in a path:
//! 1–64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot.

use crate::limits::ID_MAX;
use serde::{Deserialize, Deserializer, Serialize, de};
use smol_str::SmolStr;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of A-Z a-z 0-9 . _ - and not begin with a dot")]
pub struct InvalidId;

/// Checks the one rule of all ids.
pub fn check(text: &str) -> Result<(), InvalidId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > ID_MAX || text.starts_with('.') || !text.bytes().all(allowed) {
        return Err(InvalidId);
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes any text that follows the rule of ids.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(SmolStr::new(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = SmolStr::deserialize(deserializer)?;
                check(&text).map_err(de::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some(1))
                    .max_length(Some(ID_MAX))
                    .pattern(Some("^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// A person. Chosen by an administrator or made by the server; names the person's folder.
    UserId
);
id!(
    /// A message, `msg-…`; made by the server and sorted by time.
    MessageId
);
id!(
    /// A channel that people are members of.
    ChannelId
);
id!(
    /// A role that people have.
    RoleId
);
id!(
    /// A department that people belong to.
    DepartmentId
);
id!(
    /// A program that sends.
    ServiceId
);
id!(
    /// One signed-in device of one user.
    SessionId
);
id!(
    /// A device, chosen by the client and stable over its restarts.
    DeviceId
);

id!(
    /// A template for messages.
    TemplateId
);

/// Whether a text is a message type: 1 to 64 of `a-z 0-9 _ - .`.
pub fn is_message_type(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
    (1..=crate::limits::MESSAGE_TYPE_MAX).contains(&text.len()) && text.bytes().all(word)
}

impl UserId {
    /// Stands for someone who was deleted.
    pub fn nobody() -> Self {
        Self(SmolStr::new_static("deleted-user"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_a_folder_is_no_id() {
        for bad in ["", ".", "..", ".sync", "a/b", "a\\b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert_eq!(UserId::new(bad), Err(InvalidId), "{bad:?}");
        }
        for good in ["user123", "a.b", "-", "_x", "A-1", &"x".repeat(64)] {
            assert_eq!(UserId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_bad_id_in_json_says_what_an_id_is() {
        let error = serde_json::from_str::<UserId>("\"../x\"").unwrap_err().to_string();
        assert!(error.contains("must be 1 to 64"), "{error}");
    }
}
