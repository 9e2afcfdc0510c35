//! Turns by key: who works on the same thing waits for the one before, and keeps no thread meanwhile.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A fixed number of locks. Two keys may share one: then one of them waits without need, seldom and shortly.
pub struct Lanes {
    lanes: Box<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

/// A turn, until it is dropped.
pub type Turn = OwnedMutexGuard<()>;

impl Lanes {
    /// `count`: how many turns there can be at one time.
    pub fn new(count: usize) -> Self {
        let lanes = std::iter::repeat_with(Arc::default).take(count.max(1)).collect();
        Self { lanes, hasher: RandomState::new() }
    }

    /// Waits for the turn of a key.
    pub async fn turn(&self, key: impl Hash) -> Turn {
        let lane = self.hasher.hash_one(key) as usize % self.lanes.len();
        self.lanes[lane].clone().lock_owned().await
    }
}
