//! Backups in the background: asked for, waited for or not, and made even if the server is restarted meanwhile.
//!
//! What always holds: a job that was confirmed is on the disk until it is taken away; its owner is told of each change in
//! the order in which it happens; of one person's only one is made at a time.

mod book;
mod files;
mod work;

pub use files::JobFiles;

use super::{Asked, BackupError, Backups, Sealed, Wanted};
use crate::directory::Directory;
use crate::inbox::InboxError;
use crate::lanes::Lanes;
use crate::log::Journal;
use book::{Book, End, Job};
use hongyan_wire::backup::{BackupJob, JobError};
use hongyan_wire::error::ErrorType;
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// People whose turns are told apart.
const LANES: usize = 256;
/// How often it is looked for those that need not be remembered any more.
const SWEEP: Duration = Duration::from_secs(60);

/// Tells a person how one of their jobs stands. It must not wait, nor ask for jobs.
pub type Tell = Box<dyn Fn(&UserId, BackupJob) + Send + Sync>;

/// All backups in the background.
pub struct Jobs {
    backups: Arc<Backups>,
    directory: Arc<Directory>,
    journal: Journal,
    /// Held while a job and its file change together.
    files: Mutex<JobFiles>,
    book: Mutex<Book>,
    /// One at a time of each person: so there is room for what they wait for.
    lanes: Lanes,
    tell: Tell,
    /// Becomes true when nothing new may be begun.
    stop: watch::Receiver<bool>,
    tasks: Mutex<JoinSet<()>>,
    /// Of those that have not ended, by their ids.
    handles: Mutex<HashMap<String, AbortHandle>>,
}

impl Jobs {
    /// `kept`: the files and what was found in them. Nothing is begun before [`Self::run`].
    pub fn new(
        backups: Arc<Backups>,
        directory: Arc<Directory>,
        journal: Journal,
        (files, kept): (JobFiles, Vec<Job>),
        tell: Tell,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut book = Book::default();
        book.restore(kept);
        Self {
            backups,
            directory,
            journal,
            files: Mutex::new(files),
            book: Mutex::new(book),
            lanes: Lanes::new(LANES),
            tell,
            stop,
            tasks: Mutex::default(),
            handles: Mutex::default(),
        }
    }

    pub fn backups(&self) -> &Arc<Backups> {
        &self.backups
    }

