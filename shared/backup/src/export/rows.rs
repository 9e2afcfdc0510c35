//! Messages out of a backup's tables, one at a time.

use crate::{Error, Result};
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;

/// In which order messages are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// Hands each message on as the inbox shows it.
///
/// # Errors
/// What `tell` says, what the database says, and that a row is none that a server would write.
pub fn each(conn: &Connection, order: Order, tell: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
    let direction = if order == Order::NewestFirst { "DESC" } else { "ASC" };
    let mut statement = conn.prepare(&format!(
        "SELECT {COLUMNS} FROM message m LEFT JOIN status s ON s.pos = m.pos ORDER BY m.pos {direction}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let message = message(row).map_err(|error| match error {
            error @ rusqlite::Error::SqliteFailure(..) => Error::Storage(error),
            error => Error::Damaged(error.to_string()),
        })?;
        tell(message)?;
    }
    Ok(())
}

/// Of a message `m` and its state `s`, if it has one: what [`message`] takes.
pub const COLUMNS: &str = "m.pos, m.id, m.channel_id, m.title, m.content, m.message_type, m.priority, m.sender,
    m.sender_info, m.created_at, m.expire_at, m.metadata, m.attachments, m.actions, s.is_read, s.read_at, s.version,
    m.thread_key, m.replaces, m.pressed";

/// A message out of a row of [`COLUMNS`].
///
/// # Errors
/// That a value is none that a server would write.
pub fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let pos: i64 = row.get(0)?;
    let moment = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(Message {
        id: named(row, 1, |id| MessageId::new(id).ok())?
            .ok_or_else(|| wrong(1, FromSqlError::InvalidType))?,
        pos: pos as u64,
        channel_id: named(row, 2, |id| ChannelId::new(id).ok())?,
        title: row.get(3)?,
        content: row.get(4)?,
        message_type: row.get(5)?,
        priority: row.get(6)?,
        sender: row.get(7)?,
        sender_info: json(row, 8)?.unwrap_or_default(),
        created_at: Timestamp::from_millis(row.get(9)?),
        expire_at: moment(10)?,
        metadata: json(row, 11)?.unwrap_or_default(),
        attachments: json(row, 12)?.unwrap_or_default(),
        actions: json(row, 13)?.unwrap_or_default(),
        is_read: row.get::<_, Option<bool>>(14)?.unwrap_or(false),
        read_at: moment(15)?,
        version: row.get::<_, Option<i64>>(16)?.unwrap_or(0) as u64,
        thread_key: row.get(17)?,
        replaces: named(row, 18, |id| MessageId::new(id).ok())?,
        pressed: json(row, 19)?,
    })
}

fn wrong(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// An id that is known to be good here; one that is not is as if it were not there.
fn named<T>(row: &Row<'_>, column: usize, of: fn(&str) -> Option<T>) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|error| wrong(column, error))?;
    Ok(text.and_then(of))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|error| wrong(column, error))?;
    text.map(|text| serde_json::from_str(text).map_err(|error| wrong(column, error))).transpose()
}
