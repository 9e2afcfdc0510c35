//! Errors as they stand on the wire. Clients match `error.type`, not words.

use crate::backup::RestoreFault;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StringDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The closed set of `error.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// 400: the body is no JSON, or a value has the wrong JSON type.
    MalformedRequest,
    /// 401: no credentials, or they are not good (any more).
    Unauthenticated,
    /// 401: the password is right; the second factor is missing or wrong.
    SecondFactorRequired,
    /// 403: the permission named in the message is missing.
    PermissionDenied,
    /// 403: only for someone who has signed in within the last ten minutes; `auth/confirm` makes it so.
    RecentSignInRequired,
    /// 404: there is no such thing, or it is another user's.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: it exists already.
    AlreadyExists,
    /// 409: it has changed meanwhile; `details` and, where there is one, `current` say to what.
    VersionConflict,
    /// 409: another answer counts already; `current` says which.
    AlreadyAnswered,
    /// 409: the `Idempotency-Key` was used with another body.
    IdempotencyConflict,
    /// 413: larger than the limit named in the message.
    TooLarge,
    /// 415: the `Content-Type` is not the one wanted.
    UnsupportedMediaType,
    /// 422: well-formed but not valid; `details` name the fields.
    ValidationFailed,
    /// 429: too often; `Retry-After` says when to try again.
    RateLimited,
    /// 500: a fault of the server; the request id finds it in the error log.
    Internal,
    /// 500: this user's inbox file is damaged; an operator must restore it.
    InboxDamaged,
    /// 503: busy, starting or stopping; `Retry-After` says when to try again.
    Overloaded,
    /// 503: the storage cannot be written (full or failing); nothing was changed.
    StorageUnavailable,
}

impl ErrorType {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedRequest => 400,
            Self::Unauthenticated | Self::SecondFactorRequired => 401,
            Self::PermissionDenied | Self::RecentSignInRequired => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists
            | Self::VersionConflict
            | Self::AlreadyAnswered
            | Self::IdempotencyConflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ValidationFailed => 422,
            Self::RateLimited => 429,
            Self::Internal | Self::InboxDamaged => 500,
            Self::Overloaded | Self::StorageUnavailable => 503,
        }
    }
}

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Its path in the request, as `recipients[2]`.
    pub field: String,
    pub reason: String,
    /// The reason in a word for programs, where it is one of a few: of `backup/restore`, see `RestoreFault`.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub code: Option<RestoreFault>,
}

/// A word that is known; one of a later server is passed over.
fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RestoreFault>, D::Error> {
    let word = Option::<String>::deserialize(from)?;
    Ok(word.and_then(|word| {
        let word: StringDeserializer<ValueError> = word.into_deserializer();
        RestoreFault::deserialize(word).ok()
    }))
}

impl FieldError {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: None }
    }
}

/// The `error` of a failed answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
    /// With `version_conflict` and `already_answered`: how things stand now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<serde_json::Value>,
}

/// The `meta` of a failed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureMeta {
    pub request_id: String,
}

/// A failed answer, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The HTTP status.
    pub code: u16,
    /// What is wrong, for a person.
    pub message: String,
    pub error: ErrorBody,
    pub meta: FailureMeta,
}
