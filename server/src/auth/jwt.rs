//! Access tokens: JWT (RFC 7519) signed with HS256 (RFC 7518, section 3.2), verified without a database.

use crate::config::Secret;
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Who issues our tokens.
pub const ISSUER: &str = "message-service";
/// Seconds by which the clocks of issuer and verifier may differ.
const LEEWAY: u64 = 5;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    /// Seconds since 1970.
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    /// The user, when `sub` is not the id that this server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(default)]
    pub username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default)]
    pub provider: String,
    #[serde(default)]
    pub scope: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

impl Claims {
    /// Whose token it is.
    pub fn user(&self) -> Option<UserId> {
        self.user_id.clone().or_else(|| UserId::new(&self.sub).ok())
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

/// Signs and verifies.
pub struct Jwt {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    user: Validation,
    admin: Validation,
}

impl Jwt {
    /// `previous` still verifies, so that the secret can be changed without signing anyone out.
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        let key = |secret: &Secret| DecodingKey::from_secret(secret.expose().as_bytes());
        Self {
            signing: EncodingKey::from_secret(secret.expose().as_bytes()),
            verifying: std::iter::once(secret).chain(previous).map(key).collect(),
            user: validation(Gateway::User),
            admin: validation(Gateway::Admin),
        }
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.signing)
    }

    /// Checks signature, issuer, audience and times.
    pub fn verify(&self, token: &str, gateway: Gateway) -> Result<Claims, BadToken> {
        let validation = match gateway {
            Gateway::User => &self.user,
            Gateway::Admin => &self.admin,
        };
        let mut bad = BadToken::Invalid;
        for key in &self.verifying {
            match jsonwebtoken::decode::<Claims>(token, key, validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                    bad = BadToken::Expired;
                }
                Err(_) => {}
            }
        }
        Err(bad)
    }
}

fn validation(gateway: Gateway) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[gateway.audience()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    validation
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
}
