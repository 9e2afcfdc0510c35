//! Putting backups back that people bring: taken in as they arrive, unpacked, joined, checked, and then given to the inbox.
//!
//! What always holds: until everything about them was found good, nothing of the person's has changed.

use super::disk::{Reserve, room};
use super::{BackupError, Backups};
use crate::inbox::{InboxError, Inboxes, Prepared, Restoring};
use hongyan_backup::{About, Error, GoOn, Identity, Kind};
use hongyan_wire::UserId;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Being brought or put back at one time.
const AT_ONCE: usize = 32;
/// Unpacked and looked through at one time.
const WORKING: usize = 2;
/// Files that are put back together.
const FILES_MAX: usize = 400;
/// Of these, encrypted to a passphrase: finding the key of each takes most of a second, and 128 or 256 MiB.
const PASSPHRASES_MAX: usize = 32;
/// What may be put back once it is unpacked, in quotas: hardly any text is packed smaller.
const UNPACKED: u64 = 16;
/// Bytes that arrive between two looks at the disk.
const LOOK_EVERY: u64 = 16 * 1024 * 1024;

/// Who is putting something back.
pub(super) struct Restores {
    people: Arc<Mutex<HashSet<UserId>>>,
    places: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Default for Restores {
    fn default() -> Self {
        let [places, working] = [AT_ONCE, WORKING].map(|count| Arc::new(Semaphore::new(count)));
        Self { people: Arc::default(), places, working }
    }
}

/// One person's turn, until it is dropped.
struct Turn {
    people: Arc<Mutex<HashSet<UserId>>>,
    user: UserId,
    _place: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.people.lock().remove(&self.user);
    }
}

/// What a person brings. What arrived of it goes when it is dropped.
pub struct Incoming {
    inboxes: Arc<Inboxes>,
    user: UserId,
    /// Names what becomes of it.
    id: String,
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// Bytes that may still arrive.
    left: u64,
    quota: u64,
    working: Arc<Semaphore>,
    /// True ends the unpacking.
    stop: watch::Receiver<bool>,
    turn: Option<Turn>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.folder.as_os_str().is_empty() {
            return;
        }
        // Who brought it has gone. Much may be there; and the turn passes on when it is gone.
        let (folder, turn) = (std::mem::take(&mut self.folder), self.turn.take());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || (clear(&folder), turn))),
            Err(_) => clear(&folder),
        }
    }
}

/// What cannot be cleared away now is by the next start.
fn clear(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    // Unless others' are there.
    let _ = folder.parent().map(fs::remove_dir);
}

impl Backups {
    /// Takes in what a person brings. Blocks on storage, shortly.
    ///
    /// # Errors
    /// That they are at it already, too many are, or a set of the whole server is being made.
    pub fn receive(&self, user: &UserId) -> Result<Incoming, BackupError> {
        // Said before it is brought: it may be large.
        self.inboxes.may_restore()?;
        let place = self.restores.places.clone().try_acquire_owned().map_err(|_| BackupError::Busy)?;
        if !self.restores.people.lock().insert(user.clone()) {
            return Err(BackupError::Restoring);
        }
        let turn = Turn { people: self.restores.people.clone(), user: user.clone(), _place: place };
        let id = uuid::Uuid::now_v7().simple().to_string();
        let folder = self.inboxes.restores_of(user).join(&id);
        // Nobody else on this machine looks in.
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        room(&folder).inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        Ok(Incoming {
            inboxes: self.inboxes.clone(),
            user: user.clone(),
            id,
            folder,
            files: Vec::new(),
            left: self.shelf.quota(),
            quota: self.shelf.quota(),
            working: self.restores.working.clone(),
            stop: self.stop.clone(),
            turn: Some(turn),
        })
    }
}

impl Incoming {
    /// Clears away what has arrived. Blocks on storage.
    pub fn give_up(mut self) {
        clear(&std::mem::take(&mut self.folder));
    }

    /// Begins with the next file.
    pub fn file(&mut self) -> Result<File, BackupError> {
        if self.files.len() == FILES_MAX {
            return Err(BackupError::ManyFiles { most: FILES_MAX, what: "files" });
        }
        let path = self.folder.join(self.files.len().to_string());
        let file = File::create_new(&path)?;
        self.files.push(path);
        Ok(file)
    }

