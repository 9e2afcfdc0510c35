//! The types on the wire: what the server, its clients and its senders say to each other.
//!
//! Nothing here does I/O or reads a clock. Each payload is defined once, here, and used by both ends.

pub mod account;
pub mod admin;
pub mod api;
pub mod backup;
pub mod channel;
pub mod cursor;
pub mod error;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod message;
pub mod permission;
pub mod profile;
pub mod receipt;
pub mod sets;
pub mod template;
pub mod time;

pub use cursor::Cursor;
pub use ids::{
    ChannelId, DepartmentId, DeviceId, MessageId, RoleId, ServiceId, SessionId, TemplateId, UserId,
};
pub use time::Timestamp;
