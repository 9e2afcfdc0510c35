//! What can go wrong with a request, and what is said of it. One `match` gives type, status and words;
//! an internal cause is logged once and never shown.

use crate::backup::BackupError;
use crate::backup::sets::SetError;
use crate::directory::DirectoryError;
use crate::inbox::InboxError;
use crate::log::LogError;
use crate::report::LedgerError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::backup::RestoreFault;
use hongyan_wire::error::{ErrorType, FieldError};
use hongyan_wire::message::Pressed;
use serde_json::Value;
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub error_type: ErrorType,
    /// For a person.
    pub message: String,
    pub details: Vec<FieldError>,
    /// With a version conflict: how things stand now.
    pub current: Option<Value>,
    /// Seconds.
    pub retry_after: Option<u32>,
    /// How a limit stands that was met.
    pub rate: Option<Rate>,
}

/// How a caller's limit stands, for the headers `RateLimit-Limit`, `-Remaining` and `-Reset`
/// (draft-ietf-httpapi-ratelimit-headers-06, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Messages a minute.
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until there are more.
    pub reset: u32,
}

impl Rate {
    /// Puts it into an answer's headers.
    pub fn write(self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("ratelimit-limit", self.limit),
            ("ratelimit-remaining", self.remaining),
            ("ratelimit-reset", self.reset),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

impl Error {
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self {
            error_type,
            message: message.into(),
            details: Vec::new(),
            current: None,
            retry_after: None,
            rate: None,
        }
    }

    /// Valid JSON that asks for something that cannot be: one entry a field.
    pub fn invalid(details: Vec<FieldError>) -> Self {
        let message = match details.as_slice() {
            [one] => format!("{}: {}", one.field, one.reason),
            many => format!("{} fields are not valid", many.len()),
        };
        Self { details, ..Self::new(ErrorType::ValidationFailed, message) }
    }

    /// One field that is not valid.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, reason)])
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorType::NotFound, format!("there is no such {what}"))
    }

    pub fn unauthenticated(message: &str) -> Self {
        Self::new(ErrorType::Unauthenticated, message)
    }

    pub fn forbidden(permission: &str) -> Self {
        Self::new(ErrorType::PermissionDenied, format!("the permission {permission} is missing"))
    }

    /// The password is right, and does not suffice.
    pub fn second_factor(message: &str) -> Self {
        Self::new(ErrorType::SecondFactorRequired, message)
    }

    /// It takes someone who has just signed in.
    pub fn not_recent() -> Self {
        let message =
            "this takes someone who has signed in within the last ten minutes; confirm it, or sign in again";
        Self::new(ErrorType::RecentSignInRequired, message)
    }

    pub fn exists(what: &str, field: &str) -> Self {
        let details = vec![FieldError::new(field, "is taken")];
        Self { details, ..Self::new(ErrorType::AlreadyExists, format!("the {what} exists already")) }
    }

    /// Another answer counts: it is shown.
    pub fn already_answered(counts: &Pressed) -> Self {
        let message = format!("it was answered already, with {}", counts.action);
        let current = serde_json::to_value(counts).ok();
        Self { current, ..Self::new(ErrorType::AlreadyAnswered, message) }
    }

    pub fn overloaded(message: &str) -> Self {
        Self { retry_after: Some(1), ..Self::new(ErrorType::Overloaded, message) }
    }

    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self { retry_after: Some(30), ..Self::new(ErrorType::RateLimited, message) }
    }

    /// A fault of ours: the cause goes to the error log, and only there.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(target: "hongyan::error", %cause, "a request failed");
        Self::new(ErrorType::Internal, "something went wrong here; the request id finds it in the log")
    }

    fn storage(cause: impl std::fmt::Display) -> Self {
        tracing::error!(target: "hongyan::error", %cause, "the storage cannot be used");
        let message = "the storage cannot be written or read right now; nothing was changed";
        Self { retry_after: Some(5), ..Self::new(ErrorType::StorageUnavailable, message) }
    }

    fn no_backups(cause: impl std::fmt::Display) -> Self {
        let message = "backups cannot be written or read right now";
        Self { message: message.into(), ..Self::storage(cause) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::KeyReused => Self::new(
                ErrorType::IdempotencyConflict,
                "this Idempotency-Key was used with another request in the last 24 hours",
            ),
            LogError::Busy => Self::overloaded("the server is busy"),
            LogError::Closed => Self::overloaded("the server is stopping"),
            LogError::Unwritable(_) | LogError::Unreadable(_) => Self::storage(error),
        }
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        Self::storage(error)
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Log(error) => error.into(),
            LedgerError::Directory(error) => error.into(),
            LedgerError::Storage(_) | LedgerError::Newer(_) => Self::storage(error),
        }
    }
}

