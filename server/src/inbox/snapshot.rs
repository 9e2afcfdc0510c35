//! One moment of an inbox, pinned while it goes on being used: what backups are made of.

use super::file::{Inbox, READ_STATUS};
use super::{DeviceSeen, InboxError, Inboxes};
use crate::log::Pos;
use hongyan_backup::{About, Device, Kind, Since, Source};
use hongyan_wire::{Timestamp, UserId};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// What tells one state of an inbox from another: an inbox with the same stamp has the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The log's number: places mean something only within one.
    #[serde(default)]
    epoch: u64,
    last_message: Pos,
    version: u64,
    /// What has expired changes neither of the others.
    messages: u64,
}

impl Stamp {
    /// The number of the log within which it means something.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// An inbox at one moment. As long as it lives, the inbox's files keep what it shows.
pub struct Snapshot {
    conn: Connection,
    user: UserId,
    epoch: u64,
    pos: Pos,
    version: u64,
    now: Timestamp,
    devices: Vec<DeviceSeen>,
    pub stamp: Stamp,
}

impl Inboxes {
    /// Pins the moment at which this is called. Who reads or writes the inbox waits only for that.
    pub async fn snapshot(self: &Arc<Self>, user: &UserId) -> Result<Snapshot, InboxError> {
        let (this, owner) = (self.clone(), user.clone());
        self.access(user, move |inbox| {
            let devices = this.devices.of(&this.folders, &owner);
            inbox.pin(owner, this.journal.log().epoch(), this.clock.now(), devices)
        })
        .await
    }

    /// What an inbox has now.
    pub async fn stamp(self: &Arc<Self>, user: &UserId) -> Result<Stamp, InboxError> {
        let epoch = self.journal.log().epoch();
        self.read(user, move |inbox| Ok(inbox.stamp(epoch))).await
    }
}

impl Inbox {
    pub(super) fn stamp(&self, epoch: u64) -> Stamp {
        let messages = self.counts.values().map(|count| count.total).sum();
        Stamp { epoch, last_message: self.last_message(), version: self.version(), messages }
    }

