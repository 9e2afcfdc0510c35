//! How many messages are unread: the server's word at one cursor, moved on by every change after it.
//!
//! What always holds: a change at or before `base` is in the server's word already and counts no second
//! time. Where the effect of a change cannot be known here, the counts are in doubt and are asked for again.

use hongyan_wire::api::UnreadCount;
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, Cursor};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub total: u64,
    pub by_channel: BTreeMap<ChannelId, u64>,
    /// The place and version that the server's word covers.
    base_pos: u64,
    base_version: u64,
    /// The newest place and version seen here.
    top: u64,
    high: u64,
    /// How often doubt has arisen; a word asked for before the last doubt settles nothing.
    doubts: u64,
    settled: u64,
}

impl Counts {
    pub fn in_doubt(&self) -> bool {
        self.settled <= self.doubts
    }

    /// The doubts so far, to be given back with the answer.
    pub fn doubts(&self) -> u64 {
        self.doubts
    }

    pub fn doubt(&mut self) {
        self.doubts += 1;
    }

    pub fn doubt_after(&mut self, version: u64) {
        if version > self.base_version {
            self.doubt();
        }
    }

    pub fn doubt_after_place(&mut self, pos: u64) {
        if pos > self.base_pos {
            self.doubt();
        }
    }

    /// A message was taken back at a place.
    pub fn recall(&mut self, message: &Message, pos: u64) {
        if pos > self.base_pos && !message.is_read {
            self.shift(message.channel_id.as_ref(), true, false);
        }
    }

    pub fn saw(&mut self, pos: u64, version: u64) {
        self.top = self.top.max(pos);
        self.high = self.high.max(version);
    }

    /// A message that was not here before.
    pub fn add(&mut self, message: &Message) {
        if message.pos > self.base_pos {
            if !message.is_read {
                self.shift(message.channel_id.as_ref(), false, true);
            }
        } else {
            self.check(message);
        }
    }

    /// A message that the server's word covers: its last change may be newer than the word.
    pub fn check(&mut self, message: &Message) {
        self.saw(message.pos, message.version);
        self.doubt_after(message.version);
    }

    /// A message changed with this version.
    pub fn change(&mut self, message: &Message, was_unread: bool, is_unread: bool, version: u64) {
        if version > self.base_version {
            self.shift(message.channel_id.as_ref(), was_unread, is_unread);
        }
    }

    /// A message expired by our clock; the server's word may have known it already.
    pub fn expire(&mut self, message: &Message) {
        if !message.is_read {
            self.shift(message.channel_id.as_ref(), true, false);
        }
        self.doubt();
    }

    /// The server's word of the moment `at`, for a question asked when there were `doubts`. It is taken
    /// only if nothing newer was applied meanwhile: then what came first cannot be told any more.
    pub fn adopt(&mut self, word: UnreadCount, at: Option<Cursor>, doubts: u64) -> bool {
        let (pos, version) = at.map_or((self.top, self.high), |at| (at.pos, at.version));
        if pos < self.top || version < self.high || doubts != self.doubts {
            return false;
        }
        self.total = word.total;
        self.by_channel = word.by_channel;
        (self.base_pos, self.base_version) = (pos, version);
        self.settled = self.doubts + 1;
        true
    }

    /// The total that came with a first page; the channels are still to be asked for.
    pub fn adopt_total(&mut self, total: u64, at: Option<Cursor>) {
        let word = UnreadCount { total, by_channel: BTreeMap::new() };
        self.adopt(word, at, self.doubts);
        self.doubt();
    }

    fn shift(&mut self, channel: Option<&ChannelId>, was_unread: bool, is_unread: bool) {
        let moved = |count: u64| match (was_unread, is_unread) {
            (false, true) => count.saturating_add(1),
            (true, false) => count.saturating_sub(1),
            _ => count,
        };
        self.total = moved(self.total);
        if let Some(channel) = channel {
            let count = moved(self.by_channel.get(channel).copied().unwrap_or(0));
            if count == 0 {
                self.by_channel.remove(channel);
            } else {
                self.by_channel.insert(channel.clone(), count);
            }
        }
    }
}
