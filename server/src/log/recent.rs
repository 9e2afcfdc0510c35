//! The newest records, decoded: inboxes of people who are online are caught up from here and read
//! nothing from the disk. Bounded by number and by size.

use super::{Logged, Pos};
use hashlink::LruCache;
use std::collections::VecDeque;

const RECORDS_MAX: usize = 16_384;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// A window that ends at the head of the log, without gaps.
#[derive(Default)]
pub struct Recent {
    records: VecDeque<(usize, Logged)>,
    bytes: usize,
}

impl Recent {
    /// Adds the next record. `size` is its length in bytes as written.
    pub fn push(&mut self, size: usize, logged: Logged) {
        self.bytes += size;
        self.records.push_back((size, logged));
    }

    /// Gives the oldest record out, if there are more than are kept.
    pub fn forget(&mut self) -> Option<Logged> {
        let full = self.records.len() > RECORDS_MAX || (self.bytes > BYTES_MAX && self.records.len() > 1);
        let (size, logged) = if full { self.records.pop_front()? } else { return None };
        self.bytes -= size;
        Some(logged)
    }

    pub fn get(&self, pos: Pos) -> Option<&Logged> {
        self.records.get(self.index(pos)?).map(|(_, logged)| logged)
    }

    /// Puts what is left of a record in its place, if that is within the window.
    pub fn replace(&mut self, logged: Logged) {
        let there = self.index(logged.pos).and_then(|index| self.records.get_mut(index));
        if let Some((_, kept)) = there {
            *kept = logged;
        }
    }

    fn index(&self, pos: Pos) -> Option<usize> {
        let first = self.records.front()?.1.pos;
        usize::try_from(pos.checked_sub(first)?).ok()
    }
}

/// Records from before the window, the least recently used dropped first.
pub struct Reread {
    records: LruCache<Pos, (usize, Logged)>,
    bytes: usize,
}

impl Default for Reread {
    fn default() -> Self {
        Self { records: LruCache::new_unbounded(), bytes: 0 }
    }
}

impl Reread {
    pub fn get(&mut self, pos: Pos) -> Option<Logged> {
        self.records.get(&pos).map(|(_, logged)| logged.clone())
    }

    /// Keeps a record. `size` is its length in bytes as written.
    pub fn put(&mut self, size: usize, logged: Logged) {
        self.bytes += size;
        if let Some((before, _)) = self.records.insert(logged.pos, (size, logged)) {
            self.bytes -= before;
        }
        while self.records.len() > RECORDS_MAX || (self.bytes > BYTES_MAX && self.records.len() > 1) {
            if let Some((_, (size, _))) = self.records.remove_lru() {
                self.bytes -= size;
            }
        }
    }

    /// Forgets everything: what is on the disk has changed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::{Record, SessionsEnded};
    use hongyan_wire::{Timestamp, UserId};
    use std::sync::Arc;

    fn logged(pos: Pos) -> Logged {
        let ended = SessionsEnded {
            user: UserId::new("u").unwrap(),
            sessions: Vec::new(),
            at: Timestamp::default(),
            remember_until: Timestamp::default(),
            everything: false,
        };
        Logged { pos, record: Arc::new(Record::SessionsEnded(ended)) }
    }

    #[test]
    fn keeps_the_newest_within_its_bounds() {
        let mut recent = Recent::default();
        for pos in 5..=(RECORDS_MAX as u64 + 10) {
            recent.push(1, logged(pos));
            recent.forget();
        }
        assert!(recent.get(10).is_none());
        assert_eq!(recent.get(11).unwrap().pos, 11);
        assert!(recent.get(RECORDS_MAX as u64 + 11).is_none());
        recent.push(BYTES_MAX, logged(RECORDS_MAX as u64 + 11));
        while recent.forget().is_some() {}
        assert_eq!(recent.records.len(), 1);
    }
}
