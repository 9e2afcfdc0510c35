//! Refresh tokens: `SESSION.FAMILY.TURN`. The first part finds the session, the second is the same in all its tokens
//! and shows that one was ours, the third is good once. Only hashes of the last two are stored.
//!
//! What follows a token is derived from it and the server's secret, so that a repeat of a refresh whose answer was
//! lost is given the same successor, with nothing kept for it, and a chain of tokens never forks.

use super::secrets::{self, NoRandomness};
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hongyan_wire::SessionId;
use sha2::Sha256;

/// A refresh token that someone has shown.
pub struct Shown<'a> {
    whole: &'a str,
    pub session: SessionId,
    family: &'a str,
}

/// A session's first token.
pub struct First {
    pub token: String,
    pub family_hash: smol_str::SmolStr,
}

/// Makes a session's first token.
pub fn first(session: &SessionId) -> Result<First, NoRandomness> {
    let (family, turn) = (secrets::random::<16>()?, secrets::random::<32>()?);
    Ok(First { token: format!("{session}.{family}.{turn}"), family_hash: secrets::hash(&family) })
}

impl<'a> Shown<'a> {
    /// Takes a text apart; `None` when it cannot be a token.
    pub fn parse(whole: &'a str) -> Option<Self> {
        const LONGEST: usize = 256;
        let (rest, turn) = whole.rsplit_once('.').filter(|_| whole.len() <= LONGEST)?;
        let (session, family) = rest.rsplit_once('.')?;
        let session = SessionId::new(session).ok()?;
        (!family.is_empty() && !turn.is_empty()).then_some(Self { whole, session, family })
    }

    /// Whether it was given to the session that it names, now or at some time.
    pub fn is_of(&self, family_hash: &str) -> bool {
        secrets::same(family_hash, &secrets::hash(self.family))
    }

    pub fn hash(&self) -> smol_str::SmolStr {
        secrets::hash(self.whole)
    }

    /// The token that comes after this one.
    pub fn successor(&self, secret: &Secret) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
        mac.update(b"the refresh token after ");
        mac.update(self.whole.as_bytes());
        let turn = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Some(format!("{}.{}.{turn}", self.session, self.family))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session_and_has_one_successor() {
        let session = SessionId::new("a.b-c").unwrap();
        let (first, other) = (first(&session).unwrap(), first(&session).unwrap());
        let secret = Secret::new("s".repeat(32));
        let shown = Shown::parse(&first.token).unwrap();
        assert_eq!(shown.session, session);
        assert!(shown.is_of(&first.family_hash) && !shown.is_of(&other.family_hash));
        let second = shown.successor(&secret).unwrap();
        assert_eq!(shown.successor(&secret).unwrap(), second);
        assert_ne!(shown.successor(&Secret::new("t".repeat(32))).unwrap(), second);
        let second = Shown::parse(&second).unwrap();
        assert!(second.is_of(&first.family_hash));
        assert_ne!(second.successor(&secret).unwrap(), first.token);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for bad in ["", ".", "..", "a.b", "a..b", "a.b.", "../x.b.c", &format!("a.b.{}", "c".repeat(300))] {
            assert!(Shown::parse(bad).is_none(), "{bad}");
        }
    }
}
