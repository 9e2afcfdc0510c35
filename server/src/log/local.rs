//! The embedded log: one SQLite database, one writer thread, group commit.
//!
//! Whatever has queued up while the last commit was flushed goes into the next one, so that a single
//! flush serves all that wait. A commit that fails leaves nothing of its batch behind, every waiter is
//! told so, and the thread goes on: once there is room again, appends succeed again.

use super::recent::{Recent, Reread};
use super::record::Record;
use super::{Appended, Consumer, Entry, Idempotency, Later, Log, LogError, Logged, Pos};
use hongyan_wire::{MessageId, Timestamp, UserId};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait for the writer; beyond it a sender is told to come back.
const WAITING_MAX: usize = 4_096;
/// Most records in one commit, so that one flush is never long in coming.
const BATCH_MAX: usize = 1_024;
/// Batches that the follower may be behind before the writer waits for it.
const FOLLOWER_BEHIND_MAX: usize = 256;
/// Pages of write-ahead log before it is folded into the database: 16 MiB, so that commits seldom pay for it.
const CHECKPOINT_PAGES: u32 = 4_000;
/// Records dropped in one transaction, so that trimming never holds up a commit for long.
const TRIM_STEP: u64 = 2_000;

const SCHEMA: &str = "
CREATE TABLE record(pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL, message_id TEXT) STRICT;
CREATE INDEX record_message ON record(message_id) WHERE message_id IS NOT NULL;
CREATE TABLE idempotency(
    key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency(at);
CREATE TABLE consumer(name TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";
pub(super) const SCHEMA_VERSION: i64 = 1;

enum Command {
    Append(Waiting),
    AppendAll(Vec<Waiting>),
    Acknowledge(Consumer, Pos, oneshot::Sender<Result<(), LogError>>),
    Trim(Timestamp, Timestamp, oneshot::Sender<Result<u64, LogError>>),
    /// Looks through the records after a place; gives where the next step begins, or `None` at the end.
    Erase(UserId, Pos, oneshot::Sender<Result<Option<Pos>, LogError>>),
}

struct Waiting {
    entry: EncodedEntry,
    reply: oneshot::Sender<Reply>,
}

/// An entry as it is written.
struct EncodedEntry {
    before: Option<Encoded>,
    record: Encoded,
    idempotency: Option<Idempotency>,
}

impl EncodedEntry {
    /// What goes into the log, in order.
    fn records(&self) -> impl Iterator<Item = &Encoded> {
        self.before.iter().chain([&self.record])
    }
}

/// What became of an entry, and what the asker is given back to let go of. Memory that many threads take and one
/// thread frees keeps all of them waiting for the allocator's locks; so each frees about as much as it takes.
struct Reply {
    outcome: Result<Appended, LogError>,
    _written: Option<EncodedEntry>,
    _forgotten: Option<Logged>,
}

impl From<LogError> for Reply {
    fn from(error: LogError) -> Self {
        Self { outcome: Err(error), _written: None, _forgotten: None }
    }
}

/// A record and its text.
struct Encoded {
    body: String,
    record: Arc<Record>,
}

impl Encoded {
    fn new(record: Record) -> Result<Self, LogError> {
        let body = serde_json::to_string(&record).map_err(|e| LogError::Unwritable(e.to_string()))?;
        Ok(Self { body, record: Arc::new(record) })
    }
}

/// What the writer and the readers share.
struct Shared {
    path: PathBuf,
    epoch: u64,
    head: AtomicU64,
    recent: RwLock<Recent>,
    /// Older records that were read again not long ago: one for many people is wanted by each of them.
    reread: Mutex<Reread>,
    /// Idle read connections.
    readers: Mutex<Vec<Connection>>,
}

/// The embedded form of [`Log`].
pub struct Local {
    shared: Arc<Shared>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Every committed batch, in order, for the one follower.
pub type Tail = mpsc::Receiver<Vec<Logged>>;

impl Local {
    /// Opens the log or makes it. Fails if it is of a newer version or cannot be opened.
    pub fn open(path: &Path) -> Result<(Self, Tail), LogError> {
        let mut writer = connect(path).map_err(unwritable)?;
        let epoch = prepare(&mut writer)?;
        let head: i64 = writer
            .query_row("SELECT coalesce(max(pos), 0) FROM record", [], |row| row.get(0))
            .map_err(unreadable)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            epoch,
            head: AtomicU64::new(head as u64),
            recent: RwLock::default(),
            reread: Mutex::default(),
            readers: Mutex::default(),
        });
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let (follower, tail) = mpsc::channel(FOLLOWER_BEHIND_MAX);
        let mut thread = Writer { conn: writer, shared: shared.clone(), follower, forsaken: false };
        let writer = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || thread.run(queue))
            .map_err(|e| LogError::Unwritable(e.to_string()))?;
        let local = Self { shared, commands: Mutex::new(Some(commands)), writer: Mutex::new(Some(writer)) };
        Ok((local, tail))
    }

    /// Finishes what is queued and ends the writer; later appends fail with `Closed`.
    pub fn close(&self) {
        self.commands.lock().take();
        let writer = self.writer.lock().take();
        if let Some(thread) = writer
            && thread.join().is_err()
        {
            tracing::error!("the log's writer ended by a panic");
        }
    }

    fn sender(&self) -> Result<mpsc::Sender<Command>, LogError> {
        self.commands.lock().clone().ok_or(LogError::Closed)
    }

    fn queue(&self, command: Command) -> Result<(), LogError> {
        self.sender()?.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => LogError::Busy,
            mpsc::error::TrySendError::Closed(_) => LogError::Closed,
        })
    }

    fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.sender()?.blocking_send(command(reply)).map_err(|_| LogError::Closed)?;
        answer.blocking_recv().map_err(|_| LogError::Closed)?
    }

    fn reading<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let idle = self.shared.readers.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect(&self.shared.path).map_err(unreadable)?,
        };
        let result = f(&conn).map_err(unreadable);
        self.shared.readers.lock().push(conn);
        result
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.close();
    }
}

