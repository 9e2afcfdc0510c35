//! Signing in with what people have here: a password, and a second factor where they want one.

use super::sessions::{Opening, SignedIn};
use super::throttle::Attempt;
use super::{Auth, UserCaller, Visitor, is_admin, secrets, totp};
use crate::directory::Person;
use crate::error::{Error, Result};
use crate::lanes::Turn;
use crate::log::record::{Change, Kept, Record, RecoveryUsed};
use hongyan_wire::UserId;
use hongyan_wire::account::{DeviceInfo, LoginRequest};
use hongyan_wire::admin::AdminTokenAnswer;
use hongyan_wire::limits::PASSWORD_MAX;
use std::sync::Arc;

/// What shows that someone is who they say: a password, and the second factor where there is one.
pub struct Proof {
    pub password: String,
    pub otp: Option<String>,
}

impl Auth {
    /// Signs in with a password.
    pub async fn login(&self, request: LoginRequest, visitor: Visitor) -> Result<SignedIn> {
        let device = request.device.clone().unwrap_or_default();
        Opening::check(&device)?;
        let kept = if request.cookie { Kept::Cookie } else { Kept::Client };
        let (person, _turn) = self.check_login(request, visitor).await?;
        self.open_session(&person, Opening { device, provider: "local".into(), kept, visitor }).await
    }

    /// Signs an administrator in.
    pub async fn admin_login(&self, request: LoginRequest, visitor: Visitor) -> Result<AdminTokenAnswer> {
        let (person, _turn) = self.check_login(request, visitor).await?;
        if !is_admin(&person) {
            refused(Some(&person.id), visitor, "the user is no administrator");
            return Err(Error::forbidden("admin"));
        }
        let device = DeviceInfo { name: Some("admin console".into()), ..DeviceInfo::default() };
        let opening = Opening { device, provider: "local".into(), kept: Kept::Nowhere, visitor };
        Ok(self.open_admin_session(&person, opening).await?.0)
    }

    /// Also gives a turn, to be held until the session is open: so long nobody changes the password that was right.
    async fn check_login(&self, request: LoginRequest, visitor: Visitor) -> Result<(Arc<Person>, Turn)> {
        if !self.local_login {
            return Err(Error::forbidden("local_login"));
        }
        let proof = Proof { password: request.password, otp: request.otp };
        let (person, hash) = self.check_proof(request.username.trim(), proof, visitor).await?;
        let turn = self.turn_of(&person.id).await;
        if self.directory.password_hash(&person.id)? != hash {
            refused(Some(&person.id), visitor, "the password was changed meanwhile");
            return Err(wrong());
        }
        Ok((person, turn))
    }

    /// A turn with what someone signs in with: who changes it has it from the look at what there is to the end.
    pub async fn turn_of(&self, user: &UserId) -> Turn {
        self.refreshing.turn(user).await
    }

    /// The session that calls shows its password once more, and counts as just signed in.
    pub async fn confirm(&self, caller: &UserCaller, proof: Proof, visitor: Visitor) -> Result<()> {
        self.check_proof(&caller.person.username, proof, visitor).await?;
        if let Some(session) = &caller.claims.session_id {
            self.note_confirmed(session);
        }
        Ok(())
    }

    /// The session that calls has shown by other means who it is.
    pub fn confirmed(&self, caller: &UserCaller) {
        if let Some(session) = &caller.claims.session_id {
            self.note_confirmed(session);
        }
    }

    /// Whether the person who calls knows their password. The second factor is not asked for.
    pub async fn check_own_password(
        &self,
        caller: &UserCaller,
        password: String,
        visitor: Visitor,
    ) -> Result<()> {
        let (.., attempt) = self.check_password(&caller.person.username, password, visitor).await?;
        attempt.succeeded();
        Ok(())
    }

    /// The person of this name and their password's hash, if the password is theirs and, where they have one, so is the
    /// second factor.
    async fn check_proof(
        &self,
        username: &str,
        proof: Proof,
        visitor: Visitor,
    ) -> Result<(Arc<Person>, Option<String>)> {
        let (person, hash, attempt) = self.check_password(username, proof.password, visitor).await?;
        let secret = self.directory.totp_secret(&person.id)?;
        match (secret, proof.otp.as_deref().map(str::trim).filter(|otp| !otp.is_empty())) {
            (None, _) => {}
            (Some(_), None) => {
                attempt.succeeded();
                return Err(Error::second_factor(
                    "the second factor is missing: the six digits of the authenticator",
                ));
            }
            (Some(secret), Some(otp)) => {
                if !self.is_second_factor(&person.id, &secret, otp).await? {
                    refused(Some(&person.id), visitor, "wrong second factor");
                    return Err(Error::second_factor("the second factor is wrong, or was used before"));
                }
            }
        }
        attempt.succeeded();
        Ok((person, hash))
    }

