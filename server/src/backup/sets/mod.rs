//! Sets: backups of everything, from which a server can be restored. A set is a folder that is whole in itself: to be rid
//! of one is to remove its folder.
//!
//! What always holds: a folder under a set's name has all that its manifest names. While it is made, and once it is being
//! removed, it has another name; what is found under such a name at a start is cleared away.

mod drill;
mod error;
mod files;
mod folder;
mod make;
mod manifest;
mod restore;
mod scratch;
#[cfg(test)]
mod tests;
mod verify;

pub use drill::{Proof, prove};
pub use error::SetError;
pub use folder::{find, list, newest, summary};
pub use manifest::{InboxFile, Manifest, PackedFile};
pub use restore::{Restored, build, clear_unpacked, is_unfinished, restore};
pub use scratch::Scratch;
pub use verify::{verify, while_room, why};

use crate::backup::disk::Reserve;
use crate::clock;
use crate::directory::Directory;
use crate::faults::Faults;
use crate::inbox::{InboxError, Inboxes};
use crate::log::Journal;
use crate::log::record::{Change, Noted, Record};
use crate::report::Ledger;
use hongyan_wire::Timestamp;
use hongyan_wire::sets::BackupSet;
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Who makes and removes sets when nobody has asked for it.
const SYSTEM: &str = "system";
/// The first set is made this long after a start, once those who wait for the server have come.
const FIRST: Duration = Duration::from_secs(60);
/// It is looked at least so often whether it is time: clocks are set.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// After one could not be made, the next is tried at the latest after this.
const RETRY: Duration = Duration::from_secs(60 * 60);

/// When sets are made, and which are kept.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// `None`: none is made by itself.
    pub every: Option<Duration>,
    /// How many are kept.
    pub most: usize,
    /// For how long.
    pub keep: Duration,
}

/// What is copied.
pub struct Parts {
    pub inboxes: Arc<Inboxes>,
    pub directory: Arc<Directory>,
    pub ledger: Arc<Ledger>,
    pub journal: Journal,
    /// Where log, directory and counts are.
    pub storage: PathBuf,
}

/// The sets of a server that runs.
pub struct Sets {
    root: PathBuf,
    plan: Plan,
    parts: Arc<Parts>,
    asked: Mutex<Asked>,
    wake: Notify,
    /// Only one is looked through at a time: more would only take the disk from each other.
    verifying: Arc<tokio::sync::Mutex<()>>,
    /// True ends what is being done.
    stop: watch::Receiver<bool>,
    reserve: Reserve,
    pub(crate) faults: Faults,
}

#[derive(Default)]
struct Asked {
    /// The id and who asked for it, until it is made.
    making: Option<(String, String)>,
    failed: Option<String>,
}

impl Sets {
    /// `backups`: the folder of all backups. What is being done when `stop` becomes true is given up.
    pub fn new(backups: &Path, plan: Plan, parts: Parts, stop: watch::Receiver<bool>) -> Self {
        Self {
            root: folder::root(backups),
            plan,
            parts: Arc::new(parts),
            asked: Mutex::default(),
            wake: Notify::new(),
            verifying: Arc::default(),
            stop,
            reserve: Reserve::default(),
            faults: Faults::default(),
        }
    }

    /// All, the newest first. Blocks on storage.
    pub fn list(&self) -> Result<Vec<BackupSet>, SetError> {
        Ok(list(&self.root)?)
    }

    /// One of them. Blocks on storage.
    ///
    /// # Errors
    /// [`SetError::NoSet`] where there is none under this id.
    pub fn get(&self, id: &str) -> Result<BackupSet, SetError> {
        summary(&self.root, id)?.ok_or_else(|| SetError::NoSet(id.to_owned()))
    }

    /// The id of the one that is being made.
    pub fn making(&self) -> Option<String> {
        self.asked.lock().making.as_ref().map(|(id, _)| id.clone())
    }

    /// Why the last one could not be made.
    pub fn failed(&self) -> Option<String> {
        self.asked.lock().failed.clone()
    }

    /// Asks for one to be made now, in the name of `actor`; gives its id. Blocks on storage for a moment.
    ///
    /// # Errors
    /// [`SetError::Making`] while one is.
    pub fn ask(&self, actor: &str) -> Result<String, SetError> {
        let mut asked = self.asked.lock();
        if asked.making.is_some() {
            return Err(SetError::Making);
        }
        let id = folder::free_id(&self.root, clock::now());
        asked.making = Some((id.clone(), actor.to_owned()));
        drop(asked);
        self.wake.notify_one();
        Ok(id)
    }

