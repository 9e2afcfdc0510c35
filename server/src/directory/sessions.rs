//! Signed-in devices.

use super::store::{Directory, DirectoryError};
use hongyan_wire::account::DeviceType;
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use smol_str::SmolStr;
use std::collections::HashMap;

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    pub id: SessionId,
    pub user: UserId,
    pub device: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    pub provider: SmolStr,
    pub created_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
}

const COLUMNS: &str =
    "id, user, device, device_type, device_name, provider, created_at, refreshed_at, expires_at";
/// Sessions shown of one user; more than that nobody reads.
const SHOWN_MAX: i64 = 1_000;

impl Directory {
    /// Whether a session was ended while one of its access tokens may still be valid. From memory.
    pub fn is_revoked(&self, session: &SessionId) -> bool {
        self.revoked.read().contains_key(session)
    }

    /// The session whose current refresh token has this hash.
    pub fn session_by_refresh(&self, hash: &str) -> Result<Option<StoredSession>, DirectoryError> {
        self.one_session("refresh_hash", hash)
    }

    pub fn session(&self, id: &SessionId) -> Result<Option<StoredSession>, DirectoryError> {
        self.one_session("id", id.as_str())
    }

    fn one_session(&self, column: &str, value: &str) -> Result<Option<StoredSession>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM session WHERE {column} = ?1");
            conn.prepare_cached(&sql)?.query_row([value], session).optional()
        })
    }

    /// A user's sessions, newest first.
    pub fn sessions_of(&self, user: &UserId) -> Result<Vec<StoredSession>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM session WHERE user = ?1 ORDER BY created_at DESC, id LIMIT {SHOWN_MAX}"
            );
            conn.prepare_cached(&sql)?.query_map([user.as_str()], session)?.collect()
        })
    }
}

/// The ended sessions that must still be refused.
pub(super) fn revoked(conn: &Connection) -> rusqlite::Result<HashMap<SessionId, Timestamp>> {
    let mut statement = conn.prepare("SELECT session, until FROM revoked")?;
    statement
        .query_map([], |row| {
            let id = SessionId::new(row.get_ref(0)?.as_str()?).map_err(|e| bad(0, e))?;
            Ok((id, Timestamp::from_millis(row.get(1)?)))
        })?
        .collect()
}

fn session(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    Ok(StoredSession {
        id: SessionId::new(row.get_ref(0)?.as_str()?).map_err(|e| bad(0, e))?,
        user: UserId::new(row.get_ref(1)?.as_str()?).map_err(|e| bad(1, e))?,
        device: DeviceId::new(row.get_ref(2)?.as_str()?).map_err(|e| bad(2, e))?,
        device_type: match row.get_ref(3)?.as_str()? {
            "mobile" => DeviceType::Mobile,
            "desktop" => DeviceType::Desktop,
            _ => DeviceType::Web,
        },
        device_name: row.get(4)?,
        provider: row.get_ref(5)?.as_str()?.into(),
        created_at: Timestamp::from_millis(row.get(6)?),
        refreshed_at: Timestamp::from_millis(row.get(7)?),
        expires_at: Timestamp::from_millis(row.get(8)?),
    })
}

fn bad(column: usize, error: hongyan_wire::ids::InvalidId) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
