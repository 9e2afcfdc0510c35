//! An inbox that takes in 100 messages that it missed, beside a raw loop that writes the same.

use crate::report::{Bound, Report};
use crate::rooms::Rooms;
use crate::series::Series;
use crate::server::name;
use crate::setting::Setting;
use anyhow::{Context, Result, ensure};
use hongyan_server::inbox::Inboxes;
use hongyan_server::log::record::{Audience, Change, Posted, Record, UserPut};
use hongyan_wire::message::{AnswerMode, Message, SenderInfo};
use hongyan_wire::{MessageId, Timestamp, UserId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MESSAGES: usize = 100;
const MESSAGES_SQL: &str = include_str!("../../../../server/src/inbox/messages.sql");
const READ_STATUS_SQL: &str = include_str!("../../../../server/src/inbox/read_status.sql");

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let inboxes = setting.size(200, 20);
    let rounds = setting.rounds();
    let scratch = setting.scratch()?;
    let (system, users, raw) =
        (scratch.path().join("system"), scratch.path().join("users"), scratch.path().join("raw"));
    for folder in [&system, &users, &raw] {
        fs::create_dir(folder)?;
    }
    let template = Arc::new(Template::make(scratch.path())?);

    // As on a server that runs: the newest records are in memory.
    let mut rooms = Rooms::open(&system)?;
    rooms.append(users_put(2 * rounds * inboxes)?).await?;
    for number in 0..MESSAGES {
        rooms.append(Record::Message(Box::new(posted(number)?))).await?;
    }
    let mut turns = Turns { next: 0, inboxes, rounds, users: &users, raw: &raw, template: &template };
    let caught_up = rooms.inboxes(&users, 1)?;
    let (ours, both, one) = turns.take(&caught_up).await?;
    let bound = Bound::AtMost(1.5);
    report.compare("catch-up: 100 messages, log in memory", "cpu us an inbox", &ours, &both, bound)?;
    report.compare(
        "catch-up: the same, yardstick without read_status.db",
        "cpu us an inbox",
        &ours,
        &one,
        None,
    )?;

    // As after a restart: every record is read from the disk.
    drop(caught_up);
    drop(rooms);
    let rooms = Rooms::open(&system)?;
    let caught_up = rooms.inboxes(&users, 1)?;
    let (ours, both, _) = turns.take(&caught_up).await?;
    report.compare("catch-up: 100 messages, log on disk", "cpu us an inbox", &ours, &both, bound)?;
    Ok(())
}

/// Ours and the raw loops taking turns, each time with people who have no inbox yet.
struct Turns<'a> {
    next: usize,
    inboxes: usize,
    rounds: usize,
    users: &'a Path,
    raw: &'a Path,
    template: &'a Arc<Template>,
}

impl Turns<'_> {
    /// What an inbox costs: ours, the raw loop with both files, the raw loop with one.
    async fn take(&mut self, caught_up: &Arc<Inboxes>) -> Result<(Series, Series, Series)> {
        let (mut ours, mut both, mut one) = (Series::default(), Series::default(), Series::default());
        for _ in 0..self.rounds {
            let people = self.next..self.next + self.inboxes;
            self.next = people.end;
            // Nobody flushes what another has written.
            rustix::fs::sync();
            let before = spent()?;
            catch_up(caught_up, people.clone()).await?;
            ours.add_cost(self.inboxes, spent()?.saturating_sub(before));
            ensure!(self.users.join(name(people.start)).join("messages.db").exists(), "no inbox was made");
            for (series, with_status) in [(&mut both, true), (&mut one, false)] {
                rustix::fs::sync();
                let before = spent()?;
                self.write(people.clone(), with_status).await?;
                series.add_cost(self.inboxes, spent()?.saturating_sub(before));
            }
        }
        Ok((ours, both, one))
    }

    /// The raw loop, on a thread of the kind that ours works on: they share what was allocated before.
    async fn write(&self, people: Range<usize>, with_status: bool) -> Result<()> {
        let (raw, template) = (self.raw.to_owned(), self.template.clone());
        let writing = move || {
            people.into_iter().try_for_each(|number| {
                template.write(&raw.join(format!("{number}-{with_status}")), with_status)
            })
        };
        tokio::task::spawn_blocking(writing).await?
    }
}

async fn catch_up(inboxes: &Arc<Inboxes>, people: Range<usize>) -> Result<()> {
    for number in people {
        let unread = inboxes.access(&UserId::new(&name(number))?, |inbox| Ok(inbox.unread_total())).await?;
        ensure!(unread == MESSAGES as u64, "{unread} messages arrived");
    }
    Ok(())
}

