//! Backups that people ask for: made of one moment of their inbox, kept for a time, handed out as the same bytes however
//! often and in however many parts they are fetched.

mod cursor;
mod disk;
mod fetched;
mod jobs;
mod make;
mod restore;
pub mod sets;
mod shelf;
#[cfg(test)]
mod tests;
mod wanted;

pub use cursor::Cursor;
pub use fetched::Way;
pub use jobs::{JobFiles, Jobs};
pub use restore::Incoming;
pub use shelf::{Kept, Shelf};
pub use wanted::{Asked, Format, Sealed, Wanted, since};

use crate::directory::Directory;
use crate::inbox::{InboxError, Inboxes};
use crate::lanes::Lanes;
use fetched::Fetched;
use hongyan_wire::{Timestamp, UserId};
use make::Making;
use parking_lot::Mutex;
use restore::Restores;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Made at one time: more would only take the disk from each other.
const AT_ONCE: usize = 2;
/// That may wait for their turn.
const WAITING_MAX: usize = 64;
/// Of these, of one person.
const WAITING_OF_ONE_MAX: u32 = 4;
/// People whose turns are told apart.
const LANES: usize = 256;
/// For how long one is still kept, in milliseconds, that is handed out instead of a new one.
const LASTING: i64 = 3_600_000;
/// How often it is looked for those whose time is over.
const SWEEP: Duration = Duration::from_secs(60);
/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("it has {size} bytes, and all of a person's together may have {quota}")]
    OverQuota { size: u64, quota: u64 },
    #[error("{0} of your backups wait or are being made already; cancel one, or ask again later")]
    TooMany(usize),
    #[error("many backups are being made")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Backup(#[from] hongyan_backup::Error),
    /// A file that was given.
    #[error("{field}: {error}")]
    File { field: String, error: hongyan_backup::Error },
    #[error("no backup was brought")]
    NoFile,
    #[error("at most {most} {what} can be put back together; `hongyan backup apply` joins them before")]
    ManyFiles { most: usize, what: &'static str },
    #[error("one is being put back already")]
    Restoring,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// All backups of people.
pub struct Backups {
    inboxes: Arc<Inboxes>,
    shelf: Arc<Shelf>,
    /// For how long one is kept, in milliseconds.
    keep: i64,
    lanes: Lanes,
    making: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_of: Arc<Mutex<HashMap<UserId, u32>>>,
    restores: Restores,
    directory: Arc<Directory>,
    /// True ends what is being made.
    stop: watch::Receiver<bool>,
    /// Tells passphrases apart.
    numbers: RandomState,
    fetched: Fetched,
    started: Timestamp,
}

impl Backups {
    /// `keep`: for how long one can be fetched. What is being made when `stop` becomes true is given up.
    pub fn new(
        inboxes: Arc<Inboxes>,
        directory: Arc<Directory>,
        shelf: Shelf,
        keep: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            inboxes,
            directory,
            stop,
            waiting_of: Arc::default(),
            restores: Restores::default(),
            shelf: Arc::new(shelf),
            keep: i64::try_from(keep.as_millis()).unwrap_or(i64::MAX),
            lanes: Lanes::new(LANES),
            making: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            numbers: RandomState::new(),
            fetched: Fetched::default(),
            started: crate::clock::now(),
        }
    }

    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// See [`Sealed::Passphrase`].
    pub fn number_of(&self, passphrase: &str) -> u64 {
        self.numbers.hash_one(passphrase)
    }

    /// Clears away those whose time is over, until told to stop.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            let shelf = self.shelf.clone();
            let swept = tokio::task::spawn_blocking(move || shelf.sweep(crate::clock::now())).await;
            if let Ok(Err(error)) = swept {
                tracing::warn!(%error, "backups whose time is over cannot be cleared away");
            }
        }
    }

    /// A person's, the newest first.
    pub fn of(&self, user: &UserId) -> impl Iterator<Item = Arc<Kept>> {
        let now = crate::clock::now();
        // None of another who had the same id, as before the whole server was restored.
        let owner = self.directory.person(user).ok().flatten().map(|person| person.created_pos);
        let kept = self.shelf.of(user).into_iter();
        kept.filter(move |kept| kept.expires_at > now && owner == Some(kept.owner))
    }

    pub fn get(&self, user: &UserId, id: &str) -> Option<Arc<Kept>> {
        self.of(user).find(|kept| kept.id == id)
    }

    /// The newest of a person's that was asked for so, be it of the inbox as it is or as it was.
    pub fn newest(&self, user: &UserId, asked: &Asked) -> Option<Arc<Kept>> {
        self.of(user).find(|kept| kept.asked == *asked)
    }

    /// Notes that a backup is being fetched from its beginning on.
    pub fn begun(&self, way: &Way, kept: &Kept) {
        self.fetched.begun(way, &kept.id, size_of(kept, &way.file), crate::clock::now());
    }

    /// Notes that what was begun was sent to its end.
    pub fn sent(&self, way: &Way, kept: &Kept) {
        self.fetched.sent(way, &kept.id, size_of(kept, &way.file));
    }

    /// What is gone on with by who asks for the bytes from `from` on: the only one that was begun in this way and that they
    /// may lack the rest of. `None` where that is gone or could be another, or nothing is known, as after a restart.
    pub fn to_go_on(&self, way: &Way, from: u64) -> Option<Arc<Kept>> {
        let id = self.fetched.only(way, from, crate::clock::now())?;
        // Of those before the start it is not known who has begun with them.
        let is_before = |kept: &Kept| kept.id != id && kept.made_at < self.started && kept.asked == way.file;
        if self.of(&way.user).any(|kept| is_before(&kept)) {
            return None;
        }
        self.get(&way.user, &id)
    }

    /// A backup of the inbox as it is now: one that lies there already, or a new one. `go_on` is asked now and then with the
    /// part that is done, from 0 to 1, from the moment on at which it is begun: whether to. Given up, it leaves nothing.
    ///
    /// # Errors
    /// That many are waiting, that there would be too much, and what the inbox or the disk says.
    pub async fn make(
        &self,
        user: &UserId,
        wanted: Wanted,
        go_on: impl Fn(f64) -> bool + Send + 'static,
    ) -> Result<Arc<Kept>, BackupError> {
        let place = self.place(user)?;
        self.make_in_turn(user, wanted, go_on, place).await
    }

    /// The same for who is bound otherwise than by a place among those who wait. `held` is given back when it is made, not
    /// when its asker has gone.
    async fn make_in_turn(
        &self,
        user: &UserId,
        wanted: Wanted,
        go_on: impl Fn(f64) -> bool + Send + 'static,
        held: impl Send + 'static,
    ) -> Result<Arc<Kept>, BackupError> {
        let turn = self.lanes.turn(user).await;
        let stamp = self.inboxes.stamp(user).await?;
        // Not one that ends before it could be fetched.
        let lasting = crate::clock::now().plus_millis(LASTING.min(self.keep / 2));
        let kept = self.newest(user, &wanted.asked).filter(|kept| kept.expires_at > lasting);
        if let Some(kept) = kept.filter(|kept| kept.stamp == stamp) {
            return Ok(kept);
        }
        let permit = self.making.clone().acquire_owned().await.map_err(|_| BackupError::Stopping)?;
        let person = self.directory.person(user).map_err(InboxError::from)?.ok_or(InboxError::NoUser)?;
        let snapshot = self.inboxes.snapshot(user).await?;
        let (shelf, user, keep) = (self.shelf.clone(), user.clone(), self.keep);
        let (directory, stop) = (self.directory.clone(), self.stop.clone());
        let made = tokio::task::spawn_blocking(move || {
            let _held = (held, turn, permit);
            let making = Making { shelf: &shelf, person: &person, wanted: &wanted, keep };
            let made = making.make(snapshot, &|part| go_on(part) && !*stop.borrow());
            let now = directory.person(&user).map_err(InboxError::from)?;
            if now.as_ref().is_none_or(|now| now.created_pos != person.created_pos) {
                match &made {
                    // The user was deleted; writing the backup may have made the folder again.
                    _ if now.is_none() => shelf.remove_all(&user)?,
                    // Another user has the id now.
                    Ok(made) => drop(shelf.remove(&user, &made.id)?),
                    Err(_) => {}
                }
                return Err(InboxError::NoUser.into());
            }
            made
        });
        made.await.map_err(|_| BackupError::Stopping)?
    }

    /// Takes away those of users who are not there any more, as after a crash between the two. Blocks on storage.
    pub fn remove_orphans(&self) -> Result<(), BackupError> {
        for user in self.shelf.people() {
            if self.directory.person(&user).map_err(InboxError::from)?.is_none() {
                self.shelf.remove_all(&user)?;
            }
        }
        Ok(())
    }

    fn place(&self, user: &UserId) -> Result<Place, BackupError> {
        let permit = self.waiting.clone().try_acquire_owned().map_err(|_| BackupError::Busy)?;
        let place = Place { waiting_of: self.waiting_of.clone(), user: user.clone(), _permit: permit };
        let mut waiting = self.waiting_of.lock();
        let own = waiting.entry(user.clone()).or_default();
        *own += 1;
        let is_much = *own > WAITING_OF_ONE_MAX;
        drop(waiting);
        if is_much { Err(BackupError::Busy) } else { Ok(place) }
    }
}

/// Bytes of a file as it comes to lie there; not known where it is packed on the way only.
fn size_of(kept: &Kept, file: &Asked) -> Option<u64> {
    (kept.asked == *file).then_some(kept.size)
}

/// A place among those who wait, until it is dropped.
struct Place {
    waiting_of: Arc<Mutex<HashMap<UserId, u32>>>,
    user: UserId,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.waiting_of.lock();
        if let Some(own) = waiting.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.user);
            }
        }
    }
}
