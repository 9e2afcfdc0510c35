//! What is asked for of a backup: as it is written down, and whole.

use super::Cursor;
use hongyan_backup::{Compression, Encryption, Kind, Language, Since};
use hongyan_wire::Timestamp;
use serde::{Deserialize, Serialize};

/// What is asked for, as far as it can be written down: a passphrase cannot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asked {
    pub kind: Kind,
    /// As it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    pub compression: Compression,
    pub sealed: Sealed,
    #[serde(default)]
    pub format: Format,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            kind: Kind::Full,
            since: None,
            compression: Compression::None,
            sealed: Sealed::None,
            format: Format::Database,
        }
    }
}

/// As what the messages are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A SQLite file.
    #[default]
    Database,
    /// A message a line.
    Jsonl,
    /// A page to read.
    Html(Language),
}

impl Format {
    /// As it is called on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Jsonl => "jsonl",
            Self::Html(_) => "html",
        }
    }

    /// What a file's name ends with before it is packed.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Database => ".db",
            Self::Jsonl => ".jsonl",
            Self::Html(_) => ".html",
        }
    }

    /// The media type of a file that is not packed.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Database => "application/octet-stream",
            Self::Jsonl => "application/x-ndjson",
            Self::Html(_) => "text/html; charset=utf-8",
        }
    }

    /// How it is told; `None` for the database, which is what it is told from. `name`: what the person is called.
    pub fn export(self, name: impl FnOnce() -> String) -> Option<hongyan_backup::Format> {
        match self {
            Self::Database => None,
            Self::Jsonl => Some(hongyan_backup::Format::JsonLines),
            Self::Html(language) => Some(hongyan_backup::Format::Html { language, name: name() }),
        }
    }
}

/// For whom it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sealed {
    None,
    /// This `age1…`, which is public.
    Recipient(String),
    /// A number that is the same for the same passphrase as long as this process runs. Nothing of it is written: with it one
    /// could try passphrases faster than with the file.
    Passphrase(#[serde(skip)] Option<u64>),
}

impl Sealed {
    /// As it is called on the wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Recipient(_) => "recipient",
            Self::Passphrase(_) => "passphrase",
        }
    }
}

/// What is asked for, whole.
pub struct Wanted {
    pub asked: Asked,
    pub since: Option<Since>,
    pub encryption: Encryption,
}

impl Wanted {
    /// The same again, from what was written down of it. `None` where a passphrase is missing, or it is of a server with
    /// another `epoch`.
    pub fn again(asked: Asked, epoch: u64) -> Option<Self> {
        let encryption = match &asked.sealed {
            Sealed::None => Encryption::None,
            Sealed::Recipient(recipient) => Encryption::to_recipient(recipient)?,
            Sealed::Passphrase(_) => return None,
        };
        let since = match asked.since.as_deref() {
            Some(text) => Some(since(text, epoch).ok()?),
            None => None,
        };
        Some(Self { asked, since, encryption })
    }
}

/// Bytes of it: more than any of the three has.
const SINCE_MAX: usize = 128;
const SINCE: &str = "must be an X-Backup-Cursor, a place, or a time such as 2026-01-15T10:30:00Z";

/// From where on an increment tells: an `X-Backup-Cursor`, a place, or a time.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn since(text: &str, epoch: u64) -> Result<Since, &'static str> {
    // It is remembered as it was given.
    if text.len() > SINCE_MAX {
        return Err(SINCE);
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        if cursor.epoch != epoch {
            return Err("is of another server, or of before this one was restored; take a full backup");
        }
        return Ok(cursor.since());
    }
    if let Ok(pos) = text.parse::<u64>() {
        return Ok(Since::Place { pos, version: 0, at: None });
    }
    let at = Timestamp::parse(text).ok_or(SINCE)?;
    Ok(Since::Time(at.millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_names_no_format_is_of_a_database() {
        let nameless = r#"{"kind":"full","compression":"gzip","sealed":"none"}"#;
        let asked: Asked = serde_json::from_str(nameless).unwrap();
        assert_eq!(asked, Asked { compression: Compression::Gzip, ..Asked::default() });
        for format in [Format::Database, Format::Jsonl, Format::Html(Language::Zh)] {
            let asked = Asked { format, ..Asked::default() };
            let text = serde_json::to_string(&asked).unwrap();
            assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked, "{text}");
        }
    }

    #[test]
    fn a_passphrase_is_not_written_and_what_needs_it_is_not_made_again() {
        let asked = Asked { sealed: Sealed::Passphrase(Some(7)), ..Asked::default() };
        let text = serde_json::to_string(&asked).unwrap();
        let read: Asked = serde_json::from_str(&text).unwrap();
        assert_eq!(read.sealed, Sealed::Passphrase(None), "{text}");
        assert!(Wanted::again(read, 1).is_none());
        let increment = Asked { kind: Kind::Incremental, since: Some("5".into()), ..Asked::default() };
        let again = Wanted::again(increment, 1).unwrap();
        assert_eq!(again.since, Some(Since::Place { pos: 5, version: 0, at: None }));
    }

    #[test]
    fn no_more_is_remembered_of_a_place_than_any_has() {
        assert!(since(&format!("{:0>128}", 5), 1).is_ok());
        assert_eq!(since(&format!("{:0>129}", 5), 1), Err(SINCE));
    }
}
