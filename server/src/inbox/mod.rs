//! Everyone's inbox: a view of the log for one person, caught up whenever it is opened.
//!
//! One owner a person at a time: all work on an inbox goes through its slot. Open handles are bounded;
//! a person whose inbox has nothing new costs no handle at all (`tips`).

mod apply;
mod copies;
mod devices;
mod file;
#[cfg(test)]
pub(crate) mod history;
mod mark;
mod page;
mod pending;
mod proof;
mod read;
mod rebuilt;
mod restore;
mod snapshot;
mod walker;

pub use copies::{Copied, Held};
pub use devices::{DeviceSeen, Devices};
pub use file::{Folders, Inbox};
pub use mark::{MarkOutcome, MarkRequest};
pub use page::Page;
pub use pending::Pending;
pub use proof::Since;
pub use read::{Changes, Filter, State};
pub use rebuilt::rebuild;
pub use restore::{Prepared, Restoring};
pub use snapshot::{Snapshot, Stamp};
pub use walker::Walker;

use crate::clock::Clock;
use crate::directory::{Directory, DirectoryError, Person};
use crate::lanes::{Lanes, Turn};
use crate::log::record::Record;
use crate::log::{Journal, LogError, Logged, Pos};
use hashlink::LruCache;
use hongyan_wire::api::UnreadCount;
use hongyan_wire::cursor::Cursor;
use hongyan_wire::{MessageId, Timestamp, UserId};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Inboxes being worked on at one moment, on threads that may wait.
const AT_WORK_MAX: usize = 32;
/// People whose newest place is kept in memory.
const TIPS: usize = 200_000;
/// Locks for people; two seldom share one.
const LANES: usize = 1_024;
/// Open inboxes looked at when one too many is open: those that are worked on stay.
const EVICTION_TRIES: usize = 2 * AT_WORK_MAX;
/// Records taken in with one transaction.
const CATCH_UP_STEP: usize = 512;

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error("no such user")]
    NoUser,
    #[error("no such message")]
    NoMessage,
    #[error("the message has changed meanwhile")]
    Moved(State),
    #[error("the inbox file is damaged: {0}")]
    Damaged(rusqlite::Error),
    #[error("the inbox file {0:?} is gone")]
    Lost(PathBuf),
    #[error("the inbox has version {0}, newer than this server knows")]
    Newer(i64),
    #[error("the inbox cannot be read or written: {0}")]
    Storage(rusqlite::Error),
    #[error("the inbox cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the path {0:?} is no UTF-8")]
    Path(PathBuf),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the inbox has messages")]
    NotEmpty,
    #[error("a set of the whole server is being made")]
    Copying,
    #[error(transparent)]
    Backup(#[from] hongyan_backup::Error),
    #[error("the session that began it has ended")]
    Ended,
    /// The log has it, or may have it.
    #[error("a backup is not put back yet: {0}")]
    Unfinished(Box<InboxError>),
    #[error("work on the inbox ended by a panic")]
    Panicked,
    #[error("the server is stopping")]
    Stopping,
}

impl InboxError {
    /// Whether it would be the same with any inbox: a full disk, the log, the end of the server.
    pub(crate) fn is_of_all(&self) -> bool {
        match self {
            Self::Storage(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
            Self::Directory(_) | Self::Log(_) | Self::Stopping => true,
            _ => false,
        }
    }

    /// Whether it is this one inbox that cannot be used, whatever is tried.
    pub(crate) fn is_of_one_inbox(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Newer(_) | Self::Lost(_))
    }
}

impl From<crate::faults::Ended> for InboxError {
    fn from(_: crate::faults::Ended) -> Self {
        Self::Stopping
    }
}

impl From<rusqlite::Error> for InboxError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error),
            // A link stands where the file should.
            Some(CannotOpen) if is_link(&error) => Self::Damaged(error),
            // A file of the pair is missing where one is: not ours to replace.
            Some(CannotOpen) => Self::Storage(error),
            // A value that cannot be what the server wrote.
            None if matches!(error, rusqlite::Error::FromSqlConversionFailure(..)) => Self::Damaged(error),
            _ => Self::Storage(error),
        }
    }
}

