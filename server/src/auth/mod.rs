//! Who is calling: tokens, keys, passwords, sessions. Every way of signing in ends in
//! [`Auth::open_session`]; providers will enter there too.

pub mod jwt;
mod password;
pub mod secrets;
mod ticket;

use crate::config::{Config, Secret};
use crate::directory::{Directory, KnownService, Person, StoredSession};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::log::Journal;
use crate::log::record::{GroupKey, Record, Replaced, SessionOpened, SessionRefreshed, SessionsEnded};
use hongyan_wire::account::{DeviceInfo, LoginRequest, Profile, TokenAnswer};
use hongyan_wire::admin::{AdminTokenAnswer, ServiceStatus};
use hongyan_wire::limits::{NAME_MAX, PASSWORD_MAX};
use hongyan_wire::{DeviceId, RoleId, SessionId, Timestamp, UserId};
use jwt::{BadToken, Claims, Gateway, Jwt};
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;
use std::time::Duration;

pub use password::Passwords;
pub use ticket::{NoTicket, TICKET_LIFE, Tickets};

/// Refreshes going on at one time never meet on one session when they fall on different ones of these.
const REFRESH_LANES: usize = 64;

/// Milliseconds for which a refresh token that was used is still taken.
const REPLACED_LIFE: i64 = 60_000;

/// The role that opens the admin gateway.
pub fn admin_role() -> GroupKey {
    GroupKey { kind: crate::log::record::GroupKind::Role, id: "admin".into() }
}

/// A user who calls.
#[derive(Debug, Clone)]
pub struct UserCaller {
    pub person: Arc<Person>,
    pub claims: Arc<Claims>,
}

impl UserCaller {
    pub fn id(&self) -> &UserId {
        &self.person.id
    }

    pub fn is_admin(&self) -> bool {
        self.person.groups().any(|key| *key == admin_role())
    }
}

/// Whoever calls.
#[derive(Debug, Clone)]
pub enum Caller {
    User(UserCaller),
    Service(Arc<KnownService>),
}

impl Caller {
    /// Whose credentials they are, as records say it: `user:…` or `service:…`.
    pub fn name(&self) -> SmolStr {
        match self {
            Self::User(user) => format_smolstr!("user:{}", user.id()),
            Self::Service(known) => format_smolstr!("service:{}", known.service.id),
        }
    }
}

/// Signing in and checking who calls.
pub struct Auth {
    jwt: Jwt,
    pub passwords: Passwords,
    tickets: Tickets,
    directory: Arc<Directory>,
    journal: Journal,
    local_login: bool,
    access_life: Duration,
    refresh_life: Duration,
    refreshing: Lanes,
}

impl Auth {
    pub fn new(
        config: &Config,
        secret: &Secret,
        directory: Arc<Directory>,
        journal: Journal,
    ) -> Result<Self, secrets::NoRandomness> {
        Ok(Self {
            jwt: Jwt::new(secret, config.jwt_secret_previous.as_ref()),
            passwords: Passwords::new()?,
            tickets: Tickets::default(),
            directory,
            journal,
            local_login: config.local_login,
            access_life: config.access_life,
            refresh_life: config.refresh_life,
            refreshing: Lanes::new(REFRESH_LANES),
        })
    }

    /// The user whose token it is. Reads no database once the user is cached.
    pub fn user(&self, token: &str) -> Result<UserCaller> {
        let claims = self.jwt.verify(token, Gateway::User).map_err(refused)?;
        self.bearer(claims)
    }

    /// The administrator whose token it is.
    pub fn admin(&self, token: &str) -> Result<UserCaller> {
        let caller = self.bearer(self.jwt.verify(token, Gateway::Admin).map_err(refused)?)?;
        if caller.is_admin() { Ok(caller) } else { Err(Error::forbidden("admin")) }
    }