    /// Begins with what was left of before, and forgets in time, until `stop` becomes true; then waits until what is being
    /// made is given up. That begins again with the next start.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let this = self.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || this.resume()).await {
            tracing::warn!(%error, "backups in the background of before cannot be gone on with");
        }
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => {}
            }
            let this = self.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || this.sweep()).await {
                tracing::warn!(%error, "backups in the background whose time is over cannot be cleared away");
            }
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }

    /// Has a backup made in the background. Blocks on storage.
    ///
    /// # Errors
    /// That there are too many already, that the disk has no room, that the server is stopping, and what the disk says.
    pub fn create(self: &Arc<Self>, user: &UserId, wanted: Wanted) -> Result<BackupJob, BackupError> {
        if *self.stop.borrow() {
            return Err(BackupError::Stopping);
        }
        let id = uuid::Uuid::now_v7().simple().to_string();
        let job = Job::new(id, user.clone(), wanted.asked.clone(), crate::clock::now());
        // Now rather than when it is its turn.
        self.backups.shelf().look_for_room(0)?;
        let files = self.files.lock();
        self.book.lock().has_room(user)?;
        files.write(&job)?;
        {
            let mut book = self.book.lock();
            let forgotten = book.add(job.clone());
            (self.tell)(user, self.shown(&job));
            for job in forgotten {
                // What cannot be cleared away now goes with its time.
                let _ = files.remove(&job);
            }
        }
        drop(files);
        // Who was deleted meanwhile leaves nothing behind.
        if self.directory.person(user).map_err(InboxError::from)?.is_none() {
            self.forget(user)?;
            return Err(InboxError::NoUser.into());
        }
        let shown = self.shown(&job);
        self.begin(job, wanted);
        Ok(shown)
    }

    /// A person's, the newest first.
    pub fn of(&self, user: &UserId) -> Vec<BackupJob> {
        let until = self.forgotten_until();
        let book = self.book.lock();
        let remembered = book.of(user).filter(|job| job.ended_at.is_none_or(|at| at > until));
        remembered.map(|job| self.shown(job)).collect()
    }

    pub fn get(&self, user: &UserId, id: &str) -> Option<BackupJob> {
        self.of(user).into_iter().find(|job| job.id == id)
    }

    /// What ended by then is not remembered any more.
    fn forgotten_until(&self) -> Timestamp {
        crate::clock::now().plus_millis(-self.backups.keep)
    }

    /// Cancels one that has not ended, and forgets one that has; its backup stays. False where there is none. Blocks on
    /// storage.
    pub fn remove(&self, user: &UserId, id: &str) -> io::Result<bool> {
        let files = self.files.lock();
        let found = self.book.lock().get(user, id).cloned();
        let Some(job) = found else { return Ok(false) };
        match self.ended(&job, End::Cancelled) {
            Some(cancelled) => {
                if !cancelled.has_begun()
                    && let Some(handle) = self.handles.lock().remove(id)
                {
                    // One that runs is asked, and clears away what it has made.
                    handle.abort();
                }
                files.write(&cancelled)?;
            }
            None => {
                self.book.lock().remove(user, id);
                files.remove(&job)?;
            }
        }
        Ok(true)
    }

    /// Takes away whatever there is of a person: jobs, then backups. What is being made is given up. Blocks on storage.
    pub fn remove_all(&self, user: &UserId) -> io::Result<()> {
        self.forget(user)?;
        self.backups.shelf().remove_all(user)
    }

    fn forget(&self, user: &UserId) -> io::Result<()> {
        let files = self.files.lock();
        self.book.lock().forget(user);
        files.remove_all(user)
    }

    /// As its owner sees it.
    fn shown(&self, job: &Job) -> BackupJob {
        let Asked { kind, since, compression, sealed, format } = &job.asked;
        let backup = job.backup.as_ref().and_then(|id| self.backups.get(&job.user, id));
        BackupJob {
            id: job.id.clone(),
            state: job.state,
            progress: job.progress,
            kind: kind.as_str().to_owned(),
            format: format.as_str().to_owned(),
            compress: compression.as_str().to_owned(),
            encrypt: sealed.as_str().to_owned(),
            since: since.clone(),
            created_at: job.created_at,
            ended_at: job.ended_at,
            backup: backup.map(|kept| kept.shown()),
            error: job.error.clone(),
        }
    }

    fn resume(self: &Arc<Self>) -> io::Result<()> {
        let people = self.book.lock().people();
        for user in people {
            if self.directory.person(&user).is_ok_and(|person| person.is_none()) {
                self.forget(&user)?;
            }
        }
        let mut left: Vec<Job> = self.book.lock().unfinished().cloned().collect();
        left.sort_by(|one, other| one.id.cmp(&other.id));
        for job in left {
            match Wanted::again(job.asked.clone(), self.journal.log().epoch()) {
                Some(wanted) => self.begin(job, wanted),
                None => {
                    self.end(&job, End::Failed(not_again(&job.asked)));
                }
            }
        }
        Ok(())
    }

    fn sweep(&self) -> io::Result<()> {
        let files = self.files.lock();
        let over = self.book.lock().sweep(self.forgotten_until());
        over.iter().try_for_each(|job| files.remove(job))
    }
}

/// Why a job of before cannot be begun again.
fn not_again(asked: &Asked) -> JobError {
    let (error_type, message) = match asked.sealed {
        Sealed::Passphrase(_) => (
            ErrorType::Overloaded,
            "the server was restarted meanwhile, and a passphrase is never kept; ask for the backup again",
        ),
        _ => (
            ErrorType::ValidationFailed,
            "since: is of another server, or of before this one was restored; take a full backup",
        ),
    };
    JobError { error_type, message: message.into() }
}