impl Log for Local {
    fn append(&self, entry: Entry) -> Later<'_, Result<Appended, LogError>> {
        let queued = waiting(entry).and_then(|(waiting, answer)| {
            self.queue(Command::Append(waiting))?;
            Ok(answer)
        });
        Box::pin(async move { queued?.await.map_err(|_| LogError::Closed)?.outcome })
    }

    fn append_all(&self, entries: Vec<Entry>) -> Later<'_, Vec<Result<Appended, LogError>>> {
        let mut answers = Vec::with_capacity(entries.len());
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            answers.push(waiting(entry).map(|(waiting, answer)| {
                all.push(waiting);
                answer
            }));
        }
        let queued = self.queue(Command::AppendAll(all));
        Box::pin(async move {
            let mut appended = Vec::with_capacity(answers.len());
            for answer in answers {
                appended.push(match (&queued, answer) {
                    (Err(error), _) => Err(error.clone()),
                    (_, Err(error)) => Err(error),
                    (Ok(()), Ok(answer)) => answer.await.map_or(Err(LogError::Closed), |reply| reply.outcome),
                });
            }
            appended
        })
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn head(&self) -> Pos {
        self.shared.head.load(Ordering::Acquire)
    }

    fn read(&self, after: Pos, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.reading(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT pos, body FROM record WHERE pos > ?1 ORDER BY pos LIMIT ?2")?;
            statement.query_map(params![after as i64, limit as i64], decode)?.collect()
        })
    }

    fn read_at(&self, places: &[Pos]) -> Result<Vec<Logged>, LogError> {
        let mut found = Vec::with_capacity(places.len());
        let mut missing = Vec::new();
        {
            let recent = self.shared.recent.read();
            for pos in places {
                match recent.get(*pos) {
                    Some(logged) => found.push(logged.clone()),
                    None => missing.push(*pos),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let mut read: Vec<Logged> = Vec::with_capacity(places.len());
        {
            let mut reread = self.shared.reread.lock();
            missing.retain(|pos| match reread.get(*pos) {
                Some(logged) => {
                    read.push(logged);
                    false
                }
                None => true,
            });
        }
        let from_disk = self.reading(|conn| {
            // One transaction for all: each would take and give back the file's locks.
            let transaction = conn.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached("SELECT pos, body FROM record WHERE pos = ?1")?;
            let mut from_disk = Vec::with_capacity(missing.len());
            for pos in missing {
                let logged = statement
                    .query_row([pos as i64], |row| Ok((row.get_ref(1)?.as_str()?.len(), decode(row)?)));
                from_disk.extend(logged.optional()?);
            }
            Ok(from_disk)
        })?;
        {
            let mut reread = self.shared.reread.lock();
            for (size, logged) in from_disk {
                reread.put(size, logged.clone());
                read.push(logged);
            }
        }
        read.sort_unstable_by_key(|logged| logged.pos);
        // What is missing from the window is older than all that is in it.
        read.append(&mut found);
        Ok(read)
    }

    fn erase(&self, user: &UserId) -> Result<(), LogError> {
        let mut after = 0;
        while let Some(next) = self.ask(|reply| Command::Erase(user.clone(), after, reply))? {
            after = next;
        }
        self.shared.reread.lock().clear();
        Ok(())
    }

    fn find(&self, id: &MessageId) -> Result<Option<Logged>, LogError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT pos, body FROM record WHERE message_id = ?1")?
                .query_row([id.as_str()], decode)
                .optional()
        })
    }

    fn messages_before(&self, before: Pos, limit: usize) -> Result<Vec<Logged>, LogError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.reading(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT pos, body FROM record WHERE pos < ?1 AND message_id IS NOT NULL ORDER BY pos DESC LIMIT ?2",
            )?;
            statement.query_map(params![before, limit as i64], decode)?.collect()
        })
    }

    fn first(&self) -> Result<Pos, LogError> {
        let head = self.head();
        let first = self.reading(|conn| {
            conn.query_row("SELECT min(pos) FROM record", [], |row| row.get::<_, Option<i64>>(0))
        })?;
        Ok(first.map_or(head + 1, |first| first as Pos))
    }

    fn recall(&self, key: &str, at: Timestamp) -> Result<Option<([u8; 32], String)>, LogError> {
        self.reading(|conn| known_answer(conn, key, at))
    }

    fn acknowledged(&self, consumer: Consumer) -> Result<Pos, LogError> {
        self.reading(|conn| {
            conn.query_row("SELECT through FROM consumer WHERE name = ?1", [consumer.as_str()], |row| {
                row.get::<_, i64>(0)
            })
            .optional()
        })
        .map(|through| through.unwrap_or(0) as Pos)
    }

    fn acknowledge(&self, consumer: Consumer, through: Pos) -> Result<(), LogError> {
        self.ask(|reply| Command::Acknowledge(consumer, through, reply))
    }

    fn trim(&self, before: Timestamp, keys_before: Timestamp) -> Result<(), LogError> {
        while self.ask(|reply| Command::Trim(before, keys_before, reply))? >= TRIM_STEP {}
        Ok(())
    }
}

