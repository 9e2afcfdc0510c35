//! Requests and answers of the admin gateway.

use crate::account::DeviceType;
use crate::channel::ChannelKind;
use crate::message::ActionInfo;
use crate::permission::Permissions;
use crate::profile::Identity;
use crate::{ChannelId, DepartmentId, DeviceId, MessageId, RoleId, ServiceId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;
use utoipa::ToSchema;

/// The answer to an administrator's login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminTokenAnswer {
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the token ends.
    pub expires_in: u64,
    pub user_id: UserId,
}

/// `POST users`, and each line of `users/import`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// Unique; 1 to 100 characters without blanks.
    pub username: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Without one the user signs in by a provider, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleId>>,
    /// One that is not there yet is made, under none, with its id as its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department_id: Option<DepartmentId>,
}

/// Passwords do not belong into logs, so this shows none.
impl std::fmt::Debug for UserRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("UserRequest");
        shown.field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

/// `PUT users/{id}`: what is left out stays as it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Ends the user's sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Exactly the roles that the user has from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department_id: Option<DepartmentId>,
}

/// Passwords do not belong into logs, so this shows none.
impl std::fmt::Debug for UserUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserUpdate").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Disabled,
}

/// A user as administrators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub name: String,
    pub email: Option<String>,
    pub department_id: Option<DepartmentId>,
    pub roles: Vec<RoleId>,
    pub status: UserStatus,
    /// Whether the user can sign in with a password.
    pub has_password: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserList {
    pub users: Vec<User>,
    pub total: u64,
}

/// A line of an import that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedLine {
    /// Counted from 1.
    pub line: u64,
    pub reason: String,
}

/// The answer to `users/import`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    pub created: u64,
    pub updated: u64,
    /// The first 1,000 lines that were not taken.
    pub failed: Vec<FailedLine>,
    /// How many lines were not taken, those beyond the first 1,000 included.
    pub failed_total: u64,
}

/// `POST roles`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    pub id: RoleId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<UserId>,
}

/// `PUT roles/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleUpdate {
    pub name: String,
}

/// `PUT channels/{id}`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ChannelKind>,
}

/// `GET sessions`: signed-in devices, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminSession {
    pub id: SessionId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    /// How it was opened: `local`, `passkey`, or a provider's id.
    pub provider: String,
    /// From where it was last heard of.
    pub address: Option<String>,
    pub created_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminSessionList {
    pub sessions: Vec<AdminSession>,
    pub total: u64,
}

/// `POST users/{id}/link`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeLinkRequest {
    /// As `24h`, which it is when it is left out; at most `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A one-time link. Whoever has it can set the user's password: it goes to them and nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkAnswer {
    pub url: String,
    pub expires_at: Timestamp,
}

/// `POST users/{id}/identities`: who the user is at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityRequest {
    /// The provider's id here.
    pub provider: String,
    /// Within what the subject is unique: the issuer of OpenID Connect, the company of WeCom, `unionid` of WeChat, the address
    /// of a GitHub Enterprise server (`GITHUB_WEB_URL`). Left out where there is one name space.
    #[serde(default)]
    pub tenant: String,
    /// What stays the same there: a number, a `sub`, a `userid`.
    pub subject: String,
}

/// `GET users/{id}/identities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminIdentityList {
    pub identities: Vec<Identity>,
}

/// `POST announcements`: a message to everyone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnouncementRequest {
    /// 1 to 200 characters on one line.
    pub title: String,
    #[serde(default)]
    pub content: String,
    /// 1 (lowest) to 10; 5 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionInfo>,
    /// An announcement of one's own whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Role {
    pub id: RoleId,
    pub name: String,
    pub member_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleList {
    pub roles: Vec<Role>,
    pub total: u64,
}

/// `POST channels`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelRequest {
    /// Made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ChannelId>,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub kind: ChannelKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<UserId>,
}

/// A channel as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminChannel {
    pub id: ChannelId,
    pub name: String,
    pub description: String,
    pub kind: ChannelKind,
    pub member_count: u64,
    /// Who may send to it and say who is in it, at most 100.
    pub owners: Vec<UserId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminChannelList {
    pub channels: Vec<AdminChannel>,
    pub total: u64,
}

/// `POST departments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DepartmentRequest {
    /// Made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DepartmentId>,
    pub name: String,
    /// The department above; none when left out. The tree has at most 10 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<DepartmentId>,
}

