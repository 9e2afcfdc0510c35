//! The files in which a person's messages are kept apart from the server: one SQLite database each, which any program that
//! reads SQLite can open and query.
//!
//! A backup has the inbox's own tables (`message`, `amended`, `status`), the person's devices, a line of what it is in
//! `about`, and the view `inbox`, which joins what the inbox shows. An increment has only what has changed since a place;
//! applied to a full backup of before it gives the inbox of its own place, row for row.

mod about;
mod apply;
pub mod database;
mod export;
mod file;
mod pack;
mod write;

pub use about::{About, Kind};
pub use apply::{apply, apply_while};
pub use export::rows::{COLUMNS, message};
pub use export::{Format, Language, export};
pub use file::{GoOn, always, open, open_while, reopen, reopen_while};
pub use pack::{Compression, Encryption, Identity, Packed, is_sealed, pack, unpack};
pub use write::{Device, Since, Source, copy_table, write};

/// Milliseconds for which an inbox tells of recalls and presses: 90 days.
pub const AMENDED_LIFE: i64 = 90 * 24 * 60 * 60 * 1_000;
/// The format that is written.
pub const FORMAT: i64 = 1;
/// In the header of the file (SQLite, "Application ID"): `HONG`.
pub const APPLICATION_ID: i32 = 0x484f_4e47;

/// Why a backup cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no backup of Hongyan (an export to read is none)")]
    NoBackup,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it has format {0}, newer than this program knows")]
    Newer(i64),
    #[error("it is not full, and a full backup is needed first")]
    NotFull,
    #[error("it is no increment")]
    NotIncremental,
    #[error("it is of another person, {0}")]
    OtherPerson(String),
    #[error("it is of another server")]
    OtherServer,
    #[error("it does not join: it has what came after place {from}, and the backup before it ends at {end}")]
    Gap { from: u64, end: u64 },
    #[error("it ends before the backup that it is to be applied to")]
    Older,
    #[error("what happened so long ago is not known any more; take a full backup")]
    TooOld,
    #[error("it is encrypted for another passphrase or key")]
    WrongKey,
    #[error("it is encrypted: a passphrase or a key is needed")]
    Locked,
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("it was cancelled")]
    Cancelled,
    #[error("the database: {0}")]
    Storage(rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether it is the disk that says it, and not the file.
    pub fn is_of_disk(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Storage(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::Cancelled,
            _ => Self::Storage(error),
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
