//! Sign-ins that are under way at a provider: kept from when the browser goes there until it comes back, once, in the same
//! browser, to the same provider. In memory: whoever is away over a restart begins again.

use super::pending::{Pending, TooMany};
use super::providers::Attempt;
use super::secrets::{self, NoRandomness};
use crate::config::Secret;
use hongyan_wire::{SessionId, Timestamp, UserId};
use smol_str::SmolStr;
use std::net::IpAddr;

/// Milliseconds within which the browser must be back. Codes of providers live at most as long.
pub const LOGIN_LIFE: i64 = 10 * 60 * 1_000;

/// What happens once the provider has said who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Signs in, and goes on at this path of ours. `before`: the session that the browser had until then.
    SignIn { return_to: String, before: Option<SessionId> },
    /// Becomes one more way to sign in for the person in this session.
    Link { user: UserId, session: SessionId },
    /// Becomes a way to sign in for the person whose one-time link it is.
    OneTime { user: UserId, link_hash: SmolStr, before: Option<SessionId> },
}

/// A sign-in that was begun.
pub struct Begun {
    pub attempt: Attempt,
    /// What the browser keeps, so that nobody else's can finish it.
    pub binding: String,
}

struct Login {
    provider: SmolStr,
    attempt: Attempt,
    binding_hash: SmolStr,
    purpose: Purpose,
}

/// Why what comes back is not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// It was never begun, is finished, or took too long.
    Unknown,
    /// It was begun in another browser.
    ForeignBrowser,
    /// It was begun at another provider.
    OtherProvider,
}

/// Why none is begun.
#[derive(Debug, thiserror::Error)]
pub enum NoLogin {
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The sign-ins that are under way, by the hashes of their states.
#[derive(Default)]
pub struct Logins(Pending<Login>);

impl Logins {
    pub fn begin(
        &self,
        provider: &str,
        redirect_uri: String,
        purpose: Purpose,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Begun, NoLogin> {
        let attempt = Attempt {
            state: secrets::random_hex::<16>()?,
            redirect_uri,
            verifier: Secret::new(secrets::random::<32>()?),
            nonce: secrets::random_hex::<16>()?,
        };
        let binding = secrets::random::<24>()?;
        let login = Login {
            provider: provider.into(),
            attempt: attempt.clone(),
            binding_hash: secrets::hash(&binding),
            purpose,
        };
        let (key, until) = (secrets::hash(&attempt.state), now.plus_millis(LOGIN_LIFE));
        self.0.keep(key, login, address, until, now)?;
        Ok(Begun { attempt, binding })
    }

    /// Takes what comes back: it is good once. `binding`: what the browser has kept.
    pub fn take(
        &self,
        provider: &str,
        state: &str,
        binding: Option<&str>,
        now: Timestamp,
    ) -> Result<(Attempt, Purpose), Stray> {
        let key = secrets::hash(state);
        let is_its = |login: &Login| {
            binding.is_some_and(|binding| secrets::same(&login.binding_hash, &secrets::hash(binding)))
        };
        if !self.0.look(&key, now, is_its).ok_or(Stray::Unknown)? {
            // Whoever else has the state cannot spoil it for the one who began.
            return Err(Stray::ForeignBrowser);
        }
        let login = self.0.take(&key, now).ok_or(Stray::Unknown)?;
        if login.provider != provider {
            return Err(Stray::OtherProvider);
        }
        Ok((login.attempt, login.purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn begin(logins: &Logins, last: u8, now: i64) -> Result<Begun, NoLogin> {
        let purpose = Purpose::SignIn { return_to: "/".into(), before: None };
        logins.begin("a", "https://x/".into(), purpose, IpAddr::from([192, 0, 2, last]), at(now))
    }

    #[test]
    fn what_comes_back_is_good_once_in_time_in_its_browser_at_its_provider() {
        let logins = Logins::default();
        let begun = begin(&logins, 1, 0).unwrap();
        let take = |provider, binding: Option<&str>, now| {
            logins.take(provider, &begun.attempt.state, binding, at(now)).map(|(attempt, _)| attempt.nonce)
        };
        assert_eq!(take("a", None, 1), Err(Stray::ForeignBrowser));
        assert_eq!(take("a", Some("other"), 1), Err(Stray::ForeignBrowser));
        assert_eq!(take("a", Some(&begun.binding), LOGIN_LIFE), Err(Stray::Unknown));
        assert_eq!(take("a", Some(&begun.binding), 1).unwrap(), begun.attempt.nonce);
        assert_eq!(take("a", Some(&begun.binding), 1), Err(Stray::Unknown));
        let other = begin(&logins, 1, 0).unwrap();
        let mixed_up = logins.take("b", &other.attempt.state, Some(&other.binding), at(1)).err();
        assert_eq!(mixed_up, Some(Stray::OtherProvider));
        assert!(logins.take("a", "", None, at(1)).is_err());
    }
}
