//! A channel as one of its members sees it.

use crate::{ChannelId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who may see and join a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    #[default]
    Public,
    Private,
    System,
}

/// A channel in the reader's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    pub id: ChannelId,
    pub name: String,
    pub description: String,
    pub kind: ChannelKind,
    /// The reader's unread messages in it.
    pub unread_count: u64,
    /// Whether the reader looks after it: may send to it, and say who is in it.
    #[serde(default)]
    pub is_owner: bool,
}

/// Someone who is in a channel, as its owners see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub id: UserId,
    pub username: String,
    pub name: String,
}

/// `GET /api/v3/channels/{id}/members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    pub members: Vec<Member>,
    pub total: u64,
}

/// `GET /api/v3/channels`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    pub channels: Vec<Channel>,
}

/// A public channel as someone sees it who may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicChannel {
    pub id: ChannelId,
    pub name: String,
    pub description: String,
    pub member_count: u64,
    pub is_member: bool,
}

/// `GET /api/v3/channels/public`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicChannelList {
    pub channels: Vec<PublicChannel>,
    pub total: u64,
}
