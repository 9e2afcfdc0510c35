//! One person's folder: `messages.db`, `read_status.db`, `.sync/`.
//!
//! Both databases are in WAL mode and may be opened with the plain `sqlite3` program at any time. They
//! are views of the log: what a power failure takes from their tails is applied again, so they need no
//! flush of their own on the way of a request.

use super::InboxError;
use crate::faults::Faults;
use crate::log::Pos;
use hongyan_wire::{ChannelId, Timestamp, UserId};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const MESSAGES: &str = "messages.db";
pub(super) const READ_STATUS: &str = "read_status.db";
/// Marks of inboxes that the walker has passed, beside the folders: those may be what is damaged.
const BEHIND: &str = ".behind";
/// Backups that are being put into inboxes, a folder a person.
const RESTORES: &str = ".restores";
const SCHEMA_VERSION: i64 = 1;
/// Memory that SQLite may use for the pages of one inbox, in KiB.
const CACHE_KIB: i64 = 128;

/// Empty folders made at once when none is left.
const SPARE: usize = 64;

/// Where the folders are, and what a fresh one is made of.
///
/// A fresh folder is made ahead, many at a time with one flush for all, and given to a person by renaming
/// it: so there is a whole inbox or none, also after a power failure, and a new person costs no flush.
pub struct Folders {
    root: PathBuf,
    /// Empty databases with their schema: copying one costs a twentieth of making one.
    messages: Vec<u8>,
    read_status: Vec<u8>,
    spare: Mutex<Vec<PathBuf>>,
    /// See [`SPARE`].
    pub(crate) spare_at_once: usize,
    spare_made: AtomicU64,
    pub(super) faults: Faults,
}

