//! One connection: hello, what was missed, then live until it ends.
//!
//! Order of things: the socket is registered first and what comes for it is held back; then what was
//! missed is read; then both go out, the missed first and nothing twice.

mod incoming;
mod missed;

use crate::auth::{Auth, UserCaller};
use crate::directory::Directory;
use crate::hub::{
    Attention, Device, Duplex, Hub, Identity, Outlet, PACE, QUEUE_BYTES_MAX, Seat, UserSeat, frame,
};
use crate::inbox::{DeviceSeen, Inboxes};
use crate::log::Journal;
use crate::report::Ledger;
use futures_util::StreamExt;
use hongyan_wire::account::DeviceType;
use hongyan_wire::error::ErrorType;
use hongyan_wire::frame::{ClientFrame, FrameError, Hello, ServerFrame, Welcome, close};
use hongyan_wire::limits::{CLIENT_FRAME_MAX, NAME_MAX};
use hongyan_wire::{DeviceId, SessionId};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Incoming;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// How long a client may take to say hello before it is an unnamed device.
const HELLO_PATIENCE: Duration = Duration::from_secs(3);
/// Frames that a client may send within [`PACE`]; a client of ours sends a few.
const FRAMES_MAX: u32 = 200;
/// How long a client may take to read our close frame and to close its side.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Frames of a client that are read after our close frame, while its own is awaited.
const FRAMES_AFTER_CLOSE_MAX: usize = 64;

/// What connections need.
pub struct Sockets {
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    pub inboxes: Arc<Inboxes>,
    pub directory: Arc<Directory>,
    pub ledger: Arc<Ledger>,
    pub journal: Journal,
    pub ping_interval: Duration,
    pub read_buffer: usize,
    pub write_buffer: usize,
}

type Stream = WebSocketStream<Duplex>;

/// What the first frame was.
enum Greeting {
    Hello(Box<Hello>),
    /// Something else, to be handled after the welcome; or nothing in time.
    None(Option<Incoming>),
    Violation(Violation),
    /// The connection has ended, or its end is under way.
    Gone,
}

/// Something that a client must not send: it ends the socket.
struct Violation {
    code: u16,
    reason: String,
    /// Sent before the close frame, which has little room.
    error: Option<FrameError>,
}

impl Violation {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), error: None }
    }

    /// Of a stream that cannot be read on; `None` when the connection has just ended.
    fn of(error: &SocketError) -> Option<Self> {
        match error {
            SocketError::Capacity(_) => Some(Self::new(close::TOO_BIG, "frames have at most 16 KiB")),
            SocketError::Utf8(_) => Some(Self::new(close::INVALID_TEXT, "text must be valid UTF-8")),
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            SocketError::Protocol(error) => Some(Self::new(close::PROTOCOL, error.to_string())),
            SocketError::Io(error) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
                Some(Self::new(close::POLICY, "more than 1 MiB in 10 seconds"))
            }
            _ => None,
        }
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        Self { error: Some(error.clone()), ..Self::new(close::POLICY, error.message) }
    }
}

