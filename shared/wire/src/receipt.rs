//! What became of what was sent: for senders and administrators.

use crate::message::{Pressed, SenderInfo};
use crate::{ChannelId, DepartmentId, MessageId, RoleId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use utoipa::ToSchema;

/// What a sent message is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// In the inboxes of those it was for.
    Sent,
    /// Taken back.
    Recalled,
    /// Another message has taken its place.
    Replaced,
    /// Its `expire_at` has passed.
    Expired,
}

/// How often an action was pressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PressCount {
    pub action: String,
    pub count: u64,
}

/// `GET /api/v3/messages/{id}/receipts`: how far a message has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    pub message_id: MessageId,
    pub created_at: Timestamp,
    pub state: DeliveryState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<MessageId>,
    /// To how many people it went when it was sent.
    pub recipients: u64,
    /// Of how many a device has got it.
    pub delivered: u64,
    /// How many have read it and have not taken that back.
    pub read: u64,
    /// The most pressed first.
    pub pressed: Vec<PressCount>,
}

/// How far a message has got with one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub user_id: UserId,
    pub name: String,
    /// Whether a device of theirs has got it.
    pub delivered: bool,
    /// When they read it; nothing if they have not, or if it is in their inbox no more.
    pub read_at: Option<Timestamp>,
    pub pressed: Option<Pressed>,
}

/// One page of those whom a message was for and who are still there, by user id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptList {
    pub recipients: Vec<Receipt>,
    /// Where the next page begins: give it as `after`. Nothing on the last page.
    pub next: Option<UserId>,
}

/// Whom a message was for: the union.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentTo {
    pub all: bool,
    /// The first 20 of those who were listed.
    pub users: Vec<UserId>,
    /// How many were listed.
    pub users_total: u64,
    pub roles: Vec<RoleId>,
    pub channels: Vec<ChannelId>,
    pub departments: Vec<DepartmentId>,
}

/// A message that was sent, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    #[serde(flatten)]
    pub receipts: Receipts,
    pub title: String,
    pub message_type: String,
    pub priority: u8,
    pub channel_id: Option<ChannelId>,
    /// As readers see it.
    pub sender_info: SenderInfo,
    /// Whose credentials sent it: `service:<id>` or `user:<id>`; `system` for what the server itself told somebody.
    #[schema(value_type = String)]
    pub sent_by: SmolStr,
    pub to: SentTo,
    pub expire_at: Option<Timestamp>,
}

/// `GET /admin/api/v3/deliveries`: the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins: give it as `before`. Nothing on the last page.
    pub next: Option<u64>,
}

/// How much time a point of a series stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatsStep {
    #[default]
    Hour,
    /// From midnight to midnight, UTC.
    Day,
}

/// What happened in an hour or a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// When it begins.
    pub at: Timestamp,
    /// Messages sent.
    pub messages: u64,
    /// To how many people they went, added up.
    pub recipients: u64,
    /// Messages that were marked read.
    pub reads: u64,
    /// Buttons that were pressed.
    pub presses: u64,
    /// Messages taken back or replaced.
    pub recalls: u64,
    pub sign_ins: u64,
}

/// How it stands at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsNow {
    pub users: u64,
    pub online_users: u64,
    pub online_devices: u64,
    /// Messages that wait for their time.
    pub scheduled: u64,
}

/// `GET /admin/api/v3/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    pub step: StatsStep,
    /// One a step, in order, without a gap.
    pub points: Vec<StatsPoint>,
    pub now: StatsNow,
}
