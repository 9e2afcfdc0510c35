//! Roles, channels and departments.

use super::people::id;
use super::store::{Directory, DirectoryError, exists};
use super::{Page, Window};
use crate::log::record::{Audience, GroupKey, GroupKind};
use hongyan_wire::admin::{AdminChannel, Department, Role};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::{ChannelId, DepartmentId, RoleId, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::collections::HashSet;
use std::sync::Arc;

/// A role, a channel or a department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: SmolStr,
    pub name: String,
    pub description: String,
    pub channel_kind: ChannelKind,
    pub member_count: u64,
    /// The department above.
    pub parent: Option<SmolStr>,
    /// Who looks after it.
    pub owners: Vec<UserId>,
}

const COLUMNS: &str = "id, name, description, channel_kind, member_count, parent";

impl Directory {
    /// Whether a role, channel or department has this id, in capitals or not.
    pub fn has_group_called(&self, name: &str) -> Result<bool, DirectoryError> {
        self.reading(|conn| exists(conn, "SELECT 1 FROM groups WHERE id = ?1 COLLATE NOCASE LIMIT 1", [name]))
    }

    /// The role, channel or department with this key.
    pub fn group(&self, key: &GroupKey) -> Result<Option<Arc<Group>>, DirectoryError> {
        self.cached(&self.groups, key, |conn| {
            let sql = format!("SELECT {COLUMNS} FROM groups WHERE kind = ?1 AND id = ?2");
            let found = conn
                .prepare_cached(&sql)?
                .query_row(params![key.kind.as_str(), key.id.as_str()], group)
                .optional()?;
            found.map(|found| with_owners(conn, key.kind, found)).transpose()
        })
    }

    /// Roles, channels or departments by id, in order.
    pub fn groups(&self, kind: GroupKind, window: &Window) -> Result<Page<Group>, DirectoryError> {
        self.groups_where("kind = ?1", kind, window, None)
    }

    /// Public channels by id, in order.
    pub fn public_channels(&self, window: &Window) -> Result<Page<Group>, DirectoryError> {
        self.groups_where("kind = ?1 AND channel_kind = 'public'", GroupKind::Channel, window, None)
    }

    /// `condition` may use ?1, the kind. `parent`: only those right under it, or, with an empty text, under none.
    pub(super) fn groups_where(
        &self,
        condition: &str,
        kind: GroupKind,
        window: &Window,
        parent: Option<&str>,
    ) -> Result<Page<Group>, DirectoryError> {
        let pattern = window.pattern();
        let filter = format!(
            "{condition} AND (id LIKE ?2 ESCAPE '\\' OR name LIKE ?2 ESCAPE '\\')
             AND (?5 IS NULL OR coalesce(parent, '') = ?5)"
        );
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM groups WHERE {filter}"))?
                .query_row(params![kind.as_str(), pattern, 0, 0, parent], |row| row.get(0))?;
            let sql = format!("SELECT {COLUMNS} FROM groups WHERE {filter} ORDER BY id LIMIT ?3 OFFSET ?4");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![kind.as_str(), pattern, window.limit(), window.offset(), parent], group)?
                .map(|found| with_owners(conn, kind, found?))
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    /// Whether an audience can be counted without reading who is in its groups.
    pub fn is_counted(&self, audience: &Audience) -> bool {
        audience.everyone || audience.groups.len() < 2 || self.unions.get(&sorted(&audience.groups)).is_some()
    }

    /// How many different people an audience is now. Who is in several groups together is read once, until one
    /// of them changes; see [`Self::is_counted`].
    pub fn count(&self, audience: &Audience) -> Result<u64, DirectoryError> {
        let Audience { everyone, users, groups } = audience;
        if *everyone {
            return Ok(self.user_count());
        }
        let in_groups = match groups.as_slice() {
            [] => return Ok(users.len() as u64),
            [one] => self.group(one)?.map_or(0, |group| group.member_count),
            _ => self.count_groups(sorted(groups))?,
        };
        let mut beside = 0;
        for user in users {
            let is_member =
                self.person(user)?.is_some_and(|person| person.groups().any(|key| groups.contains(key)));
            beside += u64::from(!is_member);
        }
        Ok(in_groups + beside)
    }

    fn count_groups(&self, groups: Vec<GroupKey>) -> Result<u64, DirectoryError> {
        let counted = self.cached(&self.unions, &groups, |conn| {
            let mut people: HashSet<SmolStr> = HashSet::new();
            let mut members = conn.prepare_cached(
                "SELECT user FROM membership WHERE kind = ?1 AND group_id = ?2 AND to_pos IS NULL",
            )?;
            for key in &groups {
                let mut rows = members.query(params![key.kind.as_str(), key.id.as_str()])?;
                while let Some(row) = rows.next()? {
                    people.insert(row.get_ref(0)?.as_str()?.into());
                }
            }
            Ok(Some(people.len() as u64))
        })?;
        Ok(counted.map_or(0, |counted| *counted))
    }
}

fn sorted(groups: &[GroupKey]) -> Vec<GroupKey> {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups
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
        parent: row.get::<_, Option<String>>(5)?.map(SmolStr::from),
        owners: Vec::new(),
    })
}

fn with_owners(conn: &Connection, kind: GroupKind, group: Group) -> rusqlite::Result<Group> {
    let owners = conn
        .prepare_cached("SELECT user FROM owner WHERE kind = ?1 AND group_id = ?2 ORDER BY user")?
        .query_map(params![kind.as_str(), group.id.as_str()], |row| id(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Group { owners, ..group })
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
            owners: self.owners.clone(),
        })
    }

    /// As a department; see [`Self::to_role`].
    pub fn to_department(&self) -> Option<Department> {
        Some(Department {
            id: DepartmentId::new(&self.id).ok()?,
            name: self.name.clone(),
            parent_id: self.parent.as_ref().and_then(|parent| DepartmentId::new(parent).ok()),
            member_count: self.member_count,
            admins: self.owners.clone(),
        })
    }
}
