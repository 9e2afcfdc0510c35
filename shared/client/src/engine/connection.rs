//! Being connected: ticket, socket, hello, live; and what is done about each way to lose it.

use super::request::{Effect, Request, SocketId};
use super::{Asked, Engine};
use crate::mirror::Write;
use hongyan_wire::Timestamp;
use hongyan_wire::frame::{ClientFrame, Hello, PresenceReport, PresenceState, close};

/// How long a step on the way to being connected may take.
const STEP_MS: i64 = 20_000;
/// A connection that has lasted so long was a good one: the next loss is a new story.
const GOOD_MS: i64 = 5_000;
/// Waits as long as this one mean that the server is not just restarting.
const RESTART_TRIES: u32 = 6;
/// New tokens that are refused within this time will not get better by asking for newer ones.
const REFRESH_PAUSE_MS: i64 = 10_000;
/// A session that is said to be over this long after a refresh was ended in between.
const SIGNED_OUT_PAUSE_MS: i64 = 2_000;

/// What the person is told about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    SignedOut,
    Connecting,
    /// Connected, and fetching what may be missing.
    Syncing,
    Online,
    /// Not connected; tried again then, or as soon as the network is back.
    Offline {
        retry_at: Timestamp,
    },
    /// The server said that it restarts.
    Restarting {
        retry_at: Timestamp,
    },
    /// The same device has connected elsewhere; only the person can change that.
    Replaced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    SignedOut,
    /// New tokens are asked for.
    Refreshing,
    /// The first page, then a ticket, is asked for.
    Preparing,
    Opening,
    Greeting,
    Live {
        since: Timestamp,
    },
    Resting {
        until: Timestamp,
    },
    Replaced,
}

#[derive(Debug, Default)]
pub(super) struct Connection {
    phase: Phase,
    restarting: bool,
    socket: SocketId,
    /// When the present step has taken too long.
    deadline: Option<Timestamp>,
    ping_interval_ms: i64,
    /// When the server has been silent for too long.
    silent_at: Timestamp,
    presence: Option<PresenceState>,
}

impl Connection {
    pub fn state(&self, syncing: bool) -> State {
        match self.phase {
            Phase::SignedOut => State::SignedOut,
            Phase::Replaced => State::Replaced,
            Phase::Live { .. } if syncing => State::Syncing,
            Phase::Live { .. } => State::Online,
            Phase::Resting { until } if self.restarting => State::Restarting { retry_at: until },
            Phase::Resting { until } => State::Offline { retry_at: until },
            _ => State::Connecting,
        }
    }

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Whether requests make sense.
    pub fn may_ask(&self) -> bool {
        matches!(self.phase, Phase::Live { .. } | Phase::Preparing)
    }

    pub fn next_wake(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Resting { until } => Some(until),
            Phase::Live { .. } => Some(self.silent_at),
            _ => self.deadline,
        }
    }

    pub fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    fn is_current(&self, socket: SocketId) -> bool {
        socket == self.socket && matches!(self.phase, Phase::Opening | Phase::Greeting | Phase::Live { .. })
    }
}

impl Engine {
    /// The first step: a first page if nothing is known, since its cursor is what the hello needs; else a ticket.
    pub(super) fn connect(&mut self) {
        self.connection.phase = Phase::Preparing;
        self.connection.deadline = Some(self.now.plus_millis(STEP_MS));
        self.quiet_until = None;
        if self.place.cursor().is_some() {
            self.ask(Asked::Ticket, Request::Ticket);
        }
    }

    /// The first page has come while there is no socket yet.
    pub(super) fn prepared(&mut self) {
        if self.connection.phase == Phase::Preparing {
            self.connect();
        }
    }

    pub(super) fn open(&mut self, ticket: String) {
        if self.connection.phase != Phase::Preparing {
            return;
        }
        self.connection.phase = Phase::Opening;
        self.connection.deadline = Some(self.now.plus_millis(STEP_MS));
        self.connection.socket += 1;
        self.effects.push(Effect::OpenSocket(self.connection.socket, ticket));
    }

