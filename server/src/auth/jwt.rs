//! Access tokens: JWT (RFC 7519) signed with HS256 (RFC 7518, section 3.2), verified without a database.

use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use smol_str::SmolStr;
use std::sync::Arc;

/// Who issues our tokens.
pub const ISSUER: &str = "message-service";
/// Seconds by which the clocks of issuer and verifier may differ.
const LEEWAY: i64 = 5;
const ALGORITHM: Algorithm = Algorithm::HS256;
/// Tokens whose claims are kept parsed, of some 500 bytes each.
const PARSED_MAX: usize = 4_096;

type Signature = [u8; 32];

/// For which gateway a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    User,
    Admin,
}

impl Gateway {
    pub const fn audience(self) -> &'static str {
        match self {
            Self::User => "client-app",
            Self::Admin => "admin-console",
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: SmolStr,
    pub sub: SmolStr,
    pub aud: SmolStr,
    /// Seconds since 1970.
    pub exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    pub iat: i64,
    #[serde(default)]
    pub jti: SmolStr,
    /// The user, when `sub` is not the id that this server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(default)]
    pub username: SmolStr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default)]
    pub provider: SmolStr,
    #[serde(default)]
    pub scope: Vec<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

impl Claims {
    /// Whether it is good at this time and gateway.
    fn check(&self, now: Timestamp, gateway: Gateway) -> Result<(), BadToken> {
        let now = now.millis().div_euclid(1_000);
        let is_early = self.nbf.is_some_and(|since| since > now.saturating_add(LEEWAY));
        if self.iss != ISSUER || self.aud != gateway.audience() || is_early {
            return Err(BadToken::Invalid);
        }
        if self.exp.saturating_add(LEEWAY) <= now { Err(BadToken::Expired) } else { Ok(()) }
    }

    /// Whose token it is.
    pub fn user(&self) -> Option<UserId> {
        self.user_id.clone().or_else(|| UserId::new(&self.sub).ok())
    }

    /// For how many seconds it is good from its making.
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.exp - self.iat).unwrap_or_default()
    }

    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }
}

/// Why a token is no good. Not told apart towards callers, but for expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not valid here")]
    Invalid,
}

/// Signs and verifies. The signature is checked with every request; what a token says is parsed once, as that takes
/// several times as long.
pub struct Jwt {
    signing: EncodingKey,
    /// What every token of ours begins with.
    header: String,
    verifying: Vec<Hmac<Sha256>>,
    /// What tokens say, by signatures that were good.
    parsed: Cache<Signature, Arc<Claims>>,
}

