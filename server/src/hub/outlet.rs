//! The way out to one socket: a bounded queue of prepared frames, written straight to the stream.
//!
//! Whoever has frames for a socket puts them in and flushes once; only when the stream takes no more is
//! the connection's own task woken to wait for it. So a socket that keeps up costs one system call
//! and no task switch, and one that does not costs a bounded queue and delays nobody.

use super::frame;
use crate::log::Pos;
use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use hongyan_wire::account::DeviceType;
use hongyan_wire::frame::PresenceState;
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Frames and bytes that may wait for one socket. One frame may exceed the bytes by itself.
const QUEUE_FRAMES_MAX: usize = 256;
pub const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// Milliseconds for which a client may leave the last frames of a closing connection untaken.
const CLOSING_PATIENCE: i64 = 10_000;
/// Frames handed to the system in one call.
const GATHER: usize = 64;

/// Where a frame stands among those a client may have got by other means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A message, by its place in the log.
    Message(Pos),
    /// A change of the person's own, by its version.
    Status(u64),
    /// Anything else.
    None,
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub session: Option<SessionId>,
    /// When the token ends, and with it the socket.
    pub expires_at: Timestamp,
}

/// The device at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    pub device_type: DeviceType,
    pub name: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// What comes is kept back until what was missed has been put in.
    Holding,
    Live,
    /// Nothing more is taken; the connection ends when the queue is empty.
    Closing,
    /// The stream has failed.
    Dead,
}

/// What a message needs of it stands first, close together: of thousands of sockets each is cold in the processor's
/// caches, and every line that is touched is waited for.
#[repr(C)]
struct State {
    phase: Phase,
    /// Whether the first frame in the queue has been written in part.
    partial: bool,
    lagged: bool,
    /// Put on a list of those to be flushed already.
    touched: bool,
    presence: PresenceState,
    /// The last message put in: one that reaches a person in two ways is sent once.
    last_pos: Pos,
    queue: VecDeque<Bytes>,
    bytes: usize,
    held: Vec<(Order, Bytes)>,
    /// When the closing began.
    closing_since: Option<Timestamp>,
}

/// One socket's way out; laid out as its state is.
#[repr(C)]
pub struct Outlet {
    state: Mutex<State>,
    stream: TcpStream,
    pub identity: Identity,
    /// Known once the client has said hello, and always for a registered socket.
    device: OnceLock<Device>,
    waker: AtomicWaker,
    /// Milliseconds since 1970 at which the client was last heard of.
    heard_at: AtomicI64,
}

/// What the connection's task has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Attention {
    /// The last frame is out: close.
    Closed,
    /// The stream has failed.
    Failed,
}

impl Outlet {
    pub fn new(identity: Identity, stream: TcpStream, now: Timestamp) -> Self {
        let state = State {
            phase: Phase::Holding,
            held: Vec::new(),
            queue: VecDeque::new(),
            bytes: 0,
            partial: false,
            last_pos: 0,
            lagged: false,
            presence: PresenceState::Active,
            touched: false,
            closing_since: None,
        };
        Self {
            identity,
            device: OnceLock::new(),
            stream,
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
            heard_at: AtomicI64::new(now.millis()),
        }
    }

    /// Says which device is at the other end; the first word counts.
    pub fn introduce(&self, device: Device) {
        let _ = self.device.set(device);
    }

    pub fn device(&self) -> Option<&Device> {
        self.device.get()
    }

    pub fn is_device(&self, id: &DeviceId) -> bool {
        self.device().is_some_and(|device| device.id == *id)
    }

