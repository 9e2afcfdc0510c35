//! What the server says, through the socket and in answers, and what follows from it.

use super::inbox::Taken;
use super::place::{Order, Place};
use super::request::{Answer, Effect, Failed, SocketId};
use super::{Asked, Engine, RequestId};
use hongyan_wire::Cursor;
use hongyan_wire::api::{Change, MessageList, ReadState, SyncAnswer};
use hongyan_wire::frame::{ClientFrame, ServerFrame, StatusUpdate, Welcome};
use hongyan_wire::message::Message;

/// A message that was missed is announced only if it is this young.
const NEWS_MS: i64 = 60_000;
/// How long counts are believed that cover messages which are not held here.
const COUNTS_LIFE_MS: i64 = 10 * 60_000;
/// Between two questions for the counts while changes keep coming.
const COUNTS_PAUSE_MS: i64 = 250;

impl Engine {
    pub(super) fn frame(&mut self, socket: SocketId, frame: ServerFrame) {
        if !self.heard(socket) {
            return;
        }
        match frame {
            ServerFrame::Welcome(welcome) => self.welcome(welcome),
            ServerFrame::Message(message) => self.message_frame(message),
            ServerFrame::StatusUpdate(update @ StatusUpdate { pos: Some(pos), .. }) => {
                let order = self.place.message(pos);
                self.in_order(order);
                self.changed.inbox |= self.inbox.take_amendment(&update, pos);
            }
            ServerFrame::StatusUpdate(update) => {
                self.changed.inbox |= self.inbox.take_status(&update);
                let order = self.place.status(update.version);
                self.in_order(order);
            }
            ServerFrame::Presence(presence) => {
                self.presence = presence.devices;
                self.changed.presence = true;
            }
            // The server lost its place among our frames: only a sync that begins from now tells all.
            ServerFrame::Resync => self.fall_behind(),
            // The close that follows says what to do.
            ServerFrame::SessionRevoked(_) | ServerFrame::Error(_) => {}
            ServerFrame::BackupJob(job) => self.effects.push(Effect::BackupJob(Box::new(job))),
            ServerFrame::Ping => {
                self.effects.push(Effect::Send(ClientFrame::Pong));
                self.caught_up();
                self.check_counts();
            }
            ServerFrame::Pong => self.caught_up(),
        }
    }

    fn welcome(&mut self, welcome: Welcome) {
        self.clock_offset = welcome.server_time.millis() - self.now.millis();
        self.promised_unread = Some(welcome.unread_count);
        self.live(welcome.ping_interval);
        match welcome.cursor.parse::<Cursor>() {
            // What we did and have not seen the result of comes with the missed changes too, but a sync that
            // begins after it is what tells that it is complete.
            // A welcome for another device means that our hello came too late: nothing follows that was missed.
            Ok(target) => {
                let unheard = welcome.device_id != self.setup.device_id;
                self.place.welcome(target, unheard || self.pending.awaits_sync());
            }
            Err(_) => self.place.fall_behind(),
        }
    }

    fn message_frame(&mut self, message: Message) {
        let now = self.server_time(self.now);
        // Before the message itself moves it on.
        let settled = self.place.settled_pos();
        let order = self.place.message(message.pos);
        self.in_order(order);
        let (id, young) = (message.id.clone(), now.plus_millis(-NEWS_MS) < message.created_at);
        match self.inbox.take(message, settled, now) {
            Taken::New => {
                self.changed.inbox = true;
                if let Some(message) = self.inbox.get(&id)
                    && !message.is_read
                    && (young || !self.place.is_catching_up())
                {
                    self.effects.push(Effect::Notify(message.clone()));
                }
            }
            Taken::Changed => self.changed.inbox = true,
            Taken::Nothing => {}
        }
    }

    /// Whatever was missed has come. If the counts are not what the welcome promised, something changed in
    /// a way that no frame tells, as a message that has expired.
    fn caught_up(&mut self) {
        let was_catching_up = self.place.is_catching_up();
        let order = self.place.caught_up();
        self.in_order(order);
        if was_catching_up
            && self.promised_unread.take().is_some_and(|unread| unread != self.inbox.counts.total)
        {
            self.inbox.counts.doubt();
        }
    }

    /// An unread message that is not held here may have expired, of which nobody tells.
    fn check_counts(&mut self) {
        let checked = *self.counts_checked.get_or_insert(self.now);
        if self.inbox.has_older() && checked.plus_millis(COUNTS_LIFE_MS) < self.now {
            self.counts_checked = Some(self.now);
            self.inbox.counts.doubt();
        }
    }

    /// A gap shows that changes are missing, and perhaps their effect on the counts.
    fn in_order(&mut self, order: Order) {
        if order == Order::Gap {
            self.fall_behind();
        }
    }

    fn fall_behind(&mut self) {
        self.place.fall_behind();
        self.sync_again = true;
        self.inbox.counts.doubt();
    }