/// An entry as it waits for the writer, and where its answer comes. Encoding is done by the caller: many
/// callers, one writer.
fn waiting(entry: Entry) -> Result<(Waiting, oneshot::Receiver<Reply>), LogError> {
    let before = entry.before.map(|before| Encoded::new(*before)).transpose()?;
    let record = Encoded::new(entry.record)?;
    let (reply, answer) = oneshot::channel();
    let entry = EncodedEntry { before, record, idempotency: entry.idempotency };
    Ok((Waiting { entry, reply }, answer))
}

/// The one thread that writes.
struct Writer {
    conn: Connection,
    shared: Arc<Shared>,
    follower: mpsc::Sender<Vec<Logged>>,
    /// Nobody follows any more: what were written now would reach nobody before the next start.
    forsaken: bool,
}

impl Writer {
    fn run(&mut self, mut queue: mpsc::Receiver<Command>) {
        let mut commands = Vec::with_capacity(BATCH_MAX);
        while queue.blocking_recv_many(&mut commands, BATCH_MAX) > 0 {
            let mut appends = Vec::with_capacity(commands.len());
            for command in commands.drain(..) {
                match command {
                    Command::Append(waiting) => appends.push(waiting),
                    Command::AppendAll(many) => appends.extend(many),
                    Command::Acknowledge(consumer, through, reply) => {
                        let _ = reply.send(self.acknowledge(consumer, through).map_err(unwritable));
                    }
                    Command::Erase(user, after, reply) => {
                        let _ = reply.send(self.erase(&user, after).map_err(unwritable));
                    }
                    Command::Trim(before, keys_before, reply) => {
                        let _ = reply.send(self.trim(before, keys_before).map_err(unwritable));
                    }
                }
            }
            if self.forsaken {
                appends.drain(..).for_each(|waiting| drop(waiting.reply.send(LogError::Closed.into())));
            }
            if !appends.is_empty() {
                self.commit(appends);
            }
        }
        // Folds the write-ahead log in, so that the next start finds little to read.
        if let Err(error) = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the log was closed without a checkpoint");
        }
    }

    fn commit(&mut self, appends: Vec<Waiting>) {
        let head = self.shared.head.load(Ordering::Acquire);
        match self.write(head, &appends) {
            Ok(outcomes) => {
                let mut batch = Vec::with_capacity(appends.len());
                let mut forgotten = Vec::with_capacity(appends.len());
                {
                    let mut recent = self.shared.recent.write();
                    for (waiting, outcome) in appends.iter().zip(&outcomes) {
                        let Ok(Appended::Written(last)) = outcome else { continue };
                        let first = last - u64::from(waiting.entry.before.is_some());
                        for (pos, Encoded { body, record }) in (first..).zip(waiting.entry.records()) {
                            let logged = Logged { pos, record: record.clone() };
                            recent.push(body.len(), logged.clone());
                            batch.push(logged);
                        }
                    }
                    forgotten.extend(std::iter::from_fn(|| recent.forget()));
                }
                if let Some(last) = batch.last() {
                    self.shared.head.store(last.pos, Ordering::Release);
                    if self.follower.blocking_send(batch).is_err()
                        && !std::mem::replace(&mut self.forsaken, true)
                    {
                        tracing::error!(target: "hongyan::error", "nobody follows the log any more: nothing is taken until the server is started again");
                    }
                }
                for (Waiting { entry, reply }, outcome) in appends.into_iter().zip(outcomes) {
                    let _ = reply.send(Reply { outcome, _written: Some(entry), _forgotten: forgotten.pop() });
                }
            }
            Err(error) => {
                tracing::error!(target: "hongyan::error", %error, "a commit of the log failed; nothing of it was kept");
                let error = unwritable(error);
                for waiting in appends {
                    let _ = waiting.reply.send(error.clone().into());
                }
            }
        }
    }

    /// One transaction for the whole batch: all of it is on the disk afterwards, or nothing.
    fn write(&mut self, head: Pos, appends: &[Waiting]) -> rusqlite::Result<Vec<Result<Appended, LogError>>> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(appends.len());
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO record(pos, at, body, message_id) VALUES(?1, ?2, ?3, ?4)")?;
            let mut pos = head;
            let at = now().millis();
            for Waiting { entry, .. } in appends {
                if let Some(repeat) = repeat(&transaction, entry)? {
                    outcomes.push(repeat);
                    continue;
                }
                for Encoded { body, record } in entry.records() {
                    pos += 1;
                    let message_id = record.message_id().map(MessageId::as_str);
                    insert.execute(params![pos as i64, at, body, message_id])?;
                }
                outcomes.push(Ok(Appended::Written(pos)));
            }
        }
        transaction.commit()?;
        Ok(outcomes)
    }

    fn acknowledge(&mut self, consumer: Consumer, through: Pos) -> rusqlite::Result<()> {
        self.conn.execute(
            "INSERT INTO consumer(name, through) VALUES(?1, ?2)
             ON CONFLICT(name) DO UPDATE SET through = max(through, excluded.through)",
            params![consumer.as_str(), through as i64],
        )?;
        Ok(())
    }

    fn erase(&mut self, user: &UserId, after: Pos) -> rusqlite::Result<Option<Pos>> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut last, mut seen) = (after, 0);
        let mut changed = Vec::new();
        {
            let mut statement = transaction
                .prepare_cached("SELECT pos, body FROM record WHERE pos > ?1 ORDER BY pos LIMIT ?2")?;
            let mut rows = statement.query(params![after as i64, TRIM_STEP as i64])?;
            while let Some(row) = rows.next()? {
                seen += 1;
                last = row.get::<_, i64>(0)? as Pos;
                // Few records name the user at all, and only those are taken apart.
                if row.get_ref(1)?.as_str()?.contains(user.as_str())
                    && let Some(without) = decode(row)?.record.without(user)
                {
                    changed.push((last, without));
                }
            }
        }
        for (pos, record) in &changed {
            let body = serde_json::to_string(record)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let id = record.message_id().map(MessageId::as_str);
            transaction
                .prepare_cached("UPDATE record SET body = ?2, message_id = ?3 WHERE pos = ?1")?
                .execute(params![*pos as i64, body, id])?;
        }
        transaction.commit()?;
        let mut recent = self.shared.recent.write();
        for (pos, record) in changed {
            recent.replace(Logged { pos, record: Arc::new(record) });
        }
        drop(recent);
        if seen == TRIM_STEP {
            return Ok(Some(last));
        }
        // The write-ahead log holds what was there before.
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(None)
    }

    fn trim(&mut self, before: Timestamp, keys_before: Timestamp) -> rusqlite::Result<u64> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let needed: i64 = transaction.query_row(
            "SELECT CASE WHEN count(*) = ?1 THEN min(through) ELSE 0 END FROM consumer",
            [Consumer::ALL.len() as i64],
            |row| row.get(0),
        )?;
        // The newest record always stays: it is what the next position is counted from. Only the first ones are
        // looked at: the older stand before the younger.
        let trimmed = transaction.execute(
            "DELETE FROM record WHERE pos IN (
                 SELECT pos FROM (
                     SELECT pos, at FROM record WHERE pos <= ?1 AND pos < (SELECT max(pos) FROM record)
                     ORDER BY pos LIMIT ?3)
                 WHERE at < ?2)",
            params![needed, before.millis(), TRIM_STEP as i64],
        )?;
        let forgotten = transaction.execute(
            "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < ?1 LIMIT ?2)",
            params![keys_before.millis(), TRIM_STEP as i64],
        )?;
        transaction.commit()?;
        Ok(trimmed.max(forgotten) as u64)
    }
}

