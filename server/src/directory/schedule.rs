//! Messages that are to be sent at a time.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::record::Scheduled;
use hongyan_wire::{MessageId, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::atomic::Ordering;

impl Directory {
    /// When the next scheduled message is due; from memory.
    pub fn next_due(&self) -> Option<Timestamp> {
        Some(self.next_due.load(Ordering::Acquire)).filter(|due| *due < NEVER).map(Timestamp::from_millis)
    }

    /// What is due by now, the longest due first, at most `limit`.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Scheduled>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT body FROM schedule WHERE due <= ?1 ORDER BY due, id LIMIT ?2")?
                .query_map(params![now.millis(), limit as i64], scheduled)?
                .collect()
        })
    }

    /// One scheduled message of an owner.
    pub fn scheduled(&self, owner: &str, id: &MessageId) -> Result<Option<Scheduled>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT body FROM schedule WHERE id = ?1 AND owner = ?2")?
                .query_row([id.as_str(), owner], scheduled)
                .optional()
        })
    }

    /// How many messages wait for their time.
    pub fn scheduled_count(&self) -> Result<u64, DirectoryError> {
        let count: i64 = self.reading(|conn| {
            conn.prepare_cached("SELECT count(*) FROM schedule")?.query_row([], |row| row.get(0))
        })?;
        Ok(count as u64)
    }

    /// An owner's scheduled messages, the next due first.
    pub fn scheduled_by(&self, owner: &str, window: &Window) -> Result<Page<Scheduled>, DirectoryError> {
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached("SELECT count(*) FROM schedule WHERE owner = ?1")?
                .query_row([owner], |row| row.get(0))?;
            let rows = conn
                .prepare_cached(
                    "SELECT body FROM schedule WHERE owner = ?1 ORDER BY due, id LIMIT ?2 OFFSET ?3",
                )?
                .query_map(params![owner, window.limit(), window.offset()], scheduled)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }
}

/// Later than any time that can be asked for.
const NEVER: i64 = i64::MAX;

/// When the next is due, in milliseconds since 1970; [`NEVER`] when there is none.
pub(super) fn next_due(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce((SELECT due FROM schedule ORDER BY due, id LIMIT 1), ?1)";
    conn.prepare_cached(sql)?.query_row([NEVER], |row| row.get(0))
}

pub(super) fn put(conn: &Connection, scheduled: &Scheduled) -> rusqlite::Result<()> {
    let body = serde_json::to_string(scheduled)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let posted = &scheduled.posted;
    conn.prepare_cached("INSERT OR REPLACE INTO schedule(id, due, owner, body) VALUES(?1, ?2, ?3, ?4)")?
        .execute(params![
            posted.message.id.as_str(),
            scheduled.due.millis(),
            posted.sent_by.as_str(),
            body
        ])?;
    Ok(())
}

pub(super) fn delete(conn: &Connection, id: &MessageId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM schedule WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

fn scheduled(row: &Row<'_>) -> rusqlite::Result<Scheduled> {
    serde_json::from_str(row.get_ref(0)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}
