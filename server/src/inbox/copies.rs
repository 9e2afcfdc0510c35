//! What copying the whole server needs of the inboxes: that the log keeps what comes meanwhile, one inbox after the
//! other as it is at its moment, and that nothing is taken out of a database while that is copied.

use super::{InboxError, Inboxes, Snapshot, Stamp};
use hongyan_wire::UserId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// How many hold the log, and whose turn it is with the databases.
#[derive(Default)]
pub(super) struct Copies {
    holding: Arc<AtomicUsize>,
    turn: Arc<Mutex<()>>,
    /// Held for reading while a backup is put back, for writing while a set is made.
    restoring: Arc<RwLock<()>>,
}

impl Copies {
    /// Keeps sets from being made as long as it lives, once the one that is has been.
    pub(super) async fn no_set(&self) -> OwnedRwLockReadGuard<()> {
        self.restoring.clone().read_owned().await
    }
}

/// As long as it lives, the log is not trimmed.
pub struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What there is to copy of an inbox.
pub enum Copied {
    /// There is no folder of this person, which would be here, and nothing is about to come into one: nothing has ever come,
    /// or it was lost.
    Nothing(PathBuf),
    /// It is what it was.
    Unchanged,
    Changed(Box<Snapshot>),
}

impl Inboxes {
    /// Keeps the log from being trimmed. Whatever place the log is at afterwards, everything behind it stays there.
    pub fn hold(&self) -> Held {
        self.copies.holding.fetch_add(1, Ordering::AcqRel);
        Held(self.copies.holding.clone())
    }

    /// Keeps backups from being put back as long as it lives, once those that are have been.
    pub async fn without_restores(&self) -> OwnedRwLockWriteGuard<()> {
        self.copies.restoring.clone().write_owned().await
    }

    /// Whether a backup could be put back now.
    ///
    /// # Errors
    /// [`InboxError::Copying`] while a set is made.
    pub fn may_restore(&self) -> Result<(), InboxError> {
        self.copies.restoring.try_read().map(drop).map_err(|_| InboxError::Copying)
    }

    pub(super) fn is_held(&self) -> bool {
        self.copies.holding.load(Ordering::Acquire) > 0
    }

    /// The turn of who copies a whole database, or takes everything of a user out of them: a reader that stays keeps
    /// what was there before in the write-ahead log. It comes when those before have had theirs, which for a large log takes
    /// its time: whoever waits for it must hold nothing that others need.
    pub async fn databases_turn(&self) -> OwnedMutexGuard<()> {
        self.copies.turn.clone().lock_owned().await
    }

    /// The same, on a thread that may wait. Blocks.
    pub fn databases_turn_now(&self) -> MutexGuard<'_, ()> {
        self.copies.turn.blocking_lock()
    }

    /// An inbox at this moment, unless it is still what `known` says. A handle that was not open is let go of again.
    /// Blocks on storage.
    ///
    /// # Errors
    /// [`InboxError::NoUser`] for one who was deleted, and what is wrong with the inbox.
    pub fn copied(&self, user: &UserId, known: Option<Stamp>) -> Result<Copied, InboxError> {
        let person = self.directory.person(user)?.ok_or(InboxError::NoUser)?;
        let folder = self.folders.of(user);
        if !folder.exists() && !self.pending.anything_for(&person, 0) {
            return Ok(Copied::Nothing(folder));
        }
        let was_open = self.slots.lock().peek(user).is_some();
        let epoch = self.journal.log().epoch();
        let copied = self.access_now(user, self.journal.applied_through(), |inbox| {
            let stamp = inbox.stamp(epoch);
            if known == Some(stamp) {
                return Ok(Copied::Unchanged);
            }
            let devices = self.devices.of(&self.folders, user);
            let snapshot = inbox.pin(user.clone(), epoch, self.clock.now(), devices)?;
            Ok(Copied::Changed(Box::new(snapshot)))
        });
        if !was_open {
            self.release(user);
        }
        copied
    }
}
