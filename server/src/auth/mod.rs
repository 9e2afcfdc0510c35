//! Who is calling: tokens, keys, passwords, sessions. Every way of signing in ends in [`Auth::open_session`].

mod bearer;
pub mod jwt;
mod local;
mod logins;
mod native;
mod notice;
mod password;
mod pending;
pub mod providers;
mod refresh;
pub mod secrets;
mod sessions;
mod throttle;
mod ticket;
pub mod totp;

pub use bearer::{Caller, Scopes, UserCaller};
pub use local::Proof;
pub use logins::{LOGIN_LIFE, Logins, NoLogin, Purpose, Stray};
pub use native::{Asked, BadCode, Client, Granted, Native, REQUEST_LIFE};
pub use notice::Notice;
pub use password::Passwords;
pub use pending::{Pending, TooMany};
pub use sessions::{Opening, SignedIn};
pub use ticket::{NoTicket, TICKET_LIFE, Tickets};

use crate::config::{Config, Secret};
use crate::directory::{Directory, Person};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::log::Journal;
use crate::log::record::{GroupKey, GroupKind};
use hmac::{Hmac, Mac};
use hongyan_wire::profile::Profile;
use hongyan_wire::{RoleId, SessionId, Timestamp, UserId};
use jwt::Jwt;
use parking_lot::Mutex;
use sha2::Sha256;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use throttle::Throttle;

/// Refreshes going on at one time never meet on one session when they fall on different ones of these.
const REFRESH_LANES: usize = 64;
/// Milliseconds for which someone counts as just signed in.
const RECENT: i64 = 10 * 60 * 1_000;

/// The role that opens the admin gateway.
pub fn admin_role() -> GroupKey {
    GroupKey { kind: GroupKind::Role, id: "admin".into() }
}

/// The role that [`admin_role`] keys.
pub fn admin_role_id() -> Option<RoleId> {
    RoleId::new(&admin_role().id).ok()
}

/// Whether a person may open the admin gateway.
pub fn is_admin(person: &Person) -> bool {
    person.groups().any(|key| *key == admin_role())
}

/// Signing in and checking who calls.
pub struct Auth {
    jwt: Jwt,
    /// The secret, and the one before it.
    secrets: Vec<Secret>,
    pub passwords: Passwords,
    tickets: Tickets,
    directory: Arc<Directory>,
    journal: Journal,
    local_login: bool,
    access_life: Duration,
    refresh_life: Duration,
    session_life: Duration,
    refreshing: Lanes,
    throttle: Throttle,
    /// Sessions that have shown once more who they are, and when.
    confirmed: Mutex<HashMap<SessionId, Timestamp>>,
    /// Sessions that came of a code, and when the one that allowed it had last shown who it is, if it is known: they are no
    /// fresher than that. Each is kept for as long as it would count as just opened.
    derived: Mutex<HashMap<SessionId, (Option<Timestamp>, Timestamp)>>,
    /// The last step of each authenticator that was taken.
    totp_steps: Mutex<HashMap<UserId, i64>>,
}

impl Auth {
    pub fn new(
        config: &Config,
        secret: &Secret,
        directory: Arc<Directory>,
        journal: Journal,
    ) -> Result<Self, password::NoPasswords> {
        Ok(Self {
            jwt: Jwt::new(secret, config.jwt_secret_previous.as_ref()),
            secrets: std::iter::once(secret).chain(&config.jwt_secret_previous).cloned().collect(),
            passwords: Passwords::new()?,
            tickets: Tickets::default(),
            directory,
            journal,
            local_login: config.local_login,
            access_life: config.access_life,
            refresh_life: config.refresh_life,
            session_life: config.session_life,
            refreshing: Lanes::new(REFRESH_LANES),
            throttle: Throttle::default(),
            confirmed: Mutex::default(),
            derived: Mutex::default(),
            totp_steps: Mutex::default(),
        })
    }

    /// Whether people can sign in with what they have here: a password or a passkey.
    pub fn has_local_login(&self) -> bool {
        self.local_login
    }

    /// A ticket with which the caller may open a socket once.
    pub fn ticket(&self, caller: &UserCaller) -> Result<String> {
        let given = self.tickets.give(caller.claims.clone(), crate::clock::now());
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

    /// Signs what stands in a link of ours, so that nobody else can make one.
    pub fn sign_link(&self, text: &str) -> String {
        let signed = self.secrets.first().map(|secret| link_signature(secret, text));
        signed.unwrap_or_default()
    }

    /// Whether a signature is ours, also by the secret of before.
    pub fn is_link(&self, text: &str, signature: &str) -> bool {
        self.secrets.iter().any(|secret| secrets::same(&link_signature(secret, text), signature))
    }

    /// Until when a session counts as just signed in, if it does.
    pub fn recent_until(&self, session: &SessionId) -> Result<Option<Timestamp>> {
        let until = self.shown_at(session)?.map(|at| at.plus_millis(RECENT));
        Ok(until.filter(|until| *until > crate::clock::now()))
    }

    /// When whoever has a session has last shown who they are, as far as that is known here.
    fn shown_at(&self, session: &SessionId) -> Result<Option<Timestamp>> {
        let confirmed = self.confirmed.lock().get(session).copied();
        let derived = self.derived.lock().get(session).map(|(shown_at, _)| *shown_at);
        let opened = match derived {
            Some(shown_at) => shown_at,
            None => self.directory.session(session)?.map(|session| session.created_at),
        };
        Ok(confirmed.max(opened))
    }

    /// Notes that a session came of a code that another one has allowed: nobody has shown anew who they are.
    pub fn note_derived(&self, session: &SessionId, from: Option<&SessionId>) -> Result<()> {
        let shown_at = from.map_or(Ok(None), |from| self.shown_at(from))?;
        let now = crate::clock::now();
        let mut derived = self.derived.lock();
        derived.retain(|_, (_, until)| *until > now);
        derived.insert(session.clone(), (shown_at, now.plus_millis(RECENT)));
        Ok(())
    }

    /// Lets pass only who has just signed in.
    pub fn require_recent(&self, caller: &UserCaller) -> Result<()> {
        let until = match &caller.claims.session_id {
            Some(session) => self.recent_until(session)?,
            None => None,
        };
        until.map(drop).ok_or_else(Error::not_recent)
    }

    /// Notes that a session has shown once more who it is.
    fn note_confirmed(&self, session: &SessionId) {
        let now = crate::clock::now();
        let mut confirmed = self.confirmed.lock();
        confirmed.retain(|_, at| at.plus_millis(RECENT) > now);
        confirmed.insert(session.clone(), now);
    }
}

/// From where someone comes, for those who look at their own devices, and for the security log.
#[derive(Debug, Clone, Copy)]
pub struct Visitor {
    pub address: IpAddr,
}

impl Visitor {
    /// What one subscriber has: the address, or of IPv6 the network.
    pub fn place(self) -> IpAddr {
        throttle::place(self.address)
    }
}

/// A user as seen by themself.
pub fn profile(person: &Person) -> Profile {
    Profile {
        id: person.id.clone(),
        username: person.username.to_string(),
        name: person.name.clone(),
        email: person.email.clone(),
        avatar: person.avatar.as_ref().map(|name| format!("/api/v3/avatars/{name}")),
        department_id: person.department.clone(),
        roles: person.roles(),
    }
}

/// HMAC-SHA256 in hex, of what no access token begins with.
fn link_signature(secret: &Secret, text: &str) -> String {
    // HMAC takes keys of any length; there is no error.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    secrets::hex(&mac.chain_update("link\n").chain_update(text).finalize().into_bytes())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
