//! Where backups that people asked for lie until their time is over: a folder a person, two files a backup.
//!
//! What always holds: a backup is there once its second file, which says what it is, is on the disk under its name, and
//! that is written last. Whatever else is found at a start is what was left of a work that was cut off, and goes.

use super::disk::{self, Reserve, remove, remove_dir};
use super::{Asked, BackupError, Sealed};
use crate::inbox::Stamp;
use crate::log::Pos;
use hongyan_backup::About;
use hongyan_wire::backup::Backup;
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is written and not whole yet.
const PARTIAL: &str = "partial";
/// The backup itself, as it is handed out.
const BYTES: &str = "backup";
/// What it is.
const ABOUT: &str = "json";
/// Backups of one person; the oldest go first.
const KEPT_MAX: usize = 32;

/// A backup that lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Sorts by time.
    pub id: String,
    pub user: UserId,
    /// Where in the log its owner begins, whatever they are called.
    pub owner: Pos,
    /// A name for the file that tells what it is.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub about: About,
    pub asked: Asked,
    /// What the inbox was when it was made.
    pub stamp: Stamp,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Kept {
    /// Its strong entity tag (RFC 9110, section 8.8.3): bytes under an id never change.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.id)
    }

    /// As its owner is told of it.
    pub fn shown(&self) -> Backup {
        Backup {
            id: self.id.clone(),
            kind: self.about.kind.as_str().to_owned(),
            format: self.asked.format.as_str().to_owned(),
            name: self.name.clone(),
            size: self.size,
            messages: self.about.messages,
            pos: self.about.pos,
            cursor: self.cursor(),
            encrypted: self.asked.sealed != Sealed::None,
            made_at: self.made_at,
            expires_at: self.expires_at,
        }
    }

    /// From where an increment goes on after it.
    pub fn cursor(&self) -> String {
        super::cursor::Cursor::of(&self.about).to_string()
    }
}

/// All of them.
pub struct Shelf {
    root: PathBuf,
    /// Bytes that one person's may have.
    quota: u64,
    pub(super) reserve: Reserve,
    kept: Mutex<BTreeMap<UserId, Vec<Arc<Kept>>>>,
}

impl Shelf {
    /// Looks through what is there, and clears away what is not whole.
    pub fn open(root: PathBuf, quota: u64) -> io::Result<Self> {
        let mut kept: BTreeMap<UserId, Vec<Arc<Kept>>> = BTreeMap::new();
        for (user, folder) in disk::people(&root)? {
            let mut whole = whole(&folder, &user)?;
            whole.sort_by(|a, b| a.id.cmp(&b.id));
            if !whole.is_empty() {
                kept.insert(user, whole.into_iter().map(Arc::new).collect());
            }
        }
        Ok(Self { root, quota, reserve: Reserve::default(), kept: Mutex::new(kept) })
    }

    /// Bytes that one person's may have together.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// Looks whether the disk has room for so many bytes: before each file that is written here.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where they would take what is left to the log, and what the disk says.
    pub fn look_for_room(&self, bytes: u64) -> io::Result<()> {
        self.reserve.look(&self.root, bytes)
    }

