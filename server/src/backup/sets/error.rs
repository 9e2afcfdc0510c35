//! What can go wrong with sets.

use crate::directory::DirectoryError;
use crate::inbox::InboxError;
use crate::log::LogError;
use crate::report::LedgerError;
use std::io;
use std::path::PathBuf;

/// Why something cannot be done with sets.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    #[error(
        "there is no such set as {0}; `backup list` shows those that there are, and a path to one has a / in it"
    )]
    NoSet(String),
    #[error("there is no set in {}", .0.display())]
    NoSets(PathBuf),
    #[error("a set is being made")]
    Making,
    #[error("the set {id} is not good")]
    NotWhole { id: String, problems: Vec<String> },
    #[error("{} has data; give --replace to move it aside", .0.display())]
    HasData(PathBuf),
    #[error("{file}: {reason}")]
    Unusable { file: String, reason: String },
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Backup(hongyan_backup::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl From<hongyan_backup::Error> for SetError {
    fn from(error: hongyan_backup::Error) -> Self {
        match error {
            hongyan_backup::Error::Cancelled => Self::Stopping,
            error => Self::Backup(error),
        }
    }
}

impl From<crate::faults::Ended> for SetError {
    fn from(_: crate::faults::Ended) -> Self {
        Self::Stopping
    }
}
