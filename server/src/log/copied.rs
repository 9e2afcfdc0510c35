//! A copy of the log, made while it was written to: what must be said in it before it can be a log of its own.

use super::record::Record;
use super::{LogError, Pos};
use hongyan_wire::Timestamp;
use rusqlite::{Connection, params};
use std::path::Path;

/// The version of `log.db`.
pub const VERSION: i64 = super::local::SCHEMA_VERSION;

/// Says in a copy that nobody has got further than to a place: whoever follows it takes in again all that came after, so
/// that whatever was copied between that place and the copy's end is as new as the end. Gives the copy's end. Not
/// flushed. Blocks on storage.
///
/// # Errors
/// That it cannot be read or written.
pub fn lower(copy: &Path, through: Pos) -> Result<Pos, LogError> {
    let head = || -> rusqlite::Result<i64> {
        let conn = open(copy)?;
        conn.execute("UPDATE consumer SET through = min(through, ?1)", [through as i64])?;
        let head = conn.query_row("SELECT coalesce(max(pos), 0) FROM record", [], |row| row.get(0))?;
        conn.close().map_err(|(_, error)| error)?;
        Ok(head)
    };
    Ok(head().map_err(|error| LogError::Unwritable(error.to_string()))? as Pos)
}

/// Places that are passed over behind a copy's end. Those that were given after it was made are known outside, as in the
/// ids of callbacks, and must not be given again: a thousand years of restores and of messages have room.
const PASSED_OVER: u64 = 1 << 36;

/// Makes a copy a log of its own: with another number, and going on with this record at a place that was never given. Not
/// flushed. Blocks on storage.
///
/// # Errors
/// That it cannot be written.
pub fn renew(copy: &Path, epoch: u64, first: &Record, at: Timestamp) -> Result<(), LogError> {
    let unwritable = |error: &dyn std::fmt::Display| LogError::Unwritable(error.to_string());
    let body = serde_json::to_string(first).map_err(|error| unwritable(&error))?;
    let renewed = || -> rusqlite::Result<()> {
        let conn = open(copy)?;
        conn.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch as i64])?;
        conn.execute(
            "INSERT INTO record(pos, at, body, message_id) SELECT coalesce(max(pos), 0) + ?1, ?2, ?3, NULL FROM record",
            params![PASSED_OVER as i64, at.millis(), body],
        )?;
        conn.close().map_err(|(_, error)| error)
    };
    renewed().map_err(|error| unwritable(&error))
}

fn open(copy: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(copy)?;
    // A copy that is not whole is thrown away.
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok(conn)
}
