//! The client's place in the stream of changes: which cursor may be claimed, and when something is missing.
//!
//! What always holds: every change at or before the cursor has been applied. So the cursor stands still
//! (`behind`) from the moment something may be missing until `sync` has brought it, whatever else arrives.

use hongyan_wire::Cursor;
use std::collections::BTreeSet;

/// Versions remembered while the cursor stands still. Forgetting one costs a `sync`, nothing else.
const AHEAD_MAX: usize = 512;

/// Whether a change shows that another one is missing.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Fits,
    Gap,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `None` until the first page has come.
    cursor: Option<Cursor>,
    /// Where the welcome says we stand once what was missed has arrived.
    target: Option<Cursor>,
    /// Something may be missing: only `sync` moves the cursor on.
    behind: bool,
    /// Versions that were applied out of turn.
    ahead: BTreeSet<u64>,
    /// The last message heard while the cursor stood still.
    ahead_pos: u64,
}

impl Place {
    pub fn at(cursor: Option<Cursor>) -> Self {
        Self { cursor, ..Self::default() }
    }

    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether what was missed is still coming.
    pub fn is_catching_up(&self) -> bool {
        self.target.is_some()
    }

    /// The first page has come, as of `cursor`; `done` when nothing else is wanted.
    pub fn begin(&mut self, cursor: Cursor, done: bool) -> Order {
        (self.cursor, self.target, self.behind) = (Some(cursor), None, true);
        if done { self.go_on() } else { Order::Fits }
    }

    /// Messages up to here that are not known are gone, not new.
    pub fn settled_pos(&self) -> u64 {
        self.cursor.map_or(0, |cursor| cursor.pos)
    }

    /// Something may be missing.
    pub fn fall_behind(&mut self) {
        self.behind = true;
    }

    /// A socket begins at `target`. What was missed since the cursor comes first, so an older doubt is void,
    /// unless `keep_behind` says that a `sync` is wanted for another reason.
    pub fn welcome(&mut self, target: Cursor, keep_behind: bool) {
        self.behind = keep_behind;
        // A cursor of another log says nothing about this one; `sync` will answer with a reset.
        if self.cursor.is_some_and(|cursor| cursor.epoch != target.epoch) {
            self.behind = true;
        } else {
            self.target = Some(target);
        }
    }

    /// The socket has ended; the next hello fetches everything after the cursor.
    pub fn disconnected(&mut self) {
        self.target = None;
        self.ahead_pos = 0;
    }

    /// A message came through the socket. Positions have holes (other people's messages), so only the
    /// order of the socket itself says that nothing lies between.
    pub fn message(&mut self, pos: u64) -> Order {
        let order = match self.target {
            Some(target) if pos > target.pos => self.caught_up(),
            _ => Order::Fits,
        };
        match &mut self.cursor {
            Some(cursor) if !self.behind => cursor.pos = cursor.pos.max(pos),
            _ => self.ahead_pos = self.ahead_pos.max(pos),
        }
        order
    }

    /// A change of status came through the socket.
    pub fn status(&mut self, version: u64) -> Order {
        if let (Some(target), false, Some(cursor)) = (self.target, self.behind, &mut self.cursor)
            && version <= target.version
        {
            // Among what was missed, only the last change of each message is told: holes are no gaps.
            cursor.version = cursor.version.max(version);
            return Order::Fits;
        }
        let before = if self.target.is_some() { self.caught_up() } else { Order::Fits };
        if before == Order::Gap { Order::Gap } else { self.next_version(version) }
    }

    /// The answer to a request of our own told its version. It may overtake frames with lower ones.
    pub fn own_version(&mut self, version: u64) -> Order {
        if self.target.is_some() && self.cursor.is_some_and(|cursor| version > cursor.version) {
            // What was missed is still on its way; `caught_up` looks again.
            self.remember(version);
            return Order::Fits;
        }
        self.next_version(version)
    }

