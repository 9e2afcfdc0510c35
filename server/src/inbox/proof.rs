//! Whether an inbox still has all that a backup of it has: what a restored one is held against.

use super::InboxError;
use super::file::Inbox;
use crate::log::Pos;
use hongyan_backup::About;
use hongyan_wire::Timestamp;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::path::Path;

/// Faults that are told of one inbox.
const TOLD_MAX: usize = 5;
/// What of a message never changes after it was sent.
const FIXED: &str = "id, channel_id, title, content, message_type, priority, sender, sender_info, created_at, expire_at, \
     metadata, attachments, actions, replaces, thread_key";

/// What the log has after a backup's place that changes what was in it.
#[derive(Debug, Clone, Default)]
pub struct Since {
    /// Places of messages that were taken back.
    pub recalled: BTreeSet<Pos>,
    /// Places of messages that the person has marked.
    pub marked: BTreeSet<Pos>,
}

impl Inbox {
    /// What is not as it was in a full backup of it, in words: every message is there with each of its words, unless it was
    /// taken back or has expired since; every state is what it was, unless it was marked since; nothing else stands at the
    /// backup's places; and the counts are those of the rows. `backup` is unpacked and looked through.
    ///
    /// # Errors
    /// What the databases say.
    pub fn differs(
        &mut self,
        backup: &Path,
        about: &About,
        since: &Since,
        now: Timestamp,
    ) -> Result<Vec<String>, InboxError> {
        let path = backup.to_str().ok_or_else(|| InboxError::Path(backup.to_owned()))?;
        self.conn.execute("ATTACH ?1 AS kept", [path])?;
        let found = faults(&self.conn, about, since, now);
        self.conn.execute_batch("DETACH kept")?;
        let mut faults = found?;
        let unread = "SELECT count(*) FROM main.message m LEFT JOIN state.status s ON s.pos = m.pos WHERE s.is_read IS NOT 1";
        let unread: i64 = self.conn.query_row(unread, [], |row| row.get(0))?;
        if unread as u64 != self.unread_total() {
            faults.push(format!("it counts {} unread messages, and has {unread}", self.unread_total()));
        }
        if self.version() < about.version {
            faults.push(format!("its number is {}, and was {}", self.version(), about.version));
        }
        Ok(faults)
    }
}

fn faults(
    conn: &Connection,
    about: &About,
    since: &Since,
    now: Timestamp,
) -> Result<Vec<String>, InboxError> {
    let json = |places: &BTreeSet<Pos>| -> String {
        let places: Vec<String> = places.iter().map(Pos::to_string).collect();
        format!("[{}]", places.join(","))
    };
    let (recalled, marked) = (json(&since.recalled), json(&since.marked));
    let kept: Vec<String> = FIXED.split(", ").map(|column| format!("k.{column}")).collect();
    let found: Vec<String> = FIXED.split(", ").map(|column| format!("m.{column}")).collect();
    let (kept, found) = (kept.join(", "), found.join(", "));
    let looks = [
        (
            "is missing",
            "SELECT k.id FROM kept.message k LEFT JOIN main.message m ON m.pos = k.pos
             WHERE m.pos IS NULL AND (k.expire_at IS NULL OR k.expire_at > ?2)
                 AND k.pos NOT IN (SELECT value FROM json_each(?3))"
                .to_owned(),
        ),
        (
            "is not as it was",
            format!(
                "SELECT k.id FROM kept.message k JOIN main.message m ON m.pos = k.pos
                 WHERE ({kept}) IS NOT ({found}) OR (k.pressed IS NOT NULL AND k.pressed IS NOT m.pressed)"
            ),
        ),
        (
            "was not there",
            "SELECT m.id FROM main.message m LEFT JOIN kept.message k ON k.pos = m.pos
             WHERE m.pos <= ?1 AND k.pos IS NULL"
                .to_owned(),
        ),
        (
            "was read or unread otherwise",
            "SELECT m.id FROM main.message m LEFT JOIN kept.status k ON k.pos = m.pos
                 LEFT JOIN state.status s ON s.pos = m.pos
             WHERE m.pos <= ?1 AND m.pos NOT IN (SELECT value FROM json_each(?4))
                 AND (k.is_read, k.read_at, k.version, k.device_id) IS NOT (s.is_read, s.read_at, s.version, s.device_id)"
                .to_owned(),
        ),
    ];
    let mut faults = Vec::new();
    for (what, sql) in looks {
        // Every look is given all of them, whichever it needs.
        let sql = format!("WITH given AS (SELECT ?1, ?2, ?3, ?4) {sql} LIMIT {TOLD_MAX}");
        let mut statement = conn.prepare(&sql)?;
        let given = params![about.pos as i64, now.millis(), recalled, marked];
        let ids = statement.query_map(given, |row| row.get::<_, String>(0))?;
        for id in ids {
            faults.push(format!("the message {} {what}", id?));
        }
    }
    Ok(faults)
}
