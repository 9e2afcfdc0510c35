//! A simulation of log, directory and inboxes: thousands of random histories, with the process killed or
//! the power failing between any two steps, compared with a model that is too simple to be wrong.
//!
//! The files are real SQLite databases. A kill keeps what was written and loses what was in memory. A
//! power failure also puts every file that is not flushed by its own commits back to what it was when
//! it was last made durable, each independently of the others.

use crate::clock::Clock;
use crate::directory::Directory;
use crate::faults::Faults;
use crate::follow::Follower;
use crate::inbox::history::{self, History, Step};
use crate::inbox::{Filter, Folders, Inboxes, MarkRequest, Pending, Prepared};
use crate::log::local::Local;
use crate::log::record::{
    Audience, Change, GroupKey, GroupKind, GroupPut, Marked, MembersChange, Posted, PressMade, Recalled,
    Record, UserPut,
};
use crate::log::{Appended, Journal, Log, Pos};
use crate::report::Ledger;
use hongyan_backup::{About, Kind};
use hongyan_wire::api::{Change as Changed, MessageList};
use hongyan_wire::message::{Message, Pressed, SenderInfo};
use hongyan_wire::{ChannelId, MessageId, Timestamp, UserId};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use tokio::sync::watch;

const HISTORIES: u64 = 2_000;
const STEPS: usize = 40;
const NEVER: i64 = i64::MAX / 2;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What each person should see, from the records alone.
#[derive(Default)]
struct Model {
    records: Vec<(Pos, Arc<Record>)>,
    /// Which of [`BROUGHT`] it was, by the names of the files.
    brought: BTreeMap<String, usize>,
}

/// Backups of another server.
static BROUGHT: LazyLock<Vec<Brought>> = LazyLock::new(|| (1..=3).map(Brought::make).collect());

struct Brought {
    about: About,
    bytes: Vec<u8>,
    messages: Vec<MessageId>,
    /// By which message, in the order of their numbers.
    states: Vec<(usize, bool)>,
}

impl Brought {
    /// So many messages; all but the first are marked, each other way than the one before.
    fn make(count: usize) -> Self {
        let mut theirs = History::new();
        theirs.name = format!("other-{count}");
        // So nothing that is done here is of before.
        theirs.now = 0;
        let mut states = Vec::new();
        for n in 0..count {
            theirs.step(Step::Send(None));
            let (place, is_read) = (theirs.pos, n % 2 == 1);
            if n > 0 {
                let at = theirs.at();
                let marked = Marked { user: history::ann(), places: vec![place], is_read, device: None, at };
                theirs.take(Record::Marked(marked));
                states.push((n, is_read));
            }
        }
        theirs.back_up(Kind::Full, None);
        let file = theirs.full.clone().unwrap();
        let messages = theirs.sent.iter().map(|(_, id)| id.clone()).collect();
        Self { about: theirs.last.clone().unwrap(), bytes: fs::read(file).unwrap(), messages, states }
    }
}

#[derive(Default, Debug)]
struct ExpectedInbox {
    /// In order: place, id, channel.
    messages: Vec<(Pos, MessageId, Option<ChannelId>)>,
    /// By place: read or not, and the number of the last change.
    states: BTreeMap<Pos, (bool, u64)>,
    /// By place: what was pressed first.
    pressed: BTreeMap<Pos, String>,
    version: u64,
}

