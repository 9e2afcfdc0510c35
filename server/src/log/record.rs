//! What stands in the log. A record is all that `apply` needs: times, ids and hashes are decided
//! before it is appended, so that reading it again gives the same state.

use hongyan_wire::account::DeviceType;
use hongyan_wire::admin::{CallbackState, RateLimit, ServiceStatus, ServiceType, UserStatus};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::message::{AnswerMode, Message, Pressed};
use hongyan_wire::permission::Permissions;
use hongyan_wire::profile::Scope;
use hongyan_wire::template::Template;
use hongyan_wire::{
    ChannelId, DepartmentId, DeviceId, MessageId, RoleId, ServiceId, SessionId, TemplateId, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// One change. The JSON form is kept for years: fields are added with a default, never renamed. What is large is
/// boxed: records are handed on many times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Message(Box<Posted>),
    Marked(Marked),
    Restored(Box<Restored>),
    Recalled(Box<Recalled>),
    Pressed(Box<PressMade>),
    CallbackTried(Box<CallbackTried>),
    CallbackReplayed(Change<u64>),
    Scheduled(Box<Scheduled>),
    Unscheduled(Unscheduled),
    UsersPut(Change<Vec<UserPut>>),
    UserStatus(Change<UserStatusChange>),
    UserDeleted(Change<UserId>),
    GroupPut(Box<Change<GroupPut>>),
    GroupDeleted(Change<GroupKey>),
    MembersChanged(Change<MembersChange>),
    OwnersChanged(Change<MembersChange>),
    ServicePut(Box<Change<ServicePut>>),
    ServiceStatus(Change<ServiceStatusChange>),
    ServiceChanged(Box<Change<ServiceChange>>),
    ServiceKeyAdded(Box<Change<ServiceKeyAdded>>),
    ServiceSecretChanged(Box<Change<ServiceSecretChanged>>),
    ServiceDeleted(Change<ServiceId>),
    TemplatePut(Box<Change<Template>>),
    TemplateDeleted(Change<TemplateId>),
    SessionOpened(Box<SessionOpened>),
    SessionRefreshed(Box<SessionRefreshed>),
    SessionsEnded(SessionsEnded),
    SessionsSwept(Box<Change<SessionsSwept>>),
    TokenMade(Box<Change<TokenMade>>),
    IdentityLinked(Box<Change<IdentityLinked>>),
    IdentityUnlinked(Box<Change<IdentityKey>>),
    ProfileChanged(Box<Change<ProfileChange>>),
    AvatarSet(Box<Change<AvatarSet>>),
    PasswordSet(Box<Change<PasswordSet>>),
    LinkMade(Box<Change<LinkMade>>),
    LinkUsed(Change<UserId>),
    TotpSet(Box<Change<TotpSet>>),
    RecoveryUsed(Box<Change<RecoveryUsed>>),
    PasskeyPut(Box<Change<PasskeyPut>>),
    PasskeyDeleted(Box<Change<PasskeyKey>>),
    /// A place for a message that a restored backup brings; see [`Restored`].
    Place,
    Noted(Box<Change<Noted>>),
    /// What stood here was about a user who was deleted since.
    Erased,
}

impl Record {
    /// The message that this is, for those who look for it.
    pub fn message_id(&self) -> Option<&MessageId> {
        match self {
            Self::Message(posted) => Some(&posted.message.id),
            _ => None,
        }
    }
}

