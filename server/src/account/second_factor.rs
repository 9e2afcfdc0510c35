//! Authenticators as second factor, with codes that take their place once.

use super::{Accounts, own};
use crate::auth::{Notice, UserCaller, secrets, totp};
use crate::error::{Error, Result};
use crate::log::record::{Change, PasskeyKey, Record, Sealed, TotpSet};
use hashlink::LruCache;
use hongyan_wire::profile::{RecoveryCodes, Security, TotpOffer};
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// Codes that take the authenticator's place.
const RECOVERY_CODES: usize = 10;
/// Milliseconds within which an authenticator must show that it has taken the secret.
const OFFER_LIFE: i64 = 10 * 60 * 1_000;
const OFFERS_MAX: usize = 1_000;

/// Secrets that authenticators were offered and have not shown yet.
pub struct Offers(Mutex<LruCache<UserId, (String, Timestamp)>>);

impl Default for Offers {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(OFFERS_MAX)))
    }
}

impl Accounts {
    /// How the caller can sign in.
    pub fn security(&self, caller: &UserCaller) -> Result<Security> {
        let user = caller.id();
        let recent_until = match &caller.claims.session_id {
            Some(session) => self.auth.recent_until(session)?,
            None => None,
        };
        let identities = self.directory.identities_of(user)?;
        Ok(Security {
            has_password: caller.person.has_password,
            totp: self.directory.totp_secret(user)?.is_some(),
            recovery_codes: self.directory.recovery_hashes(user)?.len() as u32,
            passkeys: self.passkeys(user)?,
            identities: identities.into_iter().map(|identity| identity.about).collect(),
            recent_until,
        })
    }

    /// Offers a secret to an authenticator.
    pub fn offer_totp(&self, caller: &UserCaller) -> Result<TotpOffer> {
        self.auth.require_recent(caller)?;
        let mut bytes = [0u8; 20];
        getrandom::fill(&mut bytes).map_err(Error::internal)?;
        let secret = totp::base32(&bytes);
        let uri = totp::uri(&secret, &caller.person.username);
        let qr = picture(&uri)?;
        let until = crate::clock::now().plus_millis(OFFER_LIFE);
        self.offers.0.lock().insert(caller.id().clone(), (secret.clone(), until));
        Ok(TotpOffer { secret, uri, qr })
    }

    /// The authenticator has shown that it has the secret: it counts from now on.
    pub async fn take_totp(&self, caller: &UserCaller, code: &str) -> Result<RecoveryCodes> {
        self.auth.require_recent(caller)?;
        let (user, now) = (caller.id(), crate::clock::now());
        let offered = self.offers.0.lock().peek(user).cloned().filter(|(_, until)| *until > now);
        let none = || Error::field("code", "no secret was offered, or it is too old; begin again");
        let (secret, _) = offered.ok_or_else(none)?;
        if !self.auth.takes_totp(user, &secret, code.trim()) {
            return Err(Error::field("code", "is not the one that the authenticator shows now"));
        }
        self.offers.0.lock().remove(user);
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        for _ in 0..RECOVERY_CODES {
            let mut bytes = [0u8; 10];
            getrandom::fill(&mut bytes).map_err(Error::internal)?;
            codes.push(totp::base32(&bytes).to_ascii_lowercase());
        }
        let recovery = codes.iter().map(|code| secrets::hash(code)).collect();
        let _turn = self.turn_of_recent(caller).await?;
        let set = TotpSet { user: user.clone(), secret: Some(Sealed(secret)), recovery };
        let set = vec![Record::TotpSet(Box::new(own(user, set)))];
        self.change_way(user, set, Notice::AuthenticatorOn).await?;
        // In four parts, which is how people copy them.
        let parted =
            |code: String| format!("{}-{}-{}-{}", &code[..4], &code[4..8], &code[8..12], &code[12..]);
        Ok(RecoveryCodes { recovery_codes: codes.into_iter().map(parted).collect() })
    }

    /// The password alone suffices again.
    pub async fn drop_totp(&self, caller: &UserCaller) -> Result<()> {
        self.auth.require_recent(caller)?;
        if self.directory.totp_secret(caller.id())?.is_none() {
            return Ok(());
        }
        let set = TotpSet { user: caller.id().clone(), secret: None, recovery: Vec::new() };
        let set = vec![Record::TotpSet(Box::new(own(caller.id(), set)))];
        self.change_way(caller.id(), set, Notice::AuthenticatorOff).await
    }

    /// Takes authenticator and passkeys away from someone who has lost them.
    pub async fn reset_second_factors(&self, actor: &UserCaller, user: &UserId) -> Result<()> {
        self.directory.person(user)?.ok_or_else(|| Error::not_found("user"))?;
        let passkeys = self.directory.passkeys_of(user)?;
        if passkeys.is_empty() && self.directory.totp_secret(user)?.is_none() {
            return Ok(());
        }
        let (actor, at) = (actor.id().as_str(), crate::clock::now());
        let set = TotpSet { user: user.clone(), secret: None, recovery: Vec::new() };
        let mut records = vec![Record::TotpSet(Box::new(Change { actor: actor.into(), at, what: set }))];
        for passkey in passkeys {
            let what = PasskeyKey { user: user.clone(), id: passkey.id.into() };
            records.push(Record::PasskeyDeleted(Box::new(Change { actor: actor.into(), at, what })));
        }
        self.change_way(user, records, Notice::FactorsReset).await
    }
}

/// A QR code as SVG.
fn picture(text: &str) -> Result<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(Error::internal)?;
    // Four empty fields around it (ISO/IEC 18004, section 9.1).
    const MARGIN: i32 = 4;
    let side = code.size() + 2 * MARGIN;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // To a text nothing fails.
            let _ = write!(path, "M{},{}h1v1h-1z", x + MARGIN, y + MARGIN);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0,0h{side}v{side}h-{side}z\"/><path d=\"{path}\"/></svg>"
    ))
}
