//! Users: made, changed, imported, disabled, deleted with everything that is theirs.

use super::{Administration, check_name};
use crate::auth::Notice;
use crate::backup::BackupError;
use crate::error::{Error, Result};
use crate::log::Entry;
use crate::log::record::{Change, GroupKey, Record, UserPut, UserStatusChange};
use hongyan_wire::UserId;
use hongyan_wire::admin::{FailedLine, ImportAnswer, User, UserRequest, UserStatus, UserUpdate};
use hongyan_wire::error::FieldError;
use hongyan_wire::limits::{is_password, is_unshowable};
use smol_str::SmolStr;
use std::collections::HashMap;

/// A user about to be put, and whether there was one.
struct Planned {
    put: UserPut,
    is_new: bool,
}

impl Administration {
    /// Makes a user.
    pub async fn create_user(&self, actor: &str, request: UserRequest) -> Result<User> {
        check_user(&request)?;
        let hash = self.hash(&request).await?;
        let _turn = self.turn().await?;
        let planned = self.plan(request, hash, &HashMap::new())?;
        if !planned.is_new {
            return Err(Error::exists("user", "id"));
        }
        let id = planned.put.id.clone();
        self.put(actor, vec![planned.put], Record::UsersPut).await?;
        self.user(&id)
    }

    /// One user.
    pub fn user(&self, id: &UserId) -> Result<User> {
        let person = self.directory.person(id)?.ok_or_else(|| Error::not_found("user"))?;
        Ok(person.to_user())
    }

    /// Lets a user sign in, or not any more.
    pub async fn set_user_status(&self, actor: &str, id: &UserId, status: UserStatus) -> Result<User> {
        let _turn = self.turn().await?;
        let user = self.user(id)?;
        if actor == id.as_str() && status == UserStatus::Disabled {
            return Err(Error::field("id", "you cannot disable yourself"));
        }
        if user.status != status {
            let what = UserStatusChange { user: id.clone(), status };
            let change = Change { actor: actor.into(), at: crate::clock::now(), what };
            let mut entries: Vec<Entry> = vec![Record::UserStatus(change).into()];
            if status == UserStatus::Disabled {
                // Whoever is let in again signs in again: a stolen session does not come back to life.
                entries.push(self.auth.ending(id, None)?.into());
            }
            self.journal.append_all_applied(entries).await?;
        }
        self.user(id)
    }