impl Record {
    /// What is left of a record once everything of a user is taken out of it; `None` when it has nothing of theirs.
    /// That they were deleted, and what others sent to others, stays.
    pub fn without(&self, user: &UserId) -> Option<Self> {
        let theirs = |owner: &str| owner.strip_prefix("user:") == Some(user.as_str());
        let erased = |is_theirs: bool| is_theirs.then_some(Self::Erased);
        match self {
            Self::Message(posted) => {
                let Audience { everyone, users, groups } = &posted.audience;
                if !users.contains(user) {
                    return None;
                }
                if users.len() == 1 && groups.is_empty() && !everyone {
                    return Some(Self::Erased);
                }
                let mut posted = posted.clone();
                posted.audience.users.retain(|other| other != user);
                Some(Self::Message(posted))
            }
            Self::UsersPut(change) => {
                let mut change = change.clone();
                change.what.retain(|put| put.id != *user);
                Some(Self::UsersPut(change))
            }
            Self::GroupPut(change) => {
                let mut change = change.clone();
                change.what.members.retain(|member| member != user);
                Some(Self::GroupPut(change))
            }
            Self::Recalled(recalled) => {
                let mut recalled = recalled.clone();
                recalled.audience.users.retain(|other| other != user);
                Some(Self::Recalled(recalled))
            }
            Self::Scheduled(scheduled) => erased(theirs(&scheduled.posted.sent_by)),
            Self::Unscheduled(unscheduled) => erased(theirs(&unscheduled.by)),
            Self::Marked(marked) => erased(marked.user == *user),
            Self::Restored(restored) => erased(restored.user == *user),
            Self::Pressed(made) if made.pressed.by == *user && !made.is_shared() => Some(Self::Erased),
            Self::Pressed(made) => {
                let mut made = made.clone();
                made.audience.users.retain(|other| other != user);
                if made.pressed.by == *user {
                    made.pressed = made.pressed.without_name();
                    made.callback = None;
                }
                Some(Self::Pressed(made))
            }
            Self::UserStatus(change) => erased(change.what.user == *user),
            Self::MembersChanged(change) | Self::OwnersChanged(change) => erased(change.what.user == *user),
            Self::SessionOpened(opened) => erased(opened.user == *user),
            Self::SessionsEnded(ended) => erased(ended.user == *user),
            Self::SessionsSwept(change) => {
                let mut change = change.clone();
                change.what.sessions.retain(|(owner, _)| owner != user);
                change.what.wholly.retain(|owner| owner != user);
                Some(Self::SessionsSwept(change))
            }
            Self::TokenMade(change) => erased(change.what.user == *user),
            Self::IdentityLinked(change) => erased(change.what.user == *user),
            Self::IdentityUnlinked(change) => erased(change.what.user == *user),
            Self::ProfileChanged(change) => erased(change.what.user == *user),
            Self::AvatarSet(change) => erased(change.what.user == *user),
            Self::PasswordSet(change) => erased(change.what.user == *user),
            Self::LinkMade(change) => erased(change.what.user == *user),
            Self::LinkUsed(change) => erased(change.what == *user),
            Self::TotpSet(change) => erased(change.what.user == *user),
            Self::RecoveryUsed(change) => erased(change.what.user == *user),
            Self::PasskeyPut(change) => erased(change.what.user == *user),
            Self::PasskeyDeleted(change) => erased(change.what.user == *user),
            _ => None,
        }
    }
}

/// A message on its way to its audience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posted {
    /// As its readers will see it, but for `pos`, which is the record's own.
    #[serde(with = "super::stored")]
    pub message: Message,
    pub audience: Audience,
    /// To how many people it went when it was sent.
    pub recipients: u64,
    /// Whose credentials sent it: `service:…` or `user:…`.
    pub sent_by: SmolStr,
    /// The template that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateUsed>,
    /// Whose answer counts when an action is pressed.
    #[serde(default, skip_serializing_if = "is_each")]
    pub answer: AnswerMode,
    /// It was scheduled before, under the same id: with this it is not any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_scheduled: bool,
}

fn is_each(mode: &AnswerMode) -> bool {
    *mode == AnswerMode::Each
}

/// An action of a message that was pressed, for those who see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressMade {
    pub id: MessageId,
    /// The message's place in the log.
    pub target: u64,
    /// Whoever pressed, or everyone the message was for where the first answer counts.
    pub audience: Audience,
    pub pressed: Pressed,
    /// What its sender is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackMade>,
}

