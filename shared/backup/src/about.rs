//! What a backup says of itself.

use crate::{Error, FORMAT, Result};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Messages, read states and devices.
    Full,
    /// Messages alone.
    Messages,
    /// What has changed since a place.
    Incremental,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Messages => "messages",
            Self::Incremental => "incremental",
        }
    }

    pub fn named(word: &str) -> Option<Self> {
        [Self::Full, Self::Messages, Self::Incremental].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Longest key or value of a line, in bytes: a person's id is the longest.
const TEXT_MAX: usize = 512;

/// The table `about`: each field is a line of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub kind: Kind,
    /// Whose it is.
    pub user: String,
    /// The number that the server's log was given when it was made: places mean something only within one.
    pub epoch: u64,
    /// Everything up to this place of the log is in it.
    pub pos: u64,
    /// The person's last number of a change.
    pub version: u64,
    /// Of an increment: what came after this place and this number is in it. 0 otherwise.
    pub from_pos: u64,
    pub from_version: u64,
    /// Milliseconds since 1970. What had expired by then is not in it.
    pub made_at: i64,
    /// Rows.
    pub messages: u64,
    pub states: u64,
}

impl About {
    pub(crate) fn write(&self, conn: &Connection) -> Result<()> {
        let numbers: [(&str, u64); 7] = [
            ("epoch", self.epoch),
            ("pos", self.pos),
            ("version", self.version),
            ("from_pos", self.from_pos),
            ("from_version", self.from_version),
            ("messages", self.messages),
            ("states", self.states),
        ];
        let mut insert = conn.prepare("INSERT OR REPLACE INTO about(key, value) VALUES(?1, ?2)")?;
        insert.execute(("format", FORMAT.to_string()))?;
        insert.execute(("kind", self.kind.as_str()))?;
        insert.execute(("user", &self.user))?;
        insert.execute(("made_at", self.made_at.to_string()))?;
        for (key, value) in numbers {
            insert.execute((key, value.to_string()))?;
        }
        Ok(())
    }

    /// Reads it from a database that may be anything.
    pub(crate) fn read(conn: &Connection, schema: &str) -> Result<Self> {
        let no_backup = |_| Error::NoBackup;
        // There may be any number of lines, of any length.
        let sql = format!(
            "SELECT key, value FROM {schema}.about
             WHERE octet_length(key) <= {TEXT_MAX} AND octet_length(value) <= {TEXT_MAX} LIMIT 100"
        );
        let mut statement = conn.prepare(&sql).map_err(no_backup)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(no_backup)?;
        let rows: BTreeMap<String, String> = rows.collect::<rusqlite::Result<_>>().map_err(no_backup)?;
        let text = |key: &str| rows.get(key).map(String::as_str).ok_or(Error::NoBackup);
        let number = |key: &str| text(key)?.parse::<u64>().map_err(|_| Error::NoBackup);
        let format: i64 = text("format")?.parse().map_err(|_| Error::NoBackup)?;
        if format > FORMAT {
            return Err(Error::Newer(format));
        }
        Ok(Self {
            kind: Kind::named(text("kind")?).ok_or(Error::NoBackup)?,
            user: text("user")?.to_owned(),
            epoch: number("epoch")?,
            pos: number("pos")?,
            version: number("version")?,
            from_pos: number("from_pos")?,
            from_version: number("from_version")?,
            made_at: text("made_at")?.parse().map_err(|_| Error::NoBackup)?,
            messages: number("messages")?,
            states: number("states")?,
        })
    }
}
