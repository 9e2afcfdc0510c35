//! Who calls, by what a request brings: an access token, a personal token, a service's key.

use super::jwt::{BadToken, Claims, Gateway};
use super::{Auth, is_admin, jwt, secrets};
use crate::directory::{KnownService, Person};
use crate::error::{Error, Result};
use hongyan_wire::UserId;
use hongyan_wire::admin::ServiceStatus;
use hongyan_wire::profile::Scope;
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// The last second of the year 9999: the end of what does not end.
const NEVER: i64 = 253_402_300_799;
/// How personal tokens are told from sessions in [`Claims::provider`].
const PERSONAL: &str = "personal-token";

/// A user who calls.
#[derive(Debug, Clone)]
pub struct UserCaller {
    pub person: Arc<Person>,
    pub claims: Arc<Claims>,
    pub scopes: Scopes,
}

/// What the caller's token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Words that are unknown here allow nothing; a token without any was made before there were any.
    fn of(words: &[SmolStr]) -> Self {
        match words {
            [] => Self(Self::bit(Scope::Read) | Self::bit(Scope::Write)),
            words => {
                Self(words.iter().filter_map(|word| Scope::named(word)).map(Self::bit).fold(0, |a, b| a | b))
            }
        }
    }

    const fn bit(scope: Scope) -> u8 {
        match scope {
            Scope::Read => 1,
            Scope::Write => 2,
            Scope::SendSelf => 4,
        }
    }

    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }
}

impl UserCaller {
    pub fn id(&self) -> &UserId {
        &self.person.id
    }

    pub fn is_admin(&self) -> bool {
        is_admin(&self.person)
    }

    /// Lets pass only whose token allows it.
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.scopes.allows(scope) { Ok(()) } else { Err(Error::forbidden(scope.as_str())) }
    }

    /// Lets pass only the person themself, and no script with a token of theirs.
    pub fn require_session(&self) -> Result<()> {
        self.require(Scope::Read)?;
        self.require(Scope::Write)?;
        if self.claims.provider == PERSONAL { Err(Error::forbidden("a session")) } else { Ok(()) }
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

impl Caller {
    /// Lets pass whose token allows more than to send to oneself.
    pub fn require_write(&self) -> Result<()> {
        match self {
            Self::User(user) => user.require(Scope::Write),
            Self::Service(_) => Ok(()),
        }
    }
}

impl Auth {
    /// The user whose token it is. Reads no database once the user is cached, but for a session that began when a restore
    /// has lost some.
    pub fn user(&self, token: &str) -> Result<UserCaller> {
        if let Some(prefix) = secrets::personal_prefix(token) {
            return self.personal(token, &prefix);
        }
        let claims = self.jwt.verify(token, Gateway::User).map_err(refused)?;
        self.bearer(claims)
    }

    /// The administrator whose token it is.
    pub fn admin(&self, token: &str) -> Result<UserCaller> {
        let caller = self.bearer(self.jwt.verify(token, Gateway::Admin).map_err(refused)?)?;
        if caller.is_admin() { Ok(caller) } else { Err(Error::forbidden("admin")) }
    }

    /// Whose claims these are, if they still hold.
    pub fn bearer(&self, claims: Arc<Claims>) -> Result<UserCaller> {
        let user = claims.user().ok_or_else(|| refused(BadToken::Invalid))?;
        if let Some(session) = &claims.session_id
            && self.directory.is_revoked(session)?
        {
            return Err(ended());
        }
        let person = self.directory.person(&user)?;
        let person = person.ok_or_else(|| Error::unauthenticated("the user does not exist"))?;
        if person.disabled {
            return Err(Error::unauthenticated("the user is disabled"));
        }
        if claims.iat < person.tokens_since.millis().div_euclid(1_000) {
            return Err(ended());
        }
        let scopes = Scopes::of(&claims.scope);
        Ok(UserCaller { person, claims, scopes })
    }

    fn personal(&self, token: &str, prefix: &SmolStr) -> Result<UserCaller> {
        let unknown = || Error::unauthenticated("the personal token is not valid, or it was ended");
        let known = self.directory.token_by_prefix(prefix)?;
        let is_its = is_hashed(token, known.as_ref().map(|known| &*known.hash));
        let known = known.filter(|_| is_its).ok_or_else(unknown)?;
        if known.about.expires_at.is_some_and(|until| until <= crate::clock::now()) {
            return Err(Error::unauthenticated("the personal token has expired"));
        }
        let seconds = |at: hongyan_wire::Timestamp| at.millis().div_euclid(1_000);
        self.bearer(Arc::new(Claims {
            iss: jwt::ISSUER.into(),
            sub: known.user.as_str().into(),
            aud: Gateway::User.audience().into(),
            exp: known.about.expires_at.map_or(NEVER, seconds),
            nbf: None,
            // A moment of its own would be refused after a sign-out of everything, which ends it by its id.
            iat: NEVER,
            jti: known.about.id.as_str().into(),
            user_id: Some(known.user.clone()),
            username: SmolStr::default(),
            email: None,
            provider: PERSONAL.into(),
            scope: known.about.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            device_id: None,
            session_id: Some(known.about.id.clone()),
        }))
    }

    /// The service whose key it is.
    pub fn service(&self, key: &str) -> Result<Arc<KnownService>> {
        let unknown = || Error::unauthenticated("the service key is not valid");
        let prefix = secrets::key_prefix(key).ok_or_else(unknown)?;
        let known = self.directory.service_by_prefix(&prefix)?;
        let is_its = is_hashed(key, known.as_ref().map(|known| &*known.key_hash));
        let known = known.filter(|_| is_its).ok_or_else(unknown)?;
        if known.key_until.is_some_and(|until| until <= crate::clock::now()) {
            return Err(unknown());
        }
        match known.service.status {
            ServiceStatus::Active => Ok(known),
            ServiceStatus::Pending => Err(Error::unauthenticated("the service waits to be approved")),
            ServiceStatus::Suspended => Err(Error::unauthenticated("the service is suspended")),
            ServiceStatus::Disabled => Err(Error::unauthenticated("the service is disabled")),
        }
    }
}

/// Whether a secret has this hash. Takes as long where there is none to compare with.
fn is_hashed(secret: &str, hash: Option<&str>) -> bool {
    const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    secrets::same(hash.unwrap_or(NONE), &secrets::hash(secret)) && hash.is_some()
}

fn ended() -> Error {
    Error::unauthenticated("the session was ended")
}

fn refused(bad: BadToken) -> Error {
    Error::unauthenticated(&bad.to_string())
}