    pub(super) fn answer(&mut self, id: RequestId, answer: Result<Answer, Failed>) {
        let Some(asked) = self.asked.remove(&id) else { return };
        if answer.is_ok() {
            self.patience.reset();
        }
        match (asked, answer) {
            (Asked::FirstPage { number }, Ok(Answer::Page { list, cursor })) => {
                self.first_page(number, list, cursor);
            }
            (Asked::Older { page, size }, Ok(Answer::Page { list, .. })) => self.older_page(page, size, list),
            (Asked::Sync { number }, Ok(Answer::Sync(answer))) => self.synced(number, answer),
            (Asked::Mark, Ok(Answer::Marked(state))) => self.marked(state),
            (Asked::Mark, Ok(Answer::MarkedMany(_))) => {
                // How each message stands now is not said: a sync that begins after this tells.
                self.pending.settle_with_sync(self.syncs + 1);
                self.fall_behind();
            }
            (Asked::UnreadCount { doubts }, Ok(Answer::UnreadCount { counts, cursor })) => {
                let at = cursor.and_then(|text| text.parse().ok());
                if self.pending.is_under_way() || !self.inbox.counts.adopt(counts, at, doubts) {
                    // Something came between: ask again, but not as fast as changes come.
                    self.counts_after = Some(self.now.plus_millis(COUNTS_PAUSE_MS));
                }
                self.changed.inbox = true;
            }
            (Asked::Ticket, Ok(Answer::Ticket(ticket))) => self.open(ticket),
            (Asked::Refresh, Ok(Answer::Refreshed)) => self.refreshed(),
            // An answer to another question than was asked is no answer.
            (asked, Ok(_)) => self.failed(asked, Failed::Unreachable { retry_after_ms: None }),
            (asked, Err(failed)) => self.failed(asked, failed),
        }
    }

    fn failed(&mut self, asked: Asked, failed: Failed) {
        match (&asked, failed) {
            (Asked::Refresh, Failed::Unreachable { .. }) => return self.not_refreshed(),
            // Not even the refresh token is good: only the person can go on from here.
            (Asked::Refresh, _) => return self.sign_out(),
            // The server's state is what holds; what was shown in advance is taken back.
            (Asked::Mark, Failed::Refused) => {
                self.pending.settle();
                self.wishes_changed();
                return;
            }
            (Asked::Mark, _) => self.pending.take_back(),
            (Asked::Older { .. }, Failed::Refused) => {
                self.wants_older = false;
                self.changed.inbox = true;
            }
            _ => {}
        }
        match failed {
            Failed::Unauthenticated => self.unauthenticated(),
            // On the way to being connected, a failed step is a failed try.
            _ if self.connection.is_preparing() => {
                if matches!(asked, Asked::FirstPage { .. } | Asked::Ticket) {
                    self.give_up();
                }
            }
            _ if !self.connection.is_live() => {}
            Failed::Unreachable { retry_after_ms } => self.pause(retry_after_ms),
            Failed::Refused => self.pause(None),
        }
    }

    fn first_page(&mut self, number: u64, list: MessageList, cursor: Option<String>) {
        let Some(cursor) = cursor.and_then(|text| text.parse::<Cursor>().ok()) else {
            return self.failed(Asked::FirstPage { number }, Failed::Unreachable { retry_after_ms: None });
        };
        let is_last = list.messages.len() as u64 >= list.total;
        let now = self.server_time(self.now);
        self.inbox.take_first_page(list.messages, cursor.pos, is_last, now);
        self.inbox.counts.adopt_total(list.unread_count, Some(cursor));
        self.pending.synced(number);
        self.wishes_changed();
        let enough = !self.sync_again && !self.pending.awaits_sync();
        let order = self.place.begin(cursor, enough);
        self.in_order(order);
        self.changed.inbox = true;
        self.changed.connection = true;
        self.prepared();
    }

    fn older_page(&mut self, page: u32, size: u32, list: MessageList) {
        let is_last = u64::from(page) * u64::from(size) >= list.total;
        let now = self.server_time(self.now);
        self.changed.inbox = true;
        if self.inbox.take_older_page(page, list.messages, is_last, now) {
            self.wants_older = false;
            self.older_step_back = 0;
        } else {
            // Messages have gone since, so the page began too far back.
            self.older_step_back += 1;
        }
    }

    fn synced(&mut self, number: u64, answer: SyncAnswer) {
        self.clock_offset = answer.server_time.millis() - self.now.millis();
        if answer.reset {
            return self.start_over();
        }
        let Ok(next) = answer.next_cursor.parse::<Cursor>() else {
            return self.failed(Asked::Sync { number }, Failed::Unreachable { retry_after_ms: None });
        };
        let now = self.server_time(self.now);
        let settled = self.place.settled_pos();
        for change in answer.changes {
            self.changed.inbox |= match change {
                Change::Message(message) => self.inbox.take(message, settled, now) != Taken::Nothing,
                Change::StatusUpdate(update @ StatusUpdate { pos: Some(pos), .. }) => {
                    self.inbox.take_amendment(&update, pos)
                }
                Change::StatusUpdate(update) => self.inbox.take_status(&update),
            };
        }
        if !answer.has_more {
            if self.pending.awaits_sync() {
                self.pending.synced(number);
                self.wishes_changed();
            }
            // It may have told of changes to messages that are not here, or skipped some of one that is.
            self.inbox.counts.doubt();
        }
        let enough = !answer.has_more && !self.sync_again && !self.pending.awaits_sync();
        let order = self.place.synced(next, enough);
        self.in_order(order);
    }

    /// The cursor is of no use: everything known is forgotten, and a first page begins anew.
    fn start_over(&mut self) {
        self.inbox.clear();
        self.place = Place::default();
        self.asked.retain(|_, asked| !matches!(asked, Asked::Older { .. } | Asked::UnreadCount { .. }));
        self.wants_older = false;
        self.older_step_back = 0;
        self.changed.inbox = true;
    }

    /// The server's answer to one change of our own. Frames may have told of later ones already.
    fn marked(&mut self, state: ReadState) {
        let at = state.read_at.unwrap_or_else(|| self.server_time(self.now));
        let device = Some(self.setup.device_id.clone());
        let update = StatusUpdate::own(state.message_id, state.is_read, device, state.version, at);
        if self.inbox.get(&update.message_id).is_none() {
            // It is counted, but not held here.
            self.inbox.counts.doubt();
        }
        self.inbox.take_status(&update);
        let order = self.place.own_version(state.version);
        self.in_order(order);
        self.pending.settle();
        self.wishes_changed();
    }
}
