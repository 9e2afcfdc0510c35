//! Backups that people ask for: made of one moment of their inbox, kept for a time, handed out as the same bytes however
//! often and in however many parts they are fetched.

mod cursor;
mod restore;
pub mod sets;
mod shelf;

pub use cursor::Cursor;
pub use restore::Incoming;
pub use shelf::{Kept, Shelf};

use crate::directory::Directory;
use crate::inbox::{InboxError, Inboxes, Snapshot};
use crate::lanes::Lanes;
use hongyan_backup::{Compression, Encryption, Kind, Since};
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;
use restore::Restores;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::Path;
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
/// How often it is looked for those whose time is over.
const SWEEP: Duration = Duration::from_secs(60);
/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;

/// What is asked for, as far as it can be written down: a passphrase cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub kind: Kind,
    /// As it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    pub compression: Packing,
    pub sealed: Sealed,
}

impl Default for Asked {
    fn default() -> Self {
        Self { kind: Kind::Full, since: None, compression: Packing::None, sealed: Sealed::None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

impl From<Packing> for Compression {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::None => Self::None,
            Packing::Gzip => Self::Gzip,
            Packing::Zstd => Self::Zstd,
        }
    }
}

/// For whom it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sealed {
    None,
    /// This `age1…`, which is public.
    Recipient(String),
    /// A number that is the same for the same passphrase as long as this process runs. Nothing of it is written: with it one
    /// could try passphrases faster than with the file.
    Passphrase(#[serde(skip)] Option<u64>),
}

/// What is asked for, whole.
pub struct Wanted {
    pub asked: Asked,
    pub since: Option<Since>,
    pub encryption: Encryption,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("it has {size} bytes, and all of a person's together may have {quota}")]
    OverQuota { size: u64, quota: u64 },
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
        self.shelf.of(user).into_iter().filter(move |kept| kept.expires_at > now)
    }

    pub fn get(&self, user: &UserId, id: &str) -> Option<Arc<Kept>> {
        self.of(user).find(|kept| kept.id == id)
    }

    /// The newest of a person's that was asked for so, be it of the inbox as it is or as it was.
    pub fn newest(&self, user: &UserId, asked: &Asked) -> Option<Arc<Kept>> {
        self.of(user).find(|kept| kept.asked == *asked)
    }

    /// A backup of the inbox as it is now: one that lies there already, or a new one.
    pub async fn make(&self, user: &UserId, wanted: Wanted) -> Result<Arc<Kept>, BackupError> {
        let place = self.place(user)?;
        let turn = self.lanes.turn(user).await;
        let stamp = self.inboxes.stamp(user).await?;
        if let Some(kept) = self.newest(user, &wanted.asked).filter(|kept| kept.stamp == stamp) {
            return Ok(kept);
        }
        let permit = self.making.clone().acquire_owned().await.map_err(|_| BackupError::Stopping)?;
        let snapshot = self.inboxes.snapshot(user).await?;
        let (shelf, user, keep) = (self.shelf.clone(), user.clone(), self.keep);
        let (directory, stop) = (self.directory.clone(), self.stop.clone());
        let made = tokio::task::spawn_blocking(move || {
            // Given back when it is made, not when its asker has gone.
            let _held = (place, turn, permit);
            let id = uuid::Uuid::now_v7().simple().to_string();
            let made = make(&shelf, &user, &id, snapshot, &wanted, keep, &|| !*stop.borrow());
            if made.is_ok() && directory.person(&user).is_ok_and(|person| person.is_none()) {
                // Deleted meanwhile.
                shelf.remove_all(&user)?;
                return Err(InboxError::NoUser.into());
            }
            if made.is_err() {
                // What cannot be cleared away now is at the next start.
                for part in [PLAIN, PACKED] {
                    let _ = shelf.partial(&user, &id, part);
                }
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

const PLAIN: &str = "plain";
const PACKED: &str = "packed";

fn make(
    shelf: &Shelf,
    user: &UserId,
    id: &str,
    snapshot: Snapshot,
    wanted: &Wanted,
    keep: i64,
    go_on: &dyn Fn() -> bool,
) -> Result<Arc<Kept>, BackupError> {
    let plain = shelf.partial(user, id, PLAIN)?;
    let about = snapshot.write(wanted.asked.kind, wanted.since, &plain, &mut |_| go_on())?;
    // What is pinned is let go of as soon as it is copied.
    let stamp = snapshot.stamp;
    drop(snapshot);
    let compression = Compression::from(wanted.asked.compression);
    let is_packed = compression != Compression::None || wanted.asked.sealed != Sealed::None;
    let whole = if is_packed {
        let packed = shelf.partial(user, id, PACKED)?;
        pack(&plain, &packed, compression, &wanted.encryption, go_on)?;
        fs::remove_file(&plain)?;
        packed
    } else {
        plain
    };
    let made_at = Timestamp::from_millis(about.made_at);
    let kept = Kept {
        id: id.to_owned(),
        user: user.clone(),
        name: name(user, &wanted.asked, made_at),
        size: whole.metadata()?.len(),
        about,
        asked: wanted.asked.clone(),
        stamp,
        made_at,
        expires_at: made_at.plus_millis(keep),
    };
    shelf.keep(&whole, kept)
}

fn pack(
    from: &Path,
    to: &Path,
    compression: Compression,
    encryption: &Encryption,
    go_on: &dyn Fn() -> bool,
) -> Result<(), BackupError> {
    let mut to = BufWriter::with_capacity(BUFFER, File::create_new(to)?);
    hongyan_backup::pack(&mut File::open(from)?, &mut to, compression, encryption, &mut |_| go_on())?;
    to.flush()?;
    Ok(to.get_ref().sync_all()?)
}

/// `hongyan-ann-full-20260115T103000Z.db.gz.age`
fn name(user: &UserId, asked: &Asked, made_at: Timestamp) -> String {
    let at: String = made_at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let at = at.split('.').next().unwrap_or_default();
    let packed = Compression::from(asked.compression).suffix();
    let sealed = if asked.sealed == Sealed::None { "" } else { ".age" };
    format!("hongyan-{user}-{}-{at}Z.db{packed}{sealed}", asked.kind.as_str())
}
