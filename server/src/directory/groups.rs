//! Roles and channels.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::record::{GroupKey, GroupKind};
use hongyan_wire::admin::{AdminChannel, Role};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::{ChannelId, RoleId, UserId};
use rusqlite::{OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::sync::Arc;

/// A role or a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: SmolStr,
    pub name: String,
    pub description: String,
    pub channel_kind: ChannelKind,
    pub member_count: u64,
}

const COLUMNS: &str = "id, name, description, channel_kind, member_count";

impl Directory {
    /// The role or channel with this key.
    pub fn group(&self, key: &GroupKey) -> Result<Option<Arc<Group>>, DirectoryError> {
        self.cached(&self.groups, key, |conn| {
            let sql = format!("SELECT {COLUMNS} FROM groups WHERE kind = ?1 AND id = ?2");
            conn.prepare_cached(&sql)?
                .query_row(params![key.kind.as_str(), key.id.as_str()], group)
                .optional()
        })
    }

    /// Roles or channels by id, in order.
    pub fn groups(&self, kind: GroupKind, window: &Window) -> Result<Page<Group>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "kind = ?1 AND (id LIKE ?2 ESCAPE '\\' OR name LIKE ?2 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM groups WHERE {filter}"))?
                .query_row(params![kind.as_str(), pattern], |row| row.get(0))?;
            let sql = format!("SELECT {COLUMNS} FROM groups WHERE {filter} ORDER BY id LIMIT ?3 OFFSET ?4");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![kind.as_str(), pattern, window.limit(), window.offset()], group)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    /// How many different people are in the groups or among the listed users; exact also where they overlap.
    pub fn count_union(&self, users: &[UserId], groups: &[GroupKey]) -> Result<u64, DirectoryError> {
        match (users, groups) {
            (users, []) => Ok(users.len() as u64),
            ([], [one]) => Ok(self.group(one)?.map_or(0, |group| group.member_count)),
            _ => self.reading(|conn| {
                let mut people: std::collections::HashSet<SmolStr> =
                    users.iter().map(|user| user.as_str().into()).collect();
                let mut members = conn.prepare_cached(
                    "SELECT user FROM membership WHERE kind = ?1 AND group_id = ?2 AND to_pos IS NULL",
                )?;
                for key in groups {
                    let mut rows = members.query(params![key.kind.as_str(), key.id.as_str()])?;
                    while let Some(row) = rows.next()? {
                        people.insert(row.get_ref(0)?.as_str()?.into());
                    }
                }
                Ok(people.len() as u64)
            }),
        }
    }
}

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let channel_kind = match row.get_ref(3)?.as_str()? {
        "private" => ChannelKind::Private,
        "system" => ChannelKind::System,
        _ => ChannelKind::Public,
    };
    let member_count: i64 = row.get(4)?;
    Ok(Group {
        id: row.get_ref(0)?.as_str()?.into(),
        name: row.get(1)?,
        description: row.get(2)?,
        channel_kind,
        member_count: member_count as u64,
    })
}

impl Group {
    /// As a role. `None` only if the id is none, which the directory never holds.
    pub fn to_role(&self) -> Option<Role> {
        let id = RoleId::new(&self.id).ok()?;
        Some(Role { id, name: self.name.clone(), member_count: self.member_count })
    }

    /// As a channel; see [`Self::to_role`].
    pub fn to_channel(&self) -> Option<AdminChannel> {
        Some(AdminChannel {
            id: ChannelId::new(&self.id).ok()?,
            name: self.name.clone(),
            description: self.description.clone(),
            kind: self.channel_kind,
            member_count: self.member_count,
        })
    }
}