    /// Makes those that are asked for and those whose time has come, and removes those that are too many or too old, until
    /// told to stop.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let began = clock::now();
        let mut not_before = None;
        let root = self.root.clone();
        let cleared = tokio::task::spawn_blocking(move || folder::clear(&root)).await;
        if let Ok(Err(error)) = cleared {
            tracing::warn!(%error, "what was left of sets that broke off could not be cleared away");
        }
        loop {
            // Whether or not any is made: their time passes all the same.
            self.retain().await;
            let due = self.due(began).await.map(|due| not_before.map_or(due, |at| due.max(at)));
            let wait = due.map_or(LOOK, |due| millis(due.millis() - clock::now().millis()));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait.min(LOOK)) => {
                    let is_due = due.is_some_and(|due| due <= clock::now());
                    // One that is asked for at this moment serves as well.
                    if is_due && self.ask(SYSTEM).is_err() {
                        continue;
                    }
                }
            }
            if self.making().is_some() {
                let made = self.make_asked().await;
                let retry = self.plan.every.map_or(RETRY, |every| every.min(RETRY));
                not_before = made.is_err().then(|| after(clock::now(), retry));
            }
        }
    }

    /// Makes one now and waits for it.
    ///
    /// # Errors
    /// Why it is not there. Nothing of it is left then.
    pub async fn make(&self, actor: &str) -> Result<Manifest, SetError> {
        self.ask(actor)?;
        self.make_asked().await
    }

    async fn make_asked(&self) -> Result<Manifest, SetError> {
        let Some((id, actor)) = self.asked.lock().making.clone() else { return Err(SetError::Stopping) };
        let made = self.make_as(&id, &actor).await;
        let mut asked = self.asked.lock();
        asked.making = None;
        asked.failed = None;
        match &made {
            Ok(made) => tracing::info!(id, people = made.people, messages = made.messages, "a set was made"),
            Err(SetError::Stopping) => {}
            Err(error) => {
                tracing::error!(target: "hongyan::error", %error, "a set could not be made; trying again later");
                asked.failed = Some(error.to_string());
            }
        }
        made
    }

    async fn make_as(&self, id: &str, actor: &str) -> Result<Manifest, SetError> {
        // What goes leaves room, without which it might be the last one for good.
        self.retain().await;
        self.note(actor, "backup.make", id).await?;
        // Held before the place is known: whatever a walk drops from now on stands before it.
        let alone = self.parts.inboxes.without_restores().await;
        let held = self.parts.inboxes.hold();
        let start = self.parts.journal.caught_up().await?;
        let (root, id, parts, stop, faults) =
            (self.root.clone(), id.to_owned(), self.parts.clone(), self.stop.clone(), self.faults.clone());
        let reserve = self.reserve;
        let made = tokio::task::spawn_blocking(move || {
            let _held = (held, alone);
            make::make(&make::Making {
                root: &root,
                id: &id,
                start,
                parts: &parts,
                reserve,
                go_on: &reserve.while_room(&root, stop),
                faults: &faults,
            })
        });
        let made = made.await.map_err(|ended| match ended.is_panic() {
            true => SetError::Inbox(InboxError::Panicked),
            false => SetError::Stopping,
        })??;
        self.retain().await;
        Ok(made)
    }

    /// Removes those that are too many or too old; what cannot be removed now is the next time.
    async fn retain(&self) {
        if let Err(error) = self.remove_surplus().await {
            tracing::warn!(%error, "sets that are too many or too old could not be removed");
        }
    }

    async fn remove_surplus(&self) -> Result<(), SetError> {
        let root = self.root.clone();
        let known =
            tokio::task::spawn_blocking(move || list(&root)).await.map_err(|_| SetError::Stopping)??;
        for id in folder::surplus(&known, self.plan.most, self.plan.keep, clock::now()) {
            self.remove(SYSTEM, &id).await?;
        }
        Ok(())
    }

    /// Removes one, in the name of `actor`. Another that shares files with it keeps them.
    ///
    /// # Errors
    /// [`SetError::NoSet`] where there is none under this id.
    pub async fn remove(&self, actor: &str, id: &str) -> Result<(), SetError> {
        if !folder::is_there(&self.root, id) {
            return Err(SetError::NoSet(id.to_owned()));
        }
        self.note(actor, "backup.delete", id).await?;
        let (root, id) = (self.root.clone(), id.to_owned());
        let removed = tokio::task::spawn_blocking(move || match folder::remove(&root, &id) {
            // By another at the same moment.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(SetError::NoSet(id)),
            removed => Ok(removed?),
        });
        removed.await.map_err(|_| SetError::Stopping)?
    }

    /// Looks through every file of one; gives what is wrong with it. `None` while another is looked through.
    ///
    /// # Errors
    /// [`SetError::NoSet`] where there is none under this id, and what the disk says.
    pub async fn verify(&self, id: &str) -> Result<Option<Vec<String>>, SetError> {
        // Held by the work, which goes on when its asker has gone.
        let Ok(turn) = self.verifying.clone().try_lock_owned() else { return Ok(None) };
        let (root, id, stop) = (self.root.clone(), id.to_owned(), self.stop.clone());
        let reserve = self.reserve;
        let problems = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // An id and no path: what is looked through here is one of ours.
            if !folder::is_there(&root, &id) {
                return Err(SetError::NoSet(id));
            }
            let found = root.join(&id);
            let looked = verify(&found, &root, &reserve.while_room(&root, stop));
            // Removed meanwhile.
            if !folder::is_there(&root, &id) {
                return Err(SetError::NoSet(id));
            }
            looked.map_err(|error| reserve.why(&root, error))
        });
        problems.await.map_err(|_| SetError::Stopping)?.map(Some)
    }

    /// When the next is to be made by itself.
    async fn due(&self, began: Timestamp) -> Option<Timestamp> {
        let every = self.plan.every?;
        let root = self.root.clone();
        let newest = tokio::task::spawn_blocking(move || newest(&root)).await;
        let now = clock::now();
        Some(match newest {
            Ok(Ok(Some(newest))) if newest.made_at <= after(now, every) => after(newest.made_at, every),
            // Of a clock that was set since.
            Ok(Ok(Some(_))) => now,
            Ok(Ok(None)) => after(began.min(now), every.min(FIRST)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the sets cannot be looked through");
                after(now, every.min(RETRY))
            }
            Err(_) => after(now, every.min(RETRY)),
        })
    }

    /// Says in the audit log who did what.
    async fn note(&self, actor: &str, action: &str, id: &str) -> Result<(), SetError> {
        let what = Noted { action: action.into(), target: id.to_owned() };
        let change = Change { actor: actor.into(), at: clock::now(), what };
        self.parts.journal.append_applied(Record::Noted(Box::new(change))).await?;
        Ok(())
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.plus_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
