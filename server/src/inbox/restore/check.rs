//! Whether every row of a backup is one that a server could have written: the file may have been made by anyone, and what
//! is in an inbox is believed.

use super::super::InboxError;
use super::put::of_file;
use crate::log::Pos;
use hongyan_backup::{COLUMNS, Error, message};
use hongyan_wire::message::{Message, Pressed};
use hongyan_wire::{ChannelId, DeviceId, MessageId, ids, limits};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

/// Recalls and presses that a backup may tell of: what happens to an inbox in 90 days, and far more.
const AMENDED_MAX: i64 = 1_000_000;

/// Checks a file that is a whole backup. `pos`: where it says that it ends; `message_bytes`: the largest message as JSON.
///
/// # Errors
/// [`InboxError::Backup`], with the row and what is wrong with it.
pub(super) fn check(file: &Connection, pos: Pos, message_bytes: usize) -> Result<(), InboxError> {
    let bytes_max = message_bytes.max(limits::MESSAGE_BYTES_MAX);
    let sql = format!("SELECT {COLUMNS} FROM message m LEFT JOIN status s ON s.pos = m.pos ORDER BY m.pos");
    each(file, &sql, "message", |row| {
        let place: i64 = row.get(0)?;
        let channel: Option<String> = row.get(2)?;
        let is_channel = channel.is_none_or(|channel| ChannelId::new(&channel).is_ok());
        if is_huge(row, bytes_max)? {
            return Ok(Some(LARGER));
        }
        let message = message(row)?;
        Ok(match () {
            () if !(1..=pos as i64).contains(&place) => Some("pos lies beyond where the backup ends"),
            () if !is_channel => Some("channel_id is no id"),
            () if row.get_ref(8)?.as_str().is_err() => Some("sender_info is missing"),
            () => fault(&message, bytes_max),
        })
    })?;
    let states =
        "SELECT s.pos, s.message_id, s.device_id, s.is_read, s.changed_at, s.version, s.read_at, m.id
        FROM status s LEFT JOIN message m ON m.pos = s.pos";
    each(file, states, "status", |row| {
        let _numbers: (i64, i64, Option<i64>) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let (id, device, of): (String, Option<String>, Option<String>) =
            (row.get(1)?, row.get(2)?, row.get(7)?);
        let is_device = device.is_none_or(|device| DeviceId::new(&device).is_ok());
        Ok(match () {
            () if MessageId::new(&id).is_err() => Some("message_id is no id"),
            () if of.is_some_and(|of| of != id) => Some("message_id is not that of the message at its place"),
            () if !is_device => Some("device_id is no id"),
            () if !(0..=1).contains(&row.get::<_, i64>(3)?) => Some("is_read is neither 0 nor 1"),
            () => None,
        })
    })?;
    let amended: i64 =
        file.query_row("SELECT count(*) FROM amended", [], |row| row.get(0)).map_err(of_file)?;
    if amended > AMENDED_MAX {
        let reason = format!("it has {amended} rows in amended, and {AMENDED_MAX} may be");
        return Err(InboxError::Backup(Error::Damaged(reason)));
    }
    each(file, "SELECT pos, message_id, replaced_by, pressed, at FROM amended", "amended", |row| {
        let _at: i64 = row.get(4)?;
        let place: i64 = row.get(0)?;
        let (id, by, pressed): (String, Option<String>, Option<String>) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        let is_pressed = pressed.is_none_or(|pressed| serde_json::from_str::<Pressed>(&pressed).is_ok());
        Ok(match () {
            () if !(1..=pos as i64).contains(&place) => Some("pos lies beyond where the backup ends"),
            () if MessageId::new(&id).is_err() => Some("message_id is no id"),
            () if by.is_some_and(|by| MessageId::new(&by).is_err()) => Some("replaced_by is no id"),
            () if !is_pressed => Some("pressed is no press"),
            () => None,
        })
    })
}

/// Looks at every row of a table; the first column is its place.
fn each(
    file: &Connection,
    sql: &str,
    table: &str,
    fault: impl Fn(&Row<'_>) -> rusqlite::Result<Option<&'static str>>,
) -> Result<(), InboxError> {
    let mut statement = file.prepare(sql).map_err(of_file)?;
    let mut rows = statement.query([]).map_err(of_file)?;
    while let Some(row) = rows.next().map_err(of_file)? {
        let place: i64 = row.get(0).map_err(of_file)?;
        let reason = match fault(row) {
            Ok(None) => continue,
            Ok(Some(reason)) => reason.to_owned(),
            // A value of another type, or JSON of another shape.
            Err(error) => error.to_string(),
        };
        return Err(InboxError::Backup(Error::Damaged(format!("in {table}, at place {place}, {reason}"))));
    }
    Ok(())
}

/// What of a message could not have been sent. What this server allows less of than the one that it comes from is
/// no fault, but for a size that is above what is usual.
fn fault(message: &Message, bytes_max: usize) -> Option<&'static str> {
    let thread = message.thread_key.as_deref().unwrap_or_default();
    let words = [message.sender.as_str(), &message.sender_info.id, &message.sender_info.name, thread];
    let is_url = |url: &str| url.is_empty() || limits::is_url(url);
    let links = message.attachments.iter().all(|item| is_url(&item.url) && is_url(&item.thumbnail))
        && message.actions.iter().all(|item| is_url(&item.url))
        && is_url(&message.sender_info.avatar);
    match () {
        () if !(limits::PRIORITY_MIN..=limits::PRIORITY_MAX).contains(&message.priority) => {
            Some("priority is not from 1 to 10")
        }
        () if !ids::is_message_type(&message.message_type) => Some("message_type is none"),
        () if message.title.contains(limits::is_unshowable) => Some("title has control characters"),
        () if message.content.contains(limits::is_unshowable_in_text) => {
            Some("content has control characters")
        }
        () if words.into_iter().any(|word| word.len() > WORD_MAX || word.contains(limits::is_unshowable)) => {
            Some("a name is too long, or has control characters")
        }
        () if limits::object_depth_exceeds(&message.metadata, limits::DEPTH_MAX) => {
            Some("metadata is nested more than 32 levels deep")
        }
        () if !links => Some("a link is no http or https URL"),
        () if is_larger(message, bytes_max) => Some(LARGER),
        () => None,
    }
}

/// Whether a row has more bytes than any message that may be: read, they would be many times as many.
fn is_huge(row: &Row<'_>, bytes_max: usize) -> rusqlite::Result<bool> {
    let mut bytes = 0;
    for column in 0..row.as_ref().column_count() {
        if let ValueRef::Text(text) | ValueRef::Blob(text) = row.get_ref(column)? {
            bytes += text.len();
        }
    }
    Ok(bytes > bytes_max + SLACK)
}

fn is_larger(message: &Message, bytes_max: usize) -> bool {
    // The texts of most say so without encoding anything.
    let rough = message.title.len() + message.content.len();
    rough > bytes_max || serde_json::to_vec(message).is_ok_and(|json| json.len() > bytes_max + SLACK)
}

const LARGER: &str = "the message is larger than MESSAGE_MAX_BYTES";
/// Longest name or key, in bytes: four for each character that there may be.
const WORD_MAX: usize = 4 * limits::THREAD_KEY_MAX;
/// For what a message has beyond what it was sent with: who read it, what was pressed.
const SLACK: usize = 4_096;
