//! Signing in, and the sessions that come of it.

use crate::profile::Profile;
use crate::{DeviceId, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of device a client runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceType {
    Mobile,
    Desktop,
    #[default]
    Web,
}

impl DeviceType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Desktop => "desktop",
            Self::Web => "web",
        }
    }
}

/// What a browser is called in lists of devices, by its `User-Agent`.
pub fn browser_name(agent: &str) -> Option<String> {
    let known = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    let browser =
        known(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = known(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => Some(format!("{browser}, {system}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// The device that signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceInfo {
    /// Chosen by the client and kept over its restarts; made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, rename = "type")]
    pub device_type: DeviceType,
}

/// `POST /api/v3/auth/local/login` and `POST /admin/api/v3/auth/login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    pub username: String,
    pub password: String,
    /// The second factor, where `second_factor_required` was the answer without it: the six digits that the
    /// authenticator shows, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceInfo>,
    /// Keeps the refresh token in a cookie that no script can read, and out of the answer: for pages in a browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookie: bool,
}

/// Passwords do not belong into logs, so this shows none.
impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest").field("username", &self.username).finish_non_exhaustive()
    }
}

/// `POST /api/v3/auth/refresh`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Left out where the cookie has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// `POST /api/v3/auth/logout`, for a program whose access token may have expired.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// Any refresh token of the session that is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What every way of signing in, and `refresh`, ends in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    pub access_token: String,
    /// Good for one `refresh`, which gives the next. Not here when a cookie has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    pub session_id: SessionId,
    pub device_id: DeviceId,
    pub user: Profile,
}

/// Which kind of provider one is: it says which mark stands beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    GitHub,
    Google,
    WeChat,
    WeCom,
    DingTalk,
    /// OpenID Connect.
    Oidc,
    /// OAuth 2.0 without identity tokens.
    OAuth2,
}

/// A way to sign in at someone else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderInfo {
    /// As in the paths.
    pub id: String,
    /// For people.
    pub name: String,
    pub kind: ProviderKind,
    /// Where a browser goes.
    pub login_url: String,
}

/// `GET /api/v3/auth/providers`: how people can sign in here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderList {
    pub providers: Vec<ProviderInfo>,
    /// Whether with username and password.
    pub local_login: bool,
    /// Whether with a passkey.
    pub passkeys: bool,
}

/// `GET /api/v3/auth/{provider}/login` for those who are no browser: where the person signs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginUrl {
    pub auth_url: String,
    /// Seconds for which it can be used.
    pub expires_in: u64,
}

/// A program of the person's own that waits to be signed in (RFC 8252), as the confirm page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInRequest {
    /// Which program: `desktop` or `admin-console`.
    pub client_id: String,
    pub device_name: String,
    pub expires_at: Timestamp,
}

/// `POST /api/v3/auth/requests/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInDecision {
    pub allow: bool,
}

/// Where the browser goes then: back to the program, with a code or without one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedirectTo {
    pub redirect_to: String,
}

/// `POST /api/v3/auth/token`: a code becomes tokens (RFC 6749, section 4.1.3; RFC 7636, section 4.5). As JSON, or as a
/// form, which is answered as the RFC has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    /// `authorization_code`.
    pub grant_type: String,
    pub code: String,
    /// As it was given when the sign-in began.
    pub redirect_uri: String,
    pub client_id: String,
    pub code_verifier: String,
}

/// A signed-in device of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: SessionId,
    pub device_id: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    /// How it was signed in: `local`, `passkey`, or a provider's id.
    pub provider: String,
    /// From where it was last heard of.
    pub address: Option<String>,
    pub created_at: Timestamp,
    /// When its tokens were last renewed.
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// `GET /api/v3/auth/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    pub sessions: Vec<Session>,
}

/// `DELETE /api/v3/auth/sessions`, and what administrators end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedAnswer {
    /// How many sessions there were to end.
    pub ended: u64,
}

/// `POST /api/v3/auth/ws-ticket`: a socket may be opened once with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketAnswer {
    pub ticket: String,
    /// Seconds.
    pub expires_in: u64,
}
