//! The counts, in `reports.db`. What the log adds is noted in memory as it passes and written once a second, with
//! the place up to which it is counted: after a crash, or when a write has failed, what is missing is read from
//! the log again. So nobody who sends or reads waits for a count, and none is counted twice.

use super::counts::{Change, Counts, Hour};
use crate::directory::{Directory, DirectoryError};
use crate::log::{Log, LogError, Logged, Pos};
use hongyan_wire::{MessageId, UserId};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::time::Duration;

/// Records read from the log at once.
const STEP: usize = 1_000;
/// The version of `reports.db`.
pub const SCHEMA_VERSION: i64 = 1;
const CAME: &str = "INSERT OR IGNORE INTO reach(user, pos, since) VALUES(?1, 0, ?2)";

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("reports.db cannot be read or written: {0}")]
    Storage(#[from] rusqlite::Error),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("reports.db has version {0}, this server knows {SCHEMA_VERSION}")]
    Newer(i64),
}

/// What has passed since the last write.
#[derive(Default)]
struct Noted {
    counts: Counts,
    /// The places that it covers: after the one, through the other. None when they are the same.
    after: Pos,
    through: Pos,
}

struct Written {
    conn: Connection,
    through: Pos,
}

/// The counts. Its methods block on storage, but for [`Self::note`] and [`Self::reached`].
pub struct Ledger {
    noted: Mutex<Noted>,
    written: Mutex<Written>,
}

impl Ledger {
    /// Opens the counts or makes them. Those of another log, or of more than the log has, begin anew, with the people
    /// whom the directory has: the log may not tell of them any more.
    pub fn open(path: &Path, log: &dyn Log, directory: &Directory) -> Result<Self, LedgerError> {
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        // What a power failure takes is counted again from the log.
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        conn.pragma_update(None, "secure_delete", "ON")?;
        let transaction = conn.transaction()?;
        let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                transaction.execute_batch(include_str!("schema.sql"))?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            newer => return Err(LedgerError::Newer(newer)),
        }
        let meta = |key: &str| -> rusqlite::Result<i64> {
            transaction.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
        };
        let (epoch, head) = (log.epoch() as i64, log.head());
        let mut through = meta("through")? as Pos;
        if meta("epoch")? != epoch || through > head {
            transaction.execute_batch(
                "DELETE FROM reads; DELETE FROM recalled; DELETE FROM reach; DELETE FROM hour;
                 UPDATE meta SET value = 0 WHERE key = 'through'",
            )?;
            transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch])?;
            through = 0;
            for (user, since) in directory.since()? {
                transaction.prepare_cached(CAME)?.execute(params![user.as_str(), since as i64])?;
            }
        }
        transaction.commit()?;
        Ok(Self {
            noted: Mutex::new(Noted { after: head, through: head, ..Noted::default() }),
            written: Mutex::new(Written { conn, through }),
        })
    }

    /// Takes note of what was committed: each batch once, in order.
    pub fn note(&self, batch: &[Logged]) {
        let Some(last) = batch.last() else { return };
        let mut noted = self.noted.lock();
        noted.through = last.pos;
        batch.iter().for_each(|logged| noted.counts.take_in(logged));
    }

    /// One of a person's devices has got everything up to a place.
    pub fn reached(&self, user: &UserId, pos: Pos) {
        self.noted.lock().counts.reach(user, pos);
    }

    /// Writes what was noted, and reads from the log what never was.
    pub fn settle(&self, log: &dyn Log) -> Result<(), LedgerError> {
        let mut written = self.written.lock();
        let noted = {
            let mut noted = self.noted.lock();
            let through = noted.through;
            std::mem::replace(&mut *noted, Noted { after: through, through, ..Noted::default() })
        };
        written.catch_up(log, noted.after)?;
        written.add(&noted.counts, noted.through)
    }

    /// Forgets what is told of messages before a place.
    pub fn forget_before(&self, pos: Pos) -> Result<(), LedgerError> {
        let written = self.written.lock();
        for table in ["reads", "recalled"] {
            written.conn.execute(&format!("DELETE FROM {table} WHERE pos < ?1"), [pos as i64])?;
        }
        Ok(())
    }

    /// Leaves nothing of what was deleted in the write-ahead log.
    pub fn fold_in(&self) -> Result<(), LedgerError> {
        Ok(self.written.lock().conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// How many have read the message at a place.
    pub fn reads(&self, pos: Pos) -> Result<u64, LedgerError> {
        let written = self.written.lock();
        let mut statement = written.conn.prepare_cached("SELECT count FROM reads WHERE pos = ?1")?;
        let count: Option<i64> = statement.query_row([pos as i64], |row| row.get(0)).optional()?;
        Ok(count.map_or(0, |count| count.max(0) as u64))
    }

    /// Whether the message at a place was taken back, and what took its place.
    pub fn recalled(&self, pos: Pos) -> Result<Option<Option<MessageId>>, LedgerError> {
        let written = self.written.lock();
        let mut statement = written.conn.prepare_cached("SELECT replaced_by FROM recalled WHERE pos = ?1")?;
        let found: Option<Option<String>> = statement.query_row([pos as i64], |row| row.get(0)).optional()?;
        Ok(found.map(|by| by.and_then(|by| MessageId::new(&by).ok())))
    }

    /// How many of all who were there at a place have got what stands there.
    pub fn all_with(&self, pos: Pos) -> Result<u64, LedgerError> {
        let written = self.written.lock();
        let mut statement =
            written.conn.prepare_cached("SELECT count(*) FROM reach WHERE pos >= ?1 AND since < ?1")?;
        Ok(statement.query_row([pos as i64], |row| row.get::<_, i64>(0))? as u64)
    }

    /// Who of these have got what stands at a place, in their order.
    pub fn with<'a>(
        &self,
        pos: Pos,
        users: impl Iterator<Item = &'a UserId>,
    ) -> Result<Vec<bool>, LedgerError> {
        let written = self.written.lock();
        let mut statement = written.conn.prepare_cached("SELECT pos FROM reach WHERE user = ?1")?;
        users
            .map(|user| {
                let reach: Option<i64> = statement.query_row([user.as_str()], |row| row.get(0)).optional()?;
                Ok(reach.is_some_and(|reach| reach as Pos >= pos))
            })
            .collect()
    }

    /// The hours that begin from a time on and before another, in milliseconds since 1970; those in which nothing
    /// happened are left out.
    pub fn hours(&self, from: i64, before: i64) -> Result<Vec<(i64, Hour)>, LedgerError> {
        let written = self.written.lock();
        let mut statement = written.conn.prepare_cached(
            "SELECT at, messages, recipients, reads, presses, recalls, sign_ins FROM hour
             WHERE at >= ?1 AND at < ?2 ORDER BY at",
        )?;
        let hours = statement.query_map([from, before], |row| {
            let count = |column: usize| row.get::<_, i64>(column).map(|count| count as u64);
            let hour = Hour {
                messages: count(1)?,
                recipients: count(2)?,
                reads: count(3)?,
                presses: count(4)?,
                recalls: count(5)?,
                sign_ins: count(6)?,
            };
            Ok((row.get(0)?, hour))
        })?;
        Ok(hours.collect::<rusqlite::Result<_>>()?)
    }
}

