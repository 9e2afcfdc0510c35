//! The sync engine: state and what happens, in; what to do, out. No I/O, no clock, no randomness but a seed.
//!
//! What always holds: whatever is lost, repeated or reordered at the edges of a connection, once it is quiet
//! the engine shows what the server has. `place` knows what may be claimed as known, `inbox` and `counts`
//! what the server said, `pending` what the reader did meanwhile; here they are put together.

mod backoff;
mod connection;
pub mod counts;
mod inbox;
pub mod pending;
mod place;
pub mod request;
mod traffic;

use crate::mirror::{Kept, Write};
use backoff::Backoff;
use connection::Connection;
pub use connection::State;
use hongyan_wire::account::DeviceType;
use hongyan_wire::api::UnreadCount;
use hongyan_wire::frame::PresentDevice;
use hongyan_wire::limits::PAGE_SIZE_MAX;
use hongyan_wire::message::Message;
use hongyan_wire::{Cursor, DeviceId, MessageId, Timestamp};
use inbox::Inbox;
use pending::{Pending, Wish};
use place::Place;
use request::{Changed, Effect, Input, Request};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a request until its answer.
pub type RequestId = u64;

/// What an engine is made with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub device_id: DeviceId,
    pub device_type: DeviceType,
    pub device_name: Option<String>,
    /// Most messages that are held.
    pub window: usize,
    /// Messages of the first page, at most 100.
    pub page: u32,
    /// For the jitter of waits.
    pub seed: u64,
}

/// A message as it is shown: with what the reader did and the server has yet to confirm.
#[derive(Debug, Clone)]
pub struct Shown {
    pub message: Arc<Message>,
    pub is_read: bool,
}

/// Whether it is the same to look at. A message that changes gets another place in memory while someone
/// holds the old one, so its content need not be compared.
impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.message, &other.message) && self.is_read == other.is_read
    }
}

/// Whether older messages can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// All that there are, are here.
    None,
    Some,
    Loading,
    /// There are, but no more are held here.
    Full,
}

/// What a request was for, and what it needs to know when it is answered.
#[derive(Debug)]
enum Asked {
    FirstPage {
        number: u64,
    },
    Older {
        page: u32,
        size: u32,
    },
    Sync {
        number: u64,
    },
    Mark,
    /// The counts, when there were so many doubts about them.
    UnreadCount {
        doubts: u64,
    },
    Ticket,
    Refresh,
}

pub struct Engine {
    setup: Setup,
    connection: Connection,
    /// For connecting.
    backoff: Backoff,
    /// For requests.
    patience: Backoff,
    inbox: Inbox,
    place: Place,
    pending: Pending,
    presence: Vec<PresentDevice>,
    asked: BTreeMap<RequestId, Asked>,
    last_request: RequestId,
    /// Syncs begun so far.
    syncs: u64,
    /// Another sync is wanted after the one under way, which may have begun too early.
    sync_again: bool,
    wants_older: bool,
    /// How many pages nearer an older page is looked for, after one that did not meet what is known.
    older_step_back: u32,
    /// After a failure: nothing is asked until then.
    quiet_until: Option<Timestamp>,
    /// The counts are not asked for until then.
    counts_after: Option<Timestamp>,
    /// When the counts were last in doubt because of their age.
    counts_checked: Option<Timestamp>,
    /// What the welcome says the total will be once what was missed has come.
    promised_unread: Option<u64>,
    refreshed_at: Option<Timestamp>,
    /// The server's clock less ours, in milliseconds.
    clock_offset: i64,
    now: Timestamp,
    changed: Changed,
    effects: Vec<Effect>,
    wake_at: Option<Timestamp>,
    kept_cursor: Option<Cursor>,
}

impl Engine {
    pub fn new(setup: Setup) -> Self {
        Self {
            connection: Connection::default(),
            backoff: Backoff::new(setup.seed),
            patience: Backoff::new(!setup.seed),
            inbox: Inbox::new(setup.window),
            place: Place::default(),
            pending: Pending::default(),
            presence: Vec::new(),
            asked: BTreeMap::new(),
            last_request: 0,
            syncs: 0,
            sync_again: false,
            wants_older: false,
            older_step_back: 0,
            quiet_until: None,
            counts_after: None,
            counts_checked: None,
            promised_unread: None,
            refreshed_at: None,
            clock_offset: 0,
            now: Timestamp::default(),
            changed: Changed::default(),
            effects: Vec::new(),
            wake_at: None,
            kept_cursor: None,
            setup,
        }
    }

