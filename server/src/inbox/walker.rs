//! The background walker: brings what the log has into the inboxes of those who have not come for it,
//! so that every file is at most minutes behind and the log can be trimmed.

use super::{InboxError, Inboxes};
use crate::log::record::GroupKey;
use crate::log::{Consumer, Pos};
use hongyan_wire::{Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Ids read from the directory at once.
const STEP: usize = 500;

/// Walks in which an inbox may fail before it is left behind.
const TRIES: u32 = 3;

/// Inboxes that may fail before a walk gives up.
const FAILURES_MAX: usize = 20;

/// Walks from time to time.
pub struct Walker {
    inboxes: Arc<Inboxes>,
    every: Duration,
    /// How long the log keeps what everyone already has, in milliseconds.
    retention: i64,
}

impl Walker {
    pub fn new(inboxes: Arc<Inboxes>, every: Duration, retention: Duration) -> Self {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        Self { inboxes, every, retention }
    }

    /// Walks until told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(self.every) => {}
            }
            let before = crate::clock::now().plus_millis(-self.retention);
            let (inboxes, stopping) = (self.inboxes.clone(), stop.clone());
            let walked =
                tokio::task::spawn_blocking(move || inboxes.walk(before, &|| *stopping.borrow())).await;
            match walked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(target: "hongyan::error", %error, "the inboxes could not all be brought up to date; trying again later");
                }
                Err(ended) if ended.is_panic() => {
                    tracing::error!(target: "hongyan::error", %ended, "a walk broke off; trying again later");
                }
                Err(_) => break,
            }
        }
    }
}

impl Inboxes {
    /// Writes down where people's devices stand.
    pub fn write_devices(&self) {
        self.devices.write(&self.folders);
    }

    /// Brings every inbox up to the log's head, makes that durable, and lets the log go of what is
    /// older than `before`.
    pub fn walk(&self, before: Timestamp, stop: &dyn Fn() -> bool) -> Result<(), InboxError> {
        self.write_devices();
        // What the whole node has followed, the index of what inboxes lack included: the directory alone may
        // be a batch ahead of that index.
        let target = self.journal.applied_through();
        self.catch_all_up(target, stop)?;
        if !stop() {
            let faults = &self.folders.faults;
            self.folders.sync()?;
            faults.at("the inboxes are durable")?;
            self.directory.flush()?;
            faults.at("the directory is durable")?;
            let log = self.journal.log();
            log.acknowledge(Consumer::Inboxes, target)?;
            faults.at("the inboxes are acknowledged")?;
            log.acknowledge(Consumer::Directory, target)?;
            self.pending.forget_all(target);
            if !self.is_held() {
                log.trim(before, crate::clock::now().plus_millis(-crate::log::local::KEY_LIFE))?;
            }
        }
        Ok(())
    }

    /// Brings every inbox up to `target`. One that fails does not keep the others waiting, but the walk
    /// has failed then; when many fail it ends at once.
    fn catch_all_up(&self, target: Pos, stop: &dyn Fn() -> bool) -> Result<(), InboxError> {
        let dirty = self.pending.dirty(target);
        let mut failures = 0;
        let mut failed = None;
        let mut walk = |users: &[UserId]| -> Result<(), InboxError> {
            for user in users {
                if stop() {
                    break;
                }
                match self.walk_one(user, target) {
                    Ok(()) => {}
                    Err(error) if failures >= FAILURES_MAX || matches!(error, InboxError::Stopping) => {
                        return Err(error);
                    }
                    Err(error) => {
                        failures += 1;
                        failed = Some(error);
                    }
                }
            }
            Ok(())
        };
        walk(&dirty.users)?;
        if dirty.everyone {
            self.pages(|after| Ok(self.directory.user_ids_after(after, STEP)?), &mut walk)?;
        } else {
            for key in &dirty.groups {
                self.members(key, &mut walk)?;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn members(
        &self,
        key: &GroupKey,
        walk: &mut dyn FnMut(&[UserId]) -> Result<(), InboxError>,
    ) -> Result<(), InboxError> {
        self.pages(|after| Ok(self.directory.member_ids_after(key, after, STEP)?), walk)
    }

    fn pages(
        &self,
        next: impl Fn(Option<&UserId>) -> Result<Vec<UserId>, InboxError>,
        walk: &mut dyn FnMut(&[UserId]) -> Result<(), InboxError>,
    ) -> Result<(), InboxError> {
        let mut last: Option<UserId> = None;
        loop {
            let users = next(last.as_ref())?;
            walk(&users)?;
            match users.last() {
                Some(user) if users.len() == STEP => last = Some(user.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// Brings one person's inbox up to `target`. A damaged one is left behind with a mark, so that it
    /// keeps nobody else waiting.
    fn walk_one(&self, user: &UserId, target: Pos) -> Result<(), InboxError> {
        let Some(person) = self.directory.person(user)? else { return Ok(()) };
        if !self.pending.anything_for(&person, self.tips.get(user).map_or(0, |tip| tip.seen)) {
            return Ok(());
        }
        self.folders.faults.at("one more inbox is walked to")?;
        let was_open = self.slots.lock().peek(user).is_some();
        let result = self.access_now(user, target, |_| Ok(()));
        if !was_open {
            self.release(user);
        }
        match result {
            Ok(()) => {
                let mut failing = self.failing.lock();
                if !failing.is_empty() {
                    failing.remove(user);
                }
                Ok(())
            }
            Err(error) if error.is_of_one_inbox() || self.fails_for_good(user, &error) => {
                tracing::error!(target: "hongyan::error", %user, %error, "an inbox is left behind until it can be used again");
                let walked = self.journal.log().acknowledged(Consumer::Inboxes)?;
                self.folders.leave_behind(user, walked)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether an inbox has failed so often in a row, for a reason of its own, that the log is not kept for it
    /// any longer.
    fn fails_for_good(&self, user: &UserId, error: &InboxError) -> bool {
        if error.is_of_all() {
            return false;
        }
        let mut failing = self.failing.lock();
        let times = failing.entry(user.clone()).or_default();
        *times += 1;
        *times >= TRIES
    }
}