fn is_link(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_CANTOPEN_SYMLINK)
}

/// A person's inbox in a few words, as of a place in the log.
#[derive(Debug, Clone)]
pub struct Tip {
    /// See [`Inbox::epoch`].
    pub epoch: u64,
    pub seen: Pos,
    pub last_message: Pos,
    pub version: u64,
    pub unread: Arc<UnreadCount>,
    next_expiry: Option<Timestamp>,
}

impl Tip {
    fn of(inbox: &Inbox) -> Self {
        Self {
            epoch: inbox.epoch(),
            seen: inbox.seen(),
            last_message: inbox.last_message(),
            version: inbox.version(),
            unread: Arc::new(inbox.unread()),
            next_expiry: inbox.next_expiry(),
        }
    }

    /// A cursor at this state.
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, pos: self.seen, version: self.version }
    }

    /// Whether nothing has happened since.
    fn is_of(&self, inbox: &Inbox) -> bool {
        self.epoch == inbox.epoch()
            && self.seen == inbox.seen()
            && self.last_message == inbox.last_message()
            && self.version == inbox.version()
            && self.next_expiry == inbox.next_expiry()
            && self.unread.total == inbox.unread_total()
    }
}

#[derive(Default)]
struct Slot {
    inbox: Mutex<Option<Inbox>>,
}

/// All inboxes.
pub struct Inboxes {
    folders: Folders,
    journal: Journal,
    directory: Arc<Directory>,
    pending: Arc<Pending>,
    slots: Mutex<LruCache<UserId, Arc<Slot>>>,
    handles_max: usize,
    tips: Cache<UserId, Tip>,
    at_work: Arc<Semaphore>,
    /// One holds whoever works on an inbox: of one person's requests one takes a place, the others wait here.
    lanes: Lanes,
    /// One is held by a person's own change from reading the state until the other devices know. Apart from the
    /// slots, so that who waits keeps no inbox open.
    marks: Lanes,
    /// How often in a row the walker could not bring an inbox up to date.
    failing: Mutex<HashMap<UserId, u32>>,
    devices: Devices,
    copies: copies::Copies,
    pub(crate) clock: Clock,
}

impl Inboxes {
    /// `handles_max`: how many inboxes stay open, each costing six file descriptors.
    pub fn new(
        folders: Folders,
        journal: Journal,
        directory: Arc<Directory>,
        pending: Arc<Pending>,
        handles_max: usize,
    ) -> Self {
        Self {
            folders,
            journal,
            directory,
            pending,
            slots: Mutex::new(LruCache::new_unbounded()),
            handles_max: handles_max.max(1),
            tips: Cache::new(TIPS),
            at_work: Arc::new(Semaphore::new(AT_WORK_MAX)),
            lanes: Lanes::new(LANES),
            marks: Lanes::new(LANES),
            failing: Mutex::default(),
            devices: Devices::default(),
            copies: copies::Copies::default(),
            clock: Clock::default(),
        }
    }

    /// When and how far people's devices were last seen.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// A person's cursor at a place, with the number that is known in memory.
    pub fn known_cursor(&self, user: &UserId, pos: Pos) -> Cursor {
        let known = self.tips.get(user).map(|tip| (tip.epoch, tip.version));
        let (epoch, version) = known.unwrap_or_else(|| (self.journal.log().epoch(), 0));
        Cursor { epoch, pos, version }
    }