    /// Takes in one thing that has happened at `now`, and says what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        self.now = now;
        let state = self.state();
        match input {
            Input::Start(kept) => self.start(kept.map(|kept| *kept)),
            Input::Stop => self.sign_out(),
            Input::Reconnect => self.reconnect(),
            Input::SocketOpened(socket) => self.socket_opened(socket),
            Input::Frame(socket, frame) => self.frame(socket, *frame),
            Input::SocketClosed(socket, code) => self.socket_closed(socket, code),
            Input::Answer(id, answer) => self.answer(id, answer),
            Input::NetworkOnline => self.network(true),
            Input::NetworkOffline => self.network(false),
            Input::Tick => self.wake_at = None,
            Input::Read(ids) => ids.into_iter().for_each(|id| self.mark(id, true)),
            Input::Unread(id) => self.mark(id, false),
            Input::ReadAll(channel) => {
                self.wish(Wish::ReadAll { channel, until_pos: self.inbox.top() });
            }
            Input::LoadOlder => {
                self.wants_older = self.older() == Older::Some;
                self.changed.inbox |= self.wants_older;
            }
            Input::Presence(presence) => self.report_presence(presence),
        }
        self.look_at_the_clock();
        self.pump();
        self.finish(state)
    }

    pub fn state(&self) -> State {
        self.connection.state(self.place.is_behind() || self.place.cursor().is_none())
    }

    /// Newest first.
    pub fn messages(&self) -> Vec<Shown> {
        let overlay = self.pending.overlay();
        let shown =
            |message: &Arc<Message>| Shown { message: message.clone(), is_read: overlay.is_read(message) };
        self.inbox.newest_first().map(shown).collect()
    }

    pub fn unread(&self) -> UnreadCount {
        let counts = &self.inbox.counts;
        let word = UnreadCount { total: counts.total, by_channel: counts.by_channel.clone() };
        self.pending.overlay().unread(word, self.inbox.newest_first().map(|message| &**message))
    }

    pub fn older(&self) -> Older {
        if !self.inbox.has_older() {
            Older::None
        } else if self.inbox.is_full() {
            Older::Full
        } else if self.wants_older {
            Older::Loading
        } else {
            Older::Some
        }
    }

    /// Whether the first page has come, now or in a kept copy.
    pub fn is_loaded(&self) -> bool {
        self.place.cursor().is_some()
    }

    /// The reader's own devices that are online.
    pub fn presence(&self) -> &[PresentDevice] {
        &self.presence
    }

    pub fn cursor(&self) -> Option<Cursor> {
        self.place.cursor()
    }

    /// How many of the reader's wishes the server has yet to confirm.
    pub fn unconfirmed(&self) -> usize {
        self.pending.wishes().count()
    }

    /// The server's clock, as far as it is known here.
    pub fn server_time(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(self.clock_offset)
    }

    fn start(&mut self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.pending = Pending::restore(kept.wishes);
            self.place = Place::at(kept.cursor);
            self.kept_cursor = kept.cursor;
            self.inbox.restore(kept.messages, kept.floor, kept.has_older, kept.counts);
            self.changed.inbox = true;
        }
        self.backoff.reset();
        self.connect();
    }

    fn mark(&mut self, id: MessageId, is_read: bool) {
        let is_so = match self.inbox.get(&id) {
            Some(message) => self.pending.overlay().is_read(message) == is_read,
            // Older than what is held here: the server knows how it stands.
            None => self.pending.last_wish(&id) == Some(is_read),
        };
        // Shown so already: the same wish again would only undo the order of the others.
        if !is_so {
            self.wish(Wish::Mark { id, is_read });
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.pending.push(wish);
        self.wishes_changed();
    }

    fn wishes_changed(&mut self) {
        self.changed.inbox = true;
        self.effects.push(Effect::Keep(vec![Write::Wishes(self.pending.wishes().cloned().collect())]));
    }

    fn ask(&mut self, asked: Asked, request: Request) -> RequestId {
        self.last_request += 1;
        self.asked.insert(self.last_request, asked);
        self.effects.push(Effect::Request(self.last_request, request));
        self.last_request
    }

    fn is_asked(&self, what: fn(&Asked) -> bool) -> bool {
        self.asked.values().any(what)
    }

    /// Asks for whatever is wanted and may be asked for now. Everything that is wanted stands in the state,
    /// so nothing is lost when a request fails: it is asked for again once that makes sense.
    fn pump(&mut self) {
        if !self.connection.may_ask()
            || self.quiet_until.is_some_and(|until| until > self.now)
            || self.is_asked(|asked| matches!(asked, Asked::Refresh))
        {
            return;
        }
        self.quiet_until = None;
        let Some(cursor) = self.place.cursor() else {
            if !self.is_asked(|asked| matches!(asked, Asked::FirstPage { .. })) {
                // It brings everything, so it counts as a sync.
                self.syncs += 1;
                self.sync_again = false;
                self.ask(
                    Asked::FirstPage { number: self.syncs },
                    Request::Page { page: 1, size: self.setup.page },
                );
            }
            return;
        };
        if !self.connection.is_live() {
            return;
        }
        let syncing = self.is_asked(|asked| matches!(asked, Asked::Sync { .. }));
        if self.place.is_behind() && !syncing {
            self.syncs += 1;
            self.sync_again = false;
            self.ask(Asked::Sync { number: self.syncs }, Request::Sync { cursor: cursor.to_string() });
        }
        if self.pending.is_ready()
            && let Some(request) = self.pending.send_next()
        {
            self.ask(Asked::Mark, request);
        }
        // An answer that falls between a change and its news could not be placed, so the counts wait.
        let quiet = !self.place.is_behind()
            && !self.pending.is_under_way()
            && self.counts_after.is_none_or(|after| after <= self.now);
        if self.inbox.counts.in_doubt()
            && quiet
            && !self.is_asked(|asked| matches!(asked, Asked::UnreadCount { .. }))
        {
            let doubts = self.inbox.counts.doubts();
            self.ask(Asked::UnreadCount { doubts }, Request::UnreadCount);
        }
        if self.wants_older && !self.is_asked(|asked| matches!(asked, Asked::Older { .. })) {
            let (page, size) = older_page(self.inbox.len(), self.setup.page);
            let page = page.saturating_sub(self.older_step_back).max(1);
            self.ask(Asked::Older { page, size }, Request::Page { page, size });
        }
    }

    /// Closes the books of one input: writes, news and the next wake-up.
    fn finish(&mut self, before: State) -> Vec<Effect> {
        let mut writes = self.inbox.take_writes();
        let cursor = self.place.cursor();
        if !writes.is_empty() || cursor != self.kept_cursor {
            self.inbox.note(cursor);
            writes.extend(self.inbox.take_writes());
            self.kept_cursor = cursor;
            self.effects.push(Effect::Keep(writes));
        }
        self.changed.connection |= self.state() != before;
        let changed = std::mem::take(&mut self.changed);
        if changed != Changed::default() {
            self.effects.push(Effect::Changed(changed));
        }
        if let Some(at) = self.next_wake()
            && self.wake_at.is_none_or(|wake| at < wake)
        {
            self.wake_at = Some(at);
            self.effects.push(Effect::WakeAt(at));
        }
        std::mem::take(&mut self.effects)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let quiet = self.quiet_until.filter(|until| *until > self.now);
        let expiry = self.inbox.next_expiry().map(|at| at.plus_millis(-self.clock_offset));
        let counts = self.counts_after.filter(|after| *after > self.now);
        [self.connection.next_wake(), quiet, counts, expiry].into_iter().flatten().min()
    }
}

/// The page of the list that reaches furthest beyond the `known` newest messages and still holds the last of
/// them: so it is seen when messages between have gone or come.
fn older_page(known: usize, page: u32) -> (u32, u32) {
    let known = u32::try_from(known).unwrap_or(u32::MAX).max(1);
    let smallest = page.clamp(2, PAGE_SIZE_MAX / 2);
    let reach = |size: u32| (known - 1) / size * size + size - known;
    let size = (smallest..=2 * smallest).max_by_key(|size| reach(*size)).unwrap_or(smallest);
    ((known - 1) / size + 1, size)
}

#[cfg(test)]
mod tests {
    use super::older_page;

    #[test]
    fn an_older_page_holds_the_last_known_message_and_news() {
        for known in 1..1_000usize {
            let (page, size) = older_page(known, 50);
            let (from, to) = ((page as usize - 1) * size as usize, page as usize * size as usize);
            assert!(from < known && known <= to, "{known}: {from}..{to}");
            assert!(to - known >= 20 && size <= 100, "{known}: {from}..{to}");
        }
    }
}
