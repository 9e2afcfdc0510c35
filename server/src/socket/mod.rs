//! One connection: hello, what was missed, then live until it ends.
//!
//! Order of things: the socket is registered first and what comes for it is held back; then what was
//! missed is read; then both go out, the missed first and nothing twice.

mod missed;

use crate::auth::{Auth, UserCaller};
use crate::directory::Directory;
use crate::hub::{Attention, Device, Duplex, Hub, Identity, Outlet, Seat, frame};
use crate::inbox::{DeviceSeen, Inboxes};
use crate::log::Journal;
use crate::report::Ledger;
use futures_util::StreamExt;
use hongyan_wire::account::DeviceType;
use hongyan_wire::error::ErrorType;
use hongyan_wire::frame::{ClientFrame, Hello, ServerFrame, Welcome, close};
use hongyan_wire::limits::{CLIENT_FRAME_MAX, NAME_MAX};
use hongyan_wire::{DeviceId, SessionId};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as Incoming, Utf8Bytes};

/// How long a client may take to say hello before it is an unnamed device.
const HELLO_PATIENCE: Duration = Duration::from_secs(3);
/// Frames that a client may send within [`PACE`]; a client of ours sends a few.
const FRAMES_MAX: u32 = 200;
/// See [`FRAMES_MAX`].
const PACE: Duration = Duration::from_secs(10);
/// How long a client may take to close after we did.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

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
    Gone,
}

