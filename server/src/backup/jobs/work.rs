//! One job at work: its turn waited for, made, and ended in whatever way.

use super::Jobs;
use super::book::{End, Job, Step};
use crate::backup::{BackupError, Wanted};
use crate::inbox::InboxError;
use hongyan_wire::backup::JobError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

impl Jobs {
    /// Has a job made as soon as it is its turn.
    pub(super) fn begin(self: &Arc<Self>, job: Job, wanted: Wanted) {
        let id = job.id.clone();
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        // Not before it is known how to end it.
        let mut handles = self.handles.lock();
        handles.retain(|_, handle| !handle.is_finished());
        let this = self.clone();
        handles.insert(id, tasks.spawn(async move { this.work(job, wanted).await }));
    }

    async fn work(self: Arc<Self>, job: Job, wanted: Wanted) {
        let mut stop = self.stop.clone();
        let turn = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            turn = self.lanes.turn(&job.user) => turn,
        };
        if self.book.lock().get(&job.user, &job.id).is_none_or(|job| job.state.is_ended()) {
            return;
        }
        let begun = Arc::new(AtomicBool::new(false));
        let (this, own, has_begun) = (self.clone(), job.clone(), begun.clone());
        let go_on = move |part| {
            has_begun.store(true, Ordering::Relaxed);
            this.advance(&own, part)
        };
        let made = self.backups.make_in_turn(&job.user, wanted, go_on, turn).await;
        let end = match made {
            Ok(kept) => End::Done(kept.id.clone()),
            // It begins again with the next start.
            Err(_) if *stop.borrow() => return,
            Err(BackupError::Inbox(InboxError::NoUser)) => {
                // Deleted meanwhile.
                let _ = tokio::task::block_in_place(|| self.forget(&job.user));
                return;
            }
            Err(error) => {
                let error = crate::error::Error::from(error);
                End::Failed(JobError { error_type: error.error_type, message: error.message })
            }
        };
        tokio::task::block_in_place(|| {
            let made = match &end {
                End::Done(backup) if begun.load(Ordering::Relaxed) => Some(backup.clone()),
                _ => None,
            };
            // Cancelled at the last moment, it leaves no file.
            if !self.end(&job, end)
                && let Some(backup) = made
                && let Err(error) = self.backups.shelf().remove(&job.user, &backup)
            {
                tracing::warn!(%error, "a backup that was cancelled cannot be cleared away");
            }
        });
    }

    /// Whether to go on.
    fn advance(&self, job: &Job, part: f64) -> bool {
        let mut book = self.book.lock();
        match book.advance(&job.user, &job.id, part, Instant::now()) {
            Step::GiveUp => false,
            Step::Quiet => true,
            Step::Tell(job) => {
                // While nothing else can happen to it.
                (self.tell)(&job.user, self.shown(&job));
                true
            }
        }
    }

    /// Ends a job, on the disk too; false where it has ended before. Blocks on storage.
    pub(super) fn end(&self, job: &Job, end: End) -> bool {
        let files = self.files.lock();
        let Some(ended) = self.ended(job, end) else { return false };
        if let Err(error) = files.write(&ended) {
            tracing::warn!(%error, "a backup in the background has ended, and begins again with the next start");
        }
        true
    }

    /// Notes that it has ended and tells its owner, if it has not ended before.
    pub(super) fn ended(&self, job: &Job, end: End) -> Option<Job> {
        let mut book = self.book.lock();
        let ended = book.end(&job.user, &job.id, end, crate::clock::now())?;
        (self.tell)(&ended.user, self.shown(&ended));
        Some(ended)
    }
}