    /// Where a person stands, from memory; `None` when the inbox must be opened to know.
    pub async fn known_tip(&self, user: &UserId) -> Result<Option<Tip>, InboxError> {
        let head = self.journal.caught_up().await?;
        let Some(tip) = self.tips.get(user) else { return Ok(None) };
        if tip.next_expiry.is_some_and(|at| at <= self.clock.now()) {
            return Ok(None);
        }
        let person = self.directory.person(user)?.ok_or(InboxError::NoUser)?;
        if self.pending.anything_for(&person, tip.seen) {
            return Ok(None);
        }
        // What was pending may have been taken in between the two looks; then there is another tip by now, as
        // it is kept before what was pending is forgotten.
        if self.tips.get(user).is_none_or(|now| now.seen != tip.seen || now.version != tip.version) {
            return Ok(None);
        }
        Ok(Some(Tip { seen: head.max(tip.seen), ..tip }))
    }

    /// Where a person stands; opens the inbox only when something is new.
    pub async fn tip(self: &Arc<Self>, user: &UserId) -> Result<Tip, InboxError> {
        match self.known_tip(user).await? {
            Some(tip) => Ok(tip),
            None => self.access(user, |inbox| Ok(Tip::of(inbox))).await,
        }
    }

    /// Works on an inbox that has everything that was in the log when this was called.
    pub async fn access<R: Send + 'static>(
        self: &Arc<Self>,
        user: &UserId,
        work: impl FnOnce(&mut Inbox) -> Result<R, InboxError> + Send + 'static,
    ) -> Result<R, InboxError> {
        let head = self.journal.caught_up().await?;
        let turn = self.lanes.turn(user).await;
        self.access_up_to(user, head, turn, work).await
    }

    /// When a person has read a message; `None` if they have not, or it is in their inbox no more.
    pub async fn read_at(
        self: &Arc<Self>,
        user: &UserId,
        id: &MessageId,
    ) -> Result<Option<Timestamp>, InboxError> {
        let id = id.clone();
        self.read(user, move |inbox| Ok(inbox.state(&id)?.and_then(|(_, state)| state.read_at))).await
    }

    /// As [`Self::access`], for work that reads no more than a page of rows: where the inbox is open and lacks
    /// nothing, it is done here and now, which costs a third of what it costs on another thread.
    pub async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        user: &UserId,
        work: impl FnOnce(&mut Inbox) -> Result<R, InboxError> + Send + 'static,
    ) -> Result<R, InboxError> {
        let head = self.journal.caught_up().await?;
        let turn = self.lanes.turn(user).await;
        match self.read_at_once(user, head, work) {
            Ok(result) => result,
            Err(work) => self.access_up_to(user, head, turn, work).await,
        }
    }

    /// Gives the work back where it would have to wait.
    fn read_at_once<R, W: FnOnce(&mut Inbox) -> Result<R, InboxError>>(
        &self,
        user: &UserId,
        head: Pos,
        work: W,
    ) -> Result<Result<R, InboxError>, W> {
        let Some(slot) = self.slots.lock().get(user).cloned() else { return Err(work) };
        let Some(mut guard) = slot.inbox.try_lock() else { return Err(work) };
        let Some(inbox) = &mut *guard else { return Err(work) };
        let Ok(Some(person)) = self.directory.person(user) else { return Err(work) };
        let is_over = inbox.next_expiry().is_some_and(|at| at <= self.clock.now());
        let lacks = inbox.seen < head && self.pending.anything_for(&person, inbox.seen);
        if inbox.behind.is_some() || is_over || lacks {
            return Err(work);
        }
        inbox.seen = inbox.seen.max(head);
        let result = work(inbox);
        self.keep_tip(user, inbox);
        Ok(self.settled(user, &mut guard, result))
    }

    async fn access_up_to<R: Send + 'static>(
        self: &Arc<Self>,
        user: &UserId,
        head: Pos,
        turn: Turn,
        work: impl FnOnce(&mut Inbox) -> Result<R, InboxError> + Send + 'static,
    ) -> Result<R, InboxError> {
        let place = self.at_work.clone().acquire_owned().await.map_err(|_| InboxError::Stopping)?;
        let (this, user) = (self.clone(), user.clone());
        // Both are given back when the work is done, not when its asker has gone.
        let working = tokio::task::spawn_blocking(move || {
            let _held = (turn, place);
            this.access_now(&user, head, work)
        })
        .await;
        working.map_err(|ended| if ended.is_panic() { InboxError::Panicked } else { InboxError::Stopping })?
    }

    fn access_now<R>(
        &self,
        user: &UserId,
        head: Pos,
        work: impl FnOnce(&mut Inbox) -> Result<R, InboxError>,
    ) -> Result<R, InboxError> {
        let person = self.directory.person(user)?.ok_or(InboxError::NoUser)?;
        let slot = self.slot(user);
        let mut guard = slot.inbox.lock();
        let result = self.caught_up(&person, &mut guard, head).and_then(|(inbox, took_in)| {
            self.keep_tip(user, inbox);
            if took_in {
                self.pending.forget_person(user, head);
            }
            let result = work(inbox);
            self.keep_tip(user, inbox);
            result
        });
        self.settled(user, &mut guard, result)
    }

    /// What becomes of an open inbox after work on it.
    fn settled<R>(
        &self,
        user: &UserId,
        guard: &mut Option<Inbox>,
        result: Result<R, InboxError>,
    ) -> Result<R, InboxError> {
        if let Err(error) = &result
            && (error.is_of_one_inbox() || matches!(error, InboxError::Storage(_) | InboxError::Io(_)))
        {
            // What is in memory may not be what is in the files: the next access reads them anew.
            *guard = None;
            self.tips.remove(user);
        }
        if let Err(error) = &result
            && error.is_of_one_inbox()
        {
            tracing::error!(target: "hongyan::error", user = %user, %error, "an inbox cannot be used");
        }
        result
    }

    /// Opens if need be, takes in what the log has for the person, and lets go what has expired. Gives whether
    /// anything was taken in, to be forgotten by the index once the tip tells of it.
    fn caught_up<'a>(
        &self,
        person: &Person,
        guard: &'a mut Option<Inbox>,
        head: Pos,
    ) -> Result<(&'a mut Inbox, bool), InboxError> {
        let inbox = match guard {
            Some(inbox) => inbox,
            none => {
                let inbox = none.insert(self.folders.inbox(&person.id)?);
                inbox.log_epoch = self.journal.log().epoch();
                inbox
            }
        };
        let took_in = inbox.seen < head && self.take_in(person, inbox, head)?;
        inbox.expire(self.clock.now())?;
        Ok((inbox, took_in))
    }

    fn keep_tip(&self, user: &UserId, inbox: &Inbox) {
        if !self.tips.get(user).is_some_and(|tip| tip.is_of(inbox)) {
            self.tips.insert(user.clone(), Tip::of(inbox));
        }
    }

    /// Gives whether there was anything.
    fn take_in(&self, person: &Person, inbox: &mut Inbox, head: Pos) -> Result<bool, InboxError> {
        if let Some(behind) = inbox.behind {
            self.search(person, inbox, behind, head)?;
        }
        let log = self.journal.log();
        let up_to_head = |mut places: Vec<Pos>| {
            places.retain(|pos| *pos <= head);
            places
        };
        let messages = up_to_head(self.pending.messages_for(person, inbox.messages_applied.max(inbox.seen)));
        for part in messages.chunks(CATCH_UP_STEP) {
            inbox.apply_messages(&whole(log.read_at(part)?, part)?)?;
            self.folders.faults.at("messages are taken in")?;
        }
        let marks = up_to_head(self.pending.marks_for(&person.id, inbox.status_applied.max(inbox.seen)));
        for part in marks.chunks(CATCH_UP_STEP) {
            inbox.apply_marks(&whole(log.read_at(part)?, part)?)?;
            self.folders.faults.at("marks are taken in")?;
        }
        inbox.seen = head;
        Ok(!messages.is_empty() || !marks.is_empty())
    }

    /// Takes in what the index no longer names, by reading the log from a place on.
    fn search(&self, person: &Person, inbox: &mut Inbox, behind: Pos, head: Pos) -> Result<(), InboxError> {
        let mut after = behind;
        while after < head {
            let records = self.journal.log().read(after, CATCH_UP_STEP)?;
            let Some(last) = records.last() else { break };
            after = last.pos;
            let messages: Vec<Logged> =
                records.iter().filter(|l| l.pos <= head && is_for(person, l)).cloned().collect();
            inbox.apply_messages(&messages)?;
            let own = |l: &&Logged| l.pos <= head && is_own(person, l);
            let marks: Vec<Logged> = records.iter().filter(own).cloned().collect();
            inbox.apply_marks(&marks)?;
        }
        self.folders.faults.at("the log is searched")?;
        inbox.behind = None;
        // The walker has passed these places: they must be durable before the mark that they are lacking goes.
        inbox.make_durable()?;
        self.folders.faults.at("what was searched for is durable")?;
        self.folders.no_longer_behind(&person.id)
    }

    /// Removes a person's folder and everything that is known of it; the user must be gone from the directory, so
    /// that nobody makes it anew. Blocks on storage.
    pub fn remove(&self, user: &UserId) -> Result<(), InboxError> {
        let slot = self.slot(user);
        let mut inbox = slot.inbox.lock();
        *inbox = None;
        self.tips.remove(user);
        self.pending.forget_person(user, Pos::MAX);
        self.failing.lock().remove(user);
        self.folders.remove(user)
    }

    /// Removes the folders of users who are not there any more, as after a crash between the two. Blocks on
    /// storage.
    pub fn remove_orphans(&self) -> Result<(), InboxError> {
        for user in self.folders.users()? {
            if self.directory.person(&user)?.is_none() {
                self.remove(&user)?;
            }
        }
        Ok(())
    }

    fn slot(&self, user: &UserId) -> Arc<Slot> {
        let mut evicted = Vec::new();
        let mut slots = self.slots.lock();
        let slot = match slots.get(user) {
            Some(slot) => slot.clone(),
            None => {
                let slot = Arc::new(Slot::default());
                slots.insert(user.clone(), slot.clone());
                slot
            }
        };
        // The least recently used that nobody works on. Those in use are few: at most AT_WORK_MAX.
        let surplus = slots.len().saturating_sub(self.handles_max);
        for _ in 0..surplus.min(EVICTION_TRIES) {
            let Some((user, oldest)) = slots.remove_lru() else { break };
            if Arc::strong_count(&oldest) > 1 {
                slots.insert(user, oldest);
            } else {
                evicted.push(oldest);
            }
        }
        drop(slots);
        // Files are closed outside the lock.
        drop(evicted);
        slot
    }

    /// Lets go of a handle that was opened only to catch an inbox up.
    fn release(&self, user: &UserId) {
        let mut slots = self.slots.lock();
        let unused = slots.peek(user).is_some_and(|slot| Arc::strong_count(slot) == 1);
        let released = if unused { slots.remove(user) } else { None };
        drop(slots);
        drop(released);
    }
}

fn is_for(person: &Person, logged: &Logged) -> bool {
    match &*logged.record {
        Record::Message(posted) => person.is_meant(&posted.audience, logged.pos),
        Record::Recalled(recalled) => person.is_meant(&recalled.audience, recalled.target),
        Record::Pressed(made) => person.is_meant(&made.audience, logged.pos),
        Record::Restored(restored) => restored.user == person.id,
        _ => false,
    }
}

/// Whether a record changes the person's own states.
fn is_own(person: &Person, logged: &Logged) -> bool {
    match &*logged.record {
        Record::Marked(marked) => marked.user == person.id,
        Record::Restored(restored) => restored.user == person.id,
        _ => false,
    }
}

/// A record that the index names and the log does not have must not be passed over silently.
fn whole(records: Vec<Logged>, places: &[Pos]) -> Result<Vec<Logged>, InboxError> {
    if records.len() == places.len() {
        return Ok(records);
    }
    Err(LogError::Unreadable(format!(
        "{} of {} records are missing",
        places.len() - records.len(),
        places.len()
    ))
    .into())
}
