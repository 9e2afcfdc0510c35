//! What people do with their own accounts: profile, ways to sign in, personal tokens. Each change is checked, then one
//! group of records in the log.

mod identities;
mod passkeys;
mod passwords;
mod pictures;
mod profile;
mod second_factor;
mod tokens;

pub use identities::NotLetIn;
pub use pictures::Pictures;

use crate::admin::{Administration, is_address};
use crate::auth::providers::UserInfo;
use crate::auth::{Auth, Notice, UserCaller};
use crate::config::{Config, SignUp};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::lanes::Turn;
use crate::log::Journal;
use crate::log::record::{Change, Record};
use hongyan_wire::UserId;
use hongyan_wire::limits::{NAME_MAX, is_unshowable};
use passkeys::Passkeys;
use second_factor::Offers;
use std::sync::Arc;

/// Changes of one's own account.
pub struct Accounts {
    directory: Arc<Directory>,
    journal: Journal,
    auth: Arc<Auth>,
    /// Whose turn it is to change users.
    administration: Arc<Administration>,
    pub pictures: Arc<Pictures>,
    sign_up: SignUp,
    sign_up_domains: Vec<String>,
    keys: Passkeys,
    offers: Offers,
}

impl Accounts {
    pub fn new(
        config: &Config,
        directory: Arc<Directory>,
        journal: Journal,
        auth: Arc<Auth>,
        administration: Arc<Administration>,
        pictures: Pictures,
    ) -> Self {
        Self {
            directory,
            journal,
            auth,
            administration,
            pictures: Arc::new(pictures),
            sign_up: config.sign_up,
            sign_up_domains: config.sign_up_domains.clone(),
            keys: Passkeys::new(&config.public_url),
            offers: Offers::default(),
        }
    }

    /// Who may come that nobody knows yet.
    pub fn sign_up(&self) -> SignUp {
        self.sign_up
    }

    /// A turn with the ways into the caller's account, for who has just signed in. Checked within it: whoever ends the
    /// session meanwhile has it before or after.
    async fn turn_of_recent(&self, caller: &UserCaller) -> Result<Turn> {
        let turn = self.auth.turn_of(caller.id()).await;
        self.auth.bearer(caller.claims.clone())?;
        self.auth.require_recent(caller)?;
        Ok(turn)
    }

    /// Writes a change of the ways into an account, and tells the person.
    async fn change_way(&self, user: &UserId, mut changes: Vec<Record>, notice: Notice<'_>) -> Result<()> {
        changes.push(notice.to(user)?);
        Ok(self.journal.append_all_applied(changes.into_iter().map(Into::into).collect()).await?)
    }

    fn fetch_picture(&self, user: &UserId, info: &UserInfo) {
        if let Some(url) = &info.avatar {
            self.pictures.fetch(user, url.clone());
        }
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
