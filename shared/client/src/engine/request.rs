//! What the engine is told, what it asks for, and what it says.

use super::RequestId;
use crate::mirror::{Kept, Write};
use hongyan_wire::api::{MessageList, ReadBatchAnswer, ReadBatchRequest, ReadState, SyncAnswer, UnreadCount};
use hongyan_wire::backup::BackupJob;
use hongyan_wire::frame::{ClientFrame, PresenceState, ServerFrame};
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use std::sync::Arc;

/// Which socket: what comes late from an older one is not heard.
pub type SocketId = u64;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A person is signed in; with what was kept from before.
    Start(Option<Box<Kept>>),
    /// The person signs out: everything is forgotten.
    Stop,
    /// The person wants to be connected now.
    Reconnect,
    SocketOpened(SocketId),
    Frame(SocketId, Box<ServerFrame>),
    SocketClosed(SocketId, u16),
    Answer(RequestId, Result<Answer, Failed>),
    NetworkOnline,
    NetworkOffline,
    /// Time has passed.
    Tick,
    Read(Vec<MessageId>),
    Unread(MessageId),
    ReadAll(Option<ChannelId>),
    LoadOlder,
    Presence(PresenceState),
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Request(RequestId, Request),
    OpenSocket(SocketId, String),
    Send(ClientFrame),
    CloseSocket,
    /// Call with [`Input::Tick`] then.
    WakeAt(Timestamp),
    /// Write this to the kept copy, all or nothing.
    Keep(Vec<Write>),
    Changed(Changed),
    /// Tell the person of a new message.
    Notify(Arc<Message>),
    /// So stands one of the person's backups in the background. Nothing of it is kept here.
    BackupJob(Box<BackupJob>),
    /// The server does not know the session any more, or the person has left.
    SignedOut,
}

/// What may look different now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    pub connection: bool,
    /// The messages, their state, or the counts.
    pub inbox: bool,
    pub presence: bool,
}

/// A question to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Page {
        page: u32,
        size: u32,
    },
    Sync {
        cursor: String,
    },
    Mark {
        id: MessageId,
        is_read: bool,
    },
    MarkMany(ReadBatchRequest),
    UnreadCount,
    Ticket,
    /// New tokens; the engine never sees them.
    Refresh,
}

/// The server's answer; `cursor` is the moment that it describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Page { list: MessageList, cursor: Option<String> },
    Sync(SyncAnswer),
    Marked(ReadState),
    MarkedMany(ReadBatchAnswer),
    UnreadCount { counts: UnreadCount, cursor: Option<String> },
    Ticket(String),
    Refreshed,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// No connection, or the server cannot answer now; it may have said when to ask again.
    #[error("the server cannot be reached")]
    Unreachable { retry_after_ms: Option<i64> },
    #[error("the tokens are not good any more")]
    Unauthenticated,
    /// It will not do this, however often it is asked.
    #[error("the server refused it")]
    Refused,
}
