//! Sessions: opened by every way of signing in, refreshed, ended.

use super::jwt::{self, Claims, Gateway};
use super::refresh::{self, Shown};
use super::{Auth, UserCaller, Visitor, millis, profile, secrets};
use crate::config::ACCESS_LIFE_MAX;
use crate::directory::{Person, StoredSession};
use crate::error::{Error, Result};
use crate::log::Entry;
use crate::log::record::{
    Change, Kept, Record, Replaced, SessionOpened, SessionRefreshed, SessionsEnded, SessionsSwept,
};
use hongyan_wire::account::{DeviceInfo, TokenAnswer};
use hongyan_wire::admin::AdminTokenAnswer;
use hongyan_wire::limits::{NAME_MAX, is_unshowable};
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::sync::Arc;

/// Milliseconds for which a refresh token that was used is taken once more: its answer may have been lost, or two tabs
/// may have used it in the same moment. Auth0 and FAPI 2.0 allow the like.
const REPLACED_LIFE: i64 = 30_000;
/// Sessions of one user; the oldest go when there are more.
const SESSIONS_MAX: usize = 200;
/// Sessions in one record.
const SWEPT_AT_ONCE: usize = 1_000;

/// How a session is opened.
pub struct Opening {
    pub device: DeviceInfo,
    /// How the person has shown who they are: `local`, `passkey`, or a provider's id.
    pub provider: SmolStr,
    pub kept: Kept,
    pub visitor: Visitor,
}

/// Tokens for someone who signed in or refreshed.
pub struct SignedIn {
    pub answer: TokenAnswer,
    /// Where a cookie is to have it, the refresh token, and when it ends.
    pub cookie: Option<(String, Timestamp)>,
}

impl Opening {
    /// Checks what the client says of its device.
    pub fn check(device: &DeviceInfo) -> Result<()> {
        let is_name = |name: &String| name.chars().count() <= NAME_MAX && !name.chars().any(is_unshowable);
        if !device.name.as_ref().is_none_or(is_name) {
            return Err(Error::field("device.name", "must be one line of at most 100 characters"));
        }
        Ok(())
    }
}

impl Auth {
    /// Opens a session for a person who has shown who they are.
    pub async fn open_session(&self, person: &Arc<Person>, opening: Opening) -> Result<SignedIn> {
        let (signed_in, entries) = self.opening(person, opening)?;
        self.journal.append_all_applied(entries).await?;
        Ok(signed_in)
    }

    /// What opens a session, to be appended with what it follows from.
    pub fn opening(&self, person: &Person, opening: Opening) -> Result<(SignedIn, Vec<Entry>)> {
        let life = self.refresh_life.min(self.session_life);
        let (opened, token) = opened(person, opening, millis(life))?;
        let signed_in = self.signed_in(person, &opened, token)?;
        let before = self.directory.session_ids_of(&person.id)?;
        let mut entries = Vec::new();
        if before.len() >= SESSIONS_MAX {
            let mut sessions = self.directory.sessions_of(&person.id)?;
            let oldest: Vec<SessionId> =
                sessions.drain(..).skip(SESSIONS_MAX - 1).map(|session| session.id).collect();
            if !oldest.is_empty() {
                entries.push(Record::SessionsEnded(self.ended(person.id.clone(), oldest, None)).into());
            }
        }
        tracing::info!(
            target: "hongyan::security", user = %person.id, session = %opened.id, provider = %opened.provider,
            address = opened.address.as_deref(), "signed in",
        );
        entries.push(Record::SessionOpened(Box::new(opened)).into());
        Ok((signed_in, entries))
    }

    /// Opens a session at the admin gateway; it has no refresh token.
    pub async fn open_admin_session(
        &self,
        person: &Arc<Person>,
        opening: Opening,
    ) -> Result<(AdminTokenAnswer, SessionId)> {
        let (opened, _) = opened(person, opening, millis(self.access_life))?;
        let session = opened.id.clone();
        let claims = self.claims(person, &opened, Gateway::Admin);
        tracing::info!(
            target: "hongyan::security", user = %person.id, session = %opened.id, provider = %opened.provider,
            address = opened.address.as_deref(), "signed in as administrator",
        );
        self.journal.append_applied(Record::SessionOpened(Box::new(opened))).await?;
        let answer = AdminTokenAnswer {
            access_token: self.jwt.sign(&claims).map_err(Error::internal)?,
            token_type: "Bearer".into(),
            expires_in: claims.seconds(),
            user_id: person.id.clone(),
        };
        Ok((answer, session))
    }

