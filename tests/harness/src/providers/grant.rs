//! What a code stands for, and why it may be refused.

use super::answer::Answer;
use super::call::Call;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// What was granted on an authorize page.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    challenge: Option<Challenge>,
}

/// A code that was given out.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) provider: &'static str,
    pub(super) grant: Grant,
    pub(super) ends: Instant,
    pub(super) used: bool,
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Unknown,
    Used,
    Expired,
}

#[derive(Debug, Clone)]
struct Challenge {
    hashed: bool,
    value: String,
}

impl Grant {
    /// What this call of an authorize page asks for, at a provider without PKCE.
    pub(super) fn asked(call: &Call) -> Result<Self, Answer> {
        Ok(Self {
            redirect_uri: call.redirect_uri()?.to_owned(),
            scope: call.asked("scope").unwrap_or_default().to_owned(),
            nonce: call.asked("nonce").map(str::to_owned),
            challenge: None,
        })
    }

    /// The same at a provider with PKCE that knows these methods.
    pub(super) fn challenged(call: &Call, methods: &[&str]) -> Result<Self, Answer> {
        Ok(Self { challenge: Challenge::asked(call, methods)?, ..Self::asked(call)? })
    }

    pub(super) fn has_scope(&self, wanted: &str) -> bool {
        self.scope.split(' ').any(|scope| scope == wanted)
    }

    /// Whether the verifier is the one of the challenge. Without a challenge none is needed.
    pub(super) fn verified_by(&self, verifier: Option<&str>) -> bool {
        match (&self.challenge, verifier) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(challenge), Some(verifier)) => challenge.fits(verifier),
        }
    }
}

impl Code {
    pub(super) fn new(provider: &'static str, grant: Grant, life: Duration) -> Self {
        Self { provider, grant, ends: Instant::now() + life, used: false }
    }
}

impl Challenge {
    fn asked(call: &Call, methods: &[&str]) -> Result<Option<Self>, Answer> {
        let Some(value) = call.asked("code_challenge") else {
            call.refused(&["code_challenge_method"])?;
            return Ok(None);
        };
        let method = call.required("code_challenge_method")?;
        if !methods.contains(&method) {
            return Err(Answer::page(400, "The parameter code_challenge_method is wrong"));
        }
        let hashed = method == "S256";
        // A hash of SHA-256 in base64url has 43 characters.
        if !is_plain(value) || hashed && value.len() != 43 {
            return Err(Answer::page(400, "The parameter code_challenge is no challenge"));
        }
        Ok(Some(Self { hashed, value: value.to_owned() }))
    }

    fn fits(&self, verifier: &str) -> bool {
        let hash = || URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        is_plain(verifier) && self.value == if self.hashed { hash() } else { verifier.to_owned() }
    }
}

/// Whether it has the length and the characters of a verifier (RFC 7636, 4.1).
fn is_plain(verifier: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len()) && verifier.bytes().all(known)
}