/// Whether the same request stands in the log already; remembers it if not.
fn repeat(conn: &Connection, entry: &EncodedEntry) -> rusqlite::Result<Option<Result<Appended, LogError>>> {
    let Some(idempotency) = &entry.idempotency else { return Ok(None) };
    if let Some((fingerprint, answer)) = known_answer(conn, &idempotency.key, idempotency.at)? {
        let same = fingerprint == idempotency.fingerprint;
        return Ok(Some(if same { Ok(Appended::Repeated(answer)) } else { Err(LogError::KeyReused) }));
    }
    conn.prepare_cached(
        "INSERT OR REPLACE INTO idempotency(key, fingerprint, answer, at) VALUES(?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        idempotency.key,
        idempotency.fingerprint.as_slice(),
        idempotency.answer,
        idempotency.at.millis()
    ])?;
    Ok(None)
}

fn known_answer(conn: &Connection, key: &str, at: Timestamp) -> rusqlite::Result<Option<([u8; 32], String)>> {
    conn.prepare_cached("SELECT fingerprint, answer FROM idempotency WHERE key = ?1 AND at > ?2")?
        .query_row(params![key, at.plus_millis(-KEY_LIFE).millis()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// For how long a repeat under the same idempotency key is known, in milliseconds: 24 hours.
pub const KEY_LIFE: i64 = 24 * 60 * 60 * 1000;

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // What is taken out of it is overwritten, so that nothing of a deleted user stays.
    conn.pragma_update(None, "secure_delete", "ON")?;
    // An answer means that the record survives a power failure.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(conn)
}

/// Makes or checks the schema and gives the log's epoch.
fn prepare(conn: &mut Connection) -> Result<u64, LogError> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unwritable)?;
    let version: i64 =
        transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(unreadable)?;
    match version {
        0 => {
            let mut random = [0u8; 8];
            getrandom::fill(&mut random).map_err(|e| LogError::Unwritable(e.to_string()))?;
            transaction.execute_batch(SCHEMA).map_err(unwritable)?;
            transaction
                .execute("INSERT INTO meta VALUES('epoch', ?1)", [i64::from_le_bytes(random)])
                .map_err(unwritable)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(unwritable)?;
        }
        SCHEMA_VERSION => {}
        newer => {
            return Err(LogError::Unreadable(format!(
                "log.db has version {newer}, this server knows {SCHEMA_VERSION}"
            )));
        }
    }
    let epoch: i64 = transaction
        .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
        .map_err(unreadable)?;
    transaction.commit().map_err(unwritable)?;
    Ok(epoch as u64)
}