    fn bearer(&self, claims: Claims) -> Result<UserCaller> {
        let user = claims.user().ok_or_else(|| refused(BadToken::Invalid))?;
        if claims.session_id.as_ref().is_some_and(|session| self.directory.is_revoked(session)) {
            return Err(Error::unauthenticated("the session was ended"));
        }
        let person = self.directory.person(&user)?;
        let person = person.ok_or_else(|| Error::unauthenticated("the user does not exist"))?;
        if person.disabled {
            return Err(Error::unauthenticated("the user is disabled"));
        }
        Ok(UserCaller { person, claims: Arc::new(claims) })
    }

    /// The service whose key it is.
    pub fn service(&self, key: &str) -> Result<Arc<KnownService>> {
        let unknown = || Error::unauthenticated("the service key is not valid");
        let prefix = secrets::key_prefix(key).ok_or_else(unknown)?;
        let known = self.directory.service_by_prefix(&prefix)?.ok_or_else(unknown)?;
        let is_over = || known.key_until.is_some_and(|until| until <= crate::clock::now());
        if !secrets::same(&known.key_hash, &secrets::hash(key)) || is_over() {
            return Err(unknown());
        }
        match known.service.status {
            ServiceStatus::Active => Ok(known),
            ServiceStatus::Pending => Err(Error::unauthenticated("the service waits to be approved")),
            ServiceStatus::Suspended => Err(Error::unauthenticated("the service is suspended")),
            ServiceStatus::Disabled => Err(Error::unauthenticated("the service is disabled")),
        }
    }

    /// A ticket with which the caller may open a socket once.
    pub fn ticket(&self, caller: &UserCaller) -> Result<String> {
        let given = self.tickets.give((*caller.claims).clone(), crate::clock::now());
        given.map_err(|refused| match refused {
            NoTicket::TooMany => Error::rate_limited(refused.to_string()),
            NoTicket::NoRandomness(error) => Error::internal(error),
        })
    }

    /// The user who was given this ticket.
    pub fn by_ticket(&self, ticket: &str) -> Result<UserCaller> {
        let claims = self.tickets.take(ticket, crate::clock::now());
        self.bearer(claims.ok_or_else(|| Error::unauthenticated("the ticket is used, old or unknown"))?)
    }

    /// Signs in with a password.
    pub async fn login(&self, request: LoginRequest) -> Result<TokenAnswer> {
        let device = request.device.clone().unwrap_or_default();
        if device.name.as_ref().is_some_and(|name| name.chars().count() > NAME_MAX) {
            return Err(Error::field("device.name", "must have at most 100 characters"));
        }
        let person = self.check_password(request).await?;
        self.open_session(&person, device, "local").await
    }

    /// Signs an administrator in.
    pub async fn admin_login(&self, request: LoginRequest) -> Result<AdminTokenAnswer> {
        let person = self.check_password(request).await?;
        if !person.groups().any(|key| *key == admin_role()) {
            return Err(Error::forbidden("admin"));
        }
        let device = DeviceInfo { name: Some("admin console".into()), ..DeviceInfo::default() };
        let (opened, _) = opening(&person, device, "local", self.access_life)?;
        let claims = self.claims(&person, &opened, Gateway::Admin);
        self.journal.append_applied(Record::SessionOpened(Box::new(opened))).await?;
        Ok(AdminTokenAnswer {
            access_token: self.jwt.sign(&claims).map_err(Error::internal)?,
            token_type: "Bearer".into(),
            expires_in: self.access_life.as_secs(),
            user_id: person.id.clone(),
        })
    }

    async fn check_password(&self, request: LoginRequest) -> Result<Arc<Person>> {
        if !self.local_login {
            return Err(Error::forbidden("local_login"));
        }
        if request.password.len() > PASSWORD_MAX {
            return Err(Error::field("password", "must have at most 256 bytes"));
        }
        let id = self.directory.user_named(request.username.trim())?;
        let (person, hash) = match &id {
            Some(id) => (self.directory.person(id)?, self.directory.password_hash(id)?),
            None => (None, None),
        };
        let good = self.passwords.verify(request.password, hash).await?;
        match person.filter(|person| good && !person.disabled) {
            Some(person) => Ok(person),
            None => {
                tracing::warn!(target: "hongyan::security", "a login was refused");
                Err(Error::unauthenticated("username or password is wrong"))
            }
        }
    }