impl PressMade {
    /// Whether it counts for others than who pressed.
    pub fn is_shared(&self) -> bool {
        let Audience { everyone, users, groups } = &self.audience;
        *everyone || !groups.is_empty() || users.iter().any(|user| *user != self.pressed.by)
    }
}

/// What a service is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackMade {
    pub service: ServiceId,
    /// JSON, as it is sent and signed.
    pub body: String,
}

/// A service was told of something, or was not to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTried {
    /// The place of the record that it is about.
    pub callback: u64,
    pub state: CallbackState,
    /// When the try began; what was replayed since is not concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    pub at: Timestamp,
    /// When it is tried again, or was tried.
    pub next_at: Timestamp,
    /// A status, or what was wrong.
    pub outcome: SmolStr,
}

/// A message taken back by its sender: nobody sees it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    pub id: MessageId,
    /// Its place in the log.
    pub target: u64,
    /// Who it was for, at its place.
    pub audience: Audience,
    /// The message that takes its place, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<MessageId>,
    pub at: Timestamp,
    /// Who took it back: `service:…` or `user:…`.
    pub by: SmolStr,
}

/// A message that is to be sent at a time; a later one with the same message id takes its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    pub due: Timestamp,
    pub posted: Posted,
}

/// A scheduled message is not to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unscheduled {
    pub id: MessageId,
    /// Who took it back: `service:…`, `user:…`, or `system` for one that had expired when its time came.
    pub by: SmolStr,
    pub at: Timestamp,
}

/// A template in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateUsed {
    pub id: TemplateId,
    pub version: u32,
}

/// Who a message is for: the union of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupKey>,
}

/// What people can be members of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    Role,
    Channel,
    Department,
}

impl GroupKind {
    /// The kind that [`Self::as_str`] calls so.
    pub fn named(name: &str) -> Self {
        match name {
            "role" => Self::Role,
            "department" => Self::Department,
            _ => Self::Channel,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Channel => "channel",
            Self::Department => "department",
        }
    }
}

/// A role, a channel or a department. The same id may name one of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    pub kind: GroupKind,
    pub id: SmolStr,
}

impl GroupKey {
    pub fn role(id: &RoleId) -> Self {
        Self { kind: GroupKind::Role, id: id.as_str().into() }
    }

    pub fn channel(id: &ChannelId) -> Self {
        Self { kind: GroupKind::Channel, id: id.as_str().into() }
    }

    pub fn department(id: &DepartmentId) -> Self {
        Self { kind: GroupKind::Department, id: id.as_str().into() }
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

/// A reader's change of their own messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    pub user: UserId,
    /// The messages, by their places in the log: decided before the append, so that what is applied
    /// never depends on when. Each of them takes the person's next number.
    pub places: Vec<u64>,
    pub is_read: bool,
    pub device: Option<DeviceId>,
    pub at: Timestamp,
}

/// A backup is put into a person's inbox: its messages that are not there, and the states that are newer in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub user: UserId,
    /// Names the file, which lies beside the inboxes until this one has taken it in durably.
    pub file: SmolStr,
    /// Whether its places are of this log: then its messages keep them.
    pub is_ours: bool,
    /// The places of its messages otherwise, in the order of the file: the first of some in a row, and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(u64, u64)>,
    /// Those of its messages that are known to have been taken back: they stay away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recalled: Vec<MessageId>,
    /// How many states it has: each takes the person's next number, whatever becomes of it.
    pub states: u64,
    /// What had expired by then is not put back.
    pub at: Timestamp,
}

/// A change of the directory, and who made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change<T> {
    /// An administrator's user id, or `system`.
    pub actor: SmolStr,
    pub at: Timestamp,
    pub what: T,
}

/// Something that an operator did and that changes nothing but what the audit log tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// As `backup.make`.
    pub action: SmolStr,
    /// What it was done to.
    pub target: String,
}