    /// The person of this name, if the password is theirs. A name that is not there is answered alike and after the
    /// same time.
    async fn check_password(
        &self,
        username: &str,
        password: String,
        visitor: Visitor,
    ) -> Result<(Arc<Person>, Option<String>, Attempt<'_>)> {
        if password.len() > PASSWORD_MAX {
            return Err(Error::field("password", "must have at most 256 bytes"));
        }
        let id = self.directory.user_named(username)?;
        let attempt = self.throttle.begin(username, visitor.address, crate::clock::now(), || {
            id.as_ref().is_some_and(|id| self.was_here(id, visitor))
        });
        let attempt = attempt.map_err(|too_often| {
            if too_often.is_news {
                refused(id.as_deref(), visitor, "too often");
            }
            let message = "signing in has failed too often; try again later";
            Error { retry_after: Some(too_often.seconds), ..Error::rate_limited(message) }
        })?;
        let (person, hash) = match &id {
            Some(id) => (self.directory.person(id)?, self.directory.password_hash(id)?),
            None => (None, None),
        };
        let good = self.passwords.verify(password, hash.clone()).await;
        let good = match good {
            Ok(good) => good,
            Err(busy) => {
                attempt.succeeded();
                return Err(busy);
            }
        };
        match person.filter(|person| good && !person.disabled) {
            Some(person) => Ok((person, hash, attempt)),
            None => {
                refused(id.as_deref(), visitor, "wrong name or password");
                Err(wrong())
            }
        }
    }

    /// Whether this is the code of the moment, or a recovery code; both are good once.
    async fn is_second_factor(&self, user: &UserId, secret: &str, otp: &str) -> Result<bool> {
        if self.takes_totp(user, secret, otp) {
            return Ok(true);
        }
        let hash = secrets::hash(&otp.to_ascii_lowercase().replace([' ', '-'], ""));
        let _one_at_a_time = self.refreshing.turn(user).await;
        if !self.directory.recovery_hashes(user)?.iter().any(|known| secrets::same(known, &hash)) {
            return Ok(false);
        }
        let what = RecoveryUsed { user: user.clone(), hash };
        let change = Change { actor: user.as_str().into(), at: crate::clock::now(), what };
        self.journal.append_applied(Record::RecoveryUsed(Box::new(change))).await?;
        Ok(true)
    }

    /// Whether this is a code of the moment that was not taken before.
    pub fn takes_totp(&self, user: &UserId, secret: &str, code: &str) -> bool {
        let now = crate::clock::now().millis().div_euclid(1_000);
        // Authenticators show it in two groups.
        let code = code.replace(' ', "");
        let step = totp::from_base32(secret).and_then(|secret| totp::step(&secret, &code, now));
        let Some(step) = step else { return false };
        let mut taken = self.totp_steps.lock();
        // Older ones cannot come again.
        taken.retain(|_, taken| *taken + 3 > step);
        let is_new = taken.get(user).is_none_or(|taken| *taken < step);
        if is_new {
            taken.insert(user.clone(), step);
        }
        is_new
    }

    /// Whether the user has a session that was last heard of from there.
    fn was_here(&self, user: &UserId, visitor: Visitor) -> bool {
        let sessions = self.directory.sessions_of(user).unwrap_or_default();
        let addresses = sessions.iter().filter_map(|session| session.address.as_deref()?.parse().ok());
        addresses.map(|address| Visitor { address }.place()).any(|place| place == visitor.place())
    }
}

fn wrong() -> Error {
    Error::unauthenticated("username or password is wrong")
}

fn refused(user: Option<&UserId>, visitor: Visitor, reason: &str) {
    // A name that nobody has is not logged: some type their password there.
    let user = user.map_or("nobody", UserId::as_str);
    tracing::warn!(
        target: "hongyan::security", user, address = %visitor.address, reason, "a login was refused",
    );
}
