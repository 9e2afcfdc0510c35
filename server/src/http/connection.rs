//! A client's TCP connection as the HTTP implementation sees it: how long the client is waited for, and how the
//! connection ends.
//!
//! A connection that is dropped with unread bytes is reset, and a reset discards the answer that the client has not
//! read yet. So a connection that ends in the middle of a request lingers: the server ends its side, and discards
//! what the client still sends, within bounds (RFC 9112, section 9.6).

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a refused request that are discarded so that its client reads the answer.
const LINGER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest time for which they are discarded.
const LINGER_MAX: Duration = Duration::from_secs(10);
/// The longest pause of the client while they are discarded.
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(2);

/// How long a client is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, from its first byte; for the first one from the connection on.
    pub head: Duration,
    /// For the next request on a connection that has had one.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // Proxies keep idle connections for 60 to 75 seconds: they should be the ones that close.
        Self { head: Duration::from_secs(30), idle: Duration::from_secs(90) }
    }
}

/// How far the client is, shared by a connection and its timer.
#[derive(Default)]
struct Progress(AtomicU8);

impl Progress {
    /// Nothing has come yet.
    const FRESH: u8 = 0;
    /// Something has come that may be a part of a request.
    const MIDWAY: u8 = 1;
    /// All requests so far were taken whole.
    const IDLE: u8 = 2;

    fn came(&self) {
        self.0.store(Self::MIDWAY, Ordering::Relaxed);
    }

    /// The next head is awaited; gives whether there was a request before.
    fn await_head(&self) -> bool {
        self.0.compare_exchange(Self::MIDWAY, Self::IDLE, Ordering::Relaxed, Ordering::Relaxed)
            != Err(Self::FRESH)
    }

    fn is_midway(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::MIDWAY
    }
}

/// One client's connection.
pub struct Connection {
    io: TokioIo<TcpStream>,
    progress: Arc<Progress>,
    lingering: Option<Lingering>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self { io: TokioIo::new(stream), progress: Arc::default(), lingering: None }
    }

    /// The timer for the heads of its requests; good for nothing else.
    pub fn head_timer(&self, patience: Patience) -> HeadTimer {
        HeadTimer { patience, progress: self.progress.clone() }
    }

    pub fn into_inner(self) -> TcpStream {
        self.io.into_inner()
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.progress.came();
        Poll::Ready(read)
    }
}

impl Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, progress, lingering } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            if !progress.is_midway() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = lingering.get_or_insert_with(Lingering::begin);
        lingering.poll(io.inner_mut(), cx).map(Ok)
    }
}

/// The end of a connection whose client may still be sending.
struct Lingering {
    left: usize,
    until: Instant,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl Lingering {
    fn begin() -> Self {
        Self {
            left: LINGER_BYTES_MAX,
            until: Instant::now() + LINGER_MAX,
            timer: Box::pin(tokio::time::sleep(LINGER_SILENCE_MAX)),
        }
    }

    /// Discards what comes; ready when the client has ended its side, or at a bound.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut discarded = [0; 16 * 1024];
        loop {
            if self.timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf));
            self.left = self.left.saturating_sub(buf.filled().len());
            if read.is_err() || buf.filled().is_empty() || self.left == 0 {
                return Poll::Ready(());
            }
            let next = (Instant::now() + LINGER_SILENCE_MAX).min(self.until);
            self.timer.as_mut().reset(next.into());
        }
    }
}

/// Measures how long the head of a request may take.
pub struct HeadTimer {
    patience: Patience,
    progress: Arc<Progress>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    /// Called when a head is awaited. The deadline is of the first head; one on a connection that was idle is
    /// measured from its first byte.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let is_idle = self.progress.await_head();
        let deadline = if is_idle { Instant::now() + self.patience.idle } else { deadline };
        Box::pin(HeadSleep {
            is_idle,
            head: self.patience.head,
            progress: self.progress.clone(),
            sleep: Box::pin(tokio::time::sleep_until(deadline.into())),
        })
    }
}

struct HeadSleep {
    is_idle: bool,
    head: Duration,
    progress: Arc<Progress>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_idle && self.progress.is_midway() {
            self.is_idle = false;
            let deadline = Instant::now() + self.head;
            self.sleep.as_mut().reset(deadline.into());
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HeadSleep {}
