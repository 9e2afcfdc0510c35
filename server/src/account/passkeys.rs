//! Passkeys (Web Authentication Level 3): each signs a person in by itself, since the device has asked for a finger or a
//! PIN.

use super::{Accounts, check_name, own};
use crate::auth::{Notice, Opening, Pending, SignedIn, UserCaller, Visitor, secrets};
use crate::directory::{Person, StoredPasskey};
use crate::error::{Error, Result};
use crate::log::record::{Kept, PasskeyKey, PasskeyPut, Record};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_wire::UserId;
use hongyan_wire::account::DeviceInfo;
use hongyan_wire::limits::{DEPTH_MAX, DEPTH_RULE, depth_exceeds};
use hongyan_wire::profile::{PasskeyAnswer, PasskeyChallenge, PasskeyInfo, PasskeyLogin, PasskeyRequest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder,
};

/// Milliseconds within which an authenticator must answer.
const CHALLENGE_LIFE: i64 = 5 * 60 * 1_000;
/// Passkeys of one person.
const PASSKEYS_MAX: usize = 20;

/// What is under way with authenticators.
pub struct Passkeys {
    /// `None` where there can be none: an address without a name (Web Authentication, section 5.1.2).
    relying_party: Option<Webauthn>,
    open: Pending<Challenge>,
}

enum Challenge {
    Register(UserId, Box<PasskeyRegistration>),
    Login(Box<DiscoverableAuthentication>),
}

impl Passkeys {
    /// For pages of this address.
    pub fn new(public_url: &str) -> Self {
        let url = Url::parse(public_url).ok();
        let relying_party = url.as_ref().and_then(|url| {
            let builder = WebauthnBuilder::new(url.domain()?, url).ok()?;
            builder.rp_name("Hongyan").build().ok()
        });
        Self { relying_party, open: Pending::default() }
    }

    fn relying_party(&self) -> Result<&Webauthn> {
        let reason = "passkeys need PUBLIC_URL to have a name, not an address, and https or localhost";
        self.relying_party.as_ref().ok_or_else(|| Error::field("PUBLIC_URL", reason))
    }

    fn keep(&self, challenge: Challenge, options: Value, visitor: Visitor) -> Result<PasskeyChallenge> {
        let (id, now) = (secrets::random::<16>().map_err(Error::internal)?, crate::clock::now());
        let until = now.plus_millis(CHALLENGE_LIFE);
        let kept = self.open.keep(id.as_str().into(), challenge, visitor.address, until, now);
        kept.map_err(|too_many| Error::rate_limited(too_many.to_string()))?;
        Ok(PasskeyChallenge { challenge_id: id, options })
    }

    /// A challenge is answered once.
    fn take(&self, id: &str) -> Result<Challenge> {
        let gone = || Error::field("challenge_id", "is unknown, used or too old; begin again");
        self.open.take(id, crate::clock::now()).ok_or_else(gone)
    }
}

impl Accounts {
    /// Whether people can have passkeys here.
    pub fn has_passkeys(&self) -> bool {
        self.keys.relying_party.is_some() && self.auth.has_local_login()
    }

    pub(super) fn passkeys(&self, user: &UserId) -> Result<Vec<PasskeyInfo>> {
        let shown =
            |key: StoredPasskey| PasskeyInfo { id: key.id, name: key.name, created_at: key.created_at };
        Ok(self.directory.passkeys_of(user)?.into_iter().map(shown).collect())
    }

    /// Begins to make a passkey.
    pub fn offer_passkey(&self, caller: &UserCaller, visitor: Visitor) -> Result<PasskeyChallenge> {
        self.auth.require_recent(caller)?;
        let known = self.directory.passkeys_of(caller.id())?;
        if known.len() >= PASSKEYS_MAX {
            return Err(Error::field("name", "there are 20 passkeys already; delete one first"));
        }
        let exclude = Some(known.iter().filter_map(|key| URL_SAFE_NO_PAD.decode(&key.id).ok()).collect());
        let Person { id, username, name, .. } = &*caller.person;
        let begun =
            self.keys.relying_party()?.start_passkey_registration(handle(id), username, name, exclude);
        let (options, state) = begun.map_err(Error::internal)?;
        let mut options = serde_json::to_value(options.public_key).map_err(Error::internal)?;
        // It must be found without a username.
        options["authenticatorSelection"]["residentKey"] = json!("required");
        options["authenticatorSelection"]["requireResidentKey"] = json!(true);
        self.keys.keep(Challenge::Register(id.clone(), Box::new(state)), options, visitor)
    }

    /// Keeps a passkey that an authenticator has made.
    pub async fn add_passkey(&self, caller: &UserCaller, request: PasskeyRequest) -> Result<PasskeyInfo> {
        check_name("name", &request.name)?;
        self.auth.require_recent(caller)?;
        let Challenge::Register(user, state) = self.keys.take(&request.challenge_id)? else {
            return Err(Error::field("challenge_id", "is one for signing in"));
        };
        if user != *caller.id() {
            return Err(Error::field("challenge_id", "is someone else's"));
        }
        let credential: RegisterPublicKeyCredential = credential(request.credential)?;
        let made = self.keys.relying_party()?.finish_passkey_registration(&credential, &state);
        let made = made.map_err(|error| Error::field("credential", format!("is not valid: {error:?}")))?;
        let id = URL_SAFE_NO_PAD.encode(made.cred_id());
        if self.directory.passkey(&id)?.is_some() {
            return Err(Error::exists("passkey", "credential"));
        }
        let put = put(&user, &id, request.name.clone(), &made, false)?;
        let _turn = self.turn_of_recent(caller).await?;
        self.change_way(&user, vec![put], Notice::PasskeyAdded(&request.name)).await?;
        Ok(PasskeyInfo { id, name: request.name, created_at: crate::clock::now() })
    }