    pub(super) fn socket_opened(&mut self, socket: SocketId) {
        if !self.connection.is_current(socket) {
            return;
        }
        self.connection.phase = Phase::Greeting;
        self.connection.deadline = Some(self.now.plus_millis(STEP_MS));
        self.effects.push(Effect::Send(ClientFrame::Hello(Hello {
            device_id: self.setup.device_id.clone(),
            device_type: self.setup.device_type,
            device_name: self.setup.device_name.clone(),
            capabilities: Vec::new(),
            cursor: self.place.cursor().map(|cursor| cursor.to_string()),
            pos: None,
            version: None,
        })));
    }

    /// A frame has come; false when it is from a socket that is not ours any more.
    pub(super) fn heard(&mut self, socket: SocketId) -> bool {
        let current = self.connection.is_current(socket);
        if current {
            // The server pings each interval, so two intervals of silence mean that nobody is there.
            self.connection.silent_at = self.now.plus_millis(2 * self.connection.ping_interval_ms.max(1_000));
        }
        current
    }

    pub(super) fn live(&mut self, ping_interval_secs: u64) {
        self.connection.ping_interval_ms =
            i64::try_from(ping_interval_secs.clamp(1, 3_600)).unwrap_or(30) * 1_000;
        self.connection.phase = Phase::Live { since: self.now };
        self.connection.deadline = None;
        self.connection.restarting = false;
        self.heard(self.connection.socket);
        // Its answer comes after all that was missed, and so marks the end of that.
        self.effects.push(Effect::Send(ClientFrame::Ping));
        if self.connection.presence == Some(PresenceState::Idle) {
            self.effects
                .push(Effect::Send(ClientFrame::Presence(PresenceReport { state: PresenceState::Idle })));
        }
    }

    pub(super) fn report_presence(&mut self, state: PresenceState) {
        let before = self.connection.presence.replace(state);
        if self.connection.is_live() && before != Some(state) {
            self.effects.push(Effect::Send(ClientFrame::Presence(PresenceReport { state })));
        }
    }

    pub(super) fn socket_closed(&mut self, socket: SocketId, code: u16) {
        if !self.connection.is_current(socket) {
            return;
        }
        self.lost();
        match code {
            close::REPLACED => {
                // Coming back by itself would close the other one, which would come back by itself…
                self.connection.phase = Phase::Replaced;
                self.connection.deadline = None;
            }
            close::SIGNED_OUT => {
                self.connection.phase = Phase::Refreshing;
                // The session that was just refreshed was ended since: that is to be found out now.
                let settled = |at: Timestamp| at.plus_millis(SIGNED_OUT_PAUSE_MS) < self.now;
                if self.refreshed_at.is_some_and(settled) {
                    self.refreshed_at = None;
                }
                self.unauthenticated();
            }
            close::RESTART => {
                // Soon, but not all clients at the same moment.
                self.connection.restarting = true;
                self.backoff.reset();
                let wait = self.backoff.between(300, 2_000);
                self.rest(wait);
            }
            _ => self.give_up(),
        }
    }

    /// A step has failed: wait, longer each time, and begin anew.
    pub(super) fn give_up(&mut self) {
        if self.backoff.attempt() >= RESTART_TRIES {
            self.connection.restarting = false;
        }
        let wait = self.backoff.next_ms();
        self.rest(wait);
    }

    fn rest(&mut self, wait_ms: i64) {
        self.connection.deadline = None;
        self.connection.phase = Phase::Resting { until: self.now.plus_millis(wait_ms) };
    }

    /// The tokens were refused: get new ones, then go on. Without new ones the person is signed out.
    pub(super) fn unauthenticated(&mut self) {
        let just_now = |at: Timestamp| self.now < at.plus_millis(REFRESH_PAUSE_MS);
        if self.refreshed_at.is_some_and(just_now) {
            // The tokens are new and refused all the same; asking at once again would never end.
            if self.connection.is_live() {
                self.pause(None)
            } else {
                self.give_up()
            }
            return;
        }
        if !self.connection.is_live() {
            self.connection.phase = Phase::Refreshing;
            self.connection.deadline = Some(self.now.plus_millis(STEP_MS));
        }
        if !self.is_asked(|asked| matches!(asked, Asked::Refresh)) {
            self.ask(Asked::Refresh, Request::Refresh);
        }
    }

