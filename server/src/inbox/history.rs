//! Random histories of one inbox, for tests: what is sent to it, what happens to that, and the backups that are made meanwhile.

use super::Folders;
use super::file::Inbox;
use crate::faults::Faults;
use crate::log::record::{Audience, Marked, Posted, PressMade, Recalled, Record};
use crate::log::{Logged, Pos};
use hongyan_backup::{About, Kind, Since};
use hongyan_wire::message::{AnswerMode, Message, Pressed};
use hongyan_wire::{MessageId, Timestamp, UserId};
use proptest::prelude::*;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;

/// What happens to an inbox.
#[derive(Debug, Clone)]
pub enum Step {
    /// To be gone after so many milliseconds, if ever.
    Send(Option<i64>),
    Recall(prop::sample::Index),
    Press(prop::sample::Index),
    Mark(prop::sample::Index, bool),
    Wait(i64),
    Full,
    Increment(After),
}

/// What an increment comes after.
#[derive(Debug, Clone, Copy)]
pub enum After {
    /// The last backup's place.
    Place,
    /// The last backup's time.
    Time,
    Beginning,
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => prop::option::of(1..200_000i64).prop_map(Step::Send),
        1 => index().prop_map(Step::Recall),
        1 => index().prop_map(Step::Press),
        3 => (index(), any::<bool>()).prop_map(|(message, is_read)| Step::Mark(message, is_read)),
        // Also so long that recalls are forgotten.
        2 => prop_oneof![1..200_000i64, Just(50 * 86_400_000)].prop_map(Step::Wait),
        1 => Just(Step::Full),
        2 => prop_oneof![Just(After::Place), Just(After::Time), Just(After::Beginning)].prop_map(Step::Increment),
    ];
    prop::collection::vec(step, 1..80)
}

/// An inbox and what has become of it.
pub struct History {
    pub dir: tempfile::TempDir,
    pub inbox: Inbox,
    /// Makes its ids its own.
    pub name: String,
    pub pos: Pos,
    pub now: i64,
    pub sent: Vec<(Pos, MessageId)>,
    pub full: Option<PathBuf>,
    pub increments: Vec<PathBuf>,
    pub last: Option<About>,
    made: usize,
}

/// A message as it stands in the log.
pub fn posted(id: &str, at: Timestamp, expire_at: Option<Timestamp>, audience: Audience) -> Posted {
    let message: Message = serde_json::from_value(serde_json::json!({
        "id": id, "pos": 0, "channel_id": null, "title": "t", "content": "c", "message_type": "text", "priority": 5,
        "sender": "x", "sender_info": { "id": "x", "type": "service", "name": "x", "avatar": "" },
        "created_at": at, "expire_at": expire_at, "metadata": {}, "attachments": [], "actions": [],
        "is_read": false, "read_at": null, "version": 0,
    }))
    .unwrap();
    Posted {
        message,
        audience,
        recipients: 1,
        sent_by: "service:x".into(),
        template: None,
        answer: AnswerMode::default(),
        was_scheduled: false,
    }
}

pub fn ann() -> UserId {
    UserId::new("ann").unwrap()
}

impl History {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::open(dir.path(), Faults::default()).unwrap();
        let inbox = folders.inbox(&ann()).unwrap();
        let now = 1_800_000_000_000;
        Self {
            dir,
            inbox,
            name: "here".into(),
            pos: 0,
            now,
            sent: Vec::new(),
            full: None,
            increments: Vec::new(),
            last: None,
            made: 0,
        }
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    pub fn take(&mut self, record: Record) {
        self.pos += 1;
        self.inbox.expire(self.at()).unwrap();
        let logged = [Logged { pos: self.pos, record: Arc::new(record) }];
        self.inbox.apply_messages(&logged).unwrap();
        self.inbox.apply_marks(&logged).unwrap();
        self.inbox.seen = self.pos;
    }

    pub fn step(&mut self, step: Step) {
        let audience = || Audience { users: vec![ann()], ..Audience::default() };
        let chosen =
            |index: prop::sample::Index| (!self.sent.is_empty()).then(|| index.get(&self.sent).clone());
        match step {
            Step::Send(life) => {
                let id = format!("msg-{}-{}", self.name, self.pos + 1);
                let expire_at = life.map(|life| self.at().plus_millis(life));
                let mut posted = posted(&id, self.at(), expire_at, audience());
                // What formats that quote must get right.
                posted.message.content = "\"\\\n🌸</script>".to_owned();
                self.sent.push((self.pos + 1, posted.message.id.clone()));
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
            Step::Increment(from) => {
                let Some(last) = self.last.clone() else { return };
                let since = match from {
                    After::Place => {
                        Since::Place { pos: last.pos, version: last.version, at: Some(last.made_at) }
                    }
                    After::Time => Since::Time(last.made_at),
                    After::Beginning => Since::Place { pos: 0, version: 0, at: None },
                };
                self.back_up(Kind::Incremental, Some(since));
            }
        }
    }

    pub fn back_up(&mut self, kind: Kind, since: Option<Since>) {
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
    pub fn check(mut self) {
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
        // Told as JSON, a line each, they are what the API says.
        let (mut lines, format) = (Vec::new(), hongyan_backup::Format::JsonLines);
        hongyan_backup::export(&full, &format, &mut lines, &mut |_| true).unwrap();
        let told = lines.split_inclusive(|byte| *byte == b'\n');
        let told: Vec<Message> = told.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let changes = self.inbox.changes(0, 0, 10_000).unwrap().changes;
        let known = changes.into_iter().filter_map(|change| match change {
            hongyan_wire::api::Change::Message(message) => Some(message),
            hongyan_wire::api::Change::StatusUpdate(_) => None,
        });
        assert_eq!(told, known.collect::<Vec<_>>());
    }
}

pub fn rows(conn: &Connection, table: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY pos")).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}