/// `PUT departments/{id}`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DepartmentUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Hangs it, with everyone in it, under another; `null` under none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub parent_id: Option<Option<DepartmentId>>,
}

/// Tells `null` from what is left out.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// A department. Whoever is in one below it is in it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Department {
    pub id: DepartmentId,
    pub name: String,
    pub parent_id: Option<DepartmentId>,
    /// Those in departments below it included.
    pub member_count: u64,
    /// Who may send to it and to those below it, at most 100.
    pub admins: Vec<UserId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DepartmentList {
    pub departments: Vec<Department>,
    pub total: u64,
}

/// What tier a service is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceType {
    Internal,
    External,
    System,
}

/// Whether a service may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    Active,
    /// An external service that no administrator has approved yet.
    Pending,
    Disabled,
    Suspended,
}

/// How often a service may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Messages in each minute, 1 to 1,000,000; a whole minute's may come at once.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub per_minute: u32,
}

/// `POST services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRequest {
    pub name: String,
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// Exactly what it may do, at most 100 words; those of its type when left out. See [`crate::permission`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub permissions: Option<Permissions>,
    /// That of its type when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it is told of presses, with Standard Webhooks' headers and signature: `http` or `https`; never an address
    /// of a private network unless `CALLBACK_ALLOWED_HOSTS` has its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Who gets what it sends through a door for another system's programs and names nobody: at most 100 user ids,
    /// usernames, role ids or channel ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub default_recipients: Vec<SmolStr>,
}

/// `PUT services/{id}`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Exactly what it may do from now on, at most 100 words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub permissions: Option<Permissions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Exactly these from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub default_recipients: Option<Vec<SmolStr>>,
    /// An empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// Optional body of `POST services/{id}/rotate-key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeyRequest {
    /// For how long the keys there are stay good beside the new one, in seconds: 0 to 2,592,000 (30 days); a day
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_seconds: Option<u32>,
}

/// One key of a service, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceKey {
    /// Its public beginning, after `hy`.
    pub prefix: String,
    pub created_at: Timestamp,
    /// When it ends, if another has taken its place.
    pub ends_at: Option<Timestamp>,
}

/// A service as administrators see it. Its key is never among what is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    pub id: ServiceId,
    pub name: String,
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    pub owner: Option<String>,
    pub status: ServiceStatus,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub permissions: Permissions,
    /// Its own limit, if it has one.
    pub rate_limit: Option<RateLimit>,
    /// Who gets what it sends through a door and names nobody.
    #[schema(value_type = Vec<String>)]
    pub default_recipients: Vec<SmolStr>,
    /// Where it is told of presses.
    pub callback_url: Option<String>,
    /// Newest first; at most a few.
    pub keys: Vec<ServiceKey>,
    pub created_at: Timestamp,
}

/// The answer to `POST services`: the only time that the key is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceCreated {
    #[serde(flatten)]
    pub service: Service,
    pub api_key: String,
    /// With which it checks the signatures of what it is told; only when the service is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<String>,
}

/// The answer to `rotate-callback-secret`: the only time that the new secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallbackSecret {
    pub callback_secret: String,
}

/// How far a callback has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// It is tried, again if need be.
    Due,
    Delivered,
    /// Every try has failed: it waits to be replayed.
    Dead,
}

/// Something that a service is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Callback {
    /// Its place in the log.
    pub id: u64,
    pub service_id: ServiceId,
    pub message_id: MessageId,
    pub state: CallbackState,
    /// How often it was tried since it was made or replayed.
    pub tries: u32,
    pub created_at: Timestamp,
    /// When it is tried next, or was tried last.
    pub next_at: Timestamp,
    /// What came of the last try: a status, or what was wrong.
    pub last_outcome: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallbackList {
    pub callbacks: Vec<Callback>,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceList {
    pub services: Vec<Service>,
    pub total: u64,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the log, which orders all entries.
    pub pos: u64,
    pub at: Timestamp,
    /// The administrator's user id, `system` for the server itself, or `command-line`.
    pub actor: String,
    /// As `user.create`, `role.member.add`.
    pub action: String,
    /// What was changed.
    pub target: String,
    pub details: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    pub entries: Vec<AuditEntry>,
    pub total: u64,
}