    /// Gives new tokens for a refresh token, which is good once; the one before it is answered alike for a while.
    /// Anything older was stolen from someone: the session ends.
    pub async fn refresh(&self, token: &str, kept: Kept, visitor: Visitor) -> Result<SignedIn> {
        let refused =
            || Error::unauthenticated("the refresh token is used, expired or unknown; sign in again");
        let shown = Shown::parse(token).ok_or_else(refused)?;
        let _one_at_a_time = self.refreshing.turn(&shown.session).await;
        let now = crate::clock::now();
        let session = self.directory.session(&shown.session)?.filter(|session| session.expires_at > now);
        let session = session.filter(|session| shown.is_of(&session.family_hash)).ok_or_else(refused)?;
        let hash = shown.hash();
        let shown_as = judged(&session, &hash, kept, now);
        if let ShownAs::Stolen(reason) = shown_as {
            tracing::warn!(
                target: "hongyan::security", user = %session.user, session = %session.id, address = %visitor.address,
                reason, "a session was ended",
            );
            self.end(session.user.clone(), vec![session.id.clone()], None).await?;
            return Err(refused());
        }
        let person = self.directory.person(&session.user)?.filter(|p| !p.disabled).ok_or_else(refused)?;
        if session.created_at < person.tokens_since {
            return Err(refused());
        }
        let successors = self.secrets.iter().filter_map(|secret| shown.successor(secret));
        if shown_as == ShownAs::Repeat {
            let mut given = successors.filter(|token| secrets::hash(token) == session.refresh_hash);
            let token = given.next().ok_or_else(refused)?;
            return self.signed_in(&person, &reopened(&session, now), token);
        }
        let token = successors.into_iter().next().ok_or_else(|| Error::internal("no successor"))?;
        let life = now.plus_millis(millis(self.refresh_life));
        let refreshed = SessionRefreshed {
            id: session.id.clone(),
            refresh_hash: secrets::hash(&token),
            replaced: Replaced { hash, until: now.plus_millis(REPLACED_LIFE) },
            address: Some(address(visitor.address)),
            at: now,
            expires_at: life.min(session.created_at.plus_millis(millis(self.session_life))),
        };
        let session = StoredSession { expires_at: refreshed.expires_at, ..session };
        let signed_in = self.signed_in(&person, &reopened(&session, now), token)?;
        self.journal.append_applied(Record::SessionRefreshed(Box::new(refreshed))).await?;
        Ok(signed_in)
    }

    /// A user's sessions, newest first.
    pub fn sessions(&self, user: &UserId) -> Result<Vec<StoredSession>> {
        Ok(self.directory.sessions_of(user)?)
    }

    /// Ends one of a user's sessions or personal tokens: it is refused and its sockets closed from now on.
    pub async fn end_session(&self, user: &UserId, session: &SessionId) -> Result<()> {
        if !self.directory.session_ids_of(user)?.contains(session) {
            return Err(Error::not_found("session"));
        }
        self.end(user.clone(), vec![session.clone()], None).await
    }

    /// Ends all sessions of a user but the one that calls. Gives how many.
    pub async fn end_others(&self, caller: &UserCaller) -> Result<u64> {
        let sessions: Vec<SessionId> =
            self.sessions(caller.id())?.into_iter().map(|session| session.id).collect();
        let others: Vec<SessionId> = sessions
            .into_iter()
            .filter(|session| caller.claims.session_id.as_ref() != Some(session))
            .collect();
        let ended = others.len() as u64;
        if ended > 0 {
            self.end(caller.id().clone(), others, None).await?;
        }
        Ok(ended)
    }

    /// The record that ends all sessions and personal tokens of a user, but one that is to go on.
    pub fn ending(&self, user: &UserId, but: Option<&SessionId>) -> Result<Record> {
        let mut sessions = self.directory.session_ids_of(user)?;
        sessions.retain(|session| Some(session) != but);
        let ended = self.ended(user.clone(), sessions, None);
        Ok(Record::SessionsEnded(SessionsEnded { everything: but.is_none(), ..ended }))
    }