    pub(super) fn pin(
        &mut self,
        user: UserId,
        epoch: u64,
        now: Timestamp,
        devices: Vec<DeviceSeen>,
    ) -> Result<Snapshot, InboxError> {
        // At this very moment: what expired before is in no backup of it.
        self.expire(now)?;
        let messages = self.conn.path().map(Path::new).ok_or(InboxError::NoUser)?;
        let read_status = messages.with_file_name(READ_STATUS);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(messages, flags)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        let path = read_status.to_str().ok_or_else(|| InboxError::Path(read_status.clone()))?;
        conn.execute("ATTACH ?1 AS state", [path])?;
        // Nobody writes to either meanwhile: both are pinned at the same moment by the first look at each.
        conn.execute_batch("BEGIN")?;
        for schema in ["main", "state"] {
            let sql = format!("SELECT value FROM {schema}.meta WHERE key = 'applied'");
            conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        }
        Ok(Snapshot {
            conn,
            user,
            epoch,
            pos: self.seen(),
            version: self.version(),
            now,
            devices,
            stamp: self.stamp(epoch),
        })
    }
}

impl Snapshot {
    /// Writes a backup to a file that is not there yet. `go_on` is asked now and then with the part that is done. Blocks on
    /// storage.
    ///
    /// # Errors
    /// See [`hongyan_backup::write`].
    pub fn write(
        &self,
        kind: Kind,
        since: Option<Since>,
        path: &Path,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> hongyan_backup::Result<About> {
        let device = |seen: &DeviceSeen| Device {
            id: seen.device_id.to_string(),
            device_type: seen.device_type.as_str().to_owned(),
            name: seen.device_name.clone(),
            cursor: seen.cursor.clone(),
            last_seen: seen.last_seen.to_string(),
        };
        let devices: Vec<Device> = self.devices.iter().map(device).collect();
        let source = Source {
            conn: &self.conn,
            user: self.user.as_str(),
            epoch: self.epoch,
            pos: self.pos,
            version: self.version,
            now: self.now.millis(),
            devices: &devices,
        };
        hongyan_backup::write(&source, kind, since, path, go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use crate::inbox::Folders;
    use crate::log::Logged;
    use crate::log::record::{Audience, Marked, Posted, PressMade, Recalled, Record};
    use hongyan_wire::MessageId;
    use hongyan_wire::message::{AnswerMode, Message, Pressed};
    use proptest::prelude::*;
    use std::path::PathBuf;

    /// What happens to an inbox.
    #[derive(Debug, Clone)]
    enum Step {
        /// To be gone after so many milliseconds, if ever.
        Send(Option<i64>),
        Recall(prop::sample::Index),
        Press(prop::sample::Index),
        Mark(prop::sample::Index, bool),
        Wait(i64),
        Full,
        /// From the last backup's place, or from its time.
        Increment(bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let index = any::<prop::sample::Index>;
        let step = prop_oneof![
            4 => prop::option::of(1..200_000i64).prop_map(Step::Send),
            1 => index().prop_map(Step::Recall),
            1 => index().prop_map(Step::Press),
            3 => (index(), any::<bool>()).prop_map(|(message, is_read)| Step::Mark(message, is_read)),
            // Also so long that recalls are forgotten.
            2 => prop_oneof![1..200_000i64, Just(50 * 86_400_000)].prop_map(Step::Wait),
            1 => Just(Step::Full),
            2 => any::<bool>().prop_map(Step::Increment),
        ];
        prop::collection::vec(step, 1..80)
    }

    struct History {
        dir: tempfile::TempDir,
        inbox: Inbox,
        pos: Pos,
        now: i64,
        sent: Vec<(Pos, MessageId)>,
        full: Option<PathBuf>,
        increments: Vec<PathBuf>,
        last: Option<About>,
        made: usize,
    }

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    impl History {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folders = Folders::open(dir.path(), Faults::default()).unwrap();
            let inbox = folders.inbox(&ann()).unwrap();
            let now = 1_800_000_000_000;
            Self {
                dir,
                inbox,
                pos: 0,
                now,
                sent: Vec::new(),
                full: None,
                increments: Vec::new(),
                last: None,
                made: 0,
            }
        }

        fn at(&self) -> Timestamp {
            Timestamp::from_millis(self.now)
        }

        fn take(&mut self, record: Record) {
            self.pos += 1;
            self.inbox.expire(self.at()).unwrap();
            let logged = [Logged { pos: self.pos, record: Arc::new(record) }];
            match &*logged[0].record {
                Record::Marked(_) => drop(self.inbox.apply_marks(&logged).unwrap()),
                _ => self.inbox.apply_messages(&logged).unwrap(),
            }
            self.inbox.seen = self.pos;
        }

        fn step(&mut self, step: Step) {
            let audience = || Audience { users: vec![ann()], ..Audience::default() };
            let chosen =
                |index: prop::sample::Index| (!self.sent.is_empty()).then(|| index.get(&self.sent).clone());
            match step {
                Step::Send(life) => {
                    let id = format!("msg-{}", self.pos + 1);
                    let message: Message = serde_json::from_value(serde_json::json!({
                        "id": id, "pos": 0, "channel_id": null, "title": "t", "content": "c", "message_type": "text",
                        "priority": 5, "sender": "x", "sender_info": { "id": "x", "type": "service", "name": "x", "avatar": "" },
                        "created_at": self.at().to_string(), "expire_at": life.map(|life| self.at().plus_millis(life).to_string()),
                        "metadata": {}, "attachments": [], "actions": [], "is_read": false, "read_at": null, "version": 0,
                    }))
                    .unwrap();
                    self.sent.push((self.pos + 1, message.id.clone()));
                    let posted = Posted {
                        message,
                        audience: audience(),
                        recipients: 1,
                        sent_by: "service:x".into(),
                        template: None,
                        answer: AnswerMode::default(),
                        was_scheduled: false,
                    };
                    self.take(Record::Message(Box::new(posted)));
                }
                Step::Recall(index) => {
                    let Some((target, id)) = chosen(index) else { return };
                    let recalled = Recalled {
                        id,
                        target,
                        audience: audience(),
                        replaced_by: None,
                        at: self.at(),
                        by: "service:x".into(),
                    };
                    self.take(Record::Recalled(Box::new(recalled)));
                }
                Step::Press(index) => {
                    let Some((target, id)) = chosen(index) else { return };
                    let pressed = Pressed {
                        action: format!("a{}", self.pos),
                        by: ann(),
                        name: "Ann".into(),
                        at: self.at(),
                    };
                    self.take(Record::Pressed(Box::new(PressMade {
                        id,
                        target,
                        audience: audience(),
                        pressed,
                        callback: None,
                    })));
                }
                Step::Mark(index, is_read) => {
                    let Some((target, _)) = chosen(index) else { return };
                    self.take(Record::Marked(Marked {
                        user: ann(),
                        places: vec![target],
                        is_read,
                        device: None,
                        at: self.at(),
                    }));
                }
                Step::Wait(millis) => self.now += millis,
                Step::Full => self.back_up(Kind::Full, None),
                Step::Increment(by_place) => {
                    let Some(last) = self.last.clone() else { return };
                    let since = match by_place {
                        true => Since::Place { pos: last.pos, version: last.version, at: Some(last.made_at) },
                        false => Since::Time(last.made_at),
                    };
                    self.back_up(Kind::Incremental, Some(since));
                }
            }
        }

        fn back_up(&mut self, kind: Kind, since: Option<Since>) {
            self.made += 1;
            let path = self.dir.path().join(format!(".{}.db", self.made));
            let now = self.at();
            let snapshot = self.inbox.pin(ann(), 7, now, Vec::new()).unwrap();
            match (snapshot.write(kind, since, &path, &mut |_| true), kind) {
                (Ok(about), Kind::Full) => {
                    (self.full, self.last) = (Some(path), Some(about));
                    self.increments.clear();
                }
                (Ok(about), _) => {
                    self.increments.push(path);
                    self.last = Some(about);
                }
                // Said where it is so, and only there.
                (Err(hongyan_backup::Error::TooOld), _) => {
                    let age = self.now - self.last.as_ref().unwrap().made_at;
                    assert!(age > hongyan_backup::AMENDED_LIFE - 200_000, "{age}");
                }
                (Err(error), _) => panic!("{error}"),
            }
        }

        /// The full backup and its increments are the inbox as it was at the last of them.
        fn check(mut self) {
            let Some(full) = self.full.take() else { return };
            let since = self.last.clone().map(|last| Since::Place {
                pos: last.pos,
                version: last.version,
                at: Some(last.made_at),
            });
            self.back_up(Kind::Incremental, since);
            if self.last.as_ref().is_none_or(|last| last.pos != self.pos || last.made_at != self.now) {
                return;
            }
            let about = hongyan_backup::apply(&full, &self.increments).unwrap();
            let (joined, read) = hongyan_backup::open(&full).unwrap();
            assert_eq!((about.pos, &about, about.kind), (self.pos, &read, Kind::Full));
            for (table, theirs) in
                [("message", "main.message"), ("amended", "main.amended"), ("status", "state.status")]
            {
                let kept = rows(&joined, table);
                assert_eq!(kept, rows(&self.inbox.conn, theirs), "{table}");
            }
        }
    }

    fn rows(conn: &Connection, table: &str) -> Vec<Vec<rusqlite::types::Value>> {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY pos")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_full_backup_and_its_increments_are_the_inbox_row_for_row(steps in steps()) {
            let mut history = History::new();
            for step in steps {
                history.step(step);
            }
            history.check();
        }
    }

    #[test]
    fn a_snapshot_is_one_moment_however_long_it_is_kept() {
        let mut history = History::new();
        for _ in 0..3 {
            history.step(Step::Send(None));
        }
        let now = history.at();
        let snapshot = history.inbox.pin(ann(), 7, now, Vec::new()).unwrap();
        for _ in 0..100 {
            history.step(Step::Send(None));
            let places = vec![history.pos];
            let now = history.at();
            history.take(Record::Marked(Marked {
                user: ann(),
                places,
                is_read: true,
                device: None,
                at: now,
            }));
        }
        history.inbox.make_durable().unwrap();
        let path = history.dir.path().join(".kept.db");
        let about = snapshot.write(Kind::Full, None, &path, &mut |_| true).unwrap();
        assert_eq!((about.messages, about.states, about.pos), (3, 0, 3));
        let (kept, read) = hongyan_backup::open(&path).unwrap();
        assert_eq!((rows(&kept, "message").len(), read), (3, about));
    }
}