/// A user made or changed: `None` leaves what was there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPut {
    pub id: UserId,
    pub username: SmolStr,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// An argon2id hash in PHC form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<DepartmentId>,
    /// Exactly the roles that the user has from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleId>>,
}

/// Hashes do not belong into logs, so this shows none.
impl fmt::Debug for UserPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserPut").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatusChange {
    pub user: UserId,
    pub status: UserStatus,
}

/// A role, channel or department made or changed, with those who join it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPut {
    pub key: GroupKey,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub channel_kind: ChannelKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<UserId>,
    /// The department above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SmolStr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersChange {
    pub key: GroupKey,
    pub user: UserId,
    /// Joined or left; of owners: one from now on, or none any more.
    pub joined: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePut {
    pub id: ServiceId,
    pub name: String,
    pub service_type: ServiceType,
    pub owner: Option<String>,
    pub key_prefix: SmolStr,
    /// SHA-256 of the whole key, in hex. The key itself is 256 random bits, so a plain hash is enough.
    pub key_hash: SmolStr,
    pub status: ServiceStatus,
    /// `None`: what its type may do.
    pub permissions: Option<Permissions>,
    pub rate_limit: Option<RateLimit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_recipients: Vec<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    pub callback_secret: Sealed,
}

/// A secret that is needed as it is. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Another secret for a service's callbacks; the one before it signs beside it for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSecretChanged {
    pub service: ServiceId,
    pub secret: Sealed,
    pub before_until: Timestamp,
}

/// A service changed: `None` leaves what was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceChange {
    pub id: ServiceId,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub permissions: Option<Permissions>,
    pub rate_limit: Option<RateLimit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_recipients: Option<Vec<SmolStr>>,
    /// An empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// A new key beside those there are, which end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeyAdded {
    pub service: ServiceId,
    pub key_prefix: SmolStr,
    /// SHA-256 of the whole key, in hex.
    pub key_hash: SmolStr,
    pub others_until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatusChange {
    pub service: ServiceId,
    pub status: ServiceStatus,
}

/// Someone signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    pub id: SessionId,
    pub user: UserId,
    pub device: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    /// How: `local`, `passkey`, or a provider's id.
    pub provider: SmolStr,
    /// Where its refresh token is kept.
    pub kept: Kept,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SmolStr>,
    /// SHA-256 in hex of what all refresh tokens of the session have in common.
    pub family_hash: SmolStr,
    /// SHA-256 of the refresh token, in hex.
    pub refresh_hash: SmolStr,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// Where a session's refresh token is kept; it is of no use anywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// By the client.
    #[default]
    Client,
    /// In a cookie that no script can read.
    Cookie,
    /// Nowhere: there is none.
    Nowhere,
}

impl Kept {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Cookie => "cookie",
            Self::Nowhere => "nowhere",
        }
    }

    /// The one that [`Self::as_str`] calls so.
    pub fn named(word: &str) -> Self {
        match word {
            "cookie" => Self::Cookie,
            "nowhere" => Self::Nowhere,
            _ => Self::Client,
        }
    }
}

/// A refresh token was used and replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRefreshed {
    pub id: SessionId,
    pub refresh_hash: SmolStr,
    /// The one that was used, and until when it may be used again: the answer may not have arrived.
    pub replaced: Replaced,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SmolStr>,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// A refresh token that was used, by its SHA-256 in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub hash: SmolStr,
    pub until: Timestamp,
}

/// Sessions and personal tokens of one person are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    pub user: UserId,
    pub sessions: Vec<SessionId>,
    pub at: Timestamp,
    /// Until when an access token of these sessions could still be valid.
    pub remember_until: Timestamp,
    /// What was signed before `at` is refused too, whatever session it names or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

/// Sessions of many people are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsSwept {
    pub sessions: Vec<(UserId, SessionId)>,
    pub remember_until: Timestamp,
    /// Of these, what was signed before is refused too, whatever session it names or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wholly: Vec<UserId>,
}

