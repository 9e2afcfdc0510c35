//! The one ordered, durable log. Everything that changes is a record here first; the directory, the
//! inboxes and the hub follow it.
//!
//! What always holds: a position is given once and only grows; `append` answers after the record is
//! on the disk; followers see every record exactly once, in the order of positions.

pub mod copied;
mod decode;
mod journal;
pub mod local;
mod recent;
pub mod record;
mod stored;

pub use journal::Journal;

use hongyan_wire::{MessageId, Timestamp, UserId};
use record::Record;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A place in the log. The first record has 1.
pub type Pos = u64;

/// A record at its place.
#[derive(Debug, Clone)]
pub struct Logged {
    pub pos: Pos,
    pub record: Arc<Record>,
}

/// What is to be appended.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Appended just before, or not at all if the record is not.
    pub before: Option<Box<Record>>,
    pub record: Record,
    pub idempotency: Option<Idempotency>,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { before: None, record, idempotency: None }
    }
}

/// How a repeat of the same request is known.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The caller and the caller's key.
    pub key: String,
    /// SHA-256 of the request: another one under the same key is refused.
    pub fingerprint: [u8; 32],
    /// What to answer, now and to every repeat.
    pub answer: String,
    pub at: Timestamp,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    Written(Pos),
    /// The same request was appended before; this was its answer.
    Repeated(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("the idempotency key was used with another request")]
    KeyReused,
    #[error("too many records are waiting to be written")]
    Busy,
    #[error("the log cannot be written: {0}")]
    Unwritable(String),
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
    #[error("the log is closed")]
    Closed,
}

/// A boxed answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who follows the log and remembers how far it has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    Directory,
    Inboxes,
}

impl Consumer {
    pub const ALL: [Self; 2] = [Self::Directory, Self::Inboxes];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Inboxes => "inboxes",
        }
    }
}

/// The log, embedded or shared between nodes. All but the appends block on storage and belong on a thread
/// that may wait.
pub trait Log: Send + Sync + 'static {
    /// Appends a record; the answer comes when it is on the disk.
    fn append(&self, entry: Entry) -> Later<'_, Result<Appended, LogError>>;
    /// Appends many with one flush, in order; one answer each. Some may be repeats or refused, the others
    /// are on the disk all the same.
    fn append_all(&self, entries: Vec<Entry>) -> Later<'_, Vec<Result<Appended, LogError>>>;
    /// A number that this log was given when it was made.
    fn epoch(&self) -> u64;
    /// The last place that is on the disk; 0 when there is none.
    fn head(&self) -> Pos;
    /// Records after a place, in order, at most `limit`.
    fn read(&self, after: Pos, limit: usize) -> Result<Vec<Logged>, LogError>;
    /// The records at these places, in the order asked for; those that were trimmed are left out.
    fn read_at(&self, places: &[Pos]) -> Result<Vec<Logged>, LogError>;
    /// Takes everything of a deleted user out of the records, so that no trace stays on the disk.
    fn erase(&self, user: &UserId) -> Result<(), LogError>;
    /// The record of a message that is still in the log.
    fn find(&self, id: &MessageId) -> Result<Option<Logged>, LogError>;
    /// The messages before a place, the last first, at most `limit`.
    fn messages_before(&self, before: Pos, limit: usize) -> Result<Vec<Logged>, LogError>;
    /// The first place that is still there; one past the head when nothing is.
    fn first(&self) -> Result<Pos, LogError>;
    /// What was answered under an idempotency key in the 24 hours before `at`: the request's fingerprint
    /// and the answer.
    fn recall(&self, key: &str, at: Timestamp) -> Result<Option<([u8; 32], String)>, LogError>;
    /// How far a consumer has durably got.
    fn acknowledged(&self, consumer: Consumer) -> Result<Pos, LogError>;
    /// A consumer needs nothing up to here any more.
    fn acknowledge(&self, consumer: Consumer, through: Pos) -> Result<(), LogError>;
    /// Drops records that no consumer needs and that are older than `before`, and idempotency keys older
    /// than `keys_before`.
    fn trim(&self, before: Timestamp, keys_before: Timestamp) -> Result<(), LogError>;
}