    /// Opens a session for a person who has shown who they are.
    pub async fn open_session(
        &self,
        person: &Arc<Person>,
        device: DeviceInfo,
        provider: &str,
    ) -> Result<TokenAnswer> {
        let (opened, refresh_token) = opening(person, device, provider, self.refresh_life)?;
        let claims = self.claims(person, &opened, Gateway::User);
        let answer = self.answer(person, &claims, &opened.id, &opened.device, refresh_token)?;
        self.journal.append_applied(Record::SessionOpened(Box::new(opened))).await?;
        Ok(answer)
    }

    /// Gives new tokens for a refresh token, which is good once. One that was used a moment ago is taken again:
    /// its answer may have been lost, as when a page is loaded anew while it refreshes.
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenAnswer> {
        let hash = secrets::hash(refresh_token);
        let refused =
            || Error::unauthenticated("the refresh token is used, expired or unknown; sign in again");
        let now = crate::clock::now();
        let (session, _) = self.directory.session_by_refresh(&hash, now)?.ok_or_else(refused)?;
        let _one_at_a_time = self.refreshing.turn(&session.id).await;
        let found = self.directory.session_by_refresh(&hash, now)?;
        let (session, taken_until) = found.filter(|(s, _)| s.expires_at > now).ok_or_else(refused)?;
        let person = self.directory.person(&session.user)?.filter(|p| !p.disabled).ok_or_else(refused)?;
        let token = secrets::random::<32>().map_err(Error::internal)?;
        let refreshed = SessionRefreshed {
            id: session.id.clone(),
            refresh_hash: secrets::hash(&token),
            replaced: Replaced { hash, until: taken_until.unwrap_or_else(|| now.plus_millis(REPLACED_LIFE)) },
            at: now,
            expires_at: now.plus_millis(millis(self.refresh_life)),
        };
        let opened = reopened(&session, &refreshed);
        let claims = self.claims(&person, &opened, Gateway::User);
        let answer = self.answer(&person, &claims, &opened.id, &opened.device, token)?;
        self.journal.append_applied(Record::SessionRefreshed(Box::new(refreshed))).await?;
        Ok(answer)
    }

    /// A user's sessions, newest first.
    pub fn sessions(&self, user: &UserId) -> Result<Vec<StoredSession>> {
        Ok(self.directory.sessions_of(user)?)
    }

    /// Ends one of a user's sessions; its tokens are refused and its sockets closed from now on.
    pub async fn end_session(&self, user: &UserId, session: &SessionId) -> Result<()> {
        let found = self.directory.session(session)?.filter(|found| found.user == *user);
        if found.is_none() {
            return Err(Error::not_found("session"));
        }
        self.end(user.clone(), vec![session.clone()], None).await
    }

    /// The record that ends all sessions of a user, if there are any.
    pub fn ending(&self, user: &UserId) -> Result<Option<Record>> {
        let sessions = self.directory.session_ids_of(user)?;
        Ok((!sessions.is_empty()).then(|| Record::SessionsEnded(self.ended(user.clone(), sessions, None))))
    }

    /// Ends the session that calls, known here or not.
    pub async fn logout(&self, caller: &UserCaller) -> Result<()> {
        match &caller.claims.session_id {
            Some(session) => {
                let expires_at = caller.claims.expires_at();
                self.end(caller.id().clone(), vec![session.clone()], Some(expires_at)).await
            }
            None => Ok(()),
        }
    }