/// A token that a person made for a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// It ends as a session does.
    pub id: SessionId,
    pub user: UserId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// The public part, by which it is found.
    pub prefix: SmolStr,
    /// SHA-256 of the whole token, in hex.
    pub hash: SmolStr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Who someone is at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The provider's id here.
    pub provider: SmolStr,
    /// Within what the subject is unique: an issuer, a company, an application; empty where the provider has one
    /// name space.
    pub tenant: SmolStr,
    pub subject: SmolStr,
}

/// Someone at a provider is a user here. What was there under the same subject is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityLinked {
    pub user: UserId,
    /// For paths.
    pub id: SmolStr,
    pub subject: Subject,
    /// Under which it was known before, where a provider has come to tell a better one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Subject>,
    /// What the provider calls them; for people to see, never to find someone by.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// It was there before; one that was taken away meanwhile does not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_update: bool,
}

/// One identity of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityKey {
    pub user: UserId,
    pub id: SmolStr,
}

/// What a person changed of themself: `None` leaves what was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A person's picture.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvatarSet {
    pub user: UserId,
    /// JPEG in base64; `None` takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Of the JPEG, SHA-256 in hex, shortened: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SmolStr>,
}

/// Pictures do not belong into logs, so this shows none.
impl fmt::Debug for AvatarSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvatarSet")
            .field("user", &self.user)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordSet {
    pub user: UserId,
    /// An argon2id hash in PHC form.
    pub hash: Sealed,
}

/// A link with which someone else's word lets a person in once. The one before it is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMade {
    pub user: UserId,
    /// SHA-256 of the token, in hex.
    pub hash: SmolStr,
    pub until: Timestamp,
}

/// A second factor that counts from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotpSet {
    pub user: UserId,
    /// In base32; `None` takes it away.
    pub secret: Option<Sealed>,
    /// SHA-256 of each recovery code, in hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery: Vec<SmolStr>,
}

/// A recovery code was used: it is good no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryUsed {
    pub user: UserId,
    pub hash: SmolStr,
}

/// A passkey made, or used: then with its new counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyPut {
    pub user: UserId,
    /// The credential's id in base64url.
    pub id: SmolStr,
    pub name: String,
    /// JSON: the public key and what goes with it.
    pub key: String,
    /// It was there before; one that was taken away meanwhile does not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_update: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyKey {
    pub user: UserId,
    pub id: SmolStr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_from_its_text_as_it_was() {
        let whole = serde_json::json!({
            "id": "msg-1", "pos": 0, "channel_id": "ops", "title": "t", "content": "c", "message_type": "alert",
            "priority": 9, "sender": "someone", "sender_info": {"id": "other", "type": "user", "name": "n"},
            "created_at": "2026-01-02T03:04:05.678Z", "expire_at": "2026-02-02T03:04:05.678Z",
            "metadata": {"a": [1, {"b": null}]},
            "attachments": [{"type": "file", "name": "f", "url": "https://x.example/f"}],
            "actions": [{"type": "link", "text": "open", "url": "https://x.example/"}],
            "is_read": false, "read_at": null, "version": 0, "replaces": "msg-0", "thread_key": "k",
        });
        let mut bare = whole.clone();
        for (field, empty) in
            [("channel_id", "null"), ("metadata", "{}"), ("attachments", "[]"), ("actions", "[]")]
        {
            bare[field] = serde_json::from_str(empty).unwrap();
        }
        bare["sender"] = "other".into();
        for message in [whole, bare] {
            let message: Message = serde_json::from_value(message).unwrap();
            let posted = Posted {
                message,
                audience: Audience { everyone: true, ..Audience::default() },
                recipients: 3,
                sent_by: "service:s".into(),
                template: None,
                answer: AnswerMode::default(),
                was_scheduled: false,
            };
            let text = serde_json::to_string(&posted).unwrap();
            assert_eq!(serde_json::from_str::<Posted>(&text).unwrap(), posted, "{text}");
        }
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 128, "{}", size_of::<Record>());
    }
}