impl Model {
    /// Every inbox after all records, leaving out what has expired by now.
    fn inboxes(&self, now: Timestamp) -> BTreeMap<UserId, ExpectedInbox> {
        let mut inboxes: BTreeMap<UserId, ExpectedInbox> = BTreeMap::new();
        let mut members: BTreeSet<(GroupKey, UserId)> = BTreeSet::new();
        let mut expired = BTreeSet::new();
        for (pos, record) in &self.records {
            match &**record {
                Record::UsersPut(change) => {
                    for put in &change.what {
                        inboxes.entry(put.id.clone()).or_default();
                    }
                }
                Record::GroupPut(change) => {
                    for user in change.what.members.iter().filter(|user| inboxes.contains_key(*user)) {
                        members.insert((change.what.key.clone(), user.clone()));
                    }
                }
                Record::MembersChanged(change) => {
                    let member = (change.what.key.clone(), change.what.user.clone());
                    if change.what.joined {
                        members.insert(member)
                    } else {
                        members.remove(&member)
                    };
                }
                Record::Message(posted) => {
                    if posted.message.expire_at.is_some_and(|at| at <= now) {
                        expired.insert(*pos);
                    }
                    for (user, inbox) in &mut inboxes {
                        if is_meant(user, &posted.audience, &members) {
                            let message = &posted.message;
                            inbox.messages.push((*pos, message.id.clone(), message.channel_id.clone()));
                        }
                    }
                }
                Record::Recalled(recalled) => {
                    for inbox in inboxes.values_mut() {
                        inbox.messages.retain(|(pos, ..)| *pos != recalled.target);
                        inbox.states.remove(&recalled.target);
                    }
                }
                Record::Pressed(made) => {
                    for (user, inbox) in &mut inboxes {
                        let has = inbox.messages.iter().any(|(pos, ..)| *pos == made.target);
                        if has && is_meant(user, &made.audience, &members) {
                            let action = made.pressed.action.clone();
                            inbox.pressed.entry(made.target).or_insert(action);
                        }
                    }
                }
                Record::Restored(restored) => {
                    let inbox = inboxes.entry(restored.user.clone()).or_default();
                    let brought = &BROUGHT[self.brought[restored.file.as_str()]];
                    let places = restored.places.iter().flat_map(|(first, count)| *first..first + count);
                    let put = places.zip(&brought.messages).map(|(place, id)| (place, id.clone(), None));
                    inbox.messages.extend(put);
                    // Its places are of before: others' messages may have come since.
                    inbox.messages.sort();
                    for (n, is_read) in &brought.states {
                        inbox.version += 1;
                        let is_it =
                            |(_, id, _): &&(Pos, MessageId, Option<ChannelId>)| *id == brought.messages[*n];
                        let place = inbox.messages.iter().find(is_it).unwrap().0;
                        inbox.states.insert(place, (*is_read, inbox.version));
                    }
                }
                Record::Marked(marked) => {
                    let inbox = inboxes.entry(marked.user.clone()).or_default();
                    for place in &marked.places {
                        inbox.version += 1;
                        inbox.states.insert(*place, (marked.is_read, inbox.version));
                    }
                }
                _ => {}
            }
        }
        for inbox in inboxes.values_mut() {
            inbox.messages.retain(|(pos, ..)| !expired.contains(pos));
        }
        inboxes
    }
}

fn is_meant(user: &UserId, audience: &Audience, members: &BTreeSet<(GroupKey, UserId)>) -> bool {
    let Audience { everyone, users, groups } = audience;
    *everyone
        || users.contains(user)
        || groups.iter().any(|key| members.contains(&(key.clone(), user.clone())))
}

/// What was told to someone and must stay true.
#[derive(Default)]
struct Promises {
    sent: Vec<(Pos, MessageId)>,
    marked: Vec<(UserId, MessageId, u64)>,
    restored: Vec<usize>,
}

/// One running process.
struct Process {
    log: Arc<Local>,
    ledger: Arc<Ledger>,
    journal: Journal,
    inboxes: Arc<Inboxes>,
    follower: JoinHandle<()>,
}

/// Holds the follower up in the midst of its work.
#[derive(Default)]
struct Lag {
    state: Mutex<LagState>,
    changed: Condvar,
}

#[derive(Default)]
struct LagState {
    at: Option<&'static str>,
    held: bool,
}

impl Lag {
    fn faults(self: &Arc<Self>) -> Faults {
        let lag = self.clone();
        Faults::watched(move |step| {
            let mut state = lag.state.lock();
            while state.at == Some(step) {
                state.held = true;
                lag.changed.notify_all();
                lag.changed.wait(&mut state);
            }
            state.held = false;
            true
        })
    }

    fn hold_at(&self, step: Option<&'static str>) {
        self.state.lock().at = step;
        self.changed.notify_all();
    }

    fn wait_until_held(&self) {
        let mut state = self.state.lock();
        while !state.held {
            self.changed.wait(&mut state);
        }
    }
}

struct World {
    storage: PathBuf,
    durable: PathBuf,
    /// Steps until the process ends by itself.
    fuse: Arc<AtomicI64>,
    lag: Arc<Lag>,
    /// Milliseconds since 1970, as everyone here takes it to be.
    now: Arc<AtomicI64>,
    process: Option<Process>,
    model: Model,
    promises: Promises,
    random: Random,
    serial: usize,
}