impl Sockets {
    /// Serves one upgraded connection until it ends. `leftover` is what was read beyond the upgrade.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        leftover: Vec<u8>,
        caller: UserCaller,
        seat: Seat,
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
        let duplex = Duplex(outlet.clone());
        let mut stream =
            WebSocketStream::from_partially_read(duplex, leftover, Role::Server, Some(config)).await;
        // The greeting needs much and lasts shortly: its memory is not kept while the socket idles.
        let first = Box::pin(self.greet(&mut stream, &outlet, caller)).await;
        if let Some(first) = first {
            self.listen(&mut stream, &outlet, first).await;
            self.hub.unregister(&outlet);
            self.note(&outlet);
        }
        outlet.kill();
        drop(seat);
    }

    /// Hello, registration, welcome, what was missed. `None` when there is no connection to go on with;
    /// else the first frame, if it was no hello.
    async fn greet(
        &self,
        stream: &mut Stream,
        outlet: &Arc<Outlet>,
        caller: UserCaller,
    ) -> Option<Option<Incoming>> {
        let (hello, first) = match greeting(stream, outlet).await {
            Greeting::Hello(hello) => (Some(*hello), None),
            Greeting::None(first) => (None, first),
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
        let cursor = hello.and_then(|hello| hello.cursor);
        let missed = match registered {
            Ok(()) => self.missed(user, cursor.as_deref()).await,
            Err(error) => Err(error),
        };
        let missed = match missed {
            Ok(missed) => missed,
            Err(error) => {
                tracing::error!(target: "hongyan::error", %user, %error, "a socket could not be opened");
                self.hub.unregister(outlet);
                outlet.close(None, close::RESTART, "the inbox cannot be read right now");
                drain(stream, outlet).await;
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

    async fn listen(&self, stream: &mut Stream, outlet: &Arc<Outlet>, first: Option<Incoming>) {
        if let Some(first) = first {
            self.take(outlet, first);
        }
        let (mut since, mut frames) = (Instant::now(), 0);
        loop {
            match next(stream, outlet).await {
                Event::Frame(frame) => {
                    if since.elapsed() > PACE {
                        (since, frames) = (Instant::now(), 0);
                    }
                    frames += 1;
                    if frames > FRAMES_MAX {
                        outlet.close(None, close::POLICY, "more than 200 frames in 10 seconds");
                        continue;
                    }
                    self.take(outlet, frame);
                }
                Event::Gone => return,
                Event::Closed => {
                    drain(stream, outlet).await;
                    return;
                }
                Event::TooBig => outlet.close(None, close::TOO_BIG, "frames have at most 16 KiB"),
            }
        }
    }

    fn take(&self, outlet: &Arc<Outlet>, incoming: Incoming) {
        outlet.heard(crate::clock::now());
        match incoming {
            Incoming::Text(text) => match parse(&text) {
                Ok(Some(ClientFrame::Ping)) => outlet.send(&frame::PONG),
                Ok(Some(ClientFrame::Presence(report))) => {
                    if outlet.set_presence(report.state) {
                        self.hub.tell_presence(&outlet.identity.user);
                    }
                }
                // Said once, at the beginning. What a later one asks for was not sent, and that it is told.
                Ok(Some(ClientFrame::Hello(hello))) if hello.cursor.is_some() => outlet.send(&frame::RESYNC),
                Ok(Some(ClientFrame::Hello(_) | ClientFrame::Pong) | None) => {}
                Err(reason) => outlet.close(None, close::POLICY, &reason),
            },
            Incoming::Binary(_) => outlet.close(None, close::UNSUPPORTED, "frames are JSON text"),
            // Pings are answered and closes acknowledged by the protocol implementation.
            Incoming::Ping(_) | Incoming::Pong(_) | Incoming::Close(_) | Incoming::Frame(_) => {}
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
    /// We have closed and everything is out.
    Closed,
    TooBig,
    Gone,
}

/// The next thing that happens. Whatever the stream would not take before is written on the way.
async fn next(stream: &mut Stream, outlet: &Outlet) -> Event {
    poll_fn(|cx| {
        match outlet.poll_attention(cx) {
            Poll::Ready(Attention::Closed) => return Poll::Ready(Event::Closed),
            Poll::Ready(Attention::Failed) => return Poll::Ready(Event::Gone),
            Poll::Pending => {}
        }
        match stream.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Event::Frame(frame)),
            Poll::Ready(Some(Err(SocketError::Capacity(CapacityError::MessageTooLong { .. })))) => {
                Poll::Ready(Event::TooBig)
            }
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Event::Gone),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Gives the client a moment to answer our close, so that it sees the code and not a broken connection.
async fn drain(stream: &mut Stream, outlet: &Outlet) {
    let _ = tokio::time::timeout(CLOSE_PATIENCE, async {
        poll_fn(|cx| outlet.poll_attention(cx)).await;
        while let Some(Ok(_)) = stream.next().await {}
    })
    .await;
}

async fn greeting(stream: &mut Stream, outlet: &Outlet) -> Greeting {
    let Ok(event) = tokio::time::timeout(HELLO_PATIENCE, next(stream, outlet)).await else {
        return Greeting::None(None);
    };
    match event {
        Event::Frame(Incoming::Text(text)) => match parse(&text) {
            Ok(Some(ClientFrame::Hello(hello))) => Greeting::Hello(Box::new(hello)),
            _ => Greeting::None(Some(Incoming::Text(text))),
        },
        Event::Frame(Incoming::Close(_)) | Event::Gone | Event::Closed => Greeting::Gone,
        Event::Frame(other) => Greeting::None(Some(other)),
        Event::TooBig => {
            outlet.close(None, close::TOO_BIG, "frames have at most 16 KiB");
            Greeting::Gone
        }
    }
}

/// A client's frame; `None` for a type that is not known here; an error for what is no frame at all.
fn parse(text: &Utf8Bytes) -> Result<Option<ClientFrame>, String> {
    #[derive(serde::Deserialize)]
    struct Typed {
        r#type: String,
    }
    match serde_json::from_str::<ClientFrame>(text) {
        Ok(frame) => Ok(Some(frame)),
        Err(error) => match serde_json::from_str::<Typed>(text) {
            Ok(typed) if matches!(typed.r#type.as_str(), "hello" | "presence") => {
                Err(format!("{}: {error}", typed.r#type))
            }
            Ok(_) => Ok(None),
            Err(_) => Err("frames are JSON objects with a type".into()),
        },
    }
}

fn new_device_id() -> Option<DeviceId> {
    DeviceId::new(&format!("unnamed-{}", uuid::Uuid::now_v7())).ok()
}