    /// Counts what has arrived. Looks at the disk now and then.
    ///
    /// # Errors
    /// That it is too large, and that the disk has no room for it.
    pub fn arrived(&mut self, bytes: usize) -> Result<(), BackupError> {
        let before = self.left / LOOK_EVERY;
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| self.too_large())?;
        if self.left / LOOK_EVERY != before {
            room(&self.folder)?;
        }
        Ok(())
    }

    fn too_large(&self) -> BackupError {
        BackupError::File {
            field: self.field(self.files.len().saturating_sub(1)),
            error: Error::TooLarge(self.quota),
        }
    }

    /// What a file is called in an error.
    fn field(&self, n: usize) -> String {
        if self.files.len() > 1 { format!("files[{n}]") } else { "file".into() }
    }

    /// What all files are called in an error.
    fn all(&self) -> &'static str {
        if self.files.len() > 1 { "files" } else { "file" }
    }

    /// Puts it back: see [`Inboxes::restore`]. Goes on to its end also when nobody waits for it any more.
    pub async fn restore(
        mut self,
        identity: Identity,
        into_empty: bool,
        message_bytes: usize,
        is_meant: impl FnOnce() -> bool + Send + 'static,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<Restoring, BackupError> {
        let (inboxes, user, working) = (self.inboxes.clone(), self.user.clone(), self.working.clone());
        let turn = self.turn.take();
        let restoring = tokio::spawn(async move {
            // Until the end, whoever has gone meanwhile.
            let _turn = turn;
            let work = working.acquire_owned().await.map_err(|_| BackupError::Stopping)?;
            let prepared = tokio::task::spawn_blocking(move || {
                let _work = work;
                let prepared = self.prepare(&identity, Box::new(is_meant));
                self.give_up();
                prepared
            });
            let prepared = prepared.await.map_err(|_| BackupError::Stopping)??;
            Ok(inboxes.restore(&user, prepared, into_empty, message_bytes, tell).await?)
        });
        restoring.await.map_err(|_| BackupError::Stopping)?
    }

    /// Gives the size of what is unpacked. `before`: what was unpacked already of the others.
    fn unpack(
        &self,
        packed: &Path,
        plain: &Path,
        identity: &Identity,
        before: u64,
        max: u64,
    ) -> hongyan_backup::Result<u64> {
        let to = File::create_new(plain)?;
        let to = WhileRoom { to, folder: &self.folder, before, size: 0, is_other: false };
        let mut to = BufWriter::with_capacity(super::BUFFER, to);
        let from = UntilStop(File::open(packed)?, self.stop.clone());
        let unpacked = hongyan_backup::unpack(from, &mut to, identity, max);
        let flushed = to.flush();
        if to.get_ref().is_other {
            return Err(Error::NoBackup);
        }
        unpacked?;
        flushed?;
        Ok(to.get_ref().size)
    }

    /// Makes one whole backup of what was brought, and checks it.
    fn prepare(
        &self,
        identity: &Identity,
        is_meant: Box<dyn FnOnce() -> bool + Send>,
    ) -> Result<Prepared, BackupError> {
        if self.files.is_empty() {
            return Err(BackupError::NoFile);
        }
        if matches!(identity, Identity::Passphrase(_)) {
            let sealed = self.files.iter().map(|path| hongyan_backup::is_sealed(path));
            let sealed = sealed.collect::<io::Result<Vec<_>>>()?.into_iter().filter(|sealed| *sealed);
            if sealed.count() > PASSPHRASES_MAX {
                let what = "files that are encrypted to a passphrase";
                return Err(BackupError::ManyFiles { most: PASSPHRASES_MAX, what });
            }
        }
        let stop = self.stop.clone();
        let go_on: GoOn = Arc::new(move || !*stop.borrow());
        let most = self.quota.saturating_mul(UNPACKED);
        let mut size = 0;
        let mut opened: Vec<(usize, PathBuf, About)> = Vec::new();
        for (n, packed) in self.files.iter().enumerate() {
            let of = |error| BackupError::File { field: self.field(n), error };
            let plain = packed.with_extension("db");
            size +=
                self.unpack(packed, &plain, identity, size, most - size).map_err(|error| match error {
                    _ if *self.stop.borrow() => BackupError::Stopping,
                    Error::TooLarge(_) => of(Error::TooLarge(most)),
                    error => of(error),
                })?;
            fs::remove_file(packed)?;
            let (_, about) = hongyan_backup::open_while(&plain, &go_on).map_err(of)?;
            if about.user != self.user.as_str() {
                return Err(of(Error::OtherPerson(about.user)));
            }
            opened.push((n, plain, about));
        }
        // Whatever order a file chooser gives them: what is whole, then increments as they follow each other.
        opened.sort_by_key(|(_, _, about)| (about.kind == Kind::Incremental, about.from_pos, about.pos));
        let (first, increments) = opened.split_first().ok_or(InboxError::Stopping)?;
        let about = match first.2.kind {
            // The messages alone can be put back too.
            Kind::Messages if increments.is_empty() => first.2.clone(),
            _ => {
                let increments: Vec<&Path> = increments.iter().map(|(_, path, _)| path.as_path()).collect();
                hongyan_backup::apply_while(&first.1, &increments, &go_on)
                    .map_err(|error| BackupError::File { field: self.all().into(), error })?
            }
        };
        let to = self.inboxes.restores_of(&self.user).join(format!("{}.db", self.id));
        File::open(&first.1)?.sync_all()?;
        fs::rename(&first.1, &to)?;
        File::open(to.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Prepared { file: self.id.clone(), about, go_on, is_meant })
    }
}

/// Writes while the disk has room for what it comes to: what is unpacked goes into the inbox through what is written ahead
/// of it, so that for a while it is there three times.
struct WhileRoom<'a> {
    to: File,
    folder: &'a Path,
    before: u64,
    size: u64,
    /// It begins as no database does.
    is_other: bool,
}

/// How a database begins (SQLite, "Database File Format", section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

impl Write for WhileRoom<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (_, expected) = MAGIC.split_at(usize::try_from(self.size).unwrap_or(usize::MAX).min(MAGIC.len()));
        if !bytes.iter().zip(expected).all(|(byte, expected)| byte == expected) {
            self.is_other = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let written = self.to.write(bytes)?;
        let looked = self.size / LOOK_EVERY;
        self.size += written as u64;
        if self.size / LOOK_EVERY != looked {
            Reserve::default().look(self.folder, (self.before + self.size).saturating_mul(2))?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads until the server stops.
struct UntilStop<R>(R, watch::Receiver<bool>);

impl<R: Read> Read for UntilStop<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if *self.1.borrow() { Err(io::Error::other("the server is stopping")) } else { self.0.read(to) }
    }
}
