//! Roles, channels and departments: who is in them, and who looks after them.

use super::{Administration, check_name};
use crate::error::{Error, Result};
use crate::log::record::{GroupKey, GroupKind, GroupPut, MembersChange, Record};
use hongyan_wire::admin::{AdminChannel, ChannelRequest, ChannelUpdate, Role, RoleRequest};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::error::FieldError;
use hongyan_wire::limits::DESCRIPTION_MAX;
use hongyan_wire::{ChannelId, UserId};

/// Members that may be named when a group is made; more are added one by one or come with the import.
const MEMBERS_MAX: usize = 10_000;
/// Owners of one channel, administrators of one department.
const OWNERS_MAX: usize = 100;

impl Administration {
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

    /// Makes a channel.
    pub async fn create_channel(&self, actor: &str, request: ChannelRequest) -> Result<AdminChannel> {
        let id = match request.id {
            Some(id) => id,
            None => ChannelId::new(&format!("ch-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?,
        };
        let key = GroupKey::channel(&id);
        let ChannelRequest { name, description, kind, members, .. } = request;
        self.create_group(actor, key.clone(), name, description, kind, members).await?;
        self.channel(&key)
    }

    async fn create_group(
        &self,
        actor: &str,
        key: GroupKey,
        name: String,
        description: String,
        channel_kind: ChannelKind,
        members: Vec<UserId>,
    ) -> Result<()> {
        let _turn = self.turn().await?;
        let mut faults = Vec::new();
        check_name("name", &name, &mut faults);
        if description.chars().count() > DESCRIPTION_MAX {
            faults.push(FieldError::new("description", "must have at most 1000 characters"));
        }
        if members.len() > MEMBERS_MAX {
            faults.push(FieldError::new("members", "must be at most 10000; add the others one by one"));
        }
        for (n, member) in members.iter().enumerate().take(MEMBERS_MAX) {
            if self.directory.person(member)?.is_none() {
                faults.push(FieldError::new(format!("members[{n}]"), "there is no such user"));
            }
        }
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        if self.directory.group(&key)?.is_some() {
            return Err(Error::exists(key.kind.as_str(), "id"));
        }
        if self.directory.user_called(&key.id)?.is_some() {
            // What is sent to the name without a type would go on reaching that one person.
            return Err(Error::field("id", "is the id or the username of a user; take another"));
        }
        let put = GroupPut { key, name, description, channel_kind, members, parent: None };
        self.put(actor, put, |change| Record::GroupPut(Box::new(change))).await
    }

    /// Lets a user join or leave a role or channel. Doing it twice is doing it once.
    pub async fn set_member(&self, actor: &str, key: GroupKey, user: UserId, joined: bool) -> Result<()> {
        let _turn = self.turn().await?;
        if self.directory.group(&key)?.is_none() {
            return Err(Error::not_found(key.kind.as_str()));
        }
        let person = self.directory.person(&user)?.ok_or_else(|| Error::not_found("user"))?;
        let is_member = match key.kind {
            // In one below it is not right in it.
            GroupKind::Department => person.department.as_ref().is_some_and(|id| *id.as_str() == *key.id),
            _ => person.groups().any(|held| *held == key),
        };
        if is_member == joined {
            return Ok(());
        }
        if !joined && key == crate::auth::admin_role() && actor == user.as_str() {
            return Err(Error::field("user_id", "you cannot take the admin role from yourself"));
        }
        self.put(actor, MembersChange { key, user, joined }, Record::MembersChanged).await
    }

    /// Lets a user look after a channel or a department, or no more. Doing it twice is doing it once.
    pub async fn set_owner(&self, actor: &str, key: GroupKey, user: UserId, owns: bool) -> Result<()> {
        let _turn = self.turn().await?;
        let group = self.directory.group(&key)?.ok_or_else(|| Error::not_found(key.kind.as_str()))?;
        if self.directory.person(&user)?.is_none() {
            return Err(Error::not_found("user"));
        }
        if group.owners.contains(&user) == owns {
            return Ok(());
        }
        if owns && group.owners.len() >= OWNERS_MAX {
            return Err(Error::field("user_id", "there are 100 already"));
        }
        self.put(actor, MembersChange { key, user, joined: owns }, Record::OwnersChanged).await
    }

    /// Gives a role another name.
    pub async fn rename_role(&self, actor: &str, key: &GroupKey, name: String) -> Result<Role> {
        let update = ChannelUpdate { name: Some(name), ..ChannelUpdate::default() };
        self.update_group(actor, key, update).await?;
        self.role(key)
    }

    /// Changes what is given of a channel.
    pub async fn update_channel(
        &self,
        actor: &str,
        key: &GroupKey,
        update: ChannelUpdate,
    ) -> Result<AdminChannel> {
        self.update_group(actor, key, update).await?;
        self.channel(key)
    }

    /// One role.
    pub fn role(&self, key: &GroupKey) -> Result<Role> {
        let group = self.directory.group(key)?;
        group.and_then(|group| group.to_role()).ok_or_else(|| Error::not_found("role"))
    }

    /// One channel.
    pub fn channel(&self, key: &GroupKey) -> Result<AdminChannel> {
        let group = self.directory.group(key)?;
        group.and_then(|group| group.to_channel()).ok_or_else(|| Error::not_found("channel"))
    }

    async fn update_group(&self, actor: &str, key: &GroupKey, update: ChannelUpdate) -> Result<()> {
        let mut faults = Vec::new();
        if let Some(name) = &update.name {
            check_name("name", name, &mut faults);
        }
        if update.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            faults.push(FieldError::new("description", "must have at most 1000 characters"));
        }
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let _turn = self.turn().await?;
        let before = self.directory.group(key)?.ok_or_else(|| Error::not_found(key.kind.as_str()))?;
        let put = GroupPut {
            key: key.clone(),
            name: update.name.unwrap_or_else(|| before.name.clone()),
            description: update.description.unwrap_or_else(|| before.description.clone()),
            channel_kind: update.kind.unwrap_or(before.channel_kind),
            members: Vec::new(),
            parent: None,
        };
        self.put(actor, put, |change| Record::GroupPut(Box::new(change))).await
    }

    /// Deletes a role, a channel, or a department that has none under it; what was sent to its members stays theirs.
    pub async fn delete_group(&self, actor: &str, key: &GroupKey) -> Result<()> {
        if *key == crate::auth::admin_role() {
            return Err(Error::field("id", "the role of the administrators stays"));
        }
        let _turn = self.turn().await?;
        if self.directory.group(key)?.is_none() {
            return Err(Error::not_found(key.kind.as_str()));
        }
        if key.kind == GroupKind::Department && self.directory.has_departments_under(&key.id)? {
            return Err(Error::field("id", "has departments under it; delete or move them first"));
        }
        self.put(actor, key.clone(), Record::GroupDeleted).await
    }
}