impl Sockets {
    /// Serves one upgraded connection until it ends. `leftover` is what was read beyond the upgrade.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        leftover: Vec<u8>,
        caller: UserCaller,
        seats: (Seat, UserSeat),
    ) {
        let identity = Identity {
            user: caller.id().clone(),
            session: caller.claims.session_id.clone(),
            expires_at: caller.claims.expires_at(),
        };
        let outlet = Arc::new(Outlet::new(identity, stream, crate::clock::now()));
        let config = WebSocketConfig::default()
            .read_buffer_size(self.read_buffer)
            .write_buffer_size(0)
            .max_write_buffer_size(self.write_buffer.max(256))
            .max_message_size(Some(CLIENT_FRAME_MAX))
            .max_frame_size(Some(CLIENT_FRAME_MAX));
        let duplex = Duplex::new(outlet.clone());
        let mut stream =
            WebSocketStream::from_partially_read(duplex, leftover, Role::Server, Some(config)).await;
        // The greeting needs much and lasts shortly: its memory is not kept while the socket idles.
        let first = Box::pin(self.greet(&mut stream, &outlet, caller, &seats.1)).await;
        if let Some(first) = first {
            self.listen(&mut stream, &outlet, first, &seats.1).await;
            self.hub.unregister(&outlet);
            self.note(&outlet);
        }
        Box::pin(finish(&mut stream, &outlet)).await;
        drop(seats);
    }

    /// Hello, registration, welcome, what was missed. `None` when there is no connection to go on with;
    /// else the first frame, if it was no hello.
    async fn greet(
        &self,
        stream: &mut Stream,
        outlet: &Arc<Outlet>,
        caller: UserCaller,
        seat: &UserSeat,
    ) -> Option<Option<Incoming>> {
        let (hello, first) = match greeting(stream, outlet).await {
            Greeting::Hello(hello) => (Some(*hello), None),
            Greeting::None(first) => (None, first),
            Greeting::Violation(violation) => {
                end(outlet, seat, violation);
                return None;
            }
            Greeting::Gone => return None,
        };
        let device = match &hello {
            Some(hello) => Device {
                id: hello.device_id.clone(),
                device_type: hello.device_type,
                name: hello.device_name.as_deref().unwrap_or_default().chars().take(NAME_MAX).collect(),
            },
            None => Device { id: new_device_id()?, device_type: DeviceType::Web, name: String::new() },
        };
        let device_id = device.id.clone();
        outlet.introduce(device);
        let user = &outlet.identity.user;
        let registered = self
            .hub
            .register(outlet, || self.directory.person(user)?.ok_or(crate::inbox::InboxError::NoUser));
        let missed = match registered {
            Ok(()) => self.missed(user, hello.as_ref()).await,
            Err(error) => Err(error),
        };
        let missed = match missed {
            Ok(missed) => missed,
            Err(error) => {
                tracing::error!(target: "hongyan::error", %user, %error, "a socket could not be opened");
                self.hub.unregister(outlet);
                outlet.close(None, close::RESTART, "the inbox cannot be read right now");
                return None;
            }
        };
        // Ended between the check of its token and the registration: nobody would tell it any more.
        let still = self.auth.bearer(caller.claims.clone());
        if still.is_err_and(|error| error.error_type == ErrorType::Unauthenticated) {
            self.hub.sign_out(outlet, "revoked");
        }
        let session_id = caller.claims.session_id.clone().or_else(|| SessionId::new("none").ok())?;
        let welcome = ServerFrame::Welcome(Welcome {
            session_id,
            device_id,
            server_time: crate::clock::now(),
            cursor: missed.cursor,
            unread_count: missed.unread_count,
            ping_interval: self.ping_interval.as_secs().max(1),
        });
        let mut frames = Vec::with_capacity(1 + missed.frames.len());
        frames.extend(frame::encode(&welcome));
        frames.extend(missed.frames);
        outlet.go_live(frames, missed.pos, missed.version);
        Some(first)
    }

    /// Takes what the client says until the connection ends, or until its end is under way.
    async fn listen(
        &self,
        stream: &mut Stream,
        outlet: &Arc<Outlet>,
        first: Option<Incoming>,
        seat: &UserSeat,
    ) {
        let mut taken = first.map_or(Ok(()), |first| self.take(outlet, first));
        let (mut since, mut frames) = (Instant::now(), 0);
        loop {
            if let Err(violation) = taken {
                return end(outlet, seat, violation);
            }
            taken = match next(stream, outlet).await {
                Event::Frame(frame) => {
                    if since.elapsed() > PACE {
                        (since, frames) = (Instant::now(), 0);
                    }
                    frames += 1;
                    match frames > FRAMES_MAX {
                        true => Err(Violation::new(close::POLICY, "more than 200 frames in 10 seconds")),
                        false => self.take(outlet, frame),
                    }
                }
                Event::Violation(violation) => Err(violation),
                Event::Closed => return,
            };
        }
    }

    fn take(&self, outlet: &Arc<Outlet>, incoming: Incoming) -> Result<(), Violation> {
        outlet.heard(crate::clock::now());
        match incoming {
            Incoming::Text(text) => self.obey(outlet, incoming::parse(&text)?),
            Incoming::Binary(_) => {
                return Err(Violation::new(close::UNSUPPORTED, "frames must be JSON text"));
            }
            // The protocol implementation answers pings.
            Incoming::Ping(_) | Incoming::Pong(_) | Incoming::Close(_) | Incoming::Frame(_) => {}
        }
        Ok(())
    }

    fn obey(&self, outlet: &Arc<Outlet>, frame: Option<ClientFrame>) {
        match frame {
            Some(ClientFrame::Ping) => outlet.send(&frame::PONG),
            Some(ClientFrame::Presence(report)) => {
                if outlet.set_presence(report.state) {
                    self.hub.tell_presence(&outlet.identity.user);
                }
            }
            // Said once, at the beginning: what was missed since a later cursor is not sent, so the client fetches it.
            Some(ClientFrame::Hello(hello)) if hello.cursor.is_some() => outlet.send(&frame::RESYNC),
            Some(ClientFrame::Hello(_) | ClientFrame::Pong) | None => {}
        }
    }

    /// Notes how far the device has got and when it was last there.
    fn note(&self, outlet: &Outlet) {
        let user = &outlet.identity.user;
        self.ledger.reached(user, outlet.last_pos());
        let Some(device) = outlet.device() else { return };
        let cursor = self.inboxes.known_cursor(user, outlet.last_pos());
        let seen = DeviceSeen {
            device_id: device.id.clone(),
            device_type: device.device_type,
            device_name: device.name.clone(),
            cursor: cursor.to_string(),
            last_seen: outlet.heard_at(),
        };
        self.inboxes.devices().note(user, seen);
    }
}

