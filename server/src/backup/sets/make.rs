//! Making a set, while everyone goes on. In constant memory but for the list of what is in it: one file after the other.
//!
//! Why it is one moment although it takes its time: all that came after its beginning stands in the copy of the log, which
//! is made last, and whatever was copied before takes in of that what it lacks, as after a crash. Taking in what is there
//! already changes nothing.

use super::files::{Summing, copy_file, private};
use super::folder::{self, make_dir, partial};
use super::manifest::{
    DIRECTORY, FORMAT, InboxFile, LOG, Manifest, PackedFile, REPORTS, inbox_path, packed_name,
};
use super::{Parts, SetError};
use crate::backup::disk::{self, Reserve, remove, remove_dir};
use crate::clock;
use crate::faults::Faults;
use crate::inbox::{Copied, InboxError, Snapshot};
use crate::log::record::Record;
use crate::log::{Pos, copied};
use hongyan_backup::{Compression, Encryption, GoOn, Kind, database};
use hongyan_wire::UserId;
use hongyan_wire::sets::LeftOut;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// People asked for at once.
const STEP: usize = 500;
/// Records looked through at once.
const RECORDS: usize = 1_000;
/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;
/// A file before it is packed.
const PLAIN: &str = "plain";

/// What a set is made of.
pub(super) struct Making<'a> {
    /// The folder of all sets.
    pub root: &'a Path,
    pub id: &'a str,
    /// Everyone has followed the log up to here, and it is not trimmed behind it.
    pub start: Pos,
    pub parts: &'a Parts,
    pub reserve: Reserve,
    pub go_on: &'a GoOn,
    pub faults: &'a Faults,
}

/// Makes it; when this answers, it is on the disk. Blocks on storage.
///
/// # Errors
/// Why it is not there. Nothing of it is left then, or the next making clears it away.
pub(super) fn make(making: &Making<'_>) -> Result<Manifest, SetError> {
    make_dir(making.root)?;
    folder::clear(making.root)?;
    // Those are copied whole each time. Better none than one that fails at its end, where the log is.
    let sizes = [DIRECTORY, REPORTS, LOG].map(|name| disk::size(&making.parts.storage.join(name)));
    let sizes = sizes.into_iter().sum::<io::Result<u64>>()?;
    making.reserve.look(making.root, sizes)?;
    let folder = partial(making.root, making.id);
    let made = making.make_in(&folder).map_err(|error| making.reserve.why(making.root, error));
    if made.is_err()
        && let Err(error) = remove_dir(&folder)
    {
        tracing::warn!(%error, "what is left of a set that broke off is cleared away later");
    }
    made
}

/// The sets before.
#[derive(Default)]
struct Before {
    /// The newest, for what has not changed since.
    folder: PathBuf,
    inboxes: HashMap<UserId, InboxFile>,
    /// Who had something, be it only that it could not be read, and the place at which: in the newest, or in the newest
    /// complete one. That one always stays, so that nothing is forgotten of what was lost.
    had: HashMap<UserId, Pos>,
}

impl Before {
    fn of(root: &Path, epoch: u64) -> Self {
        let sets = folder::list(root).unwrap_or_default();
        let (newest, complete) = (sets.first(), sets.iter().find(|set| set.complete));
        let mut before = Self::default();
        for set in [complete.filter(|complete| Some(*complete) != newest), newest].into_iter().flatten() {
            let folder = root.join(&set.id);
            // Of another log nothing can be the same.
            let Some(manifest) = Manifest::read(&folder).ok().filter(|manifest| manifest.epoch == epoch)
            else {
                continue;
            };
            before.had.extend(manifest.left_out.into_iter().map(|left| (left.user, manifest.head)));
            for inbox in &manifest.inboxes {
                match inbox.messages + inbox.states {
                    // All of it has expired since.
                    0 => before.had.remove(&inbox.user),
                    _ => before.had.insert(inbox.user.clone(), inbox.pos),
                };
            }
            if Some(set) == newest {
                before.folder = folder;
                before.inboxes =
                    manifest.inboxes.into_iter().map(|inbox| (inbox.user.clone(), inbox)).collect();
            }
        }
        before
    }
}

