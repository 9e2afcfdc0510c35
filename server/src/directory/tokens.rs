//! Personal tokens, found by their public prefix.

use super::store::{Directory, DirectoryError};
use hongyan_wire::profile::{PersonalToken, Scope};
use hongyan_wire::{SessionId, Timestamp, UserId};
use rusqlite::{OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::sync::Arc;

/// A personal token, whose it is, and the hash of what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownToken {
    pub user: UserId,
    pub about: PersonalToken,
    /// SHA-256 in hex.
    pub hash: SmolStr,
}

const COLUMNS: &str = "id, user, name, scopes, hash, created_at, expires_at";

impl Directory {
    /// The personal token that begins so.
    pub fn token_by_prefix(&self, prefix: &SmolStr) -> Result<Option<Arc<KnownToken>>, DirectoryError> {
        self.cached(&self.tokens, prefix, |conn| {
            let sql = format!("SELECT {COLUMNS} FROM token WHERE prefix = ?1");
            conn.prepare_cached(&sql)?.query_row([prefix.as_str()], known).optional()
        })
    }

    /// A person's tokens that are still good, newest first.
    pub fn tokens_of(&self, user: &UserId, now: Timestamp) -> Result<Vec<PersonalToken>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM token WHERE user = ?1 AND (expires_at IS NULL OR expires_at > ?2)
                 ORDER BY created_at DESC, id"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_map(params![user.as_str(), now.millis()], |row| Ok(known(row)?.about))?.collect()
        })
    }
}

fn known(row: &Row<'_>) -> rusqlite::Result<KnownToken> {
    let expires_at: Option<i64> = row.get(6)?;
    let about = PersonalToken {
        id: SessionId::new(row.get_ref(0)?.as_str()?).map_err(|e| super::sessions::bad(0, e))?,
        name: row.get(2)?,
        scopes: row.get_ref(3)?.as_str()?.lines().filter_map(Scope::named).collect(),
        created_at: Timestamp::from_millis(row.get(5)?),
        expires_at: expires_at.map(Timestamp::from_millis),
    };
    Ok(KnownToken { user: super::people::id(row, 1)?, about, hash: row.get_ref(4)?.as_str()?.into() })
}
