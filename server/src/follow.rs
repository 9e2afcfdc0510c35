//! The one follower of the log on this node: hands every committed batch, in order, to the directory,
//! to the index of what inboxes lack, to the hub, and to the counts; then says how far it has got.

use crate::directory::{Directory, DirectoryError, Effect};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::inbox::Pending;
use crate::log::local::Tail;
use crate::log::{Consumer, Log, LogError, Logged, Pos};
use crate::report::Ledger;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Records read at once when starting.
const REPLAY_STEP: usize = 1_000;
/// Between tries when the directory cannot be written.
const RETRY: Duration = Duration::from_millis(500);

/// Why a start failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What follows the log.
pub struct Follower {
    pub directory: Arc<Directory>,
    pub pending: Arc<Pending>,
    pub hub: Arc<Hub>,
    pub ledger: Arc<Ledger>,
    pub applied: watch::Sender<Pos>,
    /// Ends the waiting for a directory that cannot be written; the next start goes on.
    pub stop: watch::Receiver<bool>,
    pub faults: Faults,
}

impl Follower {
    /// Applies what stands in the log since the directory and the inboxes were last made durable.
    pub fn replay(&self, log: &dyn Log) -> Result<(), ReplayError> {
        let inboxes = log.acknowledged(Consumer::Inboxes)?;
        let mut after = inboxes.min(self.directory.applied());
        loop {
            let batch = log.read(after, REPLAY_STEP)?;
            let Some(last) = batch.last() else { break };
            after = last.pos;
            self.directory.apply(&batch)?;
            let first_wanted = batch.partition_point(|logged| logged.pos <= inboxes);
            self.pending.note(batch.get(first_wanted..).unwrap_or_default());
        }
        self.applied.send_replace(log.head());
        Ok(())
    }

    /// Follows until the log is closed.
    pub fn spawn(self, mut tail: Tail) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("follower".into()).spawn(move || {
            while let Some(mut batch) = tail.blocking_recv() {
                // Whatever else is waiting goes along: one pass over the hub for all of it.
                while let Ok(more) = tail.try_recv() {
                    batch.extend(more);
                }
                if !self.follow(&batch) {
                    return;
                }
            }
        })
    }

    /// Hands a batch on; false when the server stops before that was possible.
    fn follow(&self, batch: &[Logged]) -> bool {
        let Some(effects) = self.apply(batch) else { return false };
        if self.faults.at("the directory has followed").is_err() {
            return false;
        }
        self.pending.note(batch);
        if self.faults.at("the index has followed").is_err() {
            return false;
        }
        self.hub.follow(batch, effects, crate::clock::now());
        self.ledger.note(batch);
        if let Some(last) = batch.last() {
            self.applied.send_replace(last.pos);
        }
        true
    }

    /// The directory must not miss a record: while its storage cannot be written, everything waits.
    #[allow(clippy::disallowed_methods, reason = "a full disk gives no signal when there is room again")]
    fn apply(&self, batch: &[Logged]) -> Option<Vec<(Pos, Effect)>> {
        loop {
            match self.directory.apply(batch) {
                Ok(effects) => return Some(effects),
                Err(_) if *self.stop.borrow() => return None,
                Err(error) => {
                    tracing::error!(target: "hongyan::error", %error, "the directory cannot follow the log; trying again");
                    std::thread::sleep(RETRY);
                }
            }
        }
    }
}