impl Making<'_> {
    fn make_in(&self, folder: &Path) -> Result<Manifest, SetError> {
        let Parts { inboxes: _, directory, ledger, journal, .. } = self.parts;
        make_dir(&folder.join("inboxes"))?;
        let log = journal.log();
        let mut manifest = Manifest {
            format: FORMAT,
            id: self.id.to_owned(),
            made_at: clock::now(),
            server: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: log.epoch(),
            start: self.start,
            head: 0,
            people: 0,
            messages: 0,
            size: 0,
            left_out: Vec::new(),
            files: Vec::new(),
            inboxes: Vec::new(),
        };
        // Both say how far they have got; neither may say less than the beginning.
        directory.flush()?;
        manifest.files.push(self.database(folder, DIRECTORY, |_| Ok(()))?);
        ledger.settle(&**log)?;
        manifest.files.push(self.database(folder, REPORTS, |_| Ok(()))?);
        self.faults.at("the directory is copied")?;
        self.inboxes(folder, &mut manifest)?;
        self.faults.at("the inboxes are copied")?;
        let log = self.database(folder, LOG, |copy| {
            manifest.head = copied::lower(copy, self.start)?;
            Ok(())
        })?;
        manifest.files.push(log);
        self.without_deleted(folder, &mut manifest)?;
        manifest.messages = manifest.inboxes.iter().map(|inbox| inbox.messages).sum();
        let packed = manifest.files.iter().chain(manifest.inboxes.iter().map(|inbox| &inbox.file));
        manifest.size = packed.map(|file| file.size).sum();
        // One call for all files.
        rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from)?;
        self.faults.at("all files of a set are durable")?;
        manifest.write(folder)?;
        self.faults.at("a set is described")?;
        fs::rename(folder, self.root.join(self.id))?;
        File::open(self.root)?.sync_all()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), SetError> {
        if (self.go_on)() { Ok(()) } else { Err(SetError::Stopping) }
    }

    /// Copies one of the server's databases, lets `change` say in the copy what must be said, and packs it.
    fn database(
        &self,
        folder: &Path,
        name: &str,
        change: impl FnOnce(&Path) -> Result<(), SetError>,
    ) -> Result<PackedFile, SetError> {
        let (from, plain) = (self.parts.storage.join(name), folder.join(PLAIN));
        self.reserve.look(folder, disk::size(&from)?)?;
        private(&plain)?;
        {
            let _turn = self.parts.inboxes.databases_turn_now();
            database::copy(&from, &plain, &mut |_| (self.go_on)())?;
        }
        change(&plain)?;
        self.pack(folder, packed_name(name))
    }

    fn inboxes(&self, folder: &Path, manifest: &mut Manifest) -> Result<(), SetError> {
        let before = Before::of(self.root, manifest.epoch);
        let mut last: Option<UserId> = None;
        loop {
            let users = self.parts.directory.user_ids_after(last.as_ref(), STEP)?;
            for user in &users {
                self.check()?;
                self.faults.at("one more inbox is to be copied")?;
                match self.inbox(folder, user, &before) {
                    Ok(inbox) => {
                        manifest.people += 1;
                        manifest.inboxes.extend(inbox);
                    }
                    // Deleted meanwhile.
                    Err(SetError::Inbox(InboxError::NoUser)) => {}
                    Err(error) if is_of_one(&error) => {
                        tracing::error!(target: "hongyan::error", %user, %error, "an inbox is left out of a set");
                        manifest.people += 1;
                        manifest.left_out.push(LeftOut { user: user.clone(), reason: error.to_string() });
                    }
                    Err(error) => return Err(error),
                }
            }
            match users.last() {
                Some(user) if users.len() == STEP => last = Some(user.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// Copies an inbox, or takes the file of the set before where it has not changed. `None` where there is nothing.
    fn inbox(&self, folder: &Path, user: &UserId, before: &Before) -> Result<Option<InboxFile>, SetError> {
        let known = before.inboxes.get(user);
        match (self.parts.inboxes.copied(user, known.map(|known| known.stamp))?, known) {
            (Copied::Nothing(missing), _) => self.nothing(user, missing, before),
            (Copied::Changed(snapshot), _) => self.changed(folder, user, *snapshot).map(Some),
            (Copied::Unchanged, Some(known)) => {
                let (from, to) = (before.folder.join(&known.file.path), folder.join(&known.file.path));
                if self.is_as_it_was(&from, &known.file)? {
                    if fs::hard_link(&from, &to).is_ok() {
                        return Ok(Some(known.clone()));
                    }
                    // Where there can be no link, as across file systems.
                    self.reserve.look(folder, known.file.size)?;
                    if copy_file(&from, &to).is_ok() {
                        return Ok(Some(known.clone()));
                    }
                    remove(&to)?;
                }
                match self.parts.inboxes.copied(user, None)? {
                    Copied::Changed(snapshot) => self.changed(folder, user, *snapshot).map(Some),
                    _ => Ok(None),
                }
            }
            // Not without knowing what it was.
            (Copied::Unchanged, None) => Ok(None),
        }
    }

    /// For who has no inbox, which is well unless a set before has something of it.
    fn nothing(
        &self,
        user: &UserId,
        missing: PathBuf,
        before: &Before,
    ) -> Result<Option<InboxFile>, SetError> {
        let Some(pos) = before.had.get(user) else { return Ok(None) };
        let person = self.parts.directory.person(user)?.ok_or(InboxError::NoUser)?;
        // What another had who was deleted since is not missing.
        if *pos < person.created_pos { Ok(None) } else { Err(InboxError::Lost(missing).into()) }
    }

    /// Whether a file of the set before is still what it was: what decays there is not to be handed on from set to set.
    fn is_as_it_was(&self, path: &Path, file: &PackedFile) -> Result<bool, SetError> {
        let Ok(from) = File::open(path) else { return Ok(false) };
        let mut summed = Summing::new(io::sink());
        let read = io::copy(&mut io::BufReader::with_capacity(BUFFER, from), &mut summed);
        self.check()?;
        let is_same = read.is_ok() && summed.sum() == file.sha256;
        if !is_same {
            tracing::warn!(path = %path.display(), "a file of a set has changed since it was made");
        }
        Ok(is_same)
    }

    fn changed(&self, folder: &Path, user: &UserId, snapshot: Snapshot) -> Result<InboxFile, SetError> {
        let plain = folder.join(PLAIN);
        // Of one that was left out.
        remove(&plain)?;
        self.reserve.look(folder, snapshot.size()?)?;
        private(&plain)?;
        let about = snapshot.write(Kind::Full, None, &plain, &mut |_| (self.go_on)())?;
        let stamp = snapshot.stamp;
        // What is pinned is let go of as soon as it is copied.
        drop(snapshot);
        // Now it can still be said that it is damaged.
        hongyan_backup::open_while(&plain, self.go_on)?;
        Ok(InboxFile {
            user: user.clone(),
            file: self.pack(folder, inbox_path(user))?,
            stamp,
            pos: about.pos,
            version: about.version,
            messages: about.messages,
            states: about.states,
        })
    }

    /// Takes out those who were deleted after they were copied: nothing of them is to come back, least of all in the inbox
    /// of someone who was given the same id since.
    fn without_deleted(&self, folder: &Path, manifest: &mut Manifest) -> Result<(), SetError> {
        let log = self.parts.journal.log();
        let mut deleted: HashMap<UserId, Pos> = HashMap::new();
        let mut after = self.start;
        while after < manifest.head {
            self.check()?;
            let records = log.read(after, RECORDS)?;
            let Some(last) = records.last() else { break };
            after = last.pos;
            for logged in records.iter().filter(|logged| logged.pos <= manifest.head) {
                if let Record::UserDeleted(change) = &*logged.record {
                    deleted.insert(change.what.clone(), logged.pos);
                }
            }
        }
        let is_gone = |user: &UserId, pos: Pos| deleted.get(user).is_some_and(|at| pos < *at);
        for inbox in manifest.inboxes.iter().filter(|inbox| is_gone(&inbox.user, inbox.pos)) {
            remove(&folder.join(&inbox.file.path))?;
        }
        manifest.inboxes.retain(|inbox| !is_gone(&inbox.user, inbox.pos));
        manifest.left_out.retain(|left| !deleted.contains_key(&left.user));
        Ok(())
    }

    /// Packs the plain file, and removes it.
    fn pack(&self, folder: &Path, path: String) -> Result<PackedFile, SetError> {
        let plain = folder.join(PLAIN);
        self.reserve.look(folder, plain.metadata()?.len())?;
        let to = private(&folder.join(&path))?;
        let mut to = Summing::new(BufWriter::with_capacity(BUFFER, to));
        let (compression, encryption) = (Compression::Zstd, Encryption::None);
        let mut from = File::open(&plain)?;
        let packed =
            hongyan_backup::pack(&mut from, &mut to, compression, &encryption, &mut |_| (self.go_on)())?;
        to.flush()?;
        fs::remove_file(&plain)?;
        Ok(PackedFile { path, size: to.size(), unpacked: packed.from, sha256: to.sum() })
    }
}

/// Whether it is this inbox that cannot be copied, and the others can.
fn is_of_one(error: &SetError) -> bool {
    match error {
        SetError::Inbox(error) => !error.is_of_all(),
        SetError::Backup(hongyan_backup::Error::Storage(error)) => {
            error.sqlite_error_code() != Some(rusqlite::ErrorCode::DiskFull)
        }
        SetError::Backup(hongyan_backup::Error::Damaged(_) | hongyan_backup::Error::NoBackup) => true,
        _ => false,
    }
}