/// Says in a copy of the counts that they are those of the log with this number: else the next start would count anew.
/// Not flushed. Blocks on storage.
pub fn belong_to(copy: &Path, epoch: u64) -> Result<(), LedgerError> {
    let conn = Connection::open(copy)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch as i64])?;
    Ok(conn.close().map_err(|(_, error)| error)?)
}

impl Written {
    /// Counts what stands in the log between what was counted and a place: what came before the start, and what a
    /// write has failed with. What was trimmed meanwhile stays uncounted.
    fn catch_up(&mut self, log: &dyn Log, target: Pos) -> Result<(), LedgerError> {
        while self.through < target {
            let records = log.read(self.through, STEP)?;
            let mut counts = Counts::default();
            let mut through = target;
            for logged in records.iter().filter(|logged| logged.pos <= target) {
                counts.take_in(logged);
            }
            if let Some(last) = records.last().filter(|last| last.pos < target) {
                through = last.pos;
            }
            self.add(&counts, through)?;
        }
        Ok(())
    }

    fn add(&mut self, counts: &Counts, through: Pos) -> Result<(), LedgerError> {
        if through <= self.through && counts.reached.is_empty() {
            return Ok(());
        }
        let transaction = self.conn.transaction()?;
        {
            let mut came = transaction.prepare_cached(CAME)?;
            let mut gone = transaction.prepare_cached("DELETE FROM reach WHERE user = ?1")?;
            for change in &counts.people {
                match change {
                    Change::Came(user, pos) => came.execute(params![user.as_str(), *pos as i64])?,
                    Change::Gone(user) => gone.execute([user.as_str()])?,
                };
            }
            let mut reach =
                transaction.prepare_cached("UPDATE reach SET pos = ?2 WHERE user = ?1 AND pos < ?2")?;
            for (user, pos) in &counts.reached {
                reach.execute(params![user.as_str(), *pos as i64])?;
            }
            let mut reads = transaction.prepare_cached(
                "INSERT INTO reads(pos, count) VALUES(?1, ?2) ON CONFLICT(pos) DO UPDATE SET count = count + ?2",
            )?;
            for (pos, by) in &counts.reads {
                reads.execute([*pos as i64, *by])?;
            }
            let mut recalled = transaction
                .prepare_cached("INSERT OR IGNORE INTO recalled(pos, replaced_by) VALUES(?1, ?2)")?;
            for (pos, by) in &counts.recalled {
                recalled.execute(params![*pos as i64, by.as_ref().map(MessageId::as_str)])?;
            }
            let mut hours = transaction.prepare_cached(
                "INSERT INTO hour(at, messages, recipients, reads, presses, recalls, sign_ins)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT(at) DO UPDATE SET messages = messages + ?2, recipients = recipients + ?3,
                     reads = reads + ?4, presses = presses + ?5, recalls = recalls + ?6, sign_ins = sign_ins + ?7",
            )?;
            for (at, hour) in &counts.hours {
                let Hour { messages, recipients, reads, presses, recalls, sign_ins } = hour;
                let [messages, recipients, reads, presses, recalls, sign_ins] =
                    [messages, recipients, reads, presses, recalls, sign_ins].map(|count| *count as i64);
                hours.execute([*at, messages, recipients, reads, presses, recalls, sign_ins])?;
            }
            transaction
                .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'through'")?
                .execute([through as i64])?;
        }
        transaction.commit()?;
        self.through = through;
        Ok(())
    }
}
