//! A small server: one person's inbox with the rules of the real one, and the sockets of their devices.

use hongyan_client::engine::request::{Answer, Failed, Request};
use hongyan_wire::api::{Change, MessageList, ReadBatchAnswer, ReadState, SyncAnswer, UnreadCount};
use hongyan_wire::frame::{ServerFrame, StatusUpdate, Welcome};
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, Cursor, DeviceId, MessageId, SessionId, Timestamp};
use std::collections::{BTreeMap, VecDeque};

const SYNC_LIMIT: usize = 3;
const MISSED_MAX: usize = 5;
/// Status changes of one request that other devices hear of one by one.
const UPDATES_MAX: usize = 4;

pub struct Server {
    pub epoch: u64,
    pub pos: u64,
    pub version: u64,
    /// By place, as the list shows them.
    pub messages: BTreeMap<u64, Message>,
    /// Recalls, by their places.
    pub recalled: BTreeMap<u64, StatusUpdate>,
    /// The last change of each message.
    pub statuses: BTreeMap<MessageId, StatusUpdate>,
    /// What is on its way to each device that has said hello.
    pub sockets: BTreeMap<usize, VecDeque<ServerFrame>>,
    pub signed_in: Vec<bool>,
    made: u64,
}

impl Server {
    pub fn new(devices: usize) -> Self {
        Self {
            epoch: 7,
            pos: 100,
            version: 0,
            messages: BTreeMap::new(),
            recalled: BTreeMap::new(),
            statuses: BTreeMap::new(),
            sockets: BTreeMap::new(),
            signed_in: vec![true; devices],
            made: 0,
        }
    }

    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, pos: self.pos, version: self.version }
    }

    pub fn unread(&self) -> UnreadCount {
        let mut counts = UnreadCount::default();
        for message in self.messages.values().filter(|message| !message.is_read) {
            counts.total += 1;
            if let Some(channel) = &message.channel_id {
                *counts.by_channel.entry(channel.clone()).or_default() += 1;
            }
        }
        counts
    }

    pub fn send(&mut self, channel: Option<ChannelId>, now: Timestamp) {
        // Other people's messages lie between.
        self.pos += 1 + self.made % 3;
        self.made += 1;
        let message = Message {
            id: MessageId::new(&format!("msg-{}", self.made)).unwrap(),
            pos: self.pos,
            channel_id: channel,
            title: String::new(),
            content: String::new(),
            message_type: "text".into(),
            priority: 5,
            sender: String::new(),
            sender_info: Default::default(),
            created_at: now,
            expire_at: None,
            metadata: Default::default(),
            attachments: Vec::new(),
            actions: Vec::new(),
            is_read: false,
            read_at: None,
            version: 0,
            replaces: None,
            thread_key: None,
            pressed: None,
        };
        self.messages.insert(self.pos, message.clone());
        for queue in self.sockets.values_mut() {
            queue.push_back(ServerFrame::Message(message.clone()));
        }
    }

    /// Takes a message away from its reader.
    pub fn recall(&mut self, nth: usize, now: Timestamp) {
        let Some(pos) = self.messages.keys().nth(nth % self.messages.len().max(1)).copied() else { return };
        let Some(message) = self.messages.remove(&pos) else { return };
        self.statuses.remove(&message.id);
        self.pos += 1;
        let update = StatusUpdate::recalled(message.id, self.pos, now, None);
        self.recalled.insert(self.pos, update.clone());
        for queue in self.sockets.values_mut() {
            queue.push_back(ServerFrame::StatusUpdate(update.clone()));
        }
    }

    /// The socket of a device after its hello.
    pub fn hello(&mut self, device: usize, device_id: &DeviceId, given: Option<&str>, now: Timestamp) {
        let cursor = given.and_then(|text| text.parse::<Cursor>().ok());
        let mut frames = VecDeque::new();
        let usable = cursor.filter(|cursor| {
            cursor.epoch == self.epoch && cursor.pos <= self.pos && cursor.version <= self.version
        });
        let missed = usable.map(|cursor| self.changes(cursor, MISSED_MAX));
        let (target, missed) = match missed {
            Some((missed, _, false)) => (self.cursor().to_string(), Some(missed)),
            _ => (given.unwrap_or_default().to_owned(), None),
        };
        frames.push_back(ServerFrame::Welcome(Welcome {
            session_id: SessionId::new("session").unwrap(),
            device_id: device_id.clone(),
            server_time: now,
            cursor: target,
            unread_count: self.unread().total,
            ping_interval: 30,
        }));
        match missed {
            Some(missed) => frames.extend(missed.into_iter().map(|change| match change {
                Change::Message(message) => ServerFrame::Message(message),
                Change::StatusUpdate(update) => ServerFrame::StatusUpdate(update),
            })),
            None => frames.push_back(ServerFrame::Resync),
        }
        self.sockets.insert(device, frames);
    }

    pub fn answer(
        &mut self,
        device: usize,
        id: &DeviceId,
        request: &Request,
        now: Timestamp,
    ) -> Result<Answer, Failed> {
        if *request == Request::Refresh {
            self.signed_in[device] = true;
            return Ok(Answer::Refreshed);
        }
        if !self.signed_in[device] {
            return Err(Failed::Unauthenticated);
        }
        Ok(match request {
            Request::Page { page, size } => {
                let skip = (*page as usize - 1) * *size as usize;
                let messages =
                    self.messages.values().rev().skip(skip).take(*size as usize).cloned().collect();
                let list = MessageList {
                    messages,
                    unread_count: self.unread().total,
                    total: self.messages.len() as u64,
                };
                Answer::Page { list, cursor: Some(self.cursor().to_string()) }
            }
            Request::Sync { cursor } => Answer::Sync(self.sync(cursor, now)),
            Request::Mark { id: message, is_read } => {
                let (pos, state) = self
                    .messages
                    .iter()
                    .find(|(_, known)| known.id == *message)
                    .map(|(pos, known)| (*pos, known.is_read))
                    .ok_or(Failed::Refused)?;
                if state != *is_read {
                    let update = self.mark(pos, *is_read, id, now);
                    self.tell(&[update], Some(device));
                }
                let known = &self.messages[&pos];
                Answer::Marked(ReadState {
                    message_id: message.clone(),
                    is_read: known.is_read,
                    read_at: known.read_at,
                    version: known.version,
                    unread_count: self.unread().total,
                })
            }
            Request::MarkMany(asked) => {
                let wanted = |message: &Message| {
                    asked.message_ids.as_ref().is_none_or(|ids| ids.contains(&message.id))
                        && asked
                            .channel_id
                            .as_ref()
                            .is_none_or(|channel| message.channel_id.as_ref() == Some(channel))
                        && asked.until_pos.is_none_or(|until| message.pos <= until)
                };
                let unread = |message: &&Message| !message.is_read && wanted(message);
                let places: Vec<u64> =
                    self.messages.values().filter(unread).map(|message| message.pos).collect();
                let updates: Vec<_> = places.iter().map(|pos| self.mark(*pos, true, id, now)).collect();
                self.tell(&updates, Some(device));
                Answer::MarkedMany(ReadBatchAnswer {
                    changed: updates.len() as u64,
                    unread_count: self.unread().total,
                })
            }
            Request::UnreadCount => {
                Answer::UnreadCount { counts: self.unread(), cursor: Some(self.cursor().to_string()) }
            }
            Request::Ticket => Answer::Ticket("ticket".into()),
            Request::Refresh => Answer::Refreshed,
        })
    }

    fn sync(&self, cursor: &str, now: Timestamp) -> SyncAnswer {
        let cursor = cursor.parse::<Cursor>().unwrap();
        let reset = cursor.epoch != self.epoch || cursor.pos > self.pos || cursor.version > self.version;
        let (changes, next, has_more) =
            if reset { (Vec::new(), self.cursor(), false) } else { self.changes(cursor, SYNC_LIMIT) };
        SyncAnswer { changes, next_cursor: next.to_string(), has_more, server_time: now, reset }
    }

    /// First messages with the state that they have now and recalls, then states.
    fn changes(&self, after: Cursor, limit: usize) -> (Vec<Change>, Cursor, bool) {
        let messages = self.messages.range(after.pos + 1..);
        let mut placed: BTreeMap<u64, Change> =
            messages.map(|(pos, message)| (*pos, Change::Message(message.clone()))).collect();
        let recalled = self.recalled.range(after.pos + 1..);
        placed.extend(recalled.map(|(pos, update)| (*pos, Change::StatusUpdate(update.clone()))));
        if placed.len() > limit {
            let (places, changes): (Vec<u64>, Vec<Change>) = placed.into_iter().take(limit).unzip();
            let pos = places.last().copied().unwrap_or(after.pos);
            return (changes, Cursor { pos, ..after }, true);
        }
        let mut statuses: Vec<_> =
            self.statuses.values().filter(|update| update.version > after.version).cloned().collect();
        statuses.sort_by_key(|update| update.version);
        let room = limit - placed.len();
        let has_more = statuses.len() > room;
        statuses.truncate(room);
        let version = match statuses.last() {
            Some(last) if has_more => last.version,
            _ if has_more => after.version,
            _ => self.version,
        };
        let changes = placed.into_values();
        let changes = changes.chain(statuses.into_iter().map(Change::StatusUpdate)).collect();
        (changes, Cursor { epoch: self.epoch, pos: self.pos, version }, has_more)
    }

    fn mark(&mut self, pos: u64, is_read: bool, device: &DeviceId, now: Timestamp) -> StatusUpdate {
        let id = self.messages[&pos].id.clone();
        let update = self.update(id, is_read, Some(device.clone()), now);
        let message = self.messages.get_mut(&pos).unwrap();
        (message.is_read, message.version) = (is_read, update.version);
        message.read_at = is_read.then_some(now);
        update
    }

    fn update(
        &mut self,
        id: MessageId,
        is_read: bool,
        device_id: Option<DeviceId>,
        at: Timestamp,
    ) -> StatusUpdate {
        self.version += 1;
        let update = StatusUpdate::own(id.clone(), is_read, device_id, self.version, at);
        self.statuses.insert(id, update.clone());
        update
    }

    fn tell(&mut self, updates: &[StatusUpdate], but: Option<usize>) {
        for (_, queue) in self.sockets.iter_mut().filter(|(device, _)| Some(**device) != but) {
            if updates.len() > UPDATES_MAX {
                queue.push_back(ServerFrame::Resync);
            } else {
                queue.extend(updates.iter().cloned().map(ServerFrame::StatusUpdate));
            }
        }
    }
}