    /// Takes a passkey away; not the last way to sign in.
    pub async fn delete_passkey(&self, caller: &UserCaller, id: &str) -> Result<()> {
        self.auth.require_recent(caller)?;
        // As whoever unlinks an identity: both look at what is left.
        let _turn = self.administration.turn().await?;
        let passkey = self.directory.passkey(id)?.filter(|key| key.user == *caller.id());
        passkey.ok_or_else(|| Error::not_found("passkey"))?;
        let user = caller.id();
        let has_others = caller.person.has_password
            || self.directory.passkeys_of(user)?.len() > 1
            || !self.directory.identities_of(user)?.is_empty();
        if !has_others {
            return Err(Error::field("id", "it is the last way to sign in; set a password first"));
        }
        let what = PasskeyKey { user: user.clone(), id: id.into() };
        let deleted = vec![Record::PasskeyDeleted(Box::new(own(user, what)))];
        self.change_way(user, deleted, Notice::PasskeyDeleted).await
    }

    /// Begins to sign in with a passkey, whosever it is.
    pub fn ask_for_passkey(&self, visitor: Visitor) -> Result<PasskeyChallenge> {
        if !self.auth.has_local_login() {
            return Err(Error::forbidden("local_login"));
        }
        let begun = self.keys.relying_party()?.start_discoverable_authentication();
        let (options, state) = begun.map_err(Error::internal)?;
        let options = serde_json::to_value(options.public_key).map_err(Error::internal)?;
        self.keys.keep(Challenge::Login(Box::new(state)), options, visitor)
    }

    /// Signs in with a passkey.
    pub async fn passkey_login(&self, login: PasskeyLogin, visitor: Visitor) -> Result<SignedIn> {
        let device: DeviceInfo = login.device.unwrap_or_default();
        Opening::check(&device)?;
        let answer = PasskeyAnswer { challenge_id: login.challenge_id, credential: login.credential };
        let person = self.check_passkey(answer, visitor).await?;
        let kept = if login.cookie { Kept::Cookie } else { Kept::Client };
        self.auth.open_session(&person, Opening { device, provider: "passkey".into(), kept, visitor }).await
    }

    /// The session that calls shows a passkey of its person, and counts as just signed in.
    pub async fn confirm_by_passkey(
        &self,
        caller: &UserCaller,
        answer: PasskeyAnswer,
        visitor: Visitor,
    ) -> Result<()> {
        let person = self.check_passkey(answer, visitor).await?;
        if person.id != *caller.id() {
            return Err(Error::unauthenticated("the passkey is someone else's"));
        }
        self.auth.confirmed(caller);
        Ok(())
    }

    async fn check_passkey(&self, answer: PasskeyAnswer, visitor: Visitor) -> Result<Arc<Person>> {
        if !self.auth.has_local_login() {
            return Err(Error::forbidden("local_login"));
        }
        let Challenge::Login(state) = self.keys.take(&answer.challenge_id)? else {
            return Err(Error::field("challenge_id", "is one for making a passkey"));
        };
        let credential: PublicKeyCredential = credential(answer.credential)?;
        let refused = |reason: &str| {
            tracing::warn!(target: "hongyan::security", address = %visitor.address, reason, "a login was refused");
            Error::unauthenticated("the passkey is not known here, or its answer is not valid")
        };
        let relying_party = self.keys.relying_party()?;
        let told = relying_party.identify_discoverable_authentication(&credential);
        let (told, id) = told.map_err(|_| refused("no user in the answer"))?;
        let known = self.directory.passkey(&URL_SAFE_NO_PAD.encode(id))?;
        let known = known.ok_or_else(|| refused("an unknown passkey"))?;
        if handle(&known.user) != told {
            return Err(refused("a passkey of another user"));
        }
        let mut key: Passkey = serde_json::from_str(&known.key).map_err(Error::internal)?;
        let finished = relying_party.finish_discoverable_authentication_v2(&credential, *state, &key);
        let finished = finished.map_err(|error| refused(&format!("{error:?}")))?;
        let person = self.directory.person(&known.user)?.filter(|person| !person.disabled);
        let person = person.ok_or_else(|| refused("the user is disabled"))?;
        if key.update_credential(&finished) == Some(true) {
            let put = put(&known.user, &known.id, known.name, &key, true)?;
            self.journal.append_applied(put).await?;
        }
        Ok(person)
    }
}

fn put(user: &UserId, id: &str, name: String, key: &Passkey, is_update: bool) -> Result<Record> {
    let key = serde_json::to_string(key).map_err(Error::internal)?;
    let put = PasskeyPut { user: user.clone(), id: id.into(), name, key, is_update };
    Ok(Record::PasskeyPut(Box::new(own(user, put))))
}

/// How authenticators know a user: nothing that says who it is (Web Authentication, section 14.6.1).
fn handle(user: &UserId) -> Uuid {
    let hash = Sha256::digest(format!("passkeys of {user}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

fn credential<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    if depth_exceeds(&value, DEPTH_MAX) {
        return Err(Error::field("credential", DEPTH_RULE));
    }
    serde_json::from_value(value).map_err(|error| Error::field("credential", error.to_string()))
}