    /// The system's number of the stream: who came later has a higher one, mostly.
    pub fn number(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// The last message that was put in.
    pub fn last_pos(&self) -> Pos {
        self.state.lock().last_pos
    }

    pub fn heard(&self, now: Timestamp) {
        self.heard_at.store(now.millis(), Ordering::Relaxed);
    }

    pub fn heard_at(&self) -> Timestamp {
        Timestamp::from_millis(self.heard_at.load(Ordering::Relaxed))
    }

    pub fn presence(&self) -> PresenceState {
        self.state.lock().presence
    }

    /// Sets the presence; gives whether it changed.
    pub fn set_presence(&self, presence: PresenceState) -> bool {
        let mut state = self.state.lock();
        std::mem::replace(&mut state.presence, presence) != presence
    }

    /// Puts a frame in without writing it. Gives whether this outlet should be put on the caller's list
    /// of those to be flushed: true once until [`Self::flush`].
    pub fn offer(&self, order: Order, frame: &Bytes) -> bool {
        let mut state = self.state.lock();
        if !state.takes(order, frame) {
            return false;
        }
        state.put(frame.clone());
        !std::mem::replace(&mut state.touched, true)
    }

    /// Writes a frame at once; what the stream does not take, and everything behind what waits, is put in.
    pub fn post(&self, order: Order, frame: &Bytes) {
        let mut state = self.state.lock();
        if !state.takes(order, frame) {
            return;
        }
        let blocked = if state.queue.is_empty() {
            match state.write_first(&self.stream, frame) {
                Ok(()) => !state.queue.is_empty(),
                Err(_) => {
                    state.die();
                    true
                }
            }
        } else {
            // The stream takes no more: whoever waits for it goes on with this one too.
            state.put(frame.clone());
            false
        };
        drop(state);
        if blocked {
            self.waker.wake();
        }
    }

    /// Puts a frame in and writes what waits.
    pub fn send(&self, frame: &Bytes) {
        self.post(Order::None, frame);
    }

    /// Ends the holding: `missed` goes out first, then what came meanwhile and is not among it, namely
    /// messages after `pos` and own changes after `version`.
    pub fn go_live(&self, missed: Vec<Bytes>, pos: Pos, version: u64) {
        let mut state = self.state.lock();
        if state.phase != Phase::Holding {
            return;
        }
        state.phase = Phase::Live;
        state.last_pos = pos;
        // The bound of the queue is for what comes from now on: the welcome must not be lost to it.
        state.bytes = state.queue.iter().map(Bytes::len).sum();
        let held = std::mem::take(&mut state.held);
        for frame in missed {
            state.push(frame);
        }
        for (order, frame) in held {
            let fresh = match order {
                Order::Status(at) => at > version,
                Order::Message(_) | Order::None => true,
            };
            if fresh && state.takes(order, &frame) {
                state.push(frame);
            }
        }
        if std::mem::take(&mut state.lagged) {
            state.push(frame::RESYNC.clone());
        }
        drop(state);
        self.flush();
    }

    /// Says why and ends the connection once everything that waits is out.
    pub fn close(&self, last_word: Option<&Bytes>, code: u16, reason: &str) {
        self.end(last_word, frame::close(code, reason));
    }

    /// Answers the client's close frame with its own code (RFC 6455, section 5.5.1).
    pub fn acknowledge(&self, code: Option<u16>) {
        self.end(None, code.map_or_else(frame::bare_close, |code| frame::close(code, "")));
    }

    fn end(&self, last_word: Option<&Bytes>, close: Bytes) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closing | Phase::Dead) {
            return;
        }
        state.phase = Phase::Closing;
        state.closing_since = Some(crate::clock::now());
        state.held = Vec::new();
        if let Some(frame) = last_word {
            state.push(frame.clone());
        }
        state.push(close);
        drop(state);
        self.flush();
        self.waker.wake();
    }

    /// Ends the connection in order: our side first, then the client's, so that it can read our last frame
    /// (RFC 6455, section 7.1.1). What the client still sends is discarded up to `most` bytes; a connection
    /// that is dropped with unread bytes is reset, and a reset discards what the client has not read yet.
    pub async fn hang_up(&self, most: usize) {
        if shutdown(&self.stream, Shutdown::Write).is_err() {
            return;
        }
        let (mut unread, mut left) = ([0; 4096], most);
        while left > 0 && self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut unread) {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Writes what waits, as far as the stream takes it now.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        state.touched = false;
        let blocked = match state.write(&self.stream) {
            Ok(()) => !state.queue.is_empty(),
            Err(_) => {
                state.die();
                true
            }
        };
        drop(state);
        if blocked {
            self.waker.wake();
        }
    }

    /// Bytes of the protocol itself (pongs). False when the client lets them pile up. Nothing follows a close frame.
    fn control(&self, bytes: &[u8]) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closing | Phase::Dead) {
            return true;
        }
        if state.bytes > QUEUE_BYTES_MAX {
            return false;
        }
        state.push(Bytes::copy_from_slice(bytes));
        true
    }

    /// Ready when the connection's task must end it; until then writes whatever the stream would not take.
    pub fn poll_attention(&self, cx: &mut Context<'_>) -> Poll<Attention> {
        self.waker.register(cx.waker());
        loop {
            {
                let mut state = self.state.lock();
                if state.phase == Phase::Dead {
                    return Poll::Ready(Attention::Failed);
                }
                if state.queue.is_empty() {
                    return match state.phase {
                        Phase::Closing => Poll::Ready(Attention::Closed),
                        _ => Poll::Pending,
                    };
                }
                if state.write(&self.stream).is_err() {
                    state.die();
                    return Poll::Ready(Attention::Failed);
                }
                if state.queue.is_empty() {
                    continue;
                }
            }
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Attention::Failed),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The stream has ended or failed: nothing more is written.
    pub fn kill(&self) {
        self.state.lock().die();
        self.waker.wake();
    }

    /// Gives up on a client that does not take the last frames of a connection which we ended.
    pub fn kill_if_stuck(&self, now: Timestamp) {
        let since = self.state.lock().closing_since;
        if since.is_some_and(|since| since.plus_millis(CLOSING_PATIENCE) < now) {
            self.kill();
        }
    }
}

