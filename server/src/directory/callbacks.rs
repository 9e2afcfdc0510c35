//! What services are to be told, and how far that has got.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::Pos;
use crate::log::record::{CallbackMade, CallbackTried, PressMade};
use hongyan_wire::admin::{Callback, CallbackState};
use hongyan_wire::{MessageId, ServiceId, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;
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

/// How many may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Of one service.
    pub each: usize,
    pub all: usize,
}

impl Directory {
    /// When a service is next to be told of something; from memory.
    pub fn next_callback(&self) -> Option<Timestamp> {
        let next = self.next_callback.load(Ordering::Acquire);
        (next < NEVER).then(|| Timestamp::from_millis(next))
    }

    /// What is to be tried now beside what is under way: of each service a few, of one that fails a single one, those
    /// first that have waited longest, and no more than there is room for.
    pub fn due_callbacks(
        &self,
        now: Timestamp,
        under_way: &HashMap<Pos, ServiceId>,
        room: Room,
    ) -> Result<Vec<DueCallback>, DirectoryError> {
        let mut free = room.all.saturating_sub(under_way.len());
        self.reading(|conn| {
            let mut services = conn.prepare_cached(
                "SELECT s.id, (SELECT min(next_at) FROM callback WHERE service = s.id AND state = 'due') AS oldest,
                     EXISTS(SELECT 1 FROM callback WHERE service = s.id AND state = 'due' AND tries > 0)
                 FROM service s WHERE s.status = 'active' AND oldest <= ?1 ORDER BY oldest",
            )?;
            let mut ids = conn.prepare_cached(
                "SELECT id FROM callback WHERE service = ?1 AND state = 'due' AND next_at <= ?2 ORDER BY next_at LIMIT ?3",
            )?;
            let mut whole = conn.prepare_cached(
                "SELECT c.id, c.service, c.body, c.tries, s.callback_url, s.callback_secret,
                     CASE WHEN s.callback_secret_before_until > ?2 THEN s.callback_secret_before END
                 FROM callback c LEFT JOIN service s ON s.id = c.service WHERE c.id = ?1",
            )?;
            let mut due = Vec::new();
            let mut rows = services.query([now.millis()])?;
            while free > 0
                && let Some(row) = rows.next()?
            {
                let (service, fails): (String, bool) = (row.get(0)?, row.get(2)?);
                let own = under_way.values().filter(|other| other.as_str() == service).count();
                let places = (if fails { 1 } else { room.each }).saturating_sub(own).min(free);
                if places == 0 {
                    continue;
                }
                let looked_at = (own + places) as i64;
                let waiting: Vec<i64> = ids
                    .query_map(params![service, now.millis(), looked_at], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let new = waiting.into_iter().filter(|id| !under_way.contains_key(&(*id as Pos)));
                for id in new.take(places) {
                    due.push(whole.query_row([id, now.millis()], due_callback)?);
                    free -= 1;
                }
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
        // One that was replayed while it was tried is tried again.
        "UPDATE callback SET state = ?2, tries = tries + 1, next_at = ?3, last_outcome = ?4
         WHERE id = ?1 AND next_at <= ?5",
    )?
    .execute(params![
        tried.callback as i64,
        word(tried.state),
        tried.next_at.millis(),
        tried.outcome.as_str(),
        tried.began_at.map_or(i64::MAX, Timestamp::millis)
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