    /// A person's, the newest first.
    pub fn of(&self, user: &UserId) -> Vec<Arc<Kept>> {
        self.kept.lock().get(user).map(|all| all.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Where its bytes are.
    pub fn path(&self, kept: &Kept) -> PathBuf {
        self.file(&kept.user, &kept.id, BYTES)
    }

    /// A file to write a backup to; `part` tells several apart.
    pub fn partial(&self, user: &UserId, id: &str, part: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(self.root.join(user.as_str()))?;
        let path = self.file(user, id, &format!("{part}.{PARTIAL}"));
        // Of a work that failed.
        remove(&path)?;
        Ok(path)
    }

    /// Takes a file that is whole; it is on the disk afterwards. The oldest of the person's go if there would be too much.
    ///
    /// # Errors
    /// That it alone has more than there may be, and what the disk says. Then nothing is kept of it.
    pub fn keep(&self, partial: &Path, kept: Kept) -> Result<Arc<Kept>, BackupError> {
        if kept.size > self.quota {
            return Err(BackupError::OverQuota { size: kept.size, quota: self.quota });
        }
        let (user, id) = (kept.user.clone(), kept.id.clone());
        let about = self.file(&user, &id, ABOUT);
        let described = about.with_extension(PARTIAL);
        let put = || -> io::Result<()> {
            fs::write(&described, serde_json::to_vec(&kept)?)?;
            File::open(&described)?.sync_all()?;
            File::open(partial)?.sync_all()?;
            fs::rename(partial, self.file(&user, &id, BYTES))?;
            fs::rename(&described, &about)?;
            File::open(self.root.join(user.as_str()))?.sync_all()
        };
        if let Err(error) = put() {
            // What cannot be cleared away now is at the next start.
            for path in [&about, &described, &self.file(&user, &id, BYTES)] {
                let _ = remove(path);
            }
            return Err(error.into());
        }
        let kept = Arc::new(kept);
        let mut all = self.kept.lock();
        let own = all.entry(user).or_default();
        own.push(kept.clone());
        let mut size: u64 = own.iter().map(|one| one.size).sum();
        let mut surplus = Vec::new();
        while (size > self.quota || own.len() > KEPT_MAX) && own.len() > 1 {
            let oldest = own.remove(0);
            size -= oldest.size;
            surplus.push(oldest);
        }
        drop(all);
        surplus.iter().try_for_each(|oldest| self.clear(oldest))?;
        Ok(kept)
    }

    /// Takes one away. Whoever reads it reads on.
    pub fn remove(&self, user: &UserId, id: &str) -> io::Result<bool> {
        let found = {
            let mut all = self.kept.lock();
            let Some(own) = all.get_mut(user) else { return Ok(false) };
            let Some(at) = own.iter().position(|kept| kept.id == id) else { return Ok(false) };
            own.remove(at)
        };
        self.clear(&found)?;
        Ok(true)
    }

    /// Whose backups there are.
    pub fn people(&self) -> Vec<UserId> {
        self.kept.lock().keys().cloned().collect()
    }

    /// Takes away whatever there is of a person.
    pub fn remove_all(&self, user: &UserId) -> io::Result<()> {
        self.kept.lock().remove(user);
        remove_dir(&self.root.join(user.as_str()))
    }

    /// Takes away those whose time is over.
    pub fn sweep(&self, now: Timestamp) -> io::Result<()> {
        let mut over = Vec::new();
        self.kept.lock().retain(|_, own| {
            own.retain(|kept| {
                let is_over = kept.expires_at <= now;
                if is_over {
                    over.push(kept.clone());
                }
                !is_over
            });
            !own.is_empty()
        });
        over.iter().try_for_each(|kept| self.clear(kept))
    }

    /// Its description first: what is left without one is cleared away by the next start.
    fn clear(&self, kept: &Kept) -> io::Result<()> {
        remove(&self.file(&kept.user, &kept.id, ABOUT))?;
        remove(&self.path(kept))
    }

    fn file(&self, user: &UserId, id: &str, kind: &str) -> PathBuf {
        self.root.join(user.as_str()).join(format!("{id}.{kind}"))
    }
}

/// The whole ones in a person's folder; the rest of it is cleared away.
fn whole(folder: &Path, user: &UserId) -> io::Result<Vec<Kept>> {
    let mut whole = Vec::new();
    let files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    for path in files.iter().filter(|path| path.extension().is_some_and(|kind| kind == ABOUT)) {
        let kept = fs::read(path).ok().and_then(|json| serde_json::from_slice::<Kept>(&json).ok());
        let bytes = path.with_extension(BYTES);
        let is_its = |kept: &Kept| {
            kept.user == *user
                && path.file_stem().is_some_and(|id| id == kept.id.as_str())
                && bytes.metadata().is_ok_and(|about| about.is_file() && about.len() == kept.size)
        };
        whole.extend(kept.filter(is_its));
    }
    for path in files {
        let id = path.file_stem().and_then(|id| id.to_str()).unwrap_or_default();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if !matches!(kind, ABOUT | BYTES) || !whole.iter().any(|kept| kept.id == id) {
            match path.is_dir() {
                true => fs::remove_dir_all(&path)?,
                false => remove(&path)?,
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hongyan_backup::Kind;

    fn kept(id: &str, size: u64, expires_at: i64) -> Kept {
        Kept {
            id: id.into(),
            user: UserId::new("ann").unwrap(),
            owner: 1,
            name: "n.db".into(),
            size,
            about: About {
                kind: Kind::Full,
                user: "ann".into(),
                epoch: 1,
                pos: 2,
                version: 3,
                from_pos: 0,
                from_version: 0,
                made_at: 4,
                messages: 0,
                states: 0,
            },
            asked: Asked::default(),
            stamp: Stamp::default(),
            made_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(expires_at),
        }
    }

    fn put(shelf: &Shelf, id: &str, size: usize) -> Result<Arc<Kept>, BackupError> {
        let ann = UserId::new("ann").unwrap();
        let partial = shelf.partial(&ann, id, "packed").unwrap();
        fs::write(&partial, vec![7; size]).unwrap();
        shelf.keep(&partial, kept(id, size as u64, 1_000))
    }

    #[test]
    fn what_is_whole_is_there_after_a_restart_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (root, ann) = (dir.path().join("people"), UserId::new("ann").unwrap());
        let shelf = Shelf::open(root.clone(), 100).unwrap();
        let first = put(&shelf, "1", 40).unwrap();
        put(&shelf, "2", 50).unwrap();
        // Cut off: while it was written; before it was described; and one that was half taken away.
        fs::write(shelf.partial(&ann, "3", "plain").unwrap(), b"half").unwrap();
        fs::write(root.join("ann/4.backup"), b"whole").unwrap();
        fs::write(root.join("ann/5.json"), serde_json::to_vec(&kept("5", 3, 1_000)).unwrap()).unwrap();
        fs::write(root.join("ann/6.json"), b"{").unwrap();
        // Of somebody else: it hinders nobody, and stays.
        fs::write(root.join("notes"), b"x").unwrap();
        let shelf = Shelf::open(root.clone(), 100).unwrap();
        let ids: Vec<String> = shelf.of(&ann).iter().map(|kept| kept.id.clone()).collect();
        assert_eq!(ids, ["2", "1"]);
        assert_eq!(shelf.of(&ann)[1], first);
        assert_eq!(fs::read_dir(root.join("ann")).unwrap().count(), 4, "two files each");
        assert_eq!((shelf.people(), root.join("notes").is_file()), (vec![ann], true));
        assert!(shelf.of(&UserId::new("bob").unwrap()).is_empty());
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much_and_all_when_their_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let ann = UserId::new("ann").unwrap();
        let shelf = Shelf::open(dir.path().to_owned(), 100).unwrap();
        let ids = || shelf.of(&ann).iter().map(|kept| kept.id.clone()).collect::<Vec<_>>();
        for id in ["1", "2", "3"] {
            put(&shelf, id, 40).unwrap();
        }
        assert_eq!(ids(), ["3", "2"]);
        assert!(matches!(put(&shelf, "4", 101), Err(BackupError::OverQuota { size: 101, quota: 100 })));
        assert_eq!(ids(), ["3", "2"]);
        shelf.sweep(Timestamp::from_millis(999)).unwrap();
        assert_eq!(ids(), ["3", "2"]);
        shelf.sweep(Timestamp::from_millis(1_000)).unwrap();
        assert!(ids().is_empty());
        put(&shelf, "5", 1).unwrap();
        shelf.remove_all(&ann).unwrap();
        assert!(ids().is_empty() && !dir.path().join("ann").exists());
    }
}
