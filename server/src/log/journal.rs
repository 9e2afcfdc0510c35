//! The log together with how far it has been applied: for those who must see their own change.

use super::{Appended, Entry, Log, LogError, Pos};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a request waits for what it wrote to be applied before it is told to come back.
const APPLY_PATIENCE: Duration = Duration::from_secs(10);

/// Appending and waiting. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    log: Arc<dyn Log>,
    applied: watch::Receiver<Pos>,
}

impl Journal {
    pub fn new(log: Arc<dyn Log>, applied: watch::Receiver<Pos>) -> Self {
        Self { log, applied }
    }

    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Appends; the answer comes when the record is on the disk.
    pub async fn append(&self, entry: impl Into<Entry>) -> Result<Appended, LogError> {
        self.log.append(entry.into()).await
    }

    /// Appends many with one flush; one answer each.
    pub async fn append_all(&self, entries: Vec<Entry>) -> Vec<Result<Appended, LogError>> {
        self.log.append_all(entries).await
    }

    /// Appends many with one flush and waits until everyone on this node knows all of them.
    pub async fn append_all_applied(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        let mut last = 0;
        for appended in self.append_all(entries).await {
            if let Appended::Written(pos) = appended? {
                last = pos;
            }
        }
        self.applied(last).await
    }

    /// Appends and waits until everyone on this node knows. Gives the record's place.
    pub async fn append_applied(&self, entry: impl Into<Entry>) -> Result<Pos, LogError> {
        match self.append(entry).await? {
            Appended::Written(pos) => {
                self.applied(pos).await?;
                Ok(pos)
            }
            Appended::Repeated(_) => Ok(self.log.head()),
        }
    }

    /// Up to where everyone on this node has followed.
    pub fn applied_through(&self) -> Pos {
        *self.applied.borrow()
    }

    /// Waits until everything up to a place has been applied.
    pub async fn applied(&self, pos: Pos) -> Result<(), LogError> {
        if *self.applied.borrow() >= pos {
            return Ok(());
        }
        let mut applied = self.applied.clone();
        match tokio::time::timeout(APPLY_PATIENCE, applied.wait_for(|through| *through >= pos)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(LogError::Closed),
            Err(_) => Err(LogError::Busy),
        }
    }

    /// Waits until everything that was on the disk when it was called has been applied; gives that place.
    pub async fn caught_up(&self) -> Result<Pos, LogError> {
        let head = self.log.head();
        self.applied(head).await?;
        Ok(head)
    }
}
