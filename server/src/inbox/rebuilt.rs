//! A person's folder made again from a backup of their inbox.

use super::InboxError;
use super::file::{MESSAGES, READ_STATUS};
use hongyan_backup::About;
use rusqlite::{Connection, OpenFlags, params};
use std::fs;
use std::path::Path;

/// Pages of memory for what is written, in KiB.
const CACHE_KIB: i64 = 2_048;

/// Makes a folder that is not there yet, with everything that a full backup has; the inbox goes on from the backup's
/// place. The backup is unpacked and was looked through by [`hongyan_backup::open`]. Nothing is flushed. Blocks on storage.
///
/// # Errors
/// What either says. The folder may be there in parts then.
pub fn rebuild(backup: &Path, about: &About, folder: &Path) -> Result<(), InboxError> {
    fs::create_dir(folder)?;
    fs::create_dir(folder.join(".sync"))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(backup, flags)?;
    let messages = make(&folder.join(MESSAGES), include_str!("messages.sql"))?;
    hongyan_backup::copy_table(&from, "message", &messages)?;
    hongyan_backup::copy_table(&from, "amended", &messages)?;
    messages.execute(
        "INSERT INTO total(channel_id, messages) SELECT coalesce(channel_id, ''), count(*) FROM message GROUP BY 1",
        [],
    )?;
    finish(messages, about)?;
    let states = make(&folder.join(READ_STATUS), include_str!("read_status.sql"))?;
    hongyan_backup::copy_table(&from, "status", &states)?;
    states.execute(
        "INSERT INTO total(channel_id, messages)
         SELECT coalesce(channel_id, ''), count(*) FROM status WHERE is_read GROUP BY 1",
        [],
    )?;
    states.execute("UPDATE meta SET value = ?1 WHERE key = 'version'", [about.version as i64])?;
    finish(states, about)
}

fn make(path: &Path, schema: &str) -> Result<Connection, InboxError> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // What is not whole is made anew: it needs no journal and no flush of its own.
    conn.pragma_update(None, "journal_mode", "OFF")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.execute_batch(schema)?;
    conn.execute_batch("BEGIN")?;
    Ok(conn)
}

fn finish(conn: Connection, about: &About) -> Result<(), InboxError> {
    conn.execute("UPDATE meta SET value = ?1 WHERE key = 'applied'", params![about.pos as i64])?;
    conn.execute_batch("COMMIT")?;
    // As every inbox is.
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    Ok(conn.close().map_err(|(_, error)| error)?)
}
