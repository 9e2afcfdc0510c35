//! What the client needs from the system it runs on. This is the only file that knows which system that is.
//!
//! What always holds: each call ends, with an answer or without one, in bounded time; what waits is bounded.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
pub use browser::Browser;

use hongyan_wire::Timestamp;
use std::future::Future;

/// How long a call may take before it counts as not answered.
pub const CALL_TIMEOUT_MS: u32 = 30_000;
/// What a socket brings and nobody has taken yet; beyond it the socket is given up, and what was missed is
/// fetched with the next one.
pub const SOCKET_QUEUE: usize = 2_048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// What goes with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Json(String),
    /// A file, with its media type.
    File {
        kind: String,
        bytes: Vec<u8>,
    },
}

/// Where the session is that was left to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// Nobody is signed in.
    None,
    /// The browser has its refresh token, in a cookie that no script can read.
    Cookie,
    /// This is its refresh token.
    Token(String),
}

/// A call of the server's REST interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: Method,
    /// From `/api/…` on.
    pub path: String,
    pub bearer: Option<String>,
    pub body: Option<Body>,
}

/// The server's reply, good or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub retry_after_ms: Option<i64>,
    pub body: String,
}

/// There was no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no reply")]
pub struct NoReply;

/// What a socket brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEvent {
    Opened,
    Text(String),
    /// The last.
    Closed(u16),
}

/// Says something through a socket; lost if it is not open.
pub type Speaker = Box<dyn Fn(&str)>;

/// One WebSocket. Dropping it closes it.
pub trait Socket {
    fn speaker(&self) -> Speaker;
    /// The next event; after `Closed` there is none.
    fn next(&mut self) -> impl Future<Output = SocketEvent>;
}

pub trait Platform {
    type Socket: Socket;

    fn now(&self) -> Timestamp;
    fn sleep(&self, millis: u32) -> impl Future<Output = ()>;
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, NoReply>>;
    /// Opens a socket at a path of the server.
    fn open(&self, path: &str) -> Result<Self::Socket, NoReply>;

    /// Whether refresh tokens are kept in cookies, out of our reach.
    fn has_cookies(&self) -> bool;
    /// The session that all windows of this person share.
    fn session(&self) -> Session;
    fn keep_session(&self, session: &Session);
    /// The session that somebody has signed out of, and that the server, and a cookie out of our reach, may still have;
    /// empty where it is not known which.
    fn leaving(&self) -> Option<String> {
        None
    }
    /// Keeps that over a restart, or that it is over.
    fn keep_leaving(&self, _session: Option<&str>) {}
    /// Does the work while no other window does such work, where the system can tell.
    fn alone<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T>;
}