enum Event {
    Frame(Incoming),
    Violation(Violation),
    /// The connection has ended, or its end is under way.
    Closed,
}

/// The next thing that happens. Whatever the stream would not take before is written on the way.
async fn next(stream: &mut Stream, outlet: &Outlet) -> Event {
    poll_fn(|cx| {
        if outlet.poll_attention(cx).is_ready() {
            return Poll::Ready(Event::Closed);
        }
        stream.poll_next_unpin(cx).map(|next| match next {
            Some(Ok(Incoming::Close(frame))) => {
                outlet.acknowledge(frame.map(|CloseFrame { code, .. }| code.into()));
                Event::Closed
            }
            Some(Ok(frame)) => Event::Frame(frame),
            Some(Err(error)) => Violation::of(&error).map_or_else(|| ended(outlet), Event::Violation),
            None => ended(outlet),
        })
    })
    .await
}

/// There is nobody left to say anything to.
fn ended(outlet: &Outlet) -> Event {
    outlet.kill();
    Event::Closed
}

/// Says what is wrong and closes the socket; it counts against the user.
fn end(outlet: &Outlet, seat: &UserSeat, violation: Violation) {
    seat.violated(Instant::now());
    let error = violation.error.and_then(|error| frame::encode(&ServerFrame::Error(error)));
    outlet.close(error.as_ref(), violation.code, &violation.reason);
}

/// Ends a connection whose last frame is on its way, so that the client sees the code and not a broken
/// connection. One that has ended already is not waited for.
async fn finish(stream: &mut Stream, outlet: &Outlet) {
    let _ = tokio::time::timeout(CLOSE_PATIENCE, async {
        if poll_fn(|cx| outlet.poll_attention(cx)).await == Attention::Failed {
            return;
        }
        // Its close frame, if it has not come yet.
        for _ in 0..FRAMES_AFTER_CLOSE_MAX {
            if !matches!(stream.next().await, Some(Ok(_))) {
                break;
            }
        }
        outlet.hang_up(QUEUE_BYTES_MAX).await;
    })
    .await;
    outlet.kill();
}

async fn greeting(stream: &mut Stream, outlet: &Outlet) -> Greeting {
    let Ok(event) = tokio::time::timeout(HELLO_PATIENCE, next(stream, outlet)).await else {
        return Greeting::None(None);
    };
    match event {
        Event::Frame(Incoming::Text(text)) => match incoming::parse(&text) {
            Ok(Some(ClientFrame::Hello(hello))) => Greeting::Hello(Box::new(hello)),
            Ok(_) => Greeting::None(Some(Incoming::Text(text))),
            Err(error) => Greeting::Violation(error.into()),
        },
        Event::Frame(other) => Greeting::None(Some(other)),
        Event::Violation(violation) => Greeting::Violation(violation),
        Event::Closed => Greeting::Gone,
    }
}

fn new_device_id() -> Option<DeviceId> {
    DeviceId::new(&format!("unnamed-{}", uuid::Uuid::now_v7())).ok()
}