    /// Ends sessions for an administrator: one, all of a user, or everyone's that were opened before now. Gives how
    /// many.
    pub async fn sweep(
        &self,
        actor: &UserCaller,
        sessions: Vec<(UserId, SessionId)>,
        wholly: Vec<UserId>,
    ) -> Result<u64> {
        let now = crate::clock::now();
        let ended = sessions.len() as u64;
        let record = |sessions: Vec<_>, wholly| {
            let what = SessionsSwept { sessions, remember_until: self.remember_until(now, None), wholly };
            Entry::from(Record::SessionsSwept(Box::new(Change {
                actor: actor.id().as_str().into(),
                at: now,
                what,
            })))
        };
        let mut entries: Vec<Entry> =
            sessions.chunks(SWEPT_AT_ONCE).map(|sessions| record(sessions.to_vec(), Vec::new())).collect();
        if !wholly.is_empty() {
            entries.push(record(Vec::new(), wholly));
        }
        if !entries.is_empty() {
            self.journal.append_all_applied(entries).await?;
        }
        Ok(ended)
    }

    /// Every session and personal token that there is, but the one that calls.
    pub fn all_sessions(&self, but: &UserCaller) -> Result<Vec<(UserId, SessionId)>> {
        let now = crate::clock::now();
        let mut all: Vec<(UserId, SessionId)> = Vec::new();
        loop {
            let after = all.last().map_or("", |(_, session)| session.as_str()).to_owned();
            let more = self.directory.sessions_before(now, &after, SWEPT_AT_ONCE)?;
            if more.is_empty() {
                all.retain(|(_, session)| but.claims.session_id.as_ref() != Some(session));
                return Ok(all);
            }
            all.extend(more);
        }
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

    /// The session that a refresh token is of, be it a used one.
    pub fn session_by(&self, token: &str, kept: Kept) -> Result<Option<SessionId>> {
        let Some(shown) = Shown::parse(token) else { return Ok(None) };
        let session = self.directory.session(&shown.session)?;
        let is_its = |session: &StoredSession| session.kept == kept && shown.is_of(&session.family_hash);
        Ok(session.filter(is_its).map(|session| session.id))
    }

    /// Ends the session that a refresh token is of; nothing when it is of none.
    pub async fn logout_by(&self, token: &str, kept: Kept) -> Result<()> {
        match self.session_by(token, kept)? {
            Some(session) => self.supersede(&session).await,
            None => Ok(()),
        }
    }

    /// Ends a session, whosever it is, in whose place there is another, or none.
    pub async fn supersede(&self, session: &SessionId) -> Result<()> {
        match self.directory.session(session)? {
            Some(session) => self.end(session.user, vec![session.id], None).await,
            None => Ok(()),
        }
    }

    async fn end(&self, user: UserId, sessions: Vec<SessionId>, expires_at: Option<Timestamp>) -> Result<()> {
        tracing::info!(
            target: "hongyan::security", %user, session = sessions.first().map(SessionId::as_str), sessions = sessions.len(),
            "sessions were ended",
        );
        let ended = self.ended(user, sessions, expires_at);
        self.journal.append_applied(Record::SessionsEnded(ended)).await?;
        Ok(())
    }

    fn ended(&self, user: UserId, sessions: Vec<SessionId>, expires_at: Option<Timestamp>) -> SessionsEnded {
        let now = crate::clock::now();
        let remember_until = self.remember_until(now, expires_at);
        SessionsEnded { user, sessions, at: now, remember_until, everything: false }
    }

    /// Until when an access token of what ends now may still carry a valid signature. `expires_at`: when the token in
    /// hand ends, which someone else may have signed for longer than we do.
    fn remember_until(&self, now: Timestamp, expires_at: Option<Timestamp>) -> Timestamp {
        // Also where it was given before the life was set shorter.
        let ours = now.plus_millis(millis(self.access_life.max(ACCESS_LIFE_MAX)));
        expires_at.map_or(ours, |at| at.max(ours)).plus_millis(60_000)
    }

    fn claims(&self, person: &Person, session: &SessionOpened, gateway: Gateway) -> Claims {
        let seconds = session.at.millis() / 1000;
        Claims {
            iss: jwt::ISSUER.into(),
            sub: person.id.as_str().into(),
            aud: gateway.audience().into(),
            // No token outlives its session.
            exp: (seconds + self.access_life.as_secs().max(1) as i64)
                .min(session.expires_at.millis().div_euclid(1_000)),
            nbf: None,
            iat: seconds,
            jti: smol_str::format_smolstr!("{}", uuid::Uuid::now_v7()),
            user_id: Some(person.id.clone()),
            username: person.username.as_str().into(),
            email: person.email.clone(),
            provider: session.provider.as_str().into(),
            scope: vec!["read".into(), "write".into()],
            device_id: Some(session.device.clone()),
            session_id: Some(session.id.clone()),
        }
    }

    fn signed_in(&self, person: &Person, session: &SessionOpened, token: String) -> Result<SignedIn> {
        let claims = self.claims(person, session, Gateway::User);
        let (refresh_token, cookie) = match session.kept {
            Kept::Client => (Some(token), None),
            Kept::Cookie => (None, Some((token, session.expires_at))),
            Kept::Nowhere => (None, None),
        };
        let answer = TokenAnswer {
            access_token: self.jwt.sign(&claims).map_err(Error::internal)?,
            refresh_token,
            token_type: "Bearer".into(),
            expires_in: claims.seconds(),
            session_id: session.id.clone(),
            device_id: session.device.clone(),
            user: profile(person),
        };
        Ok(SignedIn { answer, cookie })
    }
}

/// What a refresh token of a session is when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShownAs {
    /// The one that is good.
    Current,
    /// The one before it: its answer may have been lost.
    Repeat,
    /// By someone who has it from someone else; why that is so.
    Stolen(&'static str),
}

fn judged(session: &StoredSession, hash: &SmolStr, kept: Kept, now: Timestamp) -> ShownAs {
    if session.kept != kept {
        return ShownAs::Stolen("a foreign client");
    }
    if *hash == session.refresh_hash {
        return ShownAs::Current;
    }
    match &session.replaced {
        Some(before) if before.hash == *hash && before.until > now => ShownAs::Repeat,
        _ => ShownAs::Stolen("a refresh token was used again"),
    }
}

fn opened(person: &Person, opening: Opening, life: i64) -> Result<(SessionOpened, String)> {
    let Opening { device, provider, kept, visitor } = opening;
    let now = crate::clock::now();
    let new_id = || uuid::Uuid::now_v7().to_string();
    let id = SessionId::new(&new_id()).map_err(Error::internal)?;
    let first = refresh::first(&id).map_err(Error::internal)?;
    let opened = SessionOpened {
        id,
        user: person.id.clone(),
        device: device.id.map_or_else(|| DeviceId::new(&new_id()), Ok).map_err(Error::internal)?,
        device_type: device.device_type,
        device_name: device.name.unwrap_or_default(),
        provider,
        kept,
        address: Some(address(visitor.address)),
        family_hash: first.family_hash,
        refresh_hash: secrets::hash(&first.token),
        at: now,
        expires_at: now.plus_millis(life),
    };
    Ok((opened, first.token))
}

/// The session as it is after a refresh at this moment.
fn reopened(session: &StoredSession, at: Timestamp) -> SessionOpened {
    SessionOpened {
        id: session.id.clone(),
        user: session.user.clone(),
        device: session.device.clone(),
        device_type: session.device_type,
        device_name: session.device_name.clone(),
        provider: session.provider.clone(),
        kept: session.kept,
        address: None,
        family_hash: session.family_hash.clone(),
        refresh_hash: session.refresh_hash.clone(),
        at,
        expires_at: session.expires_at,
    }
}

fn address(address: IpAddr) -> SmolStr {
    smol_str::format_smolstr!("{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_before_is_taken_for_half_a_minute_and_none_before_that() {
        let at = |millis| Timestamp::from_millis(1_800_000_000_000 + millis);
        let session = StoredSession {
            id: SessionId::new("s").unwrap(),
            user: UserId::new("ann").unwrap(),
            device: DeviceId::new("d").unwrap(),
            device_type: hongyan_wire::account::DeviceType::Web,
            device_name: String::new(),
            provider: "local".into(),
            kept: Kept::Cookie,
            address: None,
            family_hash: "family".into(),
            refresh_hash: "third".into(),
            replaced: Some(Replaced { hash: "second".into(), until: at(REPLACED_LIFE) }),
            created_at: at(0),
            refreshed_at: at(0),
            expires_at: at(1_000_000),
        };
        let shown = |hash: &str, kept, millis| judged(&session, &hash.into(), kept, at(millis));
        let used_again = ShownAs::Stolen("a refresh token was used again");
        assert_eq!(shown("third", Kept::Cookie, 900_000), ShownAs::Current);
        assert_eq!(shown("second", Kept::Cookie, 0), ShownAs::Repeat);
        assert_eq!(shown("second", Kept::Cookie, 29_999), ShownAs::Repeat);
        assert_eq!(shown("second", Kept::Cookie, 30_000), used_again);
        assert_eq!(shown("first", Kept::Cookie, 0), used_again);
        assert_eq!(shown("third", Kept::Client, 0), ShownAs::Stolen("a foreign client"));
    }
}
