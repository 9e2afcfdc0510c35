//! Administrative changes: checked against the directory, then into the log. One at a time, so that
//! what was checked still holds when it is applied.

mod departments;
mod groups;
mod services;
mod templates;
mod users;

pub use users::is_address;

use crate::auth::{Passwords, secrets};
use crate::backup::Jobs;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::inbox::Inboxes;
use crate::log::Journal;
use crate::log::record::{Change, GroupKey, Record};
use crate::report::Ledger;
use hongyan_wire::admin::{RoleRequest, UserRequest};
use hongyan_wire::error::FieldError;
use hongyan_wire::limits::{NAME_MAX, is_unshowable};
use hongyan_wire::{RoleId, UserId};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// The actor of what the server does by itself.
const SYSTEM: &str = "system";

/// Changes of the directory.
pub struct Administration {
    directory: Arc<Directory>,
    journal: Journal,
    auth: Arc<crate::auth::Auth>,
    inboxes: Arc<Inboxes>,
    jobs: Arc<Jobs>,
    ledger: Arc<Ledger>,
    callback_guard: Arc<Guard>,
    one_at_a_time: Mutex<()>,
}

impl Administration {
    pub fn new(
        directory: Arc<Directory>,
        journal: Journal,
        auth: Arc<crate::auth::Auth>,
        inboxes: Arc<Inboxes>,
        jobs: Arc<Jobs>,
        ledger: Arc<Ledger>,
        callback_guard: Arc<Guard>,
    ) -> Self {
        Self {
            directory,
            journal,
            auth,
            inboxes,
            jobs,
            ledger,
            callback_guard,
            one_at_a_time: Mutex::default(),
        }
    }

    fn passwords(&self) -> &Passwords {
        &self.auth.passwords
    }

    /// The turn of one change: everything before is applied, so that what is checked holds.
    pub async fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        let turn = self.one_at_a_time.lock().await;
        self.journal.caught_up().await?;
        Ok(turn)
    }

    async fn put<T>(&self, actor: &str, what: T, record: impl FnOnce(Change<T>) -> Record) -> Result<()> {
        let change = Change { actor: actor.into(), at: crate::clock::now(), what };
        self.journal.append_applied(record(change)).await?;
        Ok(())
    }

    /// Makes the administrators' role when there is none.
    pub async fn make_admin_role(&self) -> Result<RoleId> {
        let role = crate::auth::admin_role_id().ok_or_else(|| Error::internal("the role's id"))?;
        if self.directory.group(&GroupKey::role(&role))?.is_none() {
            let request =
                RoleRequest { id: role.clone(), name: "Administrators".into(), members: Vec::new() };
            self.create_role(SYSTEM, request).await?;
        }
        Ok(role)
    }

    /// Makes the administrators' role and the first administrator when there is none. Gives the
    /// password when it was made here.
    pub async fn bootstrap(&self, username: &str, password: Option<&str>) -> Result<Option<Bootstrapped>> {
        let role = self.make_admin_role().await?;
        if self.directory.anyone_has(&role)? {
            return Ok(None);
        }
        if let Some(id) = self.directory.user_named(username)? {
            // Whoever lost the role, as by an import, has it back, with the password they have.
            self.set_member(SYSTEM, crate::auth::admin_role(), (*id).clone(), true).await?;
            return Ok(None);
        }
        let made = match password {
            Some(_) => None,
            None => Some(secrets::random::<12>().map_err(Error::internal)?),
        };
        let id = UserId::new(username).ok();
        let request = UserRequest {
            id: id.filter(|id| self.directory.person(id).is_ok_and(|person| person.is_none())),
            username: username.into(),
            name: username.into(),
            password: password.map(str::to_owned).or_else(|| made.clone()),
            roles: Some(vec![role]),
            ..UserRequest::default()
        };
        self.create_user(SYSTEM, request).await?;
        Ok(Some(Bootstrapped { username: username.into(), password: made }))
    }
}

/// The administrator that was made.
pub struct Bootstrapped {
    pub username: String,
    /// When it was made here, to be shown once.
    pub password: Option<String>,
}

fn check_name(field: &str, name: &str, faults: &mut Vec<FieldError>) {
    if name.trim().is_empty() || name.chars().count() > NAME_MAX || name.contains(is_unshowable) {
        faults.push(FieldError::new(field, "must be one line of 1 to 100 characters"));
    }
}
