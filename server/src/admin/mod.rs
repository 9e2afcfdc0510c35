//! Administrative changes: checked against the directory, then into the log. One at a time, so that
//! what was checked still holds when it is applied.

mod services;
mod templates;

use crate::auth::{Passwords, secrets};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::log::record::{Change, GroupKey, GroupPut, MembersChange, Record, UserPut, UserStatusChange};
use crate::log::{Entry, Journal};
use hongyan_wire::admin::{
    AdminChannel, ChannelRequest, FailedLine, ImportAnswer, Role, RoleRequest, User, UserRequest, UserStatus,
};
use hongyan_wire::error::FieldError;
use hongyan_wire::limits::{DESCRIPTION_MAX, NAME_MAX, PASSWORD_MAX, PASSWORD_MIN, is_unshowable};
use hongyan_wire::{ChannelId, UserId};
use smol_str::SmolStr;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The actor of what the server does by itself.
const SYSTEM: &str = "system";
/// Members that may be named when a group is made; more are added one by one or come with the import.
const MEMBERS_MAX: usize = 10_000;

/// Changes of the directory.
pub struct Administration {
    directory: Arc<Directory>,
    journal: Journal,
    auth: Arc<crate::auth::Auth>,
    one_at_a_time: Mutex<()>,
}

/// A user about to be put, and whether there was one.
struct Planned {
    put: UserPut,
    is_new: bool,
}

impl Administration {
    pub fn new(directory: Arc<Directory>, journal: Journal, auth: Arc<crate::auth::Auth>) -> Self {
        Self { directory, journal, auth, one_at_a_time: Mutex::default() }
    }

    fn passwords(&self) -> &Passwords {
        &self.auth.passwords
    }

    async fn put<T>(&self, actor: &str, what: T, record: impl FnOnce(Change<T>) -> Record) -> Result<()> {
        let change = Change { actor: actor.into(), at: crate::clock::now(), what };
        self.journal.append_applied(record(change)).await?;
        Ok(())
    }