fn decode(row: &rusqlite::Row<'_>) -> rusqlite::Result<Logged> {
    let pos: i64 = row.get(0)?;
    let record = super::decode::decode(row.get_ref(1)?.as_bytes()?).map_err(|reason| {
        let reason = format!("the record at {pos} cannot be decoded: {reason}");
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, reason.into())
    })?;
    Ok(Logged { pos: pos as Pos, record: Arc::new(record) })
}

fn unwritable(error: rusqlite::Error) -> LogError {
    LogError::Unwritable(error.to_string())
}

fn unreadable(error: rusqlite::Error) -> LogError {
    LogError::Unreadable(error.to_string())
}

/// The moment a record is written: only for trimming by age, never part of what is applied.
fn now() -> Timestamp {
    crate::clock::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::SessionsEnded;

    fn record(user: &str) -> Record {
        Record::SessionsEnded(SessionsEnded {
            user: UserId::new(user).unwrap(),
            sessions: Vec::new(),
            at: Timestamp::default(),
            remember_until: Timestamp::default(),
            everything: false,
        })
    }

    fn keyed(user: &str, key: &str, body: u8, at: i64) -> Entry {
        let idempotency = Idempotency {
            key: key.into(),
            fingerprint: [body; 32],
            answer: format!("answer for {user}"),
            at: Timestamp::from_millis(at),
        };
        Entry { before: None, record: record(user), idempotency: Some(idempotency) }
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_opening_again_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let epoch = {
            let (log, mut tail) = Local::open(&path).unwrap();
            let many = (0..100).map(|n| log.append(record(&format!("u{n}")).into()));
            for (n, appended) in futures_util::future::join_all(many).await.into_iter().enumerate() {
                assert_eq!(appended, Ok(Appended::Written(n as Pos + 1)));
            }
            let batches = std::iter::from_fn(|| tail.try_recv().ok());
            let followed: Vec<Pos> = batches.flatten().map(|logged| logged.pos).collect();
            assert_eq!(followed, (1..=100).collect::<Vec<_>>());
            log.epoch()
        };
        let (log, _tail) = Local::open(&path).unwrap();
        assert_eq!((log.head(), log.epoch()), (100, epoch));
        let read = log.read(97, 10).unwrap();
        assert_eq!(read.iter().map(|logged| logged.pos).collect::<Vec<_>>(), [98, 99, 100]);
        assert_eq!(*read[2].record, record("u99"));
        assert_eq!(log.append(record("next").into()).await, Ok(Appended::Written(101)));
        let mixed = log.read_at(&[5, 101]).unwrap();
        assert_eq!(mixed.iter().map(|logged| logged.pos).collect::<Vec<_>>(), [5, 101]);
    }

    #[tokio::test]
    async fn a_repeated_key_gives_the_first_answer_for_a_day_and_another_body_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _tail) = Local::open(&dir.path().join("log.db")).unwrap();
        assert_eq!(log.append(keyed("first", "k", 1, 1_000)).await, Ok(Appended::Written(1)));
        let again = log.append(keyed("second", "k", 1, 2_000)).await;
        assert_eq!(again, Ok(Appended::Repeated("answer for first".into())));
        assert_eq!(log.append(keyed("third", "k", 2, 3_000)).await, Err(LogError::KeyReused));
        assert_eq!(log.append(keyed("late", "k", 2, 1_000 + KEY_LIFE)).await, Ok(Appended::Written(2)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn trimming_keeps_what_a_consumer_needs_and_the_place_to_count_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let (log, _tail) = Local::open(&path).unwrap();
        for n in 0..10 {
            log.append(record(&format!("u{n}")).into()).await.unwrap();
        }
        let ever = Timestamp::from_millis(i64::MAX);
        tokio::task::spawn_blocking(move || {
            log.acknowledge(Consumer::Directory, 10).unwrap();
            let first = || log.read(0, 100).unwrap().first().unwrap().pos;
            log.trim(ever, ever).unwrap();
            assert_eq!(first(), 1, "the inboxes have not said what they need");
            log.acknowledge(Consumer::Inboxes, 4).unwrap();
            log.trim(Timestamp::default(), ever).unwrap();
            assert_eq!(first(), 1, "nothing is that old");
            log.trim(ever, ever).unwrap();
            assert_eq!(first(), 5);
            log.acknowledge(Consumer::Inboxes, 10).unwrap();
            log.trim(ever, ever).unwrap();
            drop(log);
            let (log, _tail) = Local::open(&path).unwrap();
            assert_eq!(log.head(), 10);
        })
        .await
        .unwrap();
    }

    #[test]
    fn a_log_of_a_newer_version_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        drop(Local::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Local::open(&path).err().unwrap();
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}
