//! Several devices of one person and their server, and everything that can go wrong between them.

use super::server::Server;
use hongyan_client::engine::request::{Answer, Effect, Failed, Input, Request, SocketId};
use hongyan_client::engine::{Engine, Older, RequestId, Setup, State};
use hongyan_client::mirror::{Memory, Mirror};
use hongyan_wire::account::DeviceType;
use hongyan_wire::frame::{ClientFrame, ServerFrame, close};
use hongyan_wire::{ChannelId, DeviceId, MessageId, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;

pub const DEVICES: usize = 3;

#[derive(Debug, Clone)]
pub enum Action {
    Send {
        channel: Option<u8>,
    },
    Recall {
        nth: usize,
    },
    Read {
        device: usize,
        nth: Vec<usize>,
    },
    Unread {
        device: usize,
        nth: usize,
    },
    ReadAll {
        device: usize,
        channel: Option<u8>,
    },
    LoadOlder {
        device: usize,
    },
    /// The server does what one of the requests on their way asks for.
    Execute {
        device: usize,
        nth: usize,
    },
    Answer {
        device: usize,
        nth: usize,
    },
    LoseRequest {
        device: usize,
        nth: usize,
    },
    LoseAnswer {
        device: usize,
        nth: usize,
    },
    Frames {
        device: usize,
        count: usize,
    },
    /// All that is on its way to and from the device arrives.
    Settle {
        device: usize,
    },
    RepeatFrame {
        device: usize,
        nth: usize,
    },
    Disconnect {
        device: usize,
        code: u16,
    },
    /// The server drops what waits for a slow device.
    Lag {
        device: usize,
    },
    ExpireToken {
        device: usize,
    },
    /// The program ends and starts again from its kept copy.
    Reopen {
        device: usize,
    },
    RestartServer,
    /// The server is another one now: a restored backup.
    AnotherLog,
    Wait {
        ms: i64,
    },
}

pub fn action() -> impl Strategy<Value = Action> {
    let device = || 0..DEVICES;
    let channel = || proptest::option::of(0..2u8);
    prop_oneof![
        8 => channel().prop_map(|channel| Action::Send { channel }),
        1 => any::<usize>().prop_map(|nth| Action::Recall { nth }),
        6 => (device(), prop::collection::vec(0..12usize, 1..4)).prop_map(|(device, nth)| Action::Read { device, nth }),
        3 => (device(), 0..12usize).prop_map(|(device, nth)| Action::Unread { device, nth }),
        2 => (device(), channel()).prop_map(|(device, channel)| Action::ReadAll { device, channel }),
        2 => device().prop_map(|device| Action::LoadOlder { device }),
        12 => (device(), 0..4usize).prop_map(|(device, nth)| Action::Execute { device, nth }),
        12 => (device(), 0..4usize).prop_map(|(device, nth)| Action::Answer { device, nth }),
        1 => (device(), 0..4usize).prop_map(|(device, nth)| Action::LoseRequest { device, nth }),
        1 => (device(), 0..4usize).prop_map(|(device, nth)| Action::LoseAnswer { device, nth }),
        12 => (device(), 1..5usize).prop_map(|(device, count)| Action::Frames { device, count }),
        4 => device().prop_map(|device| Action::Settle { device }),
        2 => (device(), any::<usize>()).prop_map(|(device, nth)| Action::RepeatFrame { device, nth }),
        2 => (device(), prop_oneof![Just(1006), Just(close::RESTART), Just(close::POLICY)])
            .prop_map(|(device, code)| Action::Disconnect { device, code }),
        3 => device().prop_map(|device| Action::Lag { device }),
        1 => device().prop_map(|device| Action::ExpireToken { device }),
        1 => device().prop_map(|device| Action::Reopen { device }),
        1 => Just(Action::RestartServer),
        1 => Just(Action::AnotherLog),
        6 => prop_oneof![1..500i64, 500..5_000i64, 5_000..40_000i64].prop_map(|ms| Action::Wait { ms }),
    ]
}

struct Device {
    id: DeviceId,
    engine: Engine,
    mirror: Memory,
    requests: Vec<(RequestId, Request)>,
    answers: Vec<(RequestId, Result<Answer, Failed>)>,
    socket: Option<SocketId>,
    /// Frames that came through the present socket.
    heard: Vec<ServerFrame>,
    wake_at: Option<Timestamp>,
    announced: BTreeSet<MessageId>,
}

pub struct World {
    pub server: Server,
    devices: Vec<Device>,
    now: Timestamp,
}

fn setup(index: usize) -> Setup {
    Setup {
        device_id: DeviceId::new(&format!("device-{index}")).unwrap(),
        device_type: DeviceType::Web,
        device_name: None,
        window: 12,
        page: 3,
        seed: index as u64,
    }
}

fn channel(number: Option<u8>) -> Option<ChannelId> {
    number.map(|number| ChannelId::new(&format!("channel-{number}")).unwrap())
}

impl World {
    pub fn new(messages: usize) -> Self {
        let mut server = Server::new(DEVICES);
        let now = Timestamp::from_millis(1_800_000_000_000);
        (0..messages).for_each(|nth| server.send(channel((nth % 3 > 0).then_some(nth as u8 % 2)), now));
        let device = |index| Device {
            id: setup(index).device_id,
            engine: Engine::new(setup(index)),
            mirror: Memory::default(),
            requests: Vec::new(),
            answers: Vec::new(),
            socket: None,
            heard: Vec::new(),
            wake_at: None,
            announced: BTreeSet::new(),
        };
        let mut world = Self { server, devices: (0..DEVICES).map(device).collect(), now };
        (0..DEVICES).for_each(|device| world.tell(device, Input::Start(None)));
        world
    }

    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Send { channel: number } => self.server.send(channel(number), self.now),
            Action::Recall { nth } => self.server.recall(nth, self.now),
            Action::Read { device, nth } => {
                let ids = nth.into_iter().filter_map(|nth| self.shown(device, nth)).collect();
                self.tell(device, Input::Read(ids));
            }
            Action::Unread { device, nth } => {
                if let Some(id) = self.shown(device, nth) {
                    self.tell(device, Input::Unread(id));
                }
            }
            Action::ReadAll { device, channel: number } => self.tell(device, Input::ReadAll(channel(number))),
            Action::LoadOlder { device } => self.tell(device, Input::LoadOlder),
            Action::Execute { device, nth } => self.execute(device, nth),
            Action::Answer { device, nth } => self.deliver_answer(device, nth),
            Action::LoseRequest { device, nth } => {
                let requests = &mut self.devices[device].requests;
                if !requests.is_empty() {
                    let (id, _) = requests.remove(nth % requests.len());
                    self.tell(device, Input::Answer(id, Err(Failed::Unreachable { retry_after_ms: None })));
                }
            }
            Action::LoseAnswer { device, nth } => {
                let answers = &mut self.devices[device].answers;
                if !answers.is_empty() {
                    let (id, _) = answers.remove(nth % answers.len());
                    self.tell(
                        device,
                        Input::Answer(id, Err(Failed::Unreachable { retry_after_ms: Some(10) })),
                    );
                }
            }
            Action::Frames { device, count } => (0..count).for_each(|_| {
                self.deliver_frame(device);
            }),
            Action::Settle { device } => while self.settle(device) {},
            Action::RepeatFrame { device, nth } => self.repeat_frame(device, nth),
            Action::Disconnect { device, code } => self.disconnect(device, code),
            Action::Lag { device } => {
                // What is dropped comes after the welcome and what was missed, which are written at once.
                if let Some(queue) = self.server.sockets.get_mut(&device)
                    && !self.devices[device].heard.is_empty()
                {
                    queue.clear();
                    queue.push_back(ServerFrame::Resync);
                }
            }
            Action::ExpireToken { device } => {
                self.server.signed_in[device] = false;
                self.disconnect(device, close::SIGNED_OUT);
            }
            Action::Reopen { device } => {
                self.server.sockets.remove(&device);
                let kept = self.devices[device].mirror.load().unwrap();
                let fresh = &mut self.devices[device];
                fresh.engine = Engine::new(setup(device));
                fresh.requests.clear();
                fresh.answers.clear();
                (fresh.socket, fresh.wake_at) = (None, None);
                fresh.announced.clear();
                self.tell(device, Input::Start(kept.map(Box::new)));
            }
            Action::RestartServer => {
                (0..DEVICES).for_each(|device| self.disconnect(device, close::RESTART));
            }
            Action::AnotherLog => {
                (0..DEVICES).for_each(|device| self.disconnect(device, 1006));
                // Answers of the old server do not outlive it.
                for device in 0..DEVICES {
                    while !self.devices[device].answers.is_empty() {
                        self.perform(Action::LoseAnswer { device, nth: 0 });
                    }
                }
                self.server.epoch += 1;
                let newest = self.server.messages.keys().next_back().copied();
                self.server.messages.retain(|pos, _| Some(*pos) != newest);
            }
            Action::Wait { ms } => {
                self.now = self.now.plus_millis(ms);
                (0..DEVICES).for_each(|device| self.wake(device));
            }
        }
    }

    /// Everything arrives that is still on its way, and time goes on until nothing more happens.
    pub fn drain(&mut self) {
        let mut quiet = 0;
        for _ in 0..400 {
            let mut busy = false;
            for device in 0..DEVICES {
                busy |= self.settle(device);
            }
            let settled = |device: &Device| {
                device.engine.state() == State::Online
                    && device.engine.unconfirmed() == 0
                    && device.requests.is_empty()
            };
            quiet = if !busy && self.devices.iter().all(settled) { quiet + 1 } else { 0 };
            if quiet == 3 {
                return;
            }
            self.now = self.now.plus_millis(2_000);
            (0..DEVICES).for_each(|device| self.wake(device));
        }
        let states: Vec<_> = self.devices.iter().map(|device| device.engine.state()).collect();
        panic!("does not come to rest: {states:?}");
    }

    /// Delivers all that is on its way; whether there was anything.
    fn settle(&mut self, device: usize) -> bool {
        let mut busy = false;
        while self.deliver_frame(device) {
            busy = true;
        }
        while !self.devices[device].requests.is_empty() {
            self.execute(device, 0);
        }
        while !self.devices[device].answers.is_empty() {
            self.deliver_answer(device, 0);
            busy = true;
        }
        busy
    }

    /// Every device shows what the server has.
    pub fn check(&self) {
        for device in &self.devices {
            let engine = &device.engine;
            let shown = engine.messages();
            let has: Vec<_> = self.server.messages.values().rev().take(shown.len()).collect();
            let shown_states: Vec<_> =
                shown.iter().map(|s| (&s.message.id, s.is_read, s.message.version)).collect();
            let has_states: Vec<_> = has.iter().map(|m| (&m.id, m.is_read, m.version)).collect();
            assert_eq!(shown_states, has_states, "{}", device.id);
            assert_eq!(has.len(), shown.len(), "{}", device.id);
            let total = self.server.messages.len();
            // The other way round need not be: the last older one may have been recalled.
            assert!(engine.older() != Older::None || shown.len() == total, "{}", device.id);
            assert_eq!(engine.unread(), self.server.unread(), "{}", device.id);
            let cursor = engine.cursor().unwrap();
            assert_eq!(
                (cursor.epoch, cursor.version),
                (self.server.epoch, self.server.version),
                "{}",
                device.id
            );
            let newest = self.server.messages.keys().next_back().copied().unwrap_or(0);
            assert!((newest..=self.server.pos).contains(&cursor.pos), "{}", device.id);
        }
    }

    fn shown(&self, device: usize, nth: usize) -> Option<MessageId> {
        self.devices[device].engine.messages().get(nth).map(|shown| shown.message.id.clone())
    }

    fn wake(&mut self, device: usize) {
        if self.devices[device].wake_at.is_some_and(|at| at <= self.now) {
            self.devices[device].wake_at = None;
            self.tell(device, Input::Tick);
        }
    }

    fn execute(&mut self, device: usize, nth: usize) {
        let requests = &mut self.devices[device].requests;
        if !requests.is_empty() {
            let (number, request) = requests.remove(nth % requests.len());
            let id = self.devices[device].id.clone();
            let answer = self.server.answer(device, &id, &request, self.now);
            self.devices[device].answers.push((number, answer));
        }
    }

    fn deliver_answer(&mut self, device: usize, nth: usize) {
        let answers = &mut self.devices[device].answers;
        if !answers.is_empty() {
            let (id, answer) = answers.remove(nth % answers.len());
            if matches!(&answer, Ok(Answer::Sync(sync)) if sync.reset) {
                // A new beginning: what was known is forgotten, and so is what was announced.
                self.devices[device].announced.clear();
            }
            self.tell(device, Input::Answer(id, answer));
        }
    }

    fn deliver_frame(&mut self, device: usize) -> bool {
        let Some(socket) = self.devices[device].socket else { return false };
        let Some(frame) = self.server.sockets.get_mut(&device).and_then(|queue| queue.pop_front()) else {
            return false;
        };
        self.devices[device].heard.push(frame.clone());
        self.tell(device, Input::Frame(socket, Box::new(frame)));
        true
    }

    fn repeat_frame(&mut self, device: usize, nth: usize) {
        let heard = &self.devices[device].heard;
        let changes: Vec<_> = heard
            .iter()
            .filter(|frame| matches!(frame, ServerFrame::Message(_) | ServerFrame::StatusUpdate(_)))
            .collect();
        if let (Some(socket), false) = (self.devices[device].socket, changes.is_empty()) {
            let frame = changes[nth % changes.len()].clone();
            self.tell(device, Input::Frame(socket, Box::new(frame)));
        }
    }

    fn disconnect(&mut self, device: usize, code: u16) {
        self.server.sockets.remove(&device);
        if let Some(socket) = self.devices[device].socket.take() {
            self.tell(device, Input::SocketClosed(socket, code));
        }
    }

    fn tell(&mut self, device: usize, input: Input) {
        let effects = self.devices[device].engine.handle(self.now, input);
        for effect in effects {
            self.obey(device, effect);
        }
    }

    fn obey(&mut self, device: usize, effect: Effect) {
        let at = &mut self.devices[device];
        match effect {
            Effect::Request(id, request) => {
                let twice =
                    at.requests.iter().any(|(_, other)| *other == request && request == Request::Refresh);
                assert!(!twice, "tokens are refreshed once at a time");
                at.requests.push((id, request));
                assert!(at.requests.len() < 20, "requests are bounded");
            }
            Effect::OpenSocket(socket, _) => {
                at.socket = Some(socket);
                at.heard.clear();
                self.server.sockets.remove(&device);
                self.tell(device, Input::SocketOpened(socket));
            }
            Effect::Send(ClientFrame::Hello(hello)) => {
                let id = at.id.clone();
                self.server.hello(device, &id, hello.cursor.as_deref(), self.now);
            }
            Effect::Send(ClientFrame::Ping) => {
                if let Some(queue) = self.server.sockets.get_mut(&device) {
                    queue.push_back(ServerFrame::Pong);
                }
            }
            Effect::CloseSocket => {
                at.socket = None;
                self.server.sockets.remove(&device);
            }
            Effect::WakeAt(time) => at.wake_at = Some(at.wake_at.map_or(time, |before| before.min(time))),
            Effect::Keep(writes) => at.mirror.write(&writes).unwrap(),
            Effect::Notify(message) => {
                assert!(at.announced.insert(message.id.clone()), "announced twice");
            }
            Effect::SignedOut => panic!("signed out without a reason"),
            Effect::Send(_) | Effect::Changed(_) | Effect::BackupJob(_) => {}
        }
    }
}