    pub(super) fn refreshed(&mut self) {
        self.refreshed_at = Some(self.now);
        if self.connection.phase == Phase::Refreshing {
            self.connect();
        }
    }

    pub(super) fn not_refreshed(&mut self) {
        if self.connection.phase == Phase::Refreshing {
            self.give_up();
        } else {
            self.pause(None);
        }
    }

    /// A request has failed while the socket stands: ask nothing for a while.
    pub(super) fn pause(&mut self, retry_after_ms: Option<i64>) {
        let wait = self.patience.next_ms();
        let wait = retry_after_ms.map_or(wait, |after| after.clamp(0, 60_000).max(wait));
        self.quiet_until = Some(self.now.plus_millis(wait));
    }

    /// The system's word about the network is a hint: a server on this machine is reachable without one.
    pub(super) fn network(&mut self, online: bool) {
        if (online || self.connection.is_live()) && self.connection.phase != Phase::Replaced {
            self.reconnect();
        }
    }

    /// Now, whatever wait there was: the person, or the network, says that it makes sense.
    pub(super) fn reconnect(&mut self) {
        match self.connection.phase {
            Phase::Resting { .. } | Phase::Replaced => {
                self.backoff.reset();
                self.connect();
            }
            // The pong, or its absence, tells whether this connection still stands.
            Phase::Live { .. } => {
                self.effects.push(Effect::Send(ClientFrame::Ping));
                let soon = self.now.plus_millis(5_000);
                self.connection.silent_at = self.connection.silent_at.min(soon);
            }
            _ => {}
        }
    }

    pub(super) fn sign_out(&mut self) {
        self.effects.clear();
        if matches!(self.connection.phase, Phase::Opening | Phase::Greeting | Phase::Live { .. }) {
            self.effects.push(Effect::CloseSocket);
        }
        let mut fresh = Engine::new(self.setup.clone());
        // Numbers go on, so that what still comes for the old ones is not heard.
        (fresh.last_request, fresh.syncs) = (self.last_request, self.syncs);
        fresh.connection.socket = self.connection.socket;
        fresh.connection.presence = self.connection.presence;
        std::mem::swap(&mut fresh.backoff, &mut self.backoff);
        fresh.now = self.now;
        fresh.effects = std::mem::take(&mut self.effects);
        fresh.effects.push(Effect::Keep(vec![Write::Erase]));
        fresh.effects.push(Effect::SignedOut);
        fresh.changed.inbox = true;
        fresh.changed.presence = true;
        *self = fresh;
    }

    /// What is due by the clock.
    pub(super) fn look_at_the_clock(&mut self) {
        let now = self.now;
        match self.connection.phase {
            Phase::Resting { until } if until <= now => self.connect(),
            Phase::Live { .. } if self.connection.silent_at <= now => {
                self.effects.push(Effect::CloseSocket);
                self.lost();
                self.give_up();
            }
            Phase::Live { .. } => {}
            _ if self.connection.deadline.is_some_and(|deadline| deadline <= now) => {
                if matches!(self.connection.phase, Phase::Opening | Phase::Greeting) {
                    self.effects.push(Effect::CloseSocket);
                }
                self.lost();
                self.give_up();
            }
            _ => {}
        }
        let server_now = self.server_time(now);
        self.changed.inbox |= self.inbox.expire(server_now);
    }

    /// The socket is gone, and with it whatever was still to come through it.
    fn lost(&mut self) {
        if let Phase::Live { since } = self.connection.phase
            && self.now >= since.plus_millis(GOOD_MS)
        {
            self.backoff.reset();
        }
        // What these would bring, the next hello brings too; and a late ticket would open a second socket.
        self.asked.retain(|_, asked| {
            !matches!(asked, Asked::Ticket | Asked::Sync { .. } | Asked::UnreadCount { .. })
        });
        self.place.disconnected();
        self.changed.presence |= !self.presence.is_empty();
        self.presence.clear();
    }
}
