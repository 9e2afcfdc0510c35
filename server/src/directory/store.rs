//! The database of the directory: opening it, reading from it, and keeping caches no older than it.

use super::groups::Group;
use super::people::Person;
use super::services::KnownService;
use super::tokens::KnownToken;
use crate::log::Pos;
use crate::log::record::GroupKey;
use hongyan_wire::template::Template;
use hongyan_wire::{SessionId, TemplateId, Timestamp, UserId};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// People kept in memory: about 40 MB when full.
const PEOPLE_CACHED: usize = 100_000;
const SERVICES_CACHED: usize = 10_000;
const TOKENS_CACHED: usize = 10_000;
const GROUPS_CACHED: usize = 20_000;
const UNIONS_CACHED: usize = 1_000;
const TEMPLATES_CACHED: usize = 1_000;
/// The version of `directory.db`.
pub const SCHEMA_VERSION: i64 = 1;

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("the directory cannot be read or written: {0}")]
    Storage(#[from] rusqlite::Error),
    #[error("the directory cannot be made durable: {0}")]
    Io(#[from] std::io::Error),
    #[error("directory.db has version {0}, this server knows {SCHEMA_VERSION}")]
    Newer(i64),
}

/// The directory. Its methods block on storage when what they need is not cached.
pub struct Directory {
    path: PathBuf,
    pub(super) writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Held for reading while something is loaded into a cache, for writing while a change is
    /// committed and caches are cleared of it: so nothing outdated is ever put into a cache.
    pub(super) filling: RwLock<()>,
    pub(super) people: Cache<UserId, Arc<Person>>,
    /// Users by username, in small letters.
    pub(super) names: Cache<SmolStr, Arc<UserId>>,
    pub(super) groups: Cache<GroupKey, Arc<Group>>,
    /// How many different people are in several groups together, by the groups in order.
    pub(super) unions: Cache<Vec<GroupKey>, Arc<u64>>,
    pub(super) services: Cache<SmolStr, Arc<KnownService>>,
    /// Personal tokens, by their prefixes.
    pub(super) tokens: Cache<SmolStr, Arc<KnownToken>>,
    pub(super) templates: Cache<TemplateId, Arc<Template>>,
    /// Ended sessions, until no access token of theirs can be valid any more.
    pub(super) revoked: RwLock<HashMap<SessionId, Timestamp>>,
    /// When those that are over were last taken out of it, in milliseconds since 1970.
    pub(super) revoked_swept: AtomicI64,
    /// From when to when, in milliseconds since 1970, sessions may have begun that a restore has lost.
    pub(super) lost: RangeInclusive<i64>,
    pub(super) user_count: AtomicU64,
    /// When the next scheduled message is due, in milliseconds since 1970.
    pub(super) next_due: AtomicI64,
    /// When a service is next to be told of something, likewise.
    pub(super) next_callback: AtomicI64,
    pub(super) applied: AtomicU64,
}

/// Says in a copy of the directory, made at `made_at` or later, that it takes the place of another one now: it does not know
/// all sessions that began meanwhile. Those that were lost before stay lost. Not flushed. Blocks on storage.
///
/// # Errors
/// That it cannot be written.
pub fn restored(copy: &Path, made_at: Timestamp, now: Timestamp) -> Result<(), DirectoryError> {
    let conn = Connection::open(copy)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    for (key, at, outer) in [("lost_from", made_at, "min"), ("lost_until", now, "max")] {
        let sql = format!(
            "INSERT INTO meta(key, value) VALUES(?1, ?2)
             ON CONFLICT(key) DO UPDATE SET value = {outer}(value, excluded.value)"
        );
        conn.execute(&sql, params![key, at.millis()])?;
    }
    Ok(conn.close().map_err(|(_, error)| error)?)
}

impl Directory {
    /// Opens the directory or makes it.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let mut writer = connect(path)?;
        prepare(&mut writer)?;
        let meta = |key: &str| -> rusqlite::Result<u64> {
            let value: i64 =
                writer.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))?;
            Ok(value as u64)
        };
        let (applied, users) = (meta("applied")?, meta("users")?);
        let moment = |key: &str| {
            let moment = "SELECT value FROM meta WHERE key = ?1";
            writer.query_row(moment, [key], |row| row.get(0)).optional()
        };
        let (lost_from, lost_until) = (moment("lost_from")?, moment("lost_until")?);
        let revoked = super::sessions::revoked(&writer)?;
        let next_due = super::schedule::next_due(&writer)?;
        let next_callback = super::callbacks::next(&writer)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            filling: RwLock::new(()),
            people: Cache::new(PEOPLE_CACHED),
            names: Cache::new(PEOPLE_CACHED),
            groups: Cache::new(GROUPS_CACHED),
            unions: Cache::new(UNIONS_CACHED),
            services: Cache::new(SERVICES_CACHED),
            tokens: Cache::new(TOKENS_CACHED),
            templates: Cache::new(TEMPLATES_CACHED),
            revoked: RwLock::new(revoked),
            revoked_swept: AtomicI64::new(0),
            // Empty where nothing was.
            lost: lost_from.unwrap_or(i64::MAX)..=lost_until.unwrap_or(i64::MIN),
            user_count: AtomicU64::new(users),
            next_due: AtomicI64::new(next_due),
            next_callback: AtomicI64::new(next_callback),
            applied: AtomicU64::new(applied),
        })
    }

    /// The last place in the log that has been applied.
    pub fn applied(&self) -> Pos {
        self.applied.load(Ordering::Acquire)
    }

    /// How many users there are, disabled ones included.
    pub fn user_count(&self) -> u64 {
        self.user_count.load(Ordering::Relaxed)
    }

    /// Puts everything that was applied onto the disk, so that the log need not keep it.
    pub fn flush(&self) -> Result<(), DirectoryError> {
        let writer = self.writer.lock();
        writer.execute(
            "UPDATE meta SET value = ?1 WHERE key = 'applied' AND value < ?1",
            [self.applied() as i64],
        )?;
        // The write-ahead log holds what the database does not yet: both must reach the disk.
        for suffix in ["-wal", ""] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            match std::fs::File::open(path) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Leaves nothing of what was deleted in the write-ahead log.
    pub fn fold_in(&self) -> Result<(), DirectoryError> {
        Ok(self.writer.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    pub(super) fn reading<T>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DirectoryError> {
        let idle = self.readers.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect(&self.path)?,
        };
        let result = f(&conn);
        self.readers.lock().push(conn);
        Ok(result?)
    }

    /// Gives what is cached, or loads and caches it.
    pub(super) fn cached<K, V>(
        &self,
        cache: &Cache<K, Arc<V>>,
        key: &K,
        load: impl FnOnce(&Connection) -> rusqlite::Result<Option<V>>,
    ) -> Result<Option<Arc<V>>, DirectoryError>
    where
        K: std::hash::Hash + Eq + Clone,
    {
        if let Some(known) = cache.get(key) {
            return Ok(Some(known));
        }
        let _filling = self.filling.read();
        let loaded = self.reading(load)?.map(Arc::new);
        if let Some(loaded) = &loaded {
            cache.insert(key.clone(), loaded.clone());
        }
        Ok(loaded)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // What a power failure takes is applied again from the log.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // What is deleted of a user is gone from the file too.
    conn.pragma_update(None, "secure_delete", "ON")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn prepare(conn: &mut Connection) -> Result<(), DirectoryError> {
    let transaction = conn.transaction()?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            transaction.execute_batch(include_str!("schema.sql"))?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        SCHEMA_VERSION => {}
        newer => return Err(DirectoryError::Newer(newer)),
    }
    transaction.commit()?;
    Ok(())
}

/// Whether a query finds a row.
pub(super) fn exists(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached(sql)?.query_row(params, |_| Ok(())).optional()?.is_some())
}
