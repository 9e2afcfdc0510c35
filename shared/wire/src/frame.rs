//! What goes over the socket `/ws`: text frames `{"type":…,"data":…}` (RFC 6455 carries them). Who does not know a type
//! passes the frame over, so that there can be more of them.

use crate::account::DeviceType;
use crate::backup::BackupJob;
use crate::error::{ErrorType, FieldError};
use crate::message::{Message, Pressed};
use crate::{DeviceId, MessageId, SessionId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Close codes of the socket. 1000–1015 are RFC 6455's, 4000 and up ours.
pub mod close {
    /// The server is stopping: come back (RFC 6455 and the IANA registry: "service restart").
    pub const RESTART: u16 = 1012;
    /// The client broke RFC 6455.
    pub const PROTOCOL: u16 = 1002;
    /// A binary frame; frames are JSON text.
    pub const UNSUPPORTED: u16 = 1003;
    /// Text that is not valid UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// A frame larger than the server takes.
    pub const TOO_BIG: u16 = 1009;
    /// The client sent an invalid frame or too many, or was silent for too long.
    pub const POLICY: u16 = 1008;
    /// The session was ended or the token has expired: sign in or refresh, then come back.
    pub const SIGNED_OUT: u16 = 4001;
    /// The same device has connected again.
    pub const REPLACED: u16 = 4009;
}

/// Whether the person is at the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    Active,
    Idle,
}

/// The first frame of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    pub device_id: DeviceId,
    #[serde(default, deserialize_with = "or_default")]
    pub device_type: DeviceType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub capabilities: Vec<String>,
    /// Where the client stands; what came after it follows at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The highest `pos` received since the cursor; only allowed with `cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pos: Option<u64>,
    /// The highest `version` received since the cursor; only allowed with `cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// Takes `null` for a field that is left out.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A client's change of presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceReport {
    pub state: PresenceState,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum ClientFrame {
    Hello(Hello),
    Presence(PresenceReport),
    Ping,
    Pong,
}

/// The server's answer to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    pub session_id: SessionId,
    pub device_id: DeviceId,
    pub server_time: Timestamp,
    /// Where the client stands once what was missed has arrived.
    pub cursor: String,
    pub unread_count: u64,
    /// Seconds between pings.
    pub ping_interval: u64,
}

/// What a message has become for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Read,
    Unread,
    Expired,
    Recalled,
    Deleted,
    /// A `button` or `confirm` was pressed.
    Pressed,
}

/// A change of one message's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusUpdate {
    pub message_id: MessageId,
    pub status: Status,
    /// The device that changed it, when one did.
    pub device_id: Option<DeviceId>,
    /// The reader's next number; 0 for `recalled` and `pressed`, which have a place instead.
    pub version: u64,
    pub at: Timestamp,
    /// With `recalled` and `pressed`: its place in the delivery log, as messages have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pos: Option<u64>,
    /// With `recalled`: the message that has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<MessageId>,
    /// With `pressed`: what, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Pressed>,
}

impl StatusUpdate {
    /// A reader's own change.
    pub fn own(
        message_id: MessageId,
        is_read: bool,
        device_id: Option<DeviceId>,
        version: u64,
        at: Timestamp,
    ) -> Self {
        let status = if is_read { Status::Read } else { Status::Unread };
        Self { message_id, status, device_id, version, at, pos: None, replaced_by: None, pressed: None }
    }

    /// A message that its sender took back.
    pub fn recalled(message_id: MessageId, pos: u64, at: Timestamp, replaced_by: Option<MessageId>) -> Self {
        let status = Status::Recalled;
        Self {
            message_id,
            status,
            device_id: None,
            version: 0,
            at,
            pos: Some(pos),
            replaced_by,
            pressed: None,
        }
    }

    /// An action that was pressed.
    pub fn pressed(message_id: MessageId, pos: u64, pressed: Pressed) -> Self {
        Self {
            message_id,
            status: Status::Pressed,
            device_id: None,
            version: 0,
            at: pressed.at,
            pos: Some(pos),
            replaced_by: None,
            pressed: Some(pressed),
        }
    }
}

/// One of the reader's own devices that is online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresentDevice {
    pub device_id: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    pub state: PresenceState,
}

/// The reader's own devices that are online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    pub devices: Vec<PresentDevice>,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionRevoked {
    /// `revoked`, `expired` or `disabled`.
    pub reason: String,
}

/// Reports an invalid frame of the client; the server closes the socket afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameError {
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// The reason, for people.
    pub message: String,
    /// The fields of the frame's `data` that are not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made one at a time and handed on at once")]
pub enum ServerFrame {
    Welcome(Welcome),
    Message(Message),
    StatusUpdate(StatusUpdate),
    Presence(Presence),
    /// Fetch `sync` from your cursor.
    Resync,
    SessionRevoked(SessionRevoked),
    /// The client sent an invalid frame; the close frame follows.
    Error(FrameError),
    /// One of the reader's own backups in the background: at each change of its state, and while it is made at most twice a
    /// second. It has no place in the log: what was missed is seen with `GET /api/v3/backup/jobs`.
    BackupJob(BackupJob),
    Ping,
    Pong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_a_type_and_data() {
        assert_eq!(serde_json::to_string(&ClientFrame::Ping).unwrap(), r#"{"type":"ping"}"#);
        let text = r#"{"type":"hello","data":{"device_id":"d1","device_type":"desktop"}}"#;
        let ClientFrame::Hello(hello) = serde_json::from_str(text).unwrap() else { panic!("a hello") };
        assert_eq!(hello.device_type, DeviceType::Desktop);
        assert!(serde_json::from_str::<ClientFrame>(r#"{"type":"ping"}"#).is_ok());
    }
}
