//! A person's own account: profile, ways to sign in, personal tokens.

use crate::account::DeviceInfo;
use crate::{DepartmentId, RoleId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A user as seen by themself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    pub id: UserId,
    pub username: String,
    pub name: String,
    pub email: Option<String>,
    /// The path of the picture on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    pub department_id: Option<DepartmentId>,
    pub roles: Vec<RoleId>,
}

/// `PUT /api/v3/auth/profile`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileUpdate {
    /// 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// `GET /api/v3/auth/security`: how the person can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Security {
    pub has_password: bool,
    /// Whether a password alone does not suffice.
    pub totp: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes: u32,
    pub passkeys: Vec<PasskeyInfo>,
    pub identities: Vec<Identity>,
    /// Until when this session counts as just signed in, which changes of this page need.
    pub recent_until: Option<Timestamp>,
}

/// An account at a provider with which the person signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// For the path.
    pub id: String,
    /// The provider's id here.
    pub provider: String,
    /// What the provider calls the person.
    pub name: String,
    pub email: Option<String>,
    pub linked_at: Timestamp,
}

/// `POST /api/v3/auth/identities`: begins to link an account at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIdentityRequest {
    pub provider: String,
}

/// `POST /api/v3/auth/confirm`: shows once more who calls, for what needs someone who has just signed in. One of the two.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Where there is a second factor, with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyAnswer>,
}

/// `PUT /api/v3/auth/password`. Ends the person's other sessions and personal tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one there is; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// 8 to 256 bytes.
    pub new: String,
}

/// `POST /api/v3/auth/totp`: what an authenticator needs (RFC 6238). It counts once a code of it was shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpOffer {
    /// In base32, to be typed in.
    pub secret: String,
    /// `otpauth://totp/…`
    pub uri: String,
    /// The same as a picture: SVG.
    pub qr: String,
}

/// `PUT /api/v3/auth/totp`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpProof {
    /// The six digits that the authenticator shows.
    pub code: String,
}

/// Shown once. Each takes the place of the authenticator once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

/// A passkey, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyInfo {
    /// For the path.
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
}

/// What `navigator.credentials` is called with (Web Authentication Level 3, sections 5.4 and 5.5), as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyChallenge {
    /// To be given back with the answer; good once, for five minutes.
    pub challenge_id: String,
    #[schema(value_type = Object)]
    pub options: Value,
}

/// What `navigator.credentials` has answered, as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    pub challenge_id: String,
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// `POST /api/v3/auth/passkeys`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRequest {
    /// 1 to 100 characters, to tell it from others.
    pub name: String,
    pub challenge_id: String,
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// `POST /api/v3/auth/passkey/login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyLogin {
    pub challenge_id: String,
    #[schema(value_type = Object)]
    pub credential: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceInfo>,
    /// As with a password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookie: bool,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// To read and to listen: every GET, `/sync` and the socket.
    #[serde(rename = "read")]
    Read,
    /// Everything else that a person may do: to send, to mark, to press, to join.
    #[serde(rename = "write")]
    Write,
    /// To send to oneself, and nobody else.
    #[serde(rename = "send:self")]
    SendSelf,
}

impl Scope {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::SendSelf => "send:self",
        }
    }

    /// The scope that [`Self::as_str`] calls so.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::SendSelf].into_iter().find(|scope| scope.as_str() == word)
    }
}

/// `POST /api/v3/auth/tokens`: a token for a script of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// 1 to 100 characters, to tell it from others.
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Days until it ends, 1 to 366; without it, when it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// A personal token, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonalToken {
    pub id: SessionId,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// `GET /api/v3/auth/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonalTokenList {
    pub tokens: Vec<PersonalToken>,
}

/// A personal token that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// For `Authorization: Bearer`. Shown this once.
    pub token: String,
    #[serde(flatten)]
    pub about: PersonalToken,
}

/// `POST /api/v3/auth/link`: whose a one-time link is. With it a person sets a password, or signs in at a provider for
/// the first time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// What stands after `#/link/` in the link.
    pub token: String,
}

/// What a one-time link is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkInfo {
    pub username: String,
    pub name: String,
    pub expires_at: Timestamp,
}

/// `PUT /api/v3/auth/link/password`. The link is used up; the person's sessions and personal tokens end. A second
/// factor stays.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPassword {
    pub token: String,
    /// 8 to 256 bytes.
    pub password: String,
}

/// `POST /api/v3/auth/link/identity`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkProvider {
    pub token: String,
    pub provider: String,
}