impl World {
    fn new(dir: &Path, seed: u64) -> Self {
        let (storage, durable) = (dir.join("storage"), dir.join("durable"));
        for folder in ["users", "system"] {
            fs::create_dir_all(storage.join(folder)).unwrap();
            fs::create_dir_all(durable.join(folder)).unwrap();
        }
        let mut world = Self {
            storage,
            durable,
            fuse: Arc::new(AtomicI64::new(NEVER)),
            lag: Arc::default(),
            now: Arc::default(),
            process: None,
            model: Model::default(),
            promises: Promises::default(),
            random: Random(seed),
            serial: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let system = self.storage.join("system");
        let (log, tail) = Local::open(&system.join("log.db")).unwrap();
        let log = Arc::new(log);
        let directory = Arc::new(Directory::open(&system.join("directory.db")).unwrap());
        let ledger = Arc::new(Ledger::open(&system.join("reports.db"), &*log, &directory).unwrap());
        let pending = Arc::new(Pending::default());
        let (applied, applied_through) = watch::channel(0);
        let follower = Follower {
            directory: directory.clone(),
            pending: pending.clone(),
            hub: Arc::default(),
            ledger: ledger.clone(),
            applied,
            stop: watch::channel(false).1,
            faults: self.lag.faults(),
        };
        follower.replay(&*log).unwrap();
        let follower = follower.spawn(tail).unwrap();
        let journal = Journal::new(log.clone(), applied_through);
        let (fuse, storage, durable) = (self.fuse.clone(), self.storage.clone(), self.durable.clone());
        let faults = Faults::watched(move |step| {
            keep_durable(step, &storage, &durable);
            fuse.fetch_sub(1, Ordering::Relaxed) > 0
        });
        let mut folders = Folders::open(&self.storage.join("users"), faults).unwrap();
        folders.spare_at_once = 2;
        let handles = 1 + self.random.below(3);
        let mut inboxes = Inboxes::new(folders, journal.clone(), directory, pending, handles);
        inboxes.clock = Clock::Held(self.now.clone());
        let inboxes = Arc::new(inboxes);
        self.process = Some(Process { log, ledger, journal, inboxes, follower });
    }

    /// Ends the process, and the power with it or not.
    fn crash(&mut self, power: bool) {
        if let Some(Process { log, inboxes, follower, .. }) = self.process.take() {
            drop(inboxes);
            log.close();
            drop(log);
            follower.join().unwrap();
        }
        if power {
            self.lose_power();
        }
        self.fuse.store(NEVER, Ordering::Relaxed);
        self.start();
        self.learn();
    }

    fn lose_power(&mut self) {
        if self.random.one_in(2) {
            put_back(&self.storage.join("system"), &self.durable.join("system"), "directory.db");
        }
        let users = self.storage.join("users");
        for folder in fs::read_dir(&users).unwrap().map(|entry| entry.unwrap().path()) {
            let name = folder.file_name().unwrap().to_owned();
            // What is to be put back was flushed with its folder before the log named it.
            if name == ".spare" || name == ".restores" {
                continue;
            }
            let durable = self.durable.join("users").join(&name);
            if !durable.exists() && self.random.one_in(3) {
                // The folder had not been flushed: not even its name need be there.
                fs::remove_dir_all(&folder).unwrap();
                continue;
            }
            for file in ["messages.db", "read_status.db"] {
                if self.random.one_in(2) {
                    put_back(&folder, &durable, file);
                }
            }
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn log(&self) -> &Arc<Local> {
        &self.process().log
    }

    /// Takes what has been written since into the model.
    fn learn(&mut self) {
        let known = self.model.records.last().map_or(0, |(pos, _)| *pos);
        let new = self.log().read(known, usize::MAX >> 1).unwrap();
        self.model.records.extend(new.into_iter().map(|logged| (logged.pos, logged.record)));
        assert_eq!(self.model.records.last().map_or(0, |(pos, _)| *pos), self.log().head());
    }

    fn users(&self) -> Vec<UserId> {
        self.model.inboxes(self.clock()).into_keys().collect()
    }

    fn some_user(&mut self) -> Option<UserId> {
        let users = self.users();
        (!users.is_empty()).then(|| users[self.random.below(users.len())].clone())
    }

    fn some_group(&mut self) -> GroupKey {
        let kind = if self.random.one_in(2) { GroupKind::Role } else { GroupKind::Channel };
        GroupKey { kind, id: ["one", "two"][self.random.below(2)].into() }
    }

    async fn append(&mut self, record: Record) -> Pos {
        let log = self.log().clone();
        let Ok(Appended::Written(pos)) = log.append(record.into()).await else { panic!("an append failed") };
        self.learn();
        pos
    }

    fn change<T>(what: T) -> Change<T> {
        Change { actor: "system".into(), at: Timestamp::default(), what }
    }

    async fn step(&mut self) {
        self.now.fetch_add(self.random.below(3) as i64, Ordering::Relaxed);
        match self.random.below(21) {
            20 => self.restore().await,
            0 | 1 => self.put_user().await,
            2 => {
                let members = self.users().into_iter().filter(|_| self.random.one_in(2)).collect();
                let key = self.some_group();
                let put = GroupPut {
                    name: "group".into(),
                    description: String::new(),
                    channel_kind: Default::default(),
                    key,
                    members,
                    parent: None,
                };
                self.append(Record::GroupPut(Box::new(Self::change(put)))).await;
            }
            3 | 4 => {
                if let Some(user) = self.some_user() {
                    let change =
                        MembersChange { key: self.some_group(), user, joined: self.random.one_in(2) };
                    self.append(Record::MembersChanged(Self::change(change))).await;
                }
            }
            5..=9 => self.send().await,
            10 | 11 => self.mark().await,
            12 => self.recall_or_press().await,
            13 | 14 => {
                self.settle();
                if let Some(user) = self.some_user() {
                    let opened = self.process().inboxes.access(&user, |_| Ok(())).await;
                    self.unless_ended(opened.is_ok());
                }
            }
            15 => self.walk().await,
            16 => self.walk_before_the_follower().await,
            17 => self.fuse.store(self.random.below(12) as i64, Ordering::Relaxed),
            18 => self.crash(false),
            _ => self.crash(true),
        }
    }

    /// An access fails only because the simulation ended the process in its midst.
    fn unless_ended(&mut self, succeeded: bool) {
        if !succeeded {
            assert!(self.fuse.load(Ordering::Relaxed) < 0, "it failed although nothing was broken");
            let power = self.random.one_in(2);
            self.crash(power);
        }
    }

    async fn put_user(&mut self) {
        let id = UserId::new(["ann", "bob", "cid", "dan"][self.random.below(4)]).unwrap();
        let put = UserPut {
            username: id.as_str().into(),
            name: id.to_string(),
            id,
            email: None,
            password_hash: None,
            department: None,
            roles: None,
        };
        self.append(Record::UsersPut(Self::change(vec![put]))).await;
    }

    async fn send(&mut self) {
        let mut audience = Audience::default();
        match self.random.below(4) {
            0 => audience.everyone = true,
            1 => audience.groups.push(self.some_group()),
            _ => {}
        }
        if !audience.everyone {
            audience.users = self.users().into_iter().filter(|_| self.random.one_in(2)).collect();
        }
        self.serial += 1;
        let id = MessageId::new(&format!("msg-{}", self.serial)).unwrap();
        let channel = ["one", "two"][self.random.below(2)];
        let message = Message {
            id: id.clone(),
            pos: 0,
            channel_id: self.random.one_in(2).then(|| ChannelId::new(channel).unwrap()),
            title: "title".into(),
            content: "content".into(),
            message_type: "text".into(),
            priority: 5,
            sender: "service".into(),
            sender_info: SenderInfo::default(),
            created_at: Timestamp::default(),
            // Some are over when they arrive, most somewhat later.
            expire_at: self.random.one_in(3).then(|| self.clock().plus_millis(self.random.below(12) as i64)),
            metadata: Default::default(),
            attachments: Vec::new(),
            actions: Vec::new(),
            is_read: false,
            read_at: None,
            version: 0,
            replaces: None,
            thread_key: None,
            pressed: None,
        };
        let posted = Posted {
            message,
            audience,
            recipients: 0,
            sent_by: "service:s".into(),
            template: None,
            answer: Default::default(),
            was_scheduled: false,
        };
        let pos = self.append(Record::Message(Box::new(posted))).await;
        self.promises.sent.push((pos, id));
    }

    async fn recall_or_press(&mut self) {
        let posted = self.model.records.iter().filter_map(|(pos, record)| match &**record {
            Record::Message(posted) => Some((*pos, posted.message.id.clone(), posted.audience.clone())),
            _ => None,
        });
        let posted: Vec<_> = posted.collect();
        if posted.is_empty() {
            return;
        }
        let (target, id, audience) = posted[self.random.below(posted.len())].clone();
        if self.random.one_in(2) {
            let by = UserId::new("ann").unwrap();
            let action = ["yes", "no"][self.random.below(2)].to_owned();
            let audience = match self.random.one_in(2) {
                true => audience,
                false => Audience { users: vec![by.clone()], ..Audience::default() },
            };
            let pressed = Pressed { action, by, name: "Ann".into(), at: Timestamp::default() };
            let made = PressMade { id, target, audience, pressed, callback: None };
            self.append(Record::Pressed(Box::new(made))).await;
            return;
        }
        let recalled = Recalled {
            id,
            target,
            audience,
            replaced_by: None,
            at: Timestamp::default(),
            by: "service:s".into(),
        };
        self.append(Record::Recalled(Box::new(recalled))).await;
    }

    async fn mark(&mut self) {
        let Some(user) = self.some_user() else { return };
        let expected = self.model.inboxes(self.clock()).remove(&user).unwrap_or_default();
        let ids: Vec<MessageId> = expected.messages.iter().map(|(_, id, _)| id.clone()).collect();
        let request = match self.random.below(3) {
            0 if !ids.is_empty() => MarkRequest::One {
                id: ids[self.random.below(ids.len())].clone(),
                is_read: self.random.one_in(2),
                if_version: None,
            },
            1 => MarkRequest::Some(ids.into_iter().filter(|_| self.random.one_in(2)).collect()),
            _ => {
                let channel = self.random.one_in(3).then(|| ChannelId::new("one").unwrap());
                MarkRequest::Through { until_pos: None, channel }
            }
        };
        let inboxes = self.process().inboxes.clone();
        let outcome = inboxes.mark(&user, None, request, |_| ()).await;
        drop(inboxes);
        self.learn();
        if let Ok(outcome) = &outcome {
            let told = outcome.updates.iter().map(|u| (user.clone(), u.message_id.clone(), u.version));
            self.promises.marked.extend(told);
        }
        self.unless_ended(outcome.is_ok());
    }

    /// Brings a person what they had on another server, maybe once more.
    async fn restore(&mut self) {
        let ann = history::ann();
        if !self.users().contains(&ann) {
            return;
        }
        if self.random.one_in(3) {
            // As each start does.
            let inboxes = self.process().inboxes.clone();
            let finished = inboxes.finish_restores().await;
            let is_clear = !inboxes.restores_of(&ann).exists();
            drop(inboxes);
            // What fails in it is tried again by the next start.
            return self.unless_ended(finished.is_ok() && is_clear);
        }
        self.serial += 1;
        let (which, name) = (self.random.below(BROUGHT.len()), format!("brought-{}", self.serial));
        self.model.brought.insert(name.clone(), which);
        let inboxes = self.process().inboxes.clone();
        let folder = inboxes.restores_of(&ann);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.db"));
        fs::write(&file, &BROUGHT[which].bytes).unwrap();
        let prepared = Prepared {
            file: name,
            about: BROUGHT[which].about.clone(),
            go_on: hongyan_backup::always(),
            is_meant: Box::new(|| true),
        };
        let outcome = inboxes.restore(&ann, prepared, false, 262_144, || ()).await;
        drop(inboxes);
        self.learn();
        if let Ok(outcome) = &outcome {
            assert_eq!(outcome.restored + outcome.known, BROUGHT[which].messages.len() as u64);
            self.promises.restored.push(which);
            assert!(!file.exists(), "what is there for good needs no file");
        }
        self.unless_ended(outcome.is_ok());
    }

    async fn walk(&mut self) {
        let walked = self.try_to_walk().await;
        self.unless_ended(walked);
    }

    /// Walks while the follower is in the midst of a message.
    async fn walk_before_the_follower(&mut self) {
        let points = ["the directory has followed", "the index has followed"];
        self.lag.hold_at(Some(points[self.random.below(2)]));
        self.send().await;
        self.lag.wait_until_held();
        let walked = self.try_to_walk().await;
        self.lag.hold_at(None);
        self.unless_ended(walked);
        if self.random.one_in(2) {
            let power = self.random.one_in(2);
            self.crash(power);
        }
    }

    async fn try_to_walk(&mut self) -> bool {
        let before =
            if self.random.one_in(2) { Timestamp::from_millis(i64::MAX) } else { Timestamp::default() };
        // Counts are written every second, the log is trimmed after days.
        self.settle();
        let inboxes = self.process().inboxes.clone();
        tokio::task::spawn_blocking(move || inboxes.walk(before, &|| false)).await.unwrap().is_ok()
    }

    fn settle(&self) {
        let Process { log, ledger, .. } = self.process();
        ledger.settle(&**log).unwrap();
    }

    /// Each message has as many readers as have it marked as read, however often what counts them was killed.
    fn check_counts(&self) {
        self.settle();
        let mut readers: BTreeMap<Pos, BTreeSet<&UserId>> = BTreeMap::new();
        for (pos, record) in &self.model.records {
            match &**record {
                Record::Message(_) => drop(readers.entry(*pos).or_default()),
                Record::Marked(marked) => {
                    for place in &marked.places {
                        // What came with a backup counts for nobody here.
                        let Some(readers) = readers.get_mut(place) else { continue };
                        if marked.is_read {
                            readers.insert(&marked.user)
                        } else {
                            readers.remove(&marked.user)
                        };
                    }
                }
                _ => {}
            }
        }
        for (pos, readers) in readers {
            assert_eq!(self.process().ledger.reads(pos).unwrap(), readers.len() as u64, "readers of {pos}");
        }
    }

    /// Everyone sees exactly what the model says, whichever way they ask.
    async fn check(&mut self) {
        self.fuse.store(NEVER, Ordering::Relaxed);
        self.process().journal.caught_up().await.unwrap();
        self.check_counts();
        for (pos, id) in &self.promises.sent {
            let found = self.model.records.iter().find(|(at, _)| at == pos).map(|(_, record)| record.clone());
            assert!(matches!(found.as_deref(), Some(Record::Message(posted)) if posted.message.id == *id));
        }
        for which in &self.promises.restored {
            let is_it = |record: &Record| matches!(record, Record::Restored(restored) if self.model.brought[restored.file.as_str()] == *which);
            assert!(self.model.records.iter().any(|(_, record)| is_it(record)));
        }
        for (user, expected) in self.model.inboxes(self.clock()) {
            let ids: BTreeMap<Pos, MessageId> = self
                .model
                .records
                .iter()
                .filter_map(|(pos, record)| match &**record {
                    Record::Message(posted) => Some((*pos, posted.message.id.clone())),
                    _ => None,
                })
                .chain(expected.messages.iter().map(|(pos, id, _)| (*pos, id.clone())))
                .collect();
            self.check_one(&user, &expected).await;
            // A number that a device was told stays the number of that change.
            for (_, id, version) in self.promises.marked.iter().filter(|(of, ..)| *of == user) {
                let at = self.version_given(&user, *version);
                assert_eq!(at.and_then(|pos| ids.get(&pos)), Some(id), "version {version} of {user}");
            }
        }
    }

    /// Which message a person's number was given to.
    fn version_given(&self, user: &UserId, version: u64) -> Option<Pos> {
        let marks = self.model.records.iter().filter_map(|(_, record)| match &**record {
            Record::Marked(marked) if marked.user == *user => Some(marked.places.clone()),
            Record::Restored(restored) if restored.user == *user => Some(vec![0; restored.states as usize]),
            _ => None,
        });
        marks.flatten().nth(version as usize - 1)
    }

    async fn check_one(&self, user: &UserId, expected: &ExpectedInbox) {
        let inboxes = &self.process().inboxes;
        let read = |pos: &Pos| expected.states.get(pos).copied().unwrap_or((false, 0));
        let pressed = |pos: &Pos| expected.pressed.get(pos).cloned();
        let wanted: Vec<_> = expected
            .messages
            .iter()
            .map(|(pos, id, _)| (*pos, id.clone(), read(pos), pressed(pos)))
            .collect();
        let seen = |message: &Message| {
            let pressed = message.pressed.as_ref().map(|pressed| pressed.action.clone());
            (message.pos, message.id.clone(), (message.is_read, message.version), pressed)
        };

        let (list, unread, version, changes) = inboxes
            .access(user, |inbox| {
                let mut list = Vec::new();
                for page in 1.. {
                    let part = inbox.page(&Filter::default(), page, 3)?.written(serde_json::to_vec)?;
                    let part: MessageList = serde_json::from_slice(&part).unwrap();
                    list.extend(part.messages);
                    if list.len() as u64 >= part.total {
                        break;
                    }
                }
                let mut changes = Vec::new();
                let (mut pos, mut version) = (0, 0);
                loop {
                    let part = inbox.changes(pos, version, 2)?;
                    (pos, version) = (part.pos, part.version);
                    changes.extend(part.changes);
                    if !part.has_more {
                        break;
                    }
                }
                Ok((list, inbox.unread(), inbox.version(), changes))
            })
            .await
            .unwrap();
        let mut listed: Vec<_> = list.iter().map(seen).collect();
        listed.reverse();
        assert_eq!(listed, wanted, "the list of {user}");
        assert_eq!(version, expected.version, "the version of {user}");
        let unread_of = |channel: Option<&ChannelId>| {
            let of =
                expected.messages.iter().filter(|(_, _, at)| channel.is_none() || at.as_ref() == channel);
            of.filter(|(pos, ..)| !read(pos).0).count() as u64
        };
        assert_eq!(unread.total, unread_of(None), "unread of {user}");
        for channel in ["one", "two"].map(|id| ChannelId::new(id).unwrap()) {
            let counted = unread.by_channel.get(&channel).copied().unwrap_or(0);
            assert_eq!(counted, unread_of(Some(&channel)), "unread of {user} in {channel}");
        }
        assert_eq!(inboxes.tip(user).await.unwrap().unread.total, unread.total, "from memory");
        let synced: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Changed::Message(message) => Some(seen(message)),
                Changed::StatusUpdate(_) => None,
            })
            .collect();
        assert_eq!(synced, wanted, "what {user} gets by sync");
    }
}

/// Remembers what is on the disk for good after a step.
fn keep_durable(step: &str, storage: &Path, durable: &Path) {
    match step {
        "the inboxes are durable" | "spare folders are durable" | "a backup is put back" => {
            copy_folder(&storage.join("users"), &durable.join("users"));
        }
        "the directory is durable" => {
            copy_database(&storage.join("system"), &durable.join("system"), "directory.db")
        }
        "states of messages that go are durably gone" => {
            for folder in fs::read_dir(durable.join("users")).unwrap().map(|entry| entry.unwrap().path()) {
                let live = storage.join("users").join(folder.file_name().unwrap());
                if live.exists() {
                    copy_database(&live, &folder, "read_status.db");
                }
            }
        }
        _ => {}
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap();
        if entry.is_dir() {
            if name != ".spare" {
                copy_folder(&entry, &to.join(name));
            }
        } else if !name.to_string_lossy().ends_with("-shm") {
            fs::copy(&entry, to.join(name)).unwrap();
        }
    }
}

/// Copies a database with its log; the shared memory is made anew by whoever opens it.
fn copy_database(from: &Path, to: &Path, name: &str) {
    for suffix in ["", "-wal"] {
        let file = format!("{name}{suffix}");
        let _ = fs::remove_file(to.join(&file));
        if from.join(&file).exists() {
            fs::copy(from.join(&file), to.join(&file)).unwrap();
        }
    }
}

/// A database as it was when it was last durable; one that never was has its database but not its log.
fn put_back(live: &Path, durable: &Path, name: &str) {
    let _ = fs::remove_file(live.join(format!("{name}-shm")));
    if durable.join(name).exists() {
        copy_database(durable, live, name);
    } else if name == "directory.db" {
        let _ = fs::remove_file(live.join(name));
        let _ = fs::remove_file(live.join(format!("{name}-wal")));
    } else {
        let _ = fs::remove_file(live.join(format!("{name}-wal")));
    }
}

fn memory_folder() -> tempfile::TempDir {
    // Flushes cost nothing there, and the simulation decides itself what they keep.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = memory_folder();
    let mut world = World::new(dir.path(), seed);
    runtime.block_on(async {
        for _ in 0..STEPS {
            world.step().await;
        }
        world.check().await;
        world.crash(true);
        world.check().await;
    });
}

/// Runs part of the histories; a failure names its seed.
fn histories(part: u64) {
    for seed in (part * HISTORIES / 2)..((part + 1) * HISTORIES / 2) {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "history {seed} went wrong; see the panic above");
    }
}

#[test]
fn whatever_crashes_everyone_sees_what_the_log_says_first_half() {
    histories(0);
}

#[test]
fn whatever_crashes_everyone_sees_what_the_log_says_second_half() {
    histories(1);
}
