//! A message: as a sender asks for it, and as a reader sees it.

use crate::error::{ErrorType, FieldError};
use crate::{ChannelId, MessageId, ServiceId, TemplateId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use utoipa::ToSchema;

/// How the entries of `recipients` are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipientType {
    /// User ids or usernames.
    User,
    /// Channel ids; without `recipients`, the message's own `channel_id`.
    Channel,
    /// Role ids.
    Role,
    /// Department ids; whoever is in a department below one is meant too.
    Department,
    /// Everyone; `recipients` stays empty.
    All,
}

/// What a sender asks for: `POST /api/v3/messages/send`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessageRequest {
    /// The channel under which the message is shown. It does not by itself choose who gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// 1 to 200 characters on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Plain text, line breaks allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A word that clients may show differently: `text` (default), `alert`, `file_share`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Who gets it, at most 100,000 entries. Without `recipient_type` each is looked up as a
    /// user id, username, role and channel, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 100_000)]
    pub recipients: Vec<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_type: Option<RecipientType>,
    /// Shown as the sender; what is left out is filled in from the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<SenderInfo>,
    /// The user for whom a service sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<UserId>,
    /// 1 (lowest) to 10; 5 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub priority: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// After this moment the message is neither shown nor counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<Timestamp>,
    /// Anything that clients of the sender's own want to know; nested at most 32 levels deep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub attachments: Vec<AttachmentInfo>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub actions: Vec<ActionInfo>,
    /// A template in place of title and content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// Values for the template's placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Map<String, Value>>,
    /// A message that the caller has sent before: this one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
    /// The caller's own name for what this is about, 1 to 200 characters on one line: the message that the caller
    /// sent last under the same name is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_key: Option<String>,
    /// Whose answer counts when a `button` or `confirm` is pressed: each reader's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerMode>,
}

/// Whose answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMode {
    /// Each reader answers for themselves, once.
    #[default]
    Each,
    /// The first answer of any reader settles it for all.
    First,
}

/// What a reader has pressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pressed {
    /// The `action` of the `button` or `confirm`.
    pub action: String,
    /// Who pressed it.
    pub by: UserId,
    /// Their name at that time.
    pub name: String,
    pub at: Timestamp,
}

impl Pressed {
    /// The same by someone who is not known any more.
    pub fn without_name(&self) -> Self {
        Self { by: UserId::nobody(), name: String::new(), ..self.clone() }
    }
}

/// The answer to a press.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PressAnswer {
    pub message_id: MessageId,
    pub pressed: Pressed,
}

/// Who a sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SenderType {
    User,
    #[default]
    Service,
    System,
}

/// The sender as readers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderInfo {
    #[serde(default)]
    pub id: String,
    #[serde(default, rename = "type")]
    pub sender_type: SenderType,
    #[serde(default)]
    pub name: String,
    /// An `http` or `https` URL, or empty.
    #[serde(default)]
    pub avatar: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
}

/// What an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentType {
    File,
    Image,
    Link,
    Document,
}

/// Something that lies elsewhere and belongs to the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachmentInfo {
    #[serde(rename = "type")]
    pub attachment_type: AttachmentType,
    pub name: String,
    /// An `http` or `https` URL.
    pub url: String,
    /// In bytes; 0 when not known.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    pub mime_type: String,
    /// An `http` or `https` URL, or empty.
    #[serde(default)]
    pub thumbnail: String,
}

/// How an action answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    Button,
    Link,
    Confirm,
}

/// How an action looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionStyle {
    Primary,
    #[default]
    Secondary,
    Danger,
}

/// Something that the reader can do with the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionInfo {
    #[serde(rename = "type")]
    pub action_type: ActionType,
    pub text: String,
    /// Where a `link` leads: an `http` or `https` URL.
    #[serde(default)]
    pub url: String,
    /// What a `button` or `confirm` is called towards the sender.
    #[serde(default)]
    pub action: String,
    #[serde(default)]
    pub style: ActionStyle,
}

/// A message as a reader sees it: in lists, in `sync` and in the socket's `message` frame.
/// In a frame, which is the same for every recipient, it is always unread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    pub id: MessageId,
    /// Its place in the delivery log: it only grows, and it is the order in which everyone sees things.
    pub pos: u64,
    pub channel_id: Option<ChannelId>,
    pub title: String,
    pub content: String,
    pub message_type: String,
    pub priority: u8,
    /// The sender's id.
    pub sender: String,
    pub sender_info: SenderInfo,
    pub created_at: Timestamp,
    pub expire_at: Option<Timestamp>,
    pub metadata: Map<String, Value>,
    pub attachments: Vec<AttachmentInfo>,
    pub actions: Vec<ActionInfo>,
    pub is_read: bool,
    pub read_at: Option<Timestamp>,
    /// The number of the reader's last change to it; 0 when there was none.
    pub version: u64,
    /// The message whose place it has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
    /// The sender's name for what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_key: Option<String>,
    /// What was pressed, by the reader or, where the first answer counts, by anyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Pressed>,
}

/// What became of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendStatus {
    /// Durable: it reaches every recipient, whatever happens next.
    Accepted,
    /// Durable: it is sent at its time.
    Scheduled,
}

/// The answer to a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendAnswer {
    pub message_id: MessageId,
    pub status: SendStatus,
    /// To how many people it goes.
    pub recipients: u64,
    /// Entries of `recipients` that are nobody.
    #[schema(value_type = Vec<String>)]
    pub unknown_recipients: Vec<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// The answer to a recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecallAnswer {
    pub message_id: MessageId,
    /// Always true: nobody sees it any more.
    pub recalled: bool,
}

/// `POST /api/v3/messages/send-batch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBatchRequest {
    /// 1 to 1,000.
    #[schema(min_items = 1, max_items = 1_000)]
    pub messages: Vec<SendMessageRequest>,
}

/// What became of one message of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BatchResult {
    Sent(SendAnswer),
    Failed(BatchFailure),
}

/// One message of a batch that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchFailure {
    /// What is wrong, for a person.
    pub message: String,
    pub error: BatchError,
}

/// As `error` of a failed answer; fields are named with their place in the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchError {
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
}

/// The answer to a batch: one result a message, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendBatchAnswer {
    pub results: Vec<BatchResult>,
    pub sent: u64,
    pub failed: u64,
}

/// `POST /api/v3/messages/preview`: what a send would send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviewAnswer {
    /// As its readers would see it; its id and place are those of no message.
    pub message: Message,
    /// To how many people it would go now.
    pub recipients: u64,
    #[schema(value_type = Vec<String>)]
    pub unknown_recipients: Vec<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// A message that waits for its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduledMessage {
    pub scheduled_at: Timestamp,
    /// To how many people it would have gone when it was scheduled.
    pub recipients: u64,
    pub message: Message,
}

/// `GET /api/v3/messages/scheduled`: the caller's own, the next due first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduledList {
    pub messages: Vec<ScheduledMessage>,
    pub total: u64,
}