/// Processor time of this process.
fn spent() -> Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).context("the process's clock")
}

/// The empty databases, and what is written into them.
struct Template {
    messages: Vec<u8>,
    read_status: Vec<u8>,
    posted: Vec<(Message, String)>,
}

impl Template {
    fn make(scratch: &Path) -> Result<Self> {
        let make = |name: &str, schema: &str| -> Result<Vec<u8>> {
            let path = scratch.join(name);
            let database = Connection::open(&path)?;
            database.pragma_update(None, "journal_mode", "WAL")?;
            database.execute_batch(schema)?;
            database.close().map_err(|(_, error)| error)?;
            Ok(fs::read(path)?)
        };
        let mut all = Vec::with_capacity(MESSAGES);
        for number in 0..MESSAGES {
            let message = posted(number)?.message;
            let sender_info = serde_json::to_string(&message.sender_info)?;
            all.push((message, sender_info));
        }
        Ok(Self {
            messages: make("raw-messages.db", MESSAGES_SQL)?,
            read_status: make("raw-status.db", READ_STATUS_SQL)?,
            posted: all,
        })
    }

    /// Opens, inserts in one transaction with the watermark, closes.
    fn write(&self, folder: &Path, with_status: bool) -> Result<()> {
        fs::create_dir(folder)?;
        let (messages, read_status) = (folder.join("messages.db"), folder.join("read_status.db"));
        fs::write(&messages, &self.messages)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database = if with_status {
            fs::write(&read_status, &self.read_status)?;
            let database = Connection::open_with_flags(&messages, flags)?;
            database.execute("ATTACH ?1 AS state", [read_status.to_str().context("the folder's name")?])?;
            database
        } else {
            Connection::open_with_flags(&messages, flags)?
        };
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        for schema in if with_status { &["main", "state"][..] } else { &["main"][..] } {
            database.pragma_update(Some(*schema), "synchronous", "NORMAL")?;
            database.pragma_update(Some(*schema), "cache_size", -128)?;
        }
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO main.message(pos, id, channel_id, title, content, message_type, priority,
                     sender, sender_info, created_at, expire_at, metadata, attachments, actions)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?;
            let none: Option<&str> = None;
            for (pos, (message, sender_info)) in self.posted.iter().enumerate() {
                insert.execute(params![
                    pos as i64 + 1,
                    message.id.as_str(),
                    none,
                    message.title,
                    message.content,
                    message.message_type,
                    message.priority,
                    message.sender,
                    sender_info,
                    message.created_at.millis(),
                    none,
                    none,
                    none,
                    none,
                ])?;
            }
        }
        transaction.execute(
            "INSERT INTO main.total(channel_id, messages) VALUES('', ?1)
             ON CONFLICT(channel_id) DO UPDATE SET messages = messages + excluded.messages",
            [MESSAGES as i64],
        )?;
        transaction.execute("UPDATE main.meta SET value = ?1 WHERE key = 'applied'", [MESSAGES as i64])?;
        Ok(transaction.commit()?)
    }
}

fn users_put(count: usize) -> Result<Record> {
    let user = |number| {
        Ok(UserPut {
            id: UserId::new(&name(number))?,
            username: name(number).into(),
            name: format!("User {number}"),
            email: None,
            password_hash: None,
            department: None,
            roles: None,
        })
    };
    let what = (0..count).map(user).collect::<Result<_>>()?;
    Ok(Record::UsersPut(Change { actor: "system".into(), at: Timestamp::from_millis(0), what }))
}

fn posted(number: usize) -> Result<Posted> {
    let message = Message {
        id: MessageId::new(&format!("msg-018f2b6e-0000-7000-8000-{number:012}"))?,
        pos: 0,
        channel_id: None,
        title: "The backup has finished".into(),
        content: "All 12 databases were copied in 41 seconds. The oldest copy was removed.".into(),
        message_type: "text".into(),
        priority: 5,
        sender: "bench".into(),
        sender_info: SenderInfo { id: "bench".into(), name: "bench".into(), ..SenderInfo::default() },
        created_at: Timestamp::from_millis(1_700_000_000_000),
        expire_at: None,
        metadata: serde_json::Map::new(),
        attachments: Vec::new(),
        actions: Vec::new(),
        is_read: false,
        read_at: None,
        version: 0,
        replaces: None,
        thread_key: None,
        pressed: None,
    };
    let audience = Audience { everyone: true, ..Audience::default() };
    Ok(Posted {
        message,
        audience,
        recipients: 1,
        sent_by: "service:bench".into(),
        template: None,
        answer: AnswerMode::default(),
        was_scheduled: false,
    })
}