    async fn end(&self, user: UserId, sessions: Vec<SessionId>, expires_at: Option<Timestamp>) -> Result<()> {
        let ended = self.ended(user, sessions, expires_at);
        self.journal.append_applied(Record::SessionsEnded(ended)).await?;
        Ok(())
    }

    /// `expires_at`: when the token in hand ends, which someone else may have signed for longer than we do.
    fn ended(&self, user: UserId, sessions: Vec<SessionId>, expires_at: Option<Timestamp>) -> SessionsEnded {
        let now = crate::clock::now();
        // Until then one of the session's access tokens may still carry a valid signature.
        let ours = now.plus_millis(millis(self.access_life));
        let remember_until = expires_at.map_or(ours, |at| at.max(ours)).plus_millis(60_000);
        SessionsEnded { user, sessions, at: now, remember_until }
    }

    fn claims(&self, person: &Person, session: &SessionOpened, gateway: Gateway) -> Claims {
        let seconds = session.at.millis() / 1000;
        Claims {
            iss: jwt::ISSUER.into(),
            sub: person.id.to_string(),
            aud: gateway.audience().into(),
            exp: seconds + self.access_life.as_secs().max(1) as i64,
            iat: seconds,
            jti: uuid::Uuid::now_v7().to_string(),
            user_id: Some(person.id.clone()),
            username: person.username.to_string(),
            email: person.email.clone(),
            provider: session.provider.to_string(),
            scope: vec!["read".into(), "write".into()],
            device_id: Some(session.device.clone()),
            session_id: Some(session.id.clone()),
        }
    }

    fn answer(
        &self,
        person: &Person,
        claims: &Claims,
        session: &SessionId,
        device: &DeviceId,
        refresh_token: String,
    ) -> Result<TokenAnswer> {
        Ok(TokenAnswer {
            access_token: self.jwt.sign(claims).map_err(Error::internal)?,
            refresh_token,
            token_type: "Bearer".into(),
            expires_in: self.access_life.as_secs(),
            session_id: session.clone(),
            device_id: device.clone(),
            user: profile(person),
        })
    }
}

/// A user as seen by themself.
pub fn profile(person: &Person) -> Profile {
    Profile {
        id: person.id.clone(),
        username: person.username.to_string(),
        name: person.name.clone(),
        email: person.email.clone(),
        department_id: person.department.clone(),
        roles: person.roles(),
    }
}

/// The role that [`admin_role`] keys.
pub fn admin_role_id() -> Option<RoleId> {
    RoleId::new(&admin_role().id).ok()
}

fn opening(
    person: &Person,
    device: DeviceInfo,
    provider: &str,
    life: Duration,
) -> Result<(SessionOpened, String)> {
    let now = crate::clock::now();
    let refresh_token = secrets::random::<32>().map_err(Error::internal)?;
    let new_id = || uuid::Uuid::now_v7().to_string();
    let opened = SessionOpened {
        id: SessionId::new(&new_id()).map_err(Error::internal)?,
        user: person.id.clone(),
        device: device.id.map_or_else(|| DeviceId::new(&new_id()), Ok).map_err(Error::internal)?,
        device_type: device.device_type,
        device_name: device.name.unwrap_or_default(),
        provider: provider.into(),
        refresh_hash: secrets::hash(&refresh_token),
        at: now,
        expires_at: now.plus_millis(millis(life)),
    };
    Ok((opened, refresh_token))
}

/// The session as it is after a refresh.
fn reopened(session: &StoredSession, refreshed: &SessionRefreshed) -> SessionOpened {
    SessionOpened {
        id: session.id.clone(),
        user: session.user.clone(),
        device: session.device.clone(),
        device_type: session.device_type,
        device_name: session.device_name.clone(),
        provider: session.provider.clone(),
        refresh_hash: refreshed.refresh_hash.clone(),
        at: refreshed.at,
        expires_at: refreshed.expires_at,
    }
}

fn refused(bad: BadToken) -> Error {
    Error::unauthenticated(&bad.to_string())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
