//! What services are to be told, and how far that has got.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::Pos;
use crate::log::record::{CallbackMade, CallbackTried, PressMade};
use hongyan_wire::admin::{Callback, CallbackState};
use hongyan_wire::{MessageId, ServiceId, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::atomic::Ordering;

/// Later than any time that can be asked for.
const NEVER: i64 = i64::MAX;
/// Milliseconds for which a callback that is over is kept: 30 days.
const LIFE: i64 = 30 * 24 * 60 * 60 * 1000;

/// A callback that is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCallback {
    pub id: Pos,
    pub service: ServiceId,
    /// JSON, as it is sent and signed.
    pub body: String,
    /// How often it was tried before.
    pub tries: u32,
    /// Where; `None` when the service has nowhere any more.
    pub url: Option<String>,
    /// What signs it: one secret, or two while one takes the other's place.
    pub secrets: Vec<String>,
}

impl Directory {
    /// When a service is next to be told of something; from memory.
    pub fn next_callback(&self) -> Option<Timestamp> {
        let next = self.next_callback.load(Ordering::Acquire);
        (next < NEVER).then(|| Timestamp::from_millis(next))
    }

    /// What is to be tried now: of each service the first few.
    pub fn due_callbacks(&self, now: Timestamp, each: usize) -> Result<Vec<DueCallback>, DirectoryError> {
        self.reading(|conn| {
            let services: Vec<String> = conn
                .prepare_cached(
                    "SELECT DISTINCT c.service FROM callback c JOIN service s ON s.id = c.service
                     WHERE c.state = 'due' AND c.next_at <= ?1 AND s.status = 'active'",
                )?
                .query_map([now.millis()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut due = Vec::new();
            for service in services {
                let mut statement = conn.prepare_cached(
                    "SELECT c.id, c.service, c.body, c.tries, s.callback_url, s.callback_secret,
                         CASE WHEN s.callback_secret_before_until > ?2 THEN s.callback_secret_before END
                     FROM callback c LEFT JOIN service s ON s.id = c.service
                     WHERE c.service = ?1 AND c.state = 'due' AND c.next_at <= ?2 ORDER BY c.next_at LIMIT ?3",
                )?;
                let rows = statement.query_map(params![service, now.millis(), each as i64], due_callback)?;
                due.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Ok(due)
        })
    }

    /// Callbacks, the newest first; `q` is looked for in ids of services and messages.
    pub fn callbacks(
        &self,
        state: Option<CallbackState>,
        window: &Window,
    ) -> Result<Page<Callback>, DirectoryError> {
        let (pattern, state) = (window.pattern(), state.map(word));
        let filter =
            "(?2 IS NULL OR state = ?2) AND (service LIKE ?1 ESCAPE '\\' OR message_id LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM callback WHERE {filter}"))?
                .query_row(params![pattern, state], |row| row.get(0))?;
            let sql =
                format!("SELECT {COLUMNS} FROM callback WHERE {filter} ORDER BY id DESC LIMIT ?3 OFFSET ?4");
            let rows = conn
                .prepare_cached(&sql)?
                .query_map(params![pattern, state, window.limit(), window.offset()], callback)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    pub fn callback(&self, id: Pos) -> Result<Option<Callback>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM callback WHERE id = ?1");
            conn.prepare_cached(&sql)?.query_row([id as i64], callback).optional()
        })
    }
}

const COLUMNS: &str = "id, service, message_id, state, tries, created_at, next_at, last_outcome";

/// When the next one is to be tried, in milliseconds since 1970; [`NEVER`] when there is none.
pub(super) fn next(conn: &Connection) -> rusqlite::Result<i64> {
    // One that is suspended is told nothing until it may go on.
    let sql = "SELECT coalesce(min(c.next_at), ?1) FROM callback c JOIN service s ON s.id = c.service
         WHERE c.state = 'due' AND s.status = 'active'";
    conn.prepare_cached(sql)?.query_row([NEVER], |row| row.get(0))
}

pub(super) fn put(
    conn: &Connection,
    pos: Pos,
    made: &PressMade,
    callback: &CallbackMade,
) -> rusqlite::Result<()> {
    let at = made.pressed.at.millis();
    conn.prepare_cached("DELETE FROM callback WHERE state <> 'due' AND next_at < ?1")?
        .execute([at - LIFE])?;
    conn.prepare_cached(
        "INSERT OR IGNORE INTO callback(id, service, message_id, user, body, state, tries, created_at, next_at)
         VALUES(?1, ?2, ?3, ?4, ?5, 'due', 0, ?6, ?6)",
    )?
    .execute(params![
        pos as i64,
        callback.service.as_str(),
        made.id.as_str(),
        made.pressed.by.as_str(),
        callback.body,
        at
    ])?;
    Ok(())
}

pub(super) fn tried(conn: &Connection, tried: &CallbackTried) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE callback SET state = ?2, tries = tries + 1, next_at = ?3, last_outcome = ?4 WHERE id = ?1",
    )?
    .execute(params![
        tried.callback as i64,
        word(tried.state),
        tried.next_at.millis(),
        tried.outcome.as_str()
    ])?;
    Ok(())
}

pub(super) fn replay(conn: &Connection, id: Pos, at: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE callback SET state = 'due', tries = 0, next_at = ?2 WHERE id = ?1")?
        .execute(params![id as i64, at.millis()])?;
    Ok(())
}

pub(super) fn forget_service(conn: &Connection, id: &ServiceId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM callback WHERE service = ?1")?.execute([id.as_str()])?;
    Ok(())
}

const fn word(state: CallbackState) -> &'static str {
    match state {
        CallbackState::Due => "due",
        CallbackState::Delivered => "delivered",
        CallbackState::Dead => "dead",
    }
}

fn due_callback(row: &Row<'_>) -> rusqlite::Result<DueCallback> {
    let (id, secret, before): (i64, Option<String>, Option<String>) = (row.get(0)?, row.get(5)?, row.get(6)?);
    Ok(DueCallback {
        id: id as Pos,
        service: parsed(row, 1)?,
        body: row.get(2)?,
        tries: row.get(3)?,
        url: row.get(4)?,
        secrets: secret.into_iter().chain(before).collect(),
    })
}

fn callback(row: &Row<'_>) -> rusqlite::Result<Callback> {
    let id: i64 = row.get(0)?;
    let message_id: MessageId = parsed(row, 2)?;
    Ok(Callback {
        id: id as u64,
        service_id: parsed(row, 1)?,
        message_id,
        state: match row.get_ref(3)?.as_str()? {
            "due" => CallbackState::Due,
            "delivered" => CallbackState::Delivered,
            _ => CallbackState::Dead,
        },
        tries: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        next_at: Timestamp::from_millis(row.get(6)?),
        last_outcome: row.get(7)?,
    })
}

fn parsed<T: std::str::FromStr<Err = hongyan_wire::ids::InvalidId>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