    /// Makes a user.
    pub async fn create_user(&self, actor: &str, request: UserRequest) -> Result<User> {
        check_user(&request)?;
        let hash = self.hash(&request).await?;
        let _turn = self.one_at_a_time.lock().await;
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
        let _turn = self.one_at_a_time.lock().await;
        let user = self.user(id)?;
        if actor == id.as_str() && status == UserStatus::Disabled {
            return Err(Error::field("id", "you cannot disable yourself"));
        }
        if user.status != status {
            let change = UserStatusChange { user: id.clone(), status };
            self.put(actor, change, Record::UserStatus).await?;
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
        let _turn = self.one_at_a_time.lock().await;
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
                        // Whoever signed in with the old password signs in anew.
                        entries.extend(self.auth.ending(&planned.put.id)?.map(Entry::from));
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
        let is_actor = request.id.as_ref().is_some_and(|id| id.as_str() == actor);
        let admin = crate::auth::admin_role_id();
        if is_actor
            && request.roles.as_ref().is_some_and(|roles| !roles.iter().any(|r| Some(r) == admin.as_ref()))
        {
            return Err(Error::field("roles", "you cannot take the admin role from yourself"));
        }
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

    /// Makes a role.
    pub async fn create_role(&self, actor: &str, request: RoleRequest) -> Result<Role> {
        let key = GroupKey::role(&request.id);
        self.create_group(
            actor,
            key.clone(),
            request.name,
            String::new(),
            Default::default(),
            request.members,
        )
        .await?;
        self.role(&key)
    }

    fn role(&self, key: &GroupKey) -> Result<Role> {
        let group = self.directory.group(key)?.ok_or_else(|| Error::not_found("role"))?;
        group.to_role().ok_or_else(|| Error::not_found("role"))
    }

    /// Makes a channel.
    pub async fn create_channel(&self, actor: &str, request: ChannelRequest) -> Result<AdminChannel> {
        let id = match request.id {
            Some(id) => id,
            None => ChannelId::new(&format!("ch-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?,
        };
        let key = GroupKey::channel(&id);
        let ChannelRequest { name, description, kind, members, .. } = request;
        self.create_group(actor, key.clone(), name, description, kind, members).await?;
        let group = self.directory.group(&key)?;
        group.and_then(|group| group.to_channel()).ok_or_else(|| Error::not_found("channel"))
    }

    async fn create_group(
        &self,
        actor: &str,
        key: GroupKey,
        name: String,
        description: String,
        channel_kind: hongyan_wire::channel::ChannelKind,
        members: Vec<UserId>,
    ) -> Result<()> {
        let _turn = self.one_at_a_time.lock().await;
        let mut faults = Vec::new();
        check_name("name", &name, &mut faults);
        if description.chars().count() > DESCRIPTION_MAX {
            faults.push(fault("description", "must have at most 1000 characters"));
        }
        if members.len() > MEMBERS_MAX {
            faults.push(fault("members", "must be at most 10000; add the others one by one"));
        }
        for (n, member) in members.iter().enumerate().take(MEMBERS_MAX) {
            if self.directory.person(member)?.is_none() {
                faults.push(fault(&format!("members[{n}]"), "there is no such user"));
            }
        }
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        if self.directory.group(&key)?.is_some() {
            return Err(Error::exists(key.kind.as_str(), "id"));
        }
        let put = GroupPut { key, name, description, channel_kind, members };
        self.put(actor, put, Record::GroupPut).await
    }

    /// Lets a user join or leave a role or channel. Doing it twice is doing it once.
    pub async fn set_member(&self, actor: &str, key: GroupKey, user: UserId, joined: bool) -> Result<()> {
        let _turn = self.one_at_a_time.lock().await;
        if self.directory.group(&key)?.is_none() {
            return Err(Error::not_found(key.kind.as_str()));
        }
        let person = self.directory.person(&user)?.ok_or_else(|| Error::not_found("user"))?;
        if person.groups().any(|held| *held == key) == joined {
            return Ok(());
        }
        if !joined && key == crate::auth::admin_role() && actor == user.as_str() {
            return Err(Error::field("user_id", "you cannot take the admin role from yourself"));
        }
        self.put(actor, MembersChange { key, user, joined }, Record::MembersChanged).await
    }

    /// Makes the administrators' role and the first administrator when there is none. Gives the
    /// password when it was made here.
    pub async fn bootstrap(&self, username: &str, password: Option<&str>) -> Result<Option<Bootstrapped>> {
        let role = crate::auth::admin_role_id().ok_or_else(|| Error::internal("the role's id"))?;
        if self.directory.group(&GroupKey::role(&role))?.is_none() {
            let request =
                RoleRequest { id: role.clone(), name: "Administrators".into(), members: Vec::new() };
            self.create_role(SYSTEM, request).await?;
        }
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

fn fault(field: &str, reason: &str) -> FieldError {
    FieldError { field: field.into(), reason: reason.into() }
}

fn check_name(field: &str, name: &str, faults: &mut Vec<FieldError>) {
    if name.trim().is_empty() || name.chars().count() > NAME_MAX || name.contains(is_unshowable) {
        faults.push(fault(field, "must be one line of 1 to 100 characters"));
    }
}

fn check_user(request: &UserRequest) -> Result<()> {
    let mut faults = Vec::new();
    check_name("name", &request.name, &mut faults);
    check_name("username", &request.username, &mut faults);
    if request.username.contains(char::is_whitespace) {
        faults.push(fault("username", "must not contain blanks"));
    }
    if let Some(email) = &request.email {
        let parts = email.split_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty());
        if parts.is_none()
            || email.len() > 254
            || email.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            faults.push(fault("email", "must be an e-mail address"));
        }
    }
    if let Some(password) = &request.password
        && !(PASSWORD_MIN..=PASSWORD_MAX).contains(&password.len())
    {
        faults.push(fault("password", "must have 8 to 256 bytes"));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
}
