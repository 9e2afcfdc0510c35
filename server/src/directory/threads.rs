//! Which message a sender sent last under a thread key.

use super::store::{Directory, DirectoryError};
use crate::log::record::Posted;
use hongyan_wire::MessageId;
use rusqlite::{Connection, OptionalExtension, params};

/// Milliseconds after which a thread that nothing came to is forgotten: 90 days.
const LIFE: i64 = 90 * 24 * 60 * 60 * 1000;

impl Directory {
    /// The last message of a sender's thread.
    pub fn last_of_thread(&self, owner: &str, key: &str) -> Result<Option<MessageId>, DirectoryError> {
        self.reading(|conn| {
            let id: Option<String> = conn
                .prepare_cached("SELECT message_id FROM thread WHERE owner = ?1 AND key = ?2")?
                .query_row([owner, key], |row| row.get(0))
                .optional()?;
            Ok(id.and_then(|id| MessageId::new(&id).ok()))
        })
    }
}

pub(super) fn put(conn: &Connection, posted: &Posted, key: &str) -> rusqlite::Result<()> {
    let at = posted.message.created_at.millis();
    conn.prepare_cached("DELETE FROM thread WHERE at < ?1")?.execute([at - LIFE])?;
    conn.prepare_cached("INSERT OR REPLACE INTO thread(owner, key, message_id, at) VALUES(?1, ?2, ?3, ?4)")?
        .execute(params![posted.sent_by.as_str(), key, posted.message.id.as_str(), at])?;
    Ok(())
}
