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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use crate::inbox::history::{ann, posted};
    use crate::inbox::{Folders, rebuild};
    use crate::log::Logged;
    use crate::log::record::{Audience, Marked, Recalled, Record};
    use hongyan_backup::Kind;
    use hongyan_wire::{ChannelId, MessageId};
    use std::path::PathBuf;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn message(pos: Pos, channel: Option<&str>, expire_at: Option<i64>) -> Logged {
        let audience = Audience { users: vec![ann()], ..Audience::default() };
        let expire_at = expire_at.map(Timestamp::from_millis);
        let mut posted = posted(&format!("msg-{pos}"), NOW, expire_at, audience);
        posted.message.channel_id = channel.map(|channel| ChannelId::new(channel).unwrap());
        Logged { pos, record: Arc::new(Record::Message(Box::new(posted))) }
    }

    fn marked(pos: Pos, places: &[Pos], is_read: bool) -> Logged {
        let marked = Marked { user: ann(), places: places.to_vec(), is_read, device: None, at: NOW };
        Logged { pos, record: Arc::new(Record::Marked(marked)) }
    }

    /// An inbox made again from a backup of one with five messages, of which the first two are read.
    fn restored(dir: &Path) -> (Inbox, PathBuf, About) {
        let (before, after) = (dir.join("before"), dir.join("after"));
        std::fs::create_dir(&before).unwrap();
        std::fs::create_dir(&after).unwrap();
        let mut inbox = Folders::open(&before, Faults::default()).unwrap().inbox(&ann()).unwrap();
        let later = NOW.plus_millis(1_000).millis();
        let messages = [
            message(1, None, None),
            message(2, Some("ops"), None),
            message(3, Some("ops"), None),
            message(4, None, Some(later)),
            message(5, None, None),
        ];
        inbox.apply_messages(&messages).unwrap();
        inbox.apply_marks(&[marked(6, &[1, 2, 3], true), marked(7, &[3], false)]).unwrap();
        inbox.seen = 7;
        let backup = dir.join("backup.db");
        let about = inbox
            .pin(ann(), 7, NOW, Vec::new())
            .unwrap()
            .write(Kind::Full, None, &backup, &mut |_| true)
            .unwrap();
        let folders = Folders::open(&after, Faults::default()).unwrap();
        rebuild(&backup, &about, &folders.of(&ann())).unwrap();
        let again = folders.inbox(&ann()).unwrap();
        assert_eq!((again.counts.clone(), again.version), (inbox.counts.clone(), 4));
        assert_eq!((again.messages_applied, again.status_applied), (7, 7));
        assert_eq!(again.next_expiry, inbox.next_expiry);
        (again, backup, about)
    }

    #[test]
    fn what_was_made_again_is_as_it_was_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (mut inbox, backup, about) = restored(dir.path());
        let faults =
            |inbox: &mut Inbox, since: &Since, now| inbox.differs(&backup, &about, since, now).unwrap();
        let mut since = Since::default();
        assert_eq!(faults(&mut inbox, &since, NOW), Vec::<String>::new());
        // What it has already changes nothing; what it has not is taken in.
        inbox.apply_messages(&[message(5, None, None), message(8, None, None)]).unwrap();
        inbox.apply_marks(&[marked(7, &[3], false), marked(9, &[3, 8], true)]).unwrap();
        assert_eq!((inbox.version, inbox.message_total(), inbox.unread_total()), (6, 6, 2));
        assert_eq!(faults(&mut inbox, &since, NOW), ["the message msg-3 was read or unread otherwise"]);
        since.marked.insert(3);
        assert_eq!(faults(&mut inbox, &since, NOW), Vec::<String>::new());
        let recalled = Recalled {
            id: MessageId::new("msg-2").unwrap(),
            target: 2,
            audience: Audience::default(),
            replaced_by: None,
            at: NOW,
            by: "service:x".into(),
        };
        inbox
            .apply_messages(&[Logged { pos: 10, record: Arc::new(Record::Recalled(Box::new(recalled))) }])
            .unwrap();
        assert_eq!(faults(&mut inbox, &since, NOW), ["the message msg-2 is missing"]);
        since.recalled.insert(2);
        assert_eq!(faults(&mut inbox, &since, NOW), Vec::<String>::new());
        let later = NOW.plus_millis(2_000);
        inbox.expire(later).unwrap();
        assert_eq!(faults(&mut inbox, &since, later), Vec::<String>::new());
        assert_eq!(faults(&mut inbox, &since, NOW), ["the message msg-4 is missing"]);
    }

    #[test]
    fn whatever_is_not_as_it_was_is_told() {
        for (change, told) in [
            ("DELETE FROM main.message WHERE pos = 5", "the message msg-5 is missing"),
            ("UPDATE main.message SET content = 'd' WHERE pos = 2", "the message msg-2 is not as it was"),
            ("UPDATE main.message SET thread_key = 'd' WHERE pos = 2", "the message msg-2 is not as it was"),
            (
                "INSERT INTO main.message SELECT 6, 'msg-6', NULL, title, content, message_type, priority, sender,
                     sender_info, created_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM main.message WHERE pos = 5",
                "the message msg-6 was not there",
            ),
            ("UPDATE state.status SET is_read = 0 WHERE pos = 1", "the message msg-1 was read or unread otherwise"),
            ("DELETE FROM state.status WHERE pos = 3", "the message msg-3 was read or unread otherwise"),
            ("UPDATE main.total SET messages = messages + 1", "it counts 5 unread messages, and has 3"),
            ("UPDATE state.meta SET value = 1 WHERE key = 'version'", "its number is 1, and was 4"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (mut inbox, backup, about) = restored(dir.path());
            inbox.conn.execute_batch(change).unwrap();
            inbox.load().unwrap();
            let faults = inbox.differs(&backup, &about, &Since::default(), NOW).unwrap();
            assert!(faults.iter().any(|fault| fault == told), "{change}: {faults:?}");
        }
    }
}
