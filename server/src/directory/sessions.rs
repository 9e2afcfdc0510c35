//! Signed-in devices.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::record::{Kept, Replaced};
use hongyan_wire::account::DeviceType;
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::collections::HashMap;
use uuid::Uuid;

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    pub id: SessionId,
    pub user: UserId,
    pub device: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    pub provider: SmolStr,
    pub kept: Kept,
    pub address: Option<String>,
    /// Of what its refresh tokens have in common: SHA-256 in hex.
    pub family_hash: SmolStr,
    /// Of the refresh token that is good.
    pub refresh_hash: SmolStr,
    /// Of the one before it.
    pub replaced: Option<Replaced>,
    pub created_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
}

const COLUMNS: &str =
    "id, user, device, device_type, device_name, provider, created_at, refreshed_at, expires_at,
    kept, address, family_hash, refresh_hash, replaced_hash, replaced_until";
/// Sessions shown of one user; more than that nobody reads.
const SHOWN_MAX: i64 = 1_000;

impl Directory {
    /// Whether a session was ended, or lost in a restore, while one of its access tokens may still be valid. From memory, but
    /// for sessions that began when some were lost.
    pub fn is_revoked(&self, session: &SessionId) -> Result<bool, DirectoryError> {
        Ok(self.revoked.read().contains_key(session) || self.is_lost(session)?)
    }

    /// Whether a session began between the making of the set from which this server was restored and the restore, and is not
    /// in what was restored: nobody could see or end it. One of others, who sign with our secret, is taken for such only
    /// if its id is of the same kind and tells a moment of then.
    fn is_lost(&self, session: &SessionId) -> Result<bool, DirectoryError> {
        if self.lost.is_empty() {
            return Ok(false);
        }
        // The ids of ours begin with their moment (RFC 9562, section 5.7).
        let id = Uuid::parse_str(session.as_str()).ok().filter(|id| id.get_version_num() == 7);
        let began_then = id.and_then(|id| id.get_timestamp()).is_some_and(|began| {
            let (seconds, nanos) = began.to_unix();
            let millis = seconds.saturating_mul(1_000).saturating_add(u64::from(nanos) / 1_000_000);
            i64::try_from(millis).is_ok_and(|millis| self.lost.contains(&millis))
        });
        Ok(began_then && self.session(session)?.is_none())
    }

    /// A session by its id.
    pub fn session(&self, id: &SessionId) -> Result<Option<StoredSession>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM session WHERE id = ?1");
            conn.prepare_cached(&sql)?.query_row([id.as_str()], session).optional()
        })
    }

    /// All of a user's sessions and personal tokens.
    pub fn session_ids_of(&self, user: &UserId) -> Result<Vec<SessionId>, DirectoryError> {
        self.reading(|conn| ids_of(conn, user))
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

impl Directory {
    /// Sessions and personal tokens of everyone that were opened before a moment, at most `limit`, after one by its id: to
    /// walk over them.
    pub fn sessions_before(
        &self,
        before: Timestamp,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(UserId, SessionId)>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached(
                "SELECT user, id FROM session WHERE created_at < ?1 AND id > ?2
                 UNION ALL SELECT user, id FROM token WHERE created_at < ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![before.millis(), after, limit as i64], |row| {
                let session = SessionId::new(row.get_ref(1)?.as_str()?).map_err(|e| bad(1, e))?;
                Ok((super::people::id(row, 0)?, session))
            })?
            .collect()
        })
    }

    /// Sessions of everyone, newest first; `q` is looked for in user and device names.
    pub fn session_list(&self, window: &Window) -> Result<Page<StoredSession>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "(user LIKE ?1 ESCAPE '\\' OR device_name LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM session WHERE {filter}"))?
                .query_row([&pattern], |row| row.get(0))?;
            let sql = format!(
                "SELECT {COLUMNS} FROM session WHERE {filter} ORDER BY created_at DESC, id LIMIT ?2 OFFSET ?3"
            );
            let rows = conn
                .prepare_cached(&sql)?
                .query_map(params![pattern, window.limit(), window.offset()], session)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }
}

/// The sessions and personal tokens of a user.
pub(super) fn ids_of(conn: &Connection, user: &UserId) -> rusqlite::Result<Vec<SessionId>> {
    conn.prepare_cached("SELECT id FROM session WHERE user = ?1 UNION SELECT id FROM token WHERE user = ?1")?
        .query_map([user.as_str()], |row| SessionId::new(row.get_ref(0)?.as_str()?).map_err(|e| bad(0, e)))?
        .collect()
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
    let (replaced, until): (Option<String>, Option<i64>) = (row.get(13)?, row.get(14)?);
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
        kept: Kept::named(row.get_ref(9)?.as_str()?),
        address: row.get(10)?,
        family_hash: row.get_ref(11)?.as_str()?.into(),
        refresh_hash: row.get_ref(12)?.as_str()?.into(),
        replaced: replaced
            .zip(until)
            .map(|(hash, until)| Replaced { hash: hash.into(), until: Timestamp::from_millis(until) }),
    })
}

pub(super) fn bad(column: usize, error: hongyan_wire::ids::InvalidId) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
