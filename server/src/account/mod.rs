//! What people do with their own accounts: profile, ways to sign in, personal tokens. Each change is checked, then one
//! group of records in the log.

mod tokens;

use crate::auth::Auth;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::log::record::Change;
use hongyan_wire::UserId;
use hongyan_wire::limits::{NAME_MAX, is_unshowable};
use std::sync::Arc;

/// Changes of one's own account.
pub struct Accounts {
    directory: Arc<Directory>,
    journal: Journal,
    auth: Arc<Auth>,
}

impl Accounts {
    pub fn new(directory: Arc<Directory>, journal: Journal, auth: Arc<Auth>) -> Self {
        Self { directory, journal, auth }
    }
}

/// A change that a person makes of themself.
fn own<T>(user: &UserId, what: T) -> Change<T> {
    Change { actor: user.as_str().into(), at: crate::clock::now(), what }
}

/// Checks a name that is shown.
fn check_name(field: &str, name: &str) -> Result<()> {
    let is_name =
        !name.trim().is_empty() && name.chars().count() <= NAME_MAX && !name.contains(is_unshowable);
    if is_name { Ok(()) } else { Err(Error::field(field, "must be 1 to 100 characters that can be shown")) }
}