    /// Takes some lines of an import: users are made or changed, bad lines are named and passed over.
    pub async fn import(
        &self,
        actor: &str,
        lines: Vec<(u64, Result<UserRequest, String>)>,
        answer: &mut ImportAnswer,
    ) -> Result<()> {
        // Passwords take long to hash: nobody waits for that.
        let mut checked = Vec::with_capacity(lines.len());
        for (line, request) in lines {
            let request = match request.map_err(|reason| Error::field("line", reason)) {
                Ok(request) => match check_user(&request) {
                    Ok(()) => Ok((self.hash(&request).await?, request)),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            checked.push((line, request));
        }
        let _turn = self.turn().await?;
        let mut names: HashMap<SmolStr, UserId> = HashMap::new();
        let mut puts: Vec<UserPut> = Vec::new();
        let mut entries = Vec::new();
        for (line, request) in checked {
            let planned = request.and_then(|(hash, request)| self.plan_import(actor, request, hash, &names));
            match planned {
                Ok(planned) => {
                    names.insert(planned.put.username.to_ascii_lowercase().into(), planned.put.id.clone());
                    let is_new = planned.is_new && !puts.iter().any(|put| put.id == planned.put.id);
                    *(if is_new { &mut answer.created } else { &mut answer.updated }) += 1;
                    if !planned.is_new && planned.put.password_hash.is_some() {
                        entries.extend(self.password_replaced(&planned.put.id)?);
                    }
                    puts.push(planned.put);
                }
                Err(error) if error.error_type.status() < 500 => answer.fail(line, error.message),
                Err(error) => return Err(error),
            }
        }
        if puts.is_empty() {
            return Ok(());
        }
        let change = Change { actor: actor.into(), at: crate::clock::now(), what: puts };
        entries.insert(0, Record::UsersPut(change).into());
        self.journal.append_all_applied(entries).await?;
        Ok(())
    }

    /// What follows from a new password: whoever signed in with the old one signs in anew, and the person is told.
    fn password_replaced(&self, user: &UserId) -> Result<[Entry; 2]> {
        Ok([self.auth.ending(user, None)?.into(), Notice::PasswordSet.to(user)?.into()])
    }

    /// A line without an id means the user who has that username already, if there is one.
    fn plan_import(
        &self,
        actor: &str,
        mut request: UserRequest,
        hash: Option<String>,
        names: &HashMap<SmolStr, UserId>,
    ) -> Result<Planned> {
        if request.id.is_none() {
            let known = self.directory.user_named(&request.username)?.map(|id| (*id).clone());
            request.id = known.or_else(|| names.get(request.username.to_ascii_lowercase().as_str()).cloned());
        }
        keeps_own_role(actor, &request)?;
        self.plan(request, hash, names)
    }

    async fn hash(&self, request: &UserRequest) -> Result<Option<String>> {
        match &request.password {
            Some(password) => Ok(Some(self.passwords().hash(password.clone()).await?)),
            None => Ok(None),
        }
    }

    /// Holds a user that is well formed against the directory. `names` are those that come with the same change.
    fn plan(
        &self,
        request: UserRequest,
        password_hash: Option<String>,
        names: &HashMap<SmolStr, UserId>,
    ) -> Result<Planned> {
        let id = match request.id {
            Some(id) => id,
            None => UserId::new(&uuid::Uuid::now_v7().to_string()).map_err(Error::internal)?,
        };
        let lower: SmolStr = request.username.to_ascii_lowercase().into();
        let holder = match names.get(&lower) {
            Some(holder) => Some(holder.clone()),
            None => self.directory.user_named(&lower)?.map(|holder| (*holder).clone()),
        };
        if holder.is_some_and(|holder| holder != id) {
            return Err(Error::exists("username", "username"));
        }
        for (n, role) in request.roles.iter().flatten().enumerate() {
            if self.directory.group(&GroupKey::role(role))?.is_none() {
                return Err(Error::field(format!("roles[{n}]"), "there is no such role"));
            }
        }
        if let Some(department) = &request.department_id
            && self.directory.group(&GroupKey::department(department))?.is_none()
        {
            // It is made with the user.
            self.check_room("department_id")?;
        }
        let is_new = self.directory.person(&id)?.is_none();
        let put = UserPut {
            id,
            username: request.username.into(),
            name: request.name,
            email: request.email,
            password_hash,
            department: request.department_id,
            roles: request.roles,
        };
        Ok(Planned { put, is_new })
    }

    /// Changes what is given of a user. A new password ends the user's sessions.
    pub async fn update_user(&self, actor: &str, id: &UserId, request: UserUpdate) -> Result<User> {
        let before = self.user(id)?;
        let request = UserRequest {
            id: Some(id.clone()),
            username: request.username.unwrap_or(before.username),
            name: request.name.unwrap_or(before.name),
            email: request.email,
            password: request.password,
            roles: request.roles,
            department_id: request.department_id,
        };
        check_user(&request)?;
        keeps_own_role(actor, &request)?;
        let hash = self.hash(&request).await?;
        let _turn = self.turn().await?;
        self.user(id)?;
        let planned = self.plan(request, hash, &HashMap::new())?;
        let mut entries = Vec::new();
        let _turn_of_user = self.auth.turn_of(id).await;
        if planned.put.password_hash.is_some() {
            entries.extend(self.password_replaced(id)?);
        }
        let change = Change { actor: actor.into(), at: crate::clock::now(), what: vec![planned.put] };
        entries.insert(0, Record::UsersPut(change).into());
        self.journal.append_all_applied(entries).await?;
        self.user(id)
    }

    /// Deletes a user with everything that is theirs: folder, rows, and what the log has of them. Only that there was
    /// one of this id stays, in the audit log. While a set copies one of the databases, this waits, and has not begun.
    pub async fn delete_user(&self, actor: &str, id: &UserId) -> Result<()> {
        self.user(id)?;
        if actor == id.as_str() {
            return Err(Error::field("id", "you cannot delete yourself"));
        }
        // Before the turn of changes: nobody else's has to wait for what is copied. And no copy has half of this.
        let databases = self.inboxes.databases_turn().await;
        let _turn = self.turn().await?;
        self.user(id)?;
        let mut entries: Vec<Entry> = vec![self.auth.ending(id, None)?.into()];
        let change = Change { actor: actor.into(), at: crate::clock::now(), what: id.clone() };
        entries.push(Record::UserDeleted(change).into());
        self.journal.append_all_applied(entries).await?;
        let (inboxes, directory, ledger) =
            (self.inboxes.clone(), self.directory.clone(), self.ledger.clone());
        let jobs = self.jobs.clone();
        let (journal, user) = (self.journal.clone(), id.clone());
        tokio::task::spawn_blocking(move || -> Result<()> {
            // Given back when it is done, not when its asker has gone.
            let _databases = databases;
            inboxes.remove(&user)?;
            journal.log().erase(&user)?;
            directory.fold_in()?;
            ledger.settle(&**journal.log())?;
            ledger.fold_in()?;
            jobs.remove_all(&user).map_err(BackupError::Io)?;
            Ok(())
        })
        .await
        .map_err(Error::internal)?
    }
}

fn keeps_own_role(actor: &str, request: &UserRequest) -> Result<()> {
    let is_actor = request.id.as_ref().is_some_and(|id| id.as_str() == actor);
    let admin = crate::auth::admin_role_id();
    let loses = request.roles.as_ref().is_some_and(|roles| !roles.iter().any(|r| Some(r) == admin.as_ref()));
    if is_actor && loses {
        return Err(Error::field("roles", "you cannot take the admin role from yourself"));
    }
    Ok(())
}

/// Notes a line that was not taken.
trait Failing {
    fn fail(&mut self, line: u64, reason: String);
}

impl Failing for ImportAnswer {
    fn fail(&mut self, line: u64, reason: String) {
        const SHOWN_MAX: usize = 1_000;
        self.failed_total += 1;
        if self.failed.len() < SHOWN_MAX {
            self.failed.push(FailedLine { line, reason });
        }
    }
}

/// Whether a text can be an e-mail address: one that has two parts and can be shown.
pub fn is_address(email: &str) -> bool {
    let parts = email.split_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty());
    let is_plain = |host: &str| !host.contains('@');
    parts.is_some_and(|(_, host)| is_plain(host))
        && email.len() <= 254
        && !email.contains(|c: char| is_unshowable(c) || c.is_whitespace())
}

fn check_user(request: &UserRequest) -> Result<()> {
    let mut faults = Vec::new();
    check_name("name", &request.name, &mut faults);
    check_name("username", &request.username, &mut faults);
    if request.username.contains(char::is_whitespace) {
        faults.push(FieldError::new("username", "must not contain blanks"));
    }
    if request.email.as_deref().is_some_and(|email| !is_address(email)) {
        faults.push(FieldError::new("email", "must be an e-mail address"));
    }
    if request.password.as_deref().is_some_and(|password| !is_password(password)) {
        faults.push(FieldError::new("password", "must have at least 8 characters, and at most 256 bytes"));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
}