impl From<InboxError> for Error {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::NoUser => Self::unauthenticated("the user does not exist any more"),
            InboxError::NoMessage => Self::not_found("message"),
            InboxError::Moved(state) => {
                let current = serde_json::json!({
                    "is_read": state.is_read, "read_at": state.read_at, "version": state.version,
                });
                let message = "the message has changed meanwhile";
                Self { current: Some(current), ..Self::new(ErrorType::VersionConflict, message) }
            }
            // Logged where it was met, with the user's id.
            InboxError::Damaged(_) | InboxError::Newer(_) | InboxError::Lost(_) => Self::new(
                ErrorType::InboxDamaged,
                "this inbox cannot be read; an administrator must restore it from a backup",
            ),
            InboxError::NotEmpty => Self::new(
                ErrorType::AlreadyExists,
                "the inbox has messages; `into=merge` adds to them what is missing",
            ),
            InboxError::Copying => Self {
                retry_after: Some(60),
                ..Self::overloaded(
                    "a backup of the whole server is being made; nothing is put back meanwhile",
                )
            },
            InboxError::Backup(error) => unusable("file", error),
            InboxError::Ended => Self::unauthenticated("the session has ended"),
            InboxError::Unfinished(error) => match *error {
                // Deleted meanwhile.
                error @ InboxError::NoUser => error.into(),
                error => {
                    let message = "the server goes on with the backup as soon as it can; to bring it again does no harm";
                    Self { message: message.into(), ..Self::storage(error) }
                }
            },
            InboxError::Directory(error) => error.into(),
            InboxError::Log(error) => error.into(),
            InboxError::Panicked => Self::internal(error),
            InboxError::Stopping => Self::overloaded("the server is stopping"),
            InboxError::Storage(_) | InboxError::Io(_) | InboxError::Path(_) => Self::storage(error),
        }
    }
}

/// A backup that was given and cannot be put back: `field` is the one that has it.
fn unusable(field: &str, error: hongyan_backup::Error) -> Error {
    use RestoreFault as Code;
    use hongyan_backup::Error as Fault;
    let code = match &error {
        Fault::TooLarge(max) => {
            let reason = format!("{field}: no more than {max} bytes can be put back here");
            return Error::new(ErrorType::TooLarge, reason);
        }
        Fault::Cancelled => return BackupError::Stopping.into(),
        fault if fault.is_of_disk() => return Error::storage(error),
        Fault::NoBackup => Code::NotABackup,
        // What is ours was checked when the server began; what is left is in the file.
        Fault::Damaged(_) | Fault::Storage(_) | Fault::Io(_) => Code::Damaged,
        Fault::Newer(_) => Code::Newer,
        Fault::OtherPerson(_) => Code::OtherPerson,
        Fault::Locked => Code::Locked,
        Fault::WrongKey => Code::WrongKey,
        Fault::NotFull
        | Fault::NotIncremental
        | Fault::OtherServer
        | Fault::Gap { .. }
        | Fault::Older
        | Fault::TooOld => Code::Incomplete,
    };
    let reason = match error {
        // It would name the path.
        Fault::Storage(cause) if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            Fault::Damaged("it cannot be opened".into()).to_string()
        }
        Fault::Storage(cause) => Fault::Damaged(cause.to_string()).to_string(),
        fault => fault.to_string(),
    };
    Error::invalid(vec![FieldError { code: Some(code), ..FieldError::new(field, reason) }])
}

impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::OverQuota { .. } => {
                Self::new(ErrorType::TooLarge, format!("the backup is too large: {error}"))
            }
            BackupError::NoFile => Self::field("file", "is missing: the backup that is to be put back"),
            BackupError::ManyFiles { .. } => Self::new(ErrorType::TooLarge, error.to_string()),
            BackupError::TooMany(_) => Self::rate_limited(error.to_string()),
            BackupError::Busy | BackupError::Stopping => Self::overloaded(&error.to_string()),
            BackupError::Restoring => Self { retry_after: Some(5), ..Self::rate_limited(error.to_string()) },
            BackupError::Inbox(error) => error.into(),
            BackupError::Backup(hongyan_backup::Error::Cancelled) => {
                Self::overloaded("the server is stopping")
            }
            BackupError::Backup(hongyan_backup::Error::TooOld) => {
                Self::field("since", "is too long ago, or before a backup was restored: take a full backup")
            }
            BackupError::Backup(error) if error.is_of_disk() => Self::no_backups(error),
            BackupError::Backup(error) => Self::internal(error),
            BackupError::File { field, error } => unusable(&field, error),
            BackupError::Io(error) => Self::no_backups(error),
        }
    }
}

impl From<SetError> for Error {
    fn from(error: SetError) -> Self {
        match error {
            SetError::NoSet(_) | SetError::NoSets(_) => Self::not_found("backup"),
            SetError::Making => Self::new(ErrorType::AlreadyExists, "a backup is being made already"),
            SetError::Stopping => Self::overloaded("the server is stopping"),
            SetError::Inbox(error) => error.into(),
            SetError::Directory(error) => error.into(),
            SetError::Ledger(error) => error.into(),
            SetError::Log(error) => error.into(),
            error => Self::no_backups(error),
        }
    }
}

impl IntoResponse for Error {
    /// Status and headers; the body is written by the envelope, which knows the request id.
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.error_type.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if self.error_type.status() == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Service"));
        }
        let retry_after = match self.rate {
            Some(rate) => {
                rate.write(headers);
                Some(rate.reset.max(1))
            }
            None => self.retry_after,
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
