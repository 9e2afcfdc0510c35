//! What the server has said about the inbox: the newest messages with their state, and the counts.
//!
//! What always holds: every message of the inbox between `floor` and the cursor is here; each message has
//! the state of the highest version seen for it; applying a thing twice is applying it once; nothing grows
//! beyond its bound.

use super::counts::Counts;
use crate::mirror::Write;
use hongyan_wire::frame::{Status, StatusUpdate};
use hongyan_wire::message::{Message, Pressed};
use hongyan_wire::{Cursor, MessageId, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// States kept for messages that are not here.
const ASIDE_MAX: usize = 1_000;

/// What became of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is here now and was not before.
    New,
    /// It was here, and this changed it.
    Changed,
    Nothing,
}

#[derive(Debug)]
pub struct Inbox {
    capacity: usize,
    messages: BTreeMap<u64, Arc<Message>>,
    places: HashMap<MessageId, u64>,
    /// Changes that came before their message, or of messages older than `floor`.
    aside: HashMap<MessageId, StatusUpdate>,
    floor: u64,
    has_older: bool,
    pub counts: Counts,
    next_expiry: Option<Timestamp>,
    /// What a kept copy has to write down.
    writes: Vec<Write>,
}

impl Inbox {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            messages: BTreeMap::new(),
            places: HashMap::new(),
            aside: HashMap::new(),
            floor: 0,
            has_older: false,
            counts: Counts::default(),
            next_expiry: None,
            writes: Vec::new(),
        }
    }

    /// Takes over a kept copy.
    pub fn restore(&mut self, messages: Vec<Message>, floor: u64, has_older: bool, counts: Counts) {
        for message in messages {
            self.next_expiry = earliest(self.next_expiry, message.expire_at);
            self.places.insert(message.id.clone(), message.pos);
            self.messages.insert(message.pos, Arc::new(message));
        }
        self.floor = floor;
        self.has_older = has_older;
        self.counts = counts;
        self.evict();
        self.writes.clear();
    }

    pub fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    /// Newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.values().rev()
    }

    pub fn get(&self, id: &MessageId) -> Option<&Arc<Message>> {
        self.messages.get(self.places.get(id)?)
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the server has messages older than those here.
    pub fn has_older(&self) -> bool {
        self.has_older
    }

    pub fn is_full(&self) -> bool {
        self.messages.len() >= self.capacity
    }

    /// The place of the newest message here.
    pub fn top(&self) -> u64 {
        self.messages.last_key_value().map_or(0, |(pos, _)| *pos)
    }

    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.next_expiry
    }

    /// A message from a frame or from `sync`. What lies at or before `settled` and is not here is gone.
    pub fn take(&mut self, message: Message, settled: u64, now: Timestamp) -> Taken {
        self.counts.saw(message.pos, message.version);
        if self.places.contains_key(&message.id) {
            return self.merge(message);
        }
        if message.pos < self.floor || message.pos <= settled {
            return Taken::Nothing;
        }
        if message.expire_at.is_some_and(|at| at <= now) {
            // Our clock and the server's may differ about whether it was counted.
            self.counts.doubt();
            return Taken::Nothing;
        }
        let Some(message) = self.with_aside(message) else { return Taken::Nothing };
        self.counts.add(&message);
        self.insert(message);
        self.evict();
        Taken::New
    }

    /// The first page, as of `at`. What frames brought before it and it does not hold is older than it, or gone.
    pub fn take_first_page(&mut self, page: Vec<Message>, at: u64, is_last: bool, now: Timestamp) {
        let held: Vec<u64> = page.iter().map(|message| message.pos).collect();
        let left_out = self.messages.range(..=at).map(|(pos, _)| *pos).filter(|pos| !held.contains(pos));
        for pos in left_out.collect::<Vec<_>>() {
            self.remove(pos);
        }
        self.floor = if is_last { 0 } else { held.into_iter().min().unwrap_or(0) };
        self.has_older = !is_last;
        self.take_listed(page, now);
    }

    /// Page `number` of the list. False when it begins too far back to meet what is known: then messages
    /// between would be missing, and nothing is taken.
    pub fn take_older_page(
        &mut self,
        number: u32,
        mut page: Vec<Message>,
        is_last: bool,
        now: Timestamp,
    ) -> bool {
        let meets = page.iter().any(|message| self.places.contains_key(&message.id));
        if !meets && number > 1 {
            return false;
        }
        // What is newer than the newest here comes through the socket, which also announces it.
        page.retain(|message| message.pos < self.floor || self.places.contains_key(&message.id));
        let lowest = page.iter().map(|message| message.pos).min().unwrap_or(self.floor);
        self.floor = if is_last { 0 } else { lowest.min(self.floor) };
        self.has_older = !is_last;
        self.take_listed(page, now);
        true
    }

    fn take_listed(&mut self, page: Vec<Message>, now: Timestamp) {
        for message in page {
            if self.places.contains_key(&message.id) {
                self.merge(message);
            } else if message.expire_at.is_none_or(|at| at > now) {
                // Counted already, unless its last change is newer than the count.
                self.counts.check(&message);
                if let Some(message) = self.with_aside(message) {
                    self.insert(message);
                }
            }
        }
        self.evict();
    }

    /// A change of one message's state. The higher version wins; an equal one is the same.
    pub fn take_status(&mut self, update: &StatusUpdate) -> bool {
        self.counts.saw(0, update.version);
        let Some(pos) = self.places.get(&update.message_id).copied() else {
            self.put_aside(update);
            return false;
        };
        let Some(message) = self.messages.get_mut(&pos) else { return false };
        if update.version <= message.version {
            return false;
        }
        let was_unread = !message.is_read;
        let is_read = match update.status {
            Status::Read => true,
            Status::Unread => false,
            // It has a place, and comes by that.
            Status::Pressed => return false,
            Status::Expired | Status::Recalled | Status::Deleted => {
                let message = message.clone();
                self.counts.change(&message, was_unread, false, update.version);
                // Remembered, so that a frame that comes late does not bring it back.
                self.remove(pos);
                self.put_aside(update);
                return true;
            }
        };
        let changed = Arc::make_mut(message);
        changed.is_read = is_read;
        changed.read_at = is_read.then_some(update.at);
        changed.version = update.version;
        let changed = message.clone();
        self.counts.change(&changed, was_unread, !is_read, update.version);
        self.writes.push(Write::Put(changed));
        true
    }

    /// What happened to a message at a place in the log: it was pressed, or taken back by its sender.
    pub fn take_amendment(&mut self, update: &StatusUpdate, pos: u64) -> bool {
        match &update.pressed {
            Some(pressed) => {
                self.counts.saw(pos, 0);
                self.take_press(&update.message_id, pressed)
            }
            None => self.take_recall(&update.message_id, pos),
        }
    }

    /// What was pressed first counts. Whoever does not hold the message yet gets it with it.
    fn take_press(&mut self, id: &MessageId, pressed: &Pressed) -> bool {
        let Some(message) = self.places.get(id).and_then(|pos| self.messages.get_mut(pos)) else {
            return false;
        };
        if message.pressed.is_some() {
            return false;
        }
        Arc::make_mut(message).pressed = Some(pressed.clone());
        self.writes.push(Write::Put(message.clone()));
        true
    }

    fn take_recall(&mut self, id: &MessageId, pos: u64) -> bool {
        self.counts.saw(pos, 0);
        match self.places.get(id).copied() {
            Some(place) => {
                if let Some(message) = self.messages.get(&place).cloned() {
                    self.counts.recall(&message, pos);
                }
                self.remove(place);
                true
            }
            None => {
                // It may have been an unread one that is not held here.
                self.counts.doubt_after_place(pos);
                false
            }
        }
    }

    /// Lets go of what has expired.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        if self.next_expiry.is_none_or(|at| at > now) {
            return false;
        }
        let over = |message: &Message| message.expire_at.is_some_and(|at| at <= now);
        let gone: Vec<u64> =
            self.messages.iter().filter(|(_, message)| over(message)).map(|(pos, _)| *pos).collect();
        for pos in &gone {
            if let Some(message) = self.messages.get(pos).cloned() {
                self.counts.expire(&message);
            }
            self.remove(*pos);
        }
        self.next_expiry = self.messages.values().filter_map(|message| message.expire_at).min();
        !gone.is_empty()
    }

    /// Forgets everything: what is known belongs to another log, or to nobody any more.
    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
        self.writes.push(Write::Clear);
    }

    /// Notes the place for the kept copy, in the same write as what it covers.
    pub fn note(&mut self, cursor: Option<Cursor>) {
        self.writes.push(Write::Place {
            cursor,
            floor: self.floor,
            has_older: self.has_older,
            counts: self.counts.clone(),
        });
    }

    fn merge(&mut self, message: Message) -> Taken {
        let at = message.read_at.unwrap_or(message.created_at);
        let update = StatusUpdate::own(message.id.clone(), message.is_read, None, message.version, at);
        let is_pressed = message.pressed.is_some_and(|pressed| self.take_press(&message.id, &pressed));
        if self.take_status(&update) || is_pressed { Taken::Changed } else { Taken::Nothing }
    }

    /// The message with the change that came before it; `None` when that took it away.
    fn with_aside(&mut self, mut message: Message) -> Option<Message> {
        let Some(update) = self.aside.get(&message.id) else { return Some(message) };
        let gone = matches!(update.status, Status::Expired | Status::Recalled | Status::Deleted);
        if gone {
            return None;
        }
        if update.version > message.version {
            message.is_read = update.status == Status::Read;
            message.read_at = message.is_read.then_some(update.at);
            message.version = update.version;
        }
        self.aside.remove(&message.id);
        Some(message)
    }

    fn put_aside(&mut self, update: &StatusUpdate) {
        if self.aside.get(&update.message_id).is_some_and(|kept| kept.version >= update.version) {
            return;
        }
        // Whether this changed the count cannot be known without the message.
        self.counts.doubt_after(update.version);
        self.aside.insert(update.message_id.clone(), update.clone());
        if self.aside.len() > ASIDE_MAX {
            let oldest =
                self.aside.values().min_by_key(|kept| kept.version).map(|kept| kept.message_id.clone());
            if let Some(oldest) = oldest {
                self.aside.remove(&oldest);
            }
        }
    }

    fn insert(&mut self, message: Message) {
        let message = Arc::new(message);
        self.next_expiry = earliest(self.next_expiry, message.expire_at);
        self.places.insert(message.id.clone(), message.pos);
        self.messages.insert(message.pos, message.clone());
        self.writes.push(Write::Put(message));
    }

    fn remove(&mut self, pos: u64) {
        if let Some(message) = self.messages.remove(&pos) {
            self.places.remove(&message.id);
            self.writes.push(Write::Remove(message.id.clone()));
        }
    }

    /// Keeps the newest.
    fn evict(&mut self) {
        while self.messages.len() > self.capacity {
            let Some((&lowest, _)) = self.messages.first_key_value() else { return };
            self.remove(lowest);
            self.has_older = true;
            self.floor = self.messages.first_key_value().map_or(self.floor, |(pos, _)| *pos);
        }
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