impl Jwt {
    /// `previous` still verifies, so that the secret can be changed without signing anyone out.
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        // HMAC takes keys of any length; there is no error.
        let key = |secret: &Secret| Hmac::new_from_slice(secret.expose().as_bytes()).ok();
        let header = serde_json::to_vec(&Header::new(ALGORITHM)).unwrap_or_default();
        Self {
            signing: EncodingKey::from_secret(secret.expose().as_bytes()),
            header: URL_SAFE_NO_PAD.encode(header),
            verifying: std::iter::once(secret).chain(previous).filter_map(key).collect(),
            parsed: Cache::new(PARSED_MAX),
        }
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(ALGORITHM), claims, &self.signing)
    }

    /// Checks algorithm, signature, issuer, audience and times (RFC 7519, section 7.2; RFC 8725, section 3).
    pub fn verify(&self, token: &str, gateway: Gateway) -> Result<Arc<Claims>, BadToken> {
        let claims = self.signed(token).ok_or(BadToken::Invalid)?;
        claims.check(crate::clock::now(), gateway)?;
        Ok(claims)
    }

    /// What a token says that we, or who knows our secret, have signed.
    fn signed(&self, token: &str) -> Option<Arc<Claims>> {
        let (content, signature) = token.rsplit_once('.')?;
        let (header, claims) = content.split_once('.')?;
        if header != self.header && jsonwebtoken::decode_header(token).ok()?.alg != ALGORITHM {
            return None;
        }
        let mut bytes = Signature::default();
        if URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes) != Ok(bytes.len()) {
            return None;
        }
        // Takes the same time wherever they differ.
        let is_by = |key: &Hmac<Sha256>| key.clone().chain_update(content).verify_slice(&bytes).is_ok();
        if !self.verifying.iter().any(is_by) {
            return None;
        }
        let parse = || {
            let claims = URL_SAFE_NO_PAD.decode(claims).map_err(drop)?;
            serde_json::from_slice(&claims).map(Arc::new).map_err(drop)
        };
        self.parsed.get_or_insert_with(&bytes, parse).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(aud: &str, exp: i64) -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: "u1".into(),
            aud: aud.into(),
            exp,
            nbf: None,
            iat: 0,
            jti: "j".into(),
            user_id: None,
            username: "u".into(),
            email: None,
            provider: "local".into(),
            scope: vec!["read".into()],
            device_id: None,
            session_id: None,
        }
    }

    const FAR: i64 = 4_000_000_000;

    #[test]
    fn a_token_is_good_for_its_gateway_its_time_and_its_secrets_only() {
        let (old, new) = (Secret::new("o".repeat(32)), Secret::new("n".repeat(32)));
        let before = Jwt::new(&old, None);
        let rotated = Jwt::new(&new, Some(&old));
        let token = before.sign(&claims("client-app", FAR)).unwrap();
        assert_eq!(rotated.verify(&token, Gateway::User).unwrap().user().unwrap().as_str(), "u1");
        assert_eq!(rotated.verify(&token, Gateway::Admin), Err(BadToken::Invalid));
        let fresh = rotated.sign(&claims("client-app", FAR)).unwrap();
        assert_eq!(before.verify(&fresh, Gateway::User), Err(BadToken::Invalid));
        let late = before.sign(&claims("client-app", 1_000)).unwrap();
        assert_eq!(before.verify(&late, Gateway::User), Err(BadToken::Expired));
    }

    #[test]
    fn another_issuer_or_algorithm_is_refused() {
        let secret = Secret::new("s".repeat(32));
        let jwt = Jwt::new(&secret, None);
        let mut foreign = claims("client-app", FAR);
        foreign.iss = "someone".into();
        assert_eq!(jwt.verify(&jwt.sign(&foreign).unwrap(), Gateway::User), Err(BadToken::Invalid));
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        let other =
            jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims("client-app", FAR), &key).unwrap();
        assert_eq!(jwt.verify(&other, Gateway::User), Err(BadToken::Invalid));
        assert_eq!(jwt.verify("not.a.token", Gateway::User), Err(BadToken::Invalid));
    }

    /// A token with this header and these claims, signed with the secret as ours are.
    fn forged(secret: &Secret, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let content = format!("{}.{}", part(header), part(claims));
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).unwrap();
        let signature = mac.chain_update(&content).finalize().into_bytes();
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_token_is_whole_and_of_now_or_it_is_none() {
        let secret = Secret::new("s".repeat(32));
        let jwt = Jwt::new(&secret, None);
        let now = crate::clock::now().millis() / 1_000;
        let header = serde_json::json!({ "alg": "HS256", "typ": "JWT" });
        let whole = serde_json::json!({
            "iss": ISSUER, "sub": "u1", "aud": "client-app", "exp": now + 60, "iat": now, "jti": "j",
            "username": "u", "provider": "local", "scope": ["read"],
        });
        let verify = |token: &str| jwt.verify(token, Gateway::User).map(drop);
        let good = forged(&secret, &header, &whole);
        assert_eq!(verify(&good), Ok(()));
        // What it must say.
        for claim in ["iss", "sub", "aud", "exp", "iat"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(claim);
            assert_eq!(verify(&forged(&secret, &header, &part)), Err(BadToken::Invalid), "without {claim}");
        }
        // When. Seconds are let pass for clocks that differ.
        let with = |name: &str, value: i64| {
            let mut other = whole.clone();
            other[name] = value.into();
            forged(&secret, &header, &other)
        };
        for (name, value, expected) in [
            ("exp", now - 600, Err(BadToken::Expired)),
            ("exp", i64::MIN, Err(BadToken::Expired)),
            ("nbf", now + 600, Err(BadToken::Invalid)),
            ("nbf", now - 1, Ok(())),
            ("nbf", now + LEEWAY - 1, Ok(())),
            ("exp", now - LEEWAY + 2, Ok(())),
        ] {
            assert_eq!(verify(&with(name, value)), expected, "{name} {value}");
        }
        // The signature, and what says how it was made.
        let (content, signature) = good.rsplit_once('.').unwrap();
        let none = forged(&secret, &serde_json::json!({ "alg": "none" }), &whole);
        let foreign = serde_json::json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" }, "kid": "x", "jku": "https://evil.test" });
        for bad in [
            format!("{content}."),
            content.to_owned(),
            format!("{content}.{}", &signature[..signature.len() - 1]),
            format!("{content}.{signature}AA"),
            format!("{}.{signature}", none.rsplit_once('.').unwrap().0),
            none,
            forged(&Secret::new("o".repeat(32)), &foreign, &whole),
            String::new(),
            "...".to_owned(),
        ] {
            assert_eq!(verify(&bad), Err(BadToken::Invalid), "{bad}");
        }
    }
}
