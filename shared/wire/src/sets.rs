//! Sets: backups of the whole server, for administrators.

use crate::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A set that lies there, from which the server can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupSet {
    /// Its moment in UTC, as `20260115T103000Z`.
    pub id: String,
    pub made_at: Timestamp,
    /// The version of the server that made it.
    pub server: String,
    pub people: u64,
    /// In all inboxes together.
    pub messages: u64,
    /// Bytes of its files. Inboxes that had not changed since the set before share theirs with it.
    pub size: u64,
    /// Whether every inbox is in it.
    pub complete: bool,
    /// Whose inbox is not, and why.
    pub left_out: Vec<LeftOut>,
}

/// An inbox that could not be read when a set was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    pub user: UserId,
    pub reason: String,
}

/// `GET /admin/api/v3/backups`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupSetList {
    pub backups: Vec<BackupSet>,
    pub total: u64,
    /// The id of the one that is being made.
    pub making: Option<String>,
    /// Why the last one could not be made; empty again once one could.
    pub failed: Option<String>,
}

/// The answer to `POST /admin/api/v3/backups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MakingAnswer {
    /// Under which it will be there.
    pub id: String,
    /// Always `making`.
    pub state: String,
}

/// The answer to `POST /admin/api/v3/backups/{id}/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyAnswer {
    pub ok: bool,
    /// Each names the file.
    pub problems: Vec<String>,
}