impl Folders {
    /// Takes the folder of all folders.
    pub fn open(root: &Path, faults: Faults) -> Result<Self, InboxError> {
        // Below it nothing is reached by a link: see `Inbox::open`.
        let root = &fs::canonicalize(root)?;
        // No person's id begins with a dot.
        let spare = root.join(".spare");
        match fs::remove_dir_all(&spare) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&spare)?,
        }
        let make = |name: &str, schema: &str| -> Result<Vec<u8>, InboxError> {
            let path = spare.join(name);
            let conn = Connection::open(&path)?;
            conn.pragma_update(None, "journal_mode", "WAL")?;
            conn.execute_batch(schema)?;
            conn.close().map_err(|(_, error)| error)?;
            let bytes = fs::read(&path)?;
            fs::remove_file(&path)?;
            Ok(bytes)
        };
        Ok(Self {
            root: root.to_owned(),
            messages: make(MESSAGES, include_str!("messages.sql"))?,
            read_status: make(READ_STATUS, include_str!("read_status.sql"))?,
            spare: Mutex::default(),
            spare_at_once: SPARE,
            spare_made: AtomicU64::new(0),
            faults,
        })
    }

    /// A person's folder. Ids cannot leave the root: they hold no separator and begin with no dot.
    pub fn of(&self, user: &UserId) -> PathBuf {
        self.root.join(user.as_str())
    }

    /// Where a person's backups lie that are to be put into the inbox.
    pub(super) fn restores_of(&self, user: &UserId) -> PathBuf {
        self.root.join(RESTORES).join(user.as_str())
    }

    /// Whose backups are to be put into their inboxes.
    pub(super) fn restoring(&self) -> Result<Vec<UserId>, InboxError> {
        match fs::read_dir(self.root.join(RESTORES)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
            Ok(entries) => names(entries),
        }
    }

    /// Everything that was written below the root is on the disk afterwards: one call for all of it.
    pub(super) fn sync(&self) -> Result<(), InboxError> {
        let root = fs::File::open(&self.root)?;
        rustix::fs::syncfs(&root).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Opens a person's inbox; makes it when there is none.
    pub(super) fn inbox(&self, user: &UserId) -> Result<Inbox, InboxError> {
        let folder = self.of(user);
        let files = [folder.join(MESSAGES), folder.join(READ_STATUS)];
        if !folder.exists() {
            self.faults.at("a folder is to be given")?;
            fs::rename(self.take_spare()?, &folder)?;
            self.faults.at("a folder is given")?;
        }
        // A file that is gone was lost: an empty one must not stand in for it.
        if let Some(lost) = files.iter().find(|file| !file.exists()) {
            return Err(InboxError::Lost(lost.clone()));
        }
        let mut inbox = Inbox::open(&files[0], &files[1])?;
        inbox.faults = self.faults.clone();
        inbox.behind = self.behind(user)?;
        inbox.restores = self.restores_of(user);
        Ok(inbox)
    }

    /// Removes a person's folder, if there is one, and makes that durable.
    pub(super) fn remove(&self, user: &UserId) -> Result<(), InboxError> {
        // What is just arriving there has no owner any more, and goes by itself or at the next start.
        let _ = fs::remove_dir_all(self.restores_of(user));
        for gone in [fs::remove_dir_all(self.of(user)), fs::remove_file(self.mark_of(user))] {
            match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(fs::File::open(&self.root)?.sync_all()?)
    }

    /// Whose folders there are.
    pub(super) fn users(&self) -> Result<Vec<UserId>, InboxError> {
        names(fs::read_dir(&self.root)?)
    }

    fn take_spare(&self) -> Result<PathBuf, InboxError> {
        let mut spare = self.spare.lock();
        if let Some(folder) = spare.pop() {
            return Ok(folder);
        }
        let mut made = Vec::with_capacity(self.spare_at_once);
        for _ in 0..self.spare_at_once {
            // Never a name again: one that was taken may still be on its way to its person.
            let n = self.spare_made.fetch_add(1, Ordering::Relaxed);
            let folder = self.root.join(".spare").join(n.to_string());
            fs::create_dir_all(folder.join(".sync"))?;
            fs::write(folder.join(MESSAGES), &self.messages)?;
            fs::write(folder.join(READ_STATUS), &self.read_status)?;
            made.push(folder);
        }
        self.sync()?;
        self.faults.at("spare folders are durable")?;
        *spare = made;
        spare.pop().ok_or(InboxError::Stopping)
    }

    /// From which place on a person's inbox may lack messages that the walker could not bring.
    fn behind(&self, user: &UserId) -> Result<Option<Pos>, InboxError> {
        match fs::read_to_string(self.mark_of(user)) {
            // A mark that cannot be read means everything that the log still has.
            Ok(text) => Ok(Some(text.trim().parse().unwrap_or(0))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers that a person's inbox could not be brought past a place, so that the others need not
    /// wait: once it can be opened again, what it lacks is looked for in the log itself.
    pub(super) fn leave_behind(&self, user: &UserId, pos: Pos) -> Result<(), InboxError> {
        if self.behind(user)?.is_none() {
            fs::create_dir_all(self.root.join(BEHIND))?;
            fs::write(self.mark_of(user), pos.to_string())?;
        }
        Ok(())
    }

    /// A person's inbox has everything again.
    pub(super) fn no_longer_behind(&self, user: &UserId) -> Result<(), InboxError> {
        Ok(fs::remove_file(self.mark_of(user))?)
    }

    fn mark_of(&self, user: &UserId) -> PathBuf {
        self.root.join(BEHIND).join(user.as_str())
    }
}

/// The users whom entries are named after. What is no id is none of ours.
fn names(entries: fs::ReadDir) -> Result<Vec<UserId>, InboxError> {
    let mut users = Vec::new();
    for entry in entries {
        users.extend(entry?.file_name().to_str().and_then(|name| UserId::new(name).ok()));
    }
    Ok(users)
}

/// How many messages a channel has, and how many of them are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub total: u64,
    pub read: u64,
}

/// An open inbox.
pub struct Inbox {
    /// `messages.db`, with `read_status.db` attached as `state`.
    pub(super) conn: Connection,
    /// Watermarks of the two files.
    pub(super) messages_applied: Pos,
    pub(super) status_applied: Pos,
    /// Everything up to here that concerns the person is in the files.
    pub(super) seen: Pos,
    /// The person's last number.
    pub(super) version: u64,
    pub(super) counts: BTreeMap<Option<ChannelId>, Count>,
    /// The next moment at which a message expires.
    pub(super) next_expiry: Option<Timestamp>,
    /// From which place on the log itself must be searched, after the file was damaged.
    pub(super) behind: Option<Pos>,
    /// Where a backup was last put into it; 0: never.
    pub(super) restored: Pos,
    /// Where backups lie that the log says are to be put into it.
    pub(super) restores: PathBuf,
    /// The number of the log that it follows.
    pub(super) log_epoch: u64,
    pub(super) faults: Faults,
}

impl Inbox {
    fn open(messages: &Path, read_status: &Path) -> Result<Self, InboxError> {
        // Not created when missing: an empty database must not stand in for a lost one. Nor by a link, which would lead to
        // what is someone else's.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(messages, flags)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        // Closing would fold the write-ahead log in and flush; the log protects what is in there.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Else a bound LIMIT has each statement prepared anew for each of its values.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.set_prepared_statement_cache_capacity(24);
        let path = read_status.to_str().ok_or_else(|| InboxError::Path(read_status.to_owned()))?;
        conn.execute("ATTACH ?1 AS state", [path])?;
        // Of both: what was taken back or has expired is in no copy of the files either.
        conn.pragma_update(None, "secure_delete", true)?;
        for schema in ["main", "state"] {
            conn.pragma_update(Some(schema), "synchronous", "NORMAL")?;
            conn.pragma_update(Some(schema), "cache_size", -CACHE_KIB)?;
            let version: i64 = conn.pragma_query_value(Some(schema), "user_version", |row| row.get(0))?;
            if version != SCHEMA_VERSION {
                return Err(InboxError::Newer(version));
            }
        }
        let mut inbox = Self {
            conn,
            messages_applied: 0,
            status_applied: 0,
            seen: 0,
            version: 0,
            counts: BTreeMap::new(),
            next_expiry: None,
            behind: None,
            restored: 0,
            restores: PathBuf::new(),
            log_epoch: 0,
            faults: Faults::default(),
        };
        inbox.load()?;
        Ok(inbox)
    }

    /// Reads what is kept in memory anew from the files, as after a transaction that failed.
    pub(super) fn load(&mut self) -> Result<(), InboxError> {
        // One statement each, as most of what opening costs is preparing statements.
        let marks = "SELECT (SELECT value FROM main.meta WHERE key = 'applied'),
            (SELECT value FROM state.meta WHERE key = 'applied'), (SELECT value FROM state.meta WHERE key = 'version'),
            coalesce((SELECT value FROM main.meta WHERE key = 'restored'), 0)";
        let marks: [i64; 4] =
            self.conn.query_row(marks, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
        [self.messages_applied, self.status_applied, self.version, self.restored] =
            marks.map(|mark| mark as u64);
        self.seen = 0;
        let mut counts: BTreeMap<Option<ChannelId>, Count> = BTreeMap::new();
        {
            let mut statement = self.conn.prepare(
                "SELECT channel_id, messages, 0 FROM main.total UNION ALL SELECT channel_id, messages, 1 FROM state.total",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let channel = ChannelId::new(row.get_ref(0)?.as_str().unwrap_or_default()).ok();
                let messages: i64 = row.get(1)?;
                let count = counts.entry(channel).or_default();
                *(if row.get(2)? { &mut count.read } else { &mut count.total }) = messages.max(0) as u64;
            }
        }
        self.counts = counts;
        self.load_next_expiry()
    }

    /// What is in the files is on the disk afterwards.
    pub(super) fn make_durable(&self) -> Result<(), InboxError> {
        // What is not in the write-ahead logs was flushed when it was folded in. To fold in the rest would wait for
        // whoever reads from before, as a backup does.
        let Some(messages) = self.conn.path().map(Path::new) else { return Ok(()) };
        for file in [messages.to_owned(), messages.with_file_name(READ_STATUS)] {
            let mut log = file.into_os_string();
            log.push("-wal");
            match fs::File::open(&log) {
                Ok(log) => log.sync_data()?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let folder = messages.parent().unwrap_or(Path::new("."));
        Ok(fs::File::open(folder)?.sync_all()?)
    }

    pub(super) fn load_next_expiry(&mut self) -> Result<(), InboxError> {
        let sql = "SELECT min(expire_at) FROM main.message WHERE expire_at IS NOT NULL";
        let millis: Option<i64> = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        self.next_expiry = millis.map(Timestamp::from_millis);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_come_at_once_each_get_a_whole_inbox() {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::open(dir.path(), Faults::default()).unwrap();
        std::thread::scope(|scope| {
            for lane in 0..8 {
                let folders = &folders;
                scope.spawn(move || {
                    for n in 0..64 {
                        let user = UserId::new(&format!("u{lane}-{n}")).unwrap();
                        assert_eq!(folders.inbox(&user).unwrap().version, 0);
                    }
                });
            }
        });
    }
}
