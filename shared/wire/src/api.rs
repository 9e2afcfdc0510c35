//! Requests and answers of the user gateway, and the envelope that all answers share.

use crate::frame::StatusUpdate;
use crate::message::Message;
use crate::{ChannelId, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A good answer: `{"code":200,"message":"success","data":…,"meta":…}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Success<T> {
    /// The HTTP status.
    pub code: u16,
    pub message: String,
    pub data: T,
    pub meta: Meta,
}

/// What is said about an answer. Pages have the first three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<u64>,
    /// On lists of messages and counts: the cursor of this moment, to go on from with `sync` or a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Meta {
    /// The meta of one page of `total` items.
    pub fn page(page: u32, size: u32, total: u64) -> Self {
        let total_pages = total.div_ceil(u64::from(size.max(1)));
        Self { page: Some(page), size: Some(size), total_pages: Some(total_pages), cursor: None }
    }
}

/// `GET /api/v3/messages`: newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageList {
    pub messages: Vec<Message>,
    /// Unread messages of the whole inbox, whatever the filter.
    pub unread_count: u64,
    /// How many messages the filter finds.
    pub total: u64,
}

/// Optional body of `POST /api/v3/messages/{id}/read`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// `false` takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_read: Option<bool>,
    /// Change only if the message's `version` is still this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// A message's state after `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadState {
    pub message_id: MessageId,
    pub is_read: bool,
    pub read_at: Option<Timestamp>,
    pub version: u64,
    pub unread_count: u64,
}

/// `POST /api/v3/messages/read-batch`: either `message_ids`, or `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBatchRequest {
    /// At most 1,000; those that are not in the inbox are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1_000)]
    pub message_ids: Option<Vec<MessageId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// With `all`: only this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// With `all`: only messages up to this place, so that what arrives meanwhile stays unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_pos: Option<u64>,
}

/// The answer to `read-batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadBatchAnswer {
    /// How many messages changed.
    pub changed: u64,
    pub unread_count: u64,
}

/// `GET /api/v3/messages/unread-count`. Messages without a channel count in `total` only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadCount {
    pub total: u64,
    #[schema(value_type = BTreeMap<String, u64>)]
    pub by_channel: BTreeMap<ChannelId, u64>,
}

/// One change of an inbox, in the shape of the socket's frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made one at a time and handed on at once")]
pub enum Change {
    Message(Message),
    StatusUpdate(StatusUpdate),
}

/// `GET /api/v3/sync`: the changes after a cursor, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SyncAnswer {
    pub changes: Vec<Change>,
    pub next_cursor: String,
    /// Whether to ask again at once, with `next_cursor`.
    pub has_more: bool,
    pub server_time: Timestamp,
    /// The cursor is of no use any more: forget what is known and start over without one.
    pub reset: bool,
}

/// The `data` of an answer that has nothing to say: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}