impl State {
    /// Whether a frame is to go out now. One that is not may have been put aside until the socket is live.
    fn takes(&mut self, order: Order, frame: &Bytes) -> bool {
        match (&self.phase, order) {
            (Phase::Closing | Phase::Dead, _) => false,
            (Phase::Holding, _) => {
                if self.held.len() < QUEUE_FRAMES_MAX && self.bytes + frame.len() <= QUEUE_BYTES_MAX {
                    self.bytes += frame.len();
                    self.held.push((order, frame.clone()));
                } else {
                    self.lagged = true;
                }
                false
            }
            (Phase::Live, Order::Message(pos)) if pos <= self.last_pos => false,
            (Phase::Live, Order::Message(pos)) => {
                self.last_pos = pos;
                true
            }
            (Phase::Live, _) => true,
        }
    }

    /// Writes a frame when nothing waits before it, and puts in what is left of it.
    ///
    /// Past the runtime's book on what the stream takes: whoever waits for it to take more asks there first.
    fn write_first(&mut self, stream: &TcpStream, frame: &Bytes) -> io::Result<()> {
        let written = match send(stream, frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if written < frame.len() {
            self.partial = written > 0;
            self.push(frame.slice(written..));
        }
        Ok(())
    }

    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// Queues a frame. When the client is too slow for the queue, what waits is replaced by `resync`.
    fn put(&mut self, frame: Bytes) {
        if self.queue.len() >= QUEUE_FRAMES_MAX
            || (self.bytes + frame.len() > QUEUE_BYTES_MAX && !self.queue.is_empty())
        {
            let begun = self.partial.then(|| self.queue.pop_front()).flatten();
            self.queue.clear();
            self.queue.extend(begun);
            self.queue.push_back(frame::RESYNC.clone());
            self.bytes = self.queue.iter().map(Bytes::len).sum();
        }
        self.push(frame);
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.queue.is_empty() {
            let written = if self.queue.len() == 1 {
                stream.try_write(&self.queue[0])
            } else {
                let mut parts = [IoSlice::new(&[]); GATHER];
                let mut count = 0;
                for (part, frame) in parts.iter_mut().zip(&self.queue) {
                    *part = IoSlice::new(frame);
                    count += 1;
                }
                stream.try_write_vectored(&parts[..count])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A queue that was long for a moment does not keep its memory.
        if self.queue.capacity() > GATHER {
            self.queue = VecDeque::new();
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                self.partial |= written > 0;
                return;
            }
            written -= front.len();
            self.queue.pop_front();
            self.partial = false;
        }
    }

    fn die(&mut self) {
        self.phase = Phase::Dead;
        self.queue = VecDeque::new();
        self.held = Vec::new();
        self.bytes = 0;
    }
}

/// Bytes that a client may send within [`PACE`]. Frames are counted by whoever reads them; this also bounds what
/// never becomes a frame, such as a message in endless fragments.
const RECEIVED_MAX: usize = 1024 * 1024;
/// The time in which a client's bytes and frames are counted.
pub const PACE: Duration = Duration::from_secs(10);

/// The stream as the protocol implementation sees it: it reads from the socket and writes into the outlet, so
/// that its own frames never break into ours.
pub struct Duplex {
    outlet: Arc<Outlet>,
    /// When the count of bytes began.
    since: Instant,
    received: usize,
}

impl Duplex {
    pub fn new(outlet: Arc<Outlet>) -> Self {
        Self { outlet, since: Instant::now(), received: 0 }
    }

    /// Counts what was read; false when the client sends more than it may.
    fn count(&mut self, read: usize) -> bool {
        if self.since.elapsed() > PACE {
            (self.since, self.received) = (Instant::now(), 0);
        }
        self.received += read;
        self.received <= RECEIVED_MAX
    }
}

impl tokio::io::AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.outlet.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.outlet.stream.try_read(buf.initialize_unfilled()) {
                Ok(read) if !self.count(read) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many bytes")));
                }
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl tokio::io::AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.outlet.control(buf) {
            Poll::Ready(Ok(buf.len()))
        } else {
            Poll::Ready(Err(io::Error::other("the client does not read")))
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet.flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet.flush();
        Poll::Ready(Ok(()))
    }
}
