//! Passwords: argon2id (RFC 9106), hashed and checked off the request threads and few at a time, so that
//! a storm of logins never delays a message.

use super::secrets::NoRandomness;
use crate::error::{Error, Result};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt, SaltString};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Checks that may wait; beyond it people are asked to come back.
const WAITING_MAX: usize = 256;
/// How much the threads that hash stand back behind all others (nice(2)).
const NICENESS: i32 = 15;

type Job = Box<dyn FnOnce() + Send>;

/// The hasher, with OWASP's parameters for argon2id (19 MiB, 2 passes), which are the crate's defaults.
pub struct Passwords {
    jobs: mpsc::Sender<Job>,
    /// Checked when there is no such user, so that it takes as long as when there is.
    decoy: String,
}

/// Why passwords cannot be checked here.
#[derive(Debug, thiserror::Error)]
pub enum NoPasswords {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("a thread for passwords could not be started: {0}")]
    NoThread(#[from] std::io::Error),
}

impl Passwords {
    /// Starts threads of its own, which end with it.
    pub fn new() -> Result<Self, NoPasswords> {
        let decoy = hash(&super::secrets::random::<16>()?).unwrap_or_default();
        let (jobs, waiting) = mpsc::channel::<Job>(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        // Leaves a core to everything else where there is more than one.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.saturating_sub(1).max(1) {
            let waiting = waiting.clone();
            std::thread::Builder::new().name("passwords".into()).spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs, decoy })
    }

    /// A password's hash in PHC form.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.done(move || hash(&password)).await?.map_err(Error::internal)
    }

    /// Whether a password is the one that was hashed. Without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: String, hashed: Option<String>) -> Result<bool> {
        let known = hashed.is_some();
        let hashed = hashed.unwrap_or_else(|| self.decoy.clone());
        let matches = self.done(move || verify(&password, &hashed)).await?;
        Ok(matches && known)
    }

    async fn done<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Who has gone away meanwhile costs nothing.
            if !answer.is_closed() {
                answer.send(f()).ok();
            }
        };
        self.jobs.try_send(Box::new(job)).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::overloaded("too many people are signing in at this moment"),
            TrySendError::Closed(_) => Error::internal("the threads for passwords have ended"),
        })?;
        answered.await.map_err(Error::internal)
    }
}

/// Does what waits, one after the other, until nobody can bring more.
fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "checking passwords cannot stand back behind other work");
    }
    loop {
        let next = waiting.lock().blocking_recv();
        let Some(job) = next else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("checking a password panicked");
        }
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
