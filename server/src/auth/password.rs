//! Passwords: argon2id (RFC 9106), hashed and checked off the request threads and few at a time, so that
//! a storm of logins never delays a message.

use super::secrets::NoRandomness;
use crate::error::{Error, Result};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt, SaltString};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Checks that may wait; beyond it people are asked to come back.
const WAITING_MAX: usize = 256;

/// The hasher, with OWASP's parameters for argon2id (19 MiB, 2 passes), which are the crate's defaults.
pub struct Passwords {
    at_work: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Checked when there is no such user, so that it takes as long as when there is.
    decoy: String,
}

impl Passwords {
    pub fn new() -> Result<Self, NoRandomness> {
        // Leaves a core to everything else where there is more than one.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoy = hash(&super::secrets::random::<16>()?).unwrap_or_default();
        let at_work = Arc::new(Semaphore::new(cores.saturating_sub(1).max(1)));
        Ok(Self { at_work, waiting: AtomicUsize::new(0), decoy })
    }

    /// A password's hash in PHC form.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.work(move || hash(&password)).await?.map_err(Error::internal)
    }

    /// Whether a password is the one that was hashed. Without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: String, hashed: Option<String>) -> Result<bool> {
        let known = hashed.is_some();
        let hashed = hashed.unwrap_or_else(|| self.decoy.clone());
        let matches = self.work(move || verify(&password, &hashed)).await?;
        Ok(matches && known)
    }

    async fn work<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            return Err(Error::overloaded("too many people are signing in at this moment"));
        }
        let permit = self.at_work.clone().acquire_owned().await;
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            f()
        })
        .await;
        drop(place);
        result.map_err(Error::internal)
    }
}

/// A place among those that wait, given back also when the caller goes away.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let mut bytes = [0u8; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut bytes).map_err(|_| argon2::password_hash::Error::Crypto)?;
    let salt = SaltString::encode_b64(&bytes)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

fn verify(password: &str, hashed: &str) -> bool {
    PasswordHash::new(hashed)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
