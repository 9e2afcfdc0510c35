//! Backups of one's own inbox.

use crate::Timestamp;
use crate::error::ErrorType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A backup that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    pub id: String,
    /// `full`, `messages` or `incremental`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `database`, `jsonl` or `html`.
    pub format: String,
    /// A name for the file.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// How many messages are in it.
    pub messages: u64,
    /// Everything up to this place is in it.
    pub pos: u64,
    /// From where an increment goes on after it: its `since`.
    pub cursor: String,
    pub encrypted: bool,
    pub made_at: Timestamp,
    /// It can be fetched until then.
    pub expires_at: Timestamp,
}

/// `GET /api/v3/backup`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupList {
    pub backups: Vec<Backup>,
}

/// What is wanted of a backup. It has secrets: there is no way to print it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// `full`, `messages` or `incremental`; `full` when left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `gzip` (or `true`), `zstd` or `none` (or `false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<String>,
    /// `passphrase`, `recipient` or `none`; follows from what is given when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<String>,
    /// For `incremental`: the cursor of the backup before, a place, or a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// `database` (a SQLite file), `jsonl` (a message a line) or `html` (a page to read); `database` when left out. The
    /// latter two are for `full` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of the labels of a page: `zh` or `en`; as `Accept-Language` has it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// 12 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// `age1…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
}

/// `POST /api/v3/backup/links`: to a backup that there is, or to one that is made for it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The id of one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// What is wanted otherwise; a full one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<BackupRequest>,
    /// Seconds, 1 to 86,400; 900 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A link to a backup: good by itself, until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupLink {
    pub url: String,
    pub expires_at: Timestamp,
    pub backup: Backup,
}

/// How far a job has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its turn has not come yet.
    Waiting,
    Running,
    /// There is a backup.
    Done,
    /// There is none, and `error` says why.
    Failed,
    /// Its owner has given it up.
    Cancelled,
}

impl JobState {
    /// Whether nothing happens to it any more.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// Why a job has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobError {
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// For a person.
    pub message: String,
}

/// A backup that is made in the background: `POST /api/v3/backup/jobs`. The socket tells of it with the frame `backup_job`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackupJob {
    /// Sorts by time.
    pub id: String,
    pub state: JobState,
    /// The part that is done, from 0 to 1. It only grows, but begins anew when the server was restarted meanwhile.
    pub progress: f64,
    /// `full`, `messages` or `incremental`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `database`, `jsonl` or `html`.
    pub format: String,
    /// `gzip`, `zstd` or `none`.
    pub compress: String,
    /// `passphrase`, `recipient` or `none`.
    pub encrypt: String,
    /// As it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Of one that is done, as long as it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Of one that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

/// `GET /api/v3/backup/jobs`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackupJobList {
    pub jobs: Vec<BackupJob>,
}

/// `POST /api/v3/backup/restore`: what became of the messages and states that were brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreAnswer {
    /// Messages that were put back.
    pub restored: u64,
    /// Messages that were there already.
    pub known: u64,
    /// Messages that their senders have taken back, or that have expired: they stay away.
    pub gone: u64,
    /// Read states that were taken over.
    pub states: u64,
}

/// Why a backup cannot be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreFault {
    /// A page, lines of JSON, or nothing of this service at all.
    NotABackup,
    Damaged,
    /// Of a later version than the server knows.
    Newer,
    OtherPerson,
    /// It is encrypted, and no passphrase or key was given.
    Locked,
    /// It is encrypted for another passphrase or key.
    WrongKey,
    /// There is no full backup, or something is missing between it and an increment.
    Incomplete,
}