    /// Something came that the server can only have said after all that was missed.
    pub fn caught_up(&mut self) -> Order {
        let Some(target) = self.target.take() else { return Order::Fits };
        if let (false, Some(cursor)) = (self.behind, &mut self.cursor) {
            cursor.pos = cursor.pos.max(target.pos);
            cursor.version = cursor.version.max(target.version);
            return self.absorb();
        }
        Order::Fits
    }

    /// `sync` has brought everything up to `next`; `done` when nothing else is wanted.
    pub fn synced(&mut self, next: Cursor, done: bool) -> Order {
        let cursor = self.cursor.get_or_insert(next);
        cursor.pos = cursor.pos.max(next.pos);
        cursor.version = cursor.version.max(next.version);
        if done { self.go_on() } else { Order::Fits }
    }

    /// Nothing is missing up to the cursor, and the socket has lost nothing since: what it brought meanwhile
    /// follows on.
    fn go_on(&mut self) -> Order {
        (self.behind, self.target) = (false, None);
        if let Some(cursor) = &mut self.cursor {
            cursor.pos = cursor.pos.max(std::mem::take(&mut self.ahead_pos));
        }
        self.absorb()
    }

    fn next_version(&mut self, version: u64) -> Order {
        match self.cursor {
            Some(cursor) if !self.behind && version > cursor.version => {
                self.remember(version);
                self.absorb()
            }
            Some(cursor) if version <= cursor.version => Order::Fits,
            _ => {
                self.remember(version);
                Order::Fits
            }
        }
    }

    fn remember(&mut self, version: u64) {
        self.ahead.insert(version);
        if self.ahead.len() > AHEAD_MAX {
            self.ahead.pop_first();
        }
    }

    /// Moves on over what was applied out of turn. What is left beyond a hole proves the hole.
    fn absorb(&mut self) -> Order {
        let Some(cursor) = &mut self.cursor else { return Order::Fits };
        while let Some(&first) = self.ahead.first() {
            if first > cursor.version + 1 {
                self.behind = true;
                return Order::Gap;
            }
            cursor.version = cursor.version.max(first);
            self.ahead.pop_first();
        }
        Order::Fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pos: u64, version: u64) -> Cursor {
        Cursor { epoch: 1, pos, version }
    }

    #[test]
    fn a_hole_between_versions_stops_the_cursor_until_sync() {
        let mut place = Place::at(Some(at(10, 5)));
        assert_eq!(place.status(6), Order::Fits);
        assert_eq!(place.status(8), Order::Gap);
        assert_eq!(place.message(12), Order::Fits);
        assert_eq!(place.cursor(), Some(at(10, 6)), "what was missed is asked for from before the hole");
        assert_eq!(place.synced(at(11, 7), true), Order::Fits);
        assert_eq!(place.cursor(), Some(at(12, 8)), "what came meanwhile follows on");
    }

    #[test]
    fn holes_among_what_was_missed_are_no_gaps() {
        let mut place = Place::at(Some(at(10, 5)));
        place.welcome(at(20, 9), false);
        assert_eq!(place.status(7), Order::Fits);
        assert_eq!(place.cursor(), Some(at(10, 7)));
        assert_eq!(place.own_version(10), Order::Fits);
        assert_eq!(place.caught_up(), Order::Fits);
        assert_eq!(place.cursor(), Some(at(20, 10)));
    }

    #[test]
    fn an_own_answer_that_overtakes_frames_asks_once_for_what_lies_between() {
        let mut place = Place::at(Some(at(0, 0)));
        assert_eq!(place.own_version(2), Order::Gap);
        assert_eq!(place.status(1), Order::Fits);
        assert!(place.is_behind());
        assert_eq!(place.synced(at(0, 2), true), Order::Fits);
        assert_eq!(place.status(2), Order::Fits);
        assert_eq!(place.cursor(), Some(at(0, 2)));
    }

    #[test]
    fn repeating_a_frame_changes_nothing() {
        let mut place = Place::at(Some(at(3, 3)));
        let before = place.clone();
        assert_eq!(place.status(2), Order::Fits);
        assert_eq!(place.message(1), Order::Fits);
        assert_eq!(place, before);
    }
}
