//! Departments: a tree, whose members are in everything above them too.

use super::groups::Group;
use super::people::id;
use super::store::{Directory, DirectoryError, exists};
use super::{Page, Window};
use crate::log::record::{GroupKey, GroupKind};
use hongyan_wire::UserId;
use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;

/// Levels of the tree.
pub const DEPTH_MAX: usize = 10;
/// Levels looked through: more than there can be.
const LEVELS: usize = 2 * DEPTH_MAX;

impl Directory {
    /// A department and those above it, upwards; nothing where there is none.
    pub fn department_chain(&self, id: &str) -> Result<Vec<GroupKey>, DirectoryError> {
        let mut chain = Vec::new();
        let mut next = Some(SmolStr::from(id));
        while let Some(id) = next.take()
            && chain.len() < LEVELS
        {
            let key = GroupKey { kind: GroupKind::Department, id };
            if let Some(group) = self.group(&key)? {
                next = group.parent.clone();
                chain.push(key);
            }
        }
        Ok(chain)
    }

    /// How many levels there are from a department down, itself included.
    pub fn department_height(&self, id: &str) -> Result<usize, DirectoryError> {
        let height: Option<i64> = self.reading(|conn| {
            conn.prepare_cached(
                "WITH RECURSIVE down(id, level) AS (
                     SELECT ?1, 1
                     UNION ALL SELECT g.id, level + 1 FROM groups g JOIN down ON g.parent = down.id
                     WHERE g.kind = 'department' AND level < ?2
                 ) SELECT max(level) FROM down",
            )?
            .query_row(params![id, LEVELS as i64], |row| row.get(0))
        })?;
        Ok(height.unwrap_or(1) as usize)
    }

    /// Departments by id, in order; those right under one, or, with an empty text, under none.
    pub fn departments(&self, parent: Option<&str>, window: &Window) -> Result<Page<Group>, DirectoryError> {
        self.groups_where("kind = ?1", GroupKind::Department, window, parent)
    }

    /// How many departments there are.
    pub fn department_count(&self) -> Result<u64, DirectoryError> {
        let count: i64 = self.reading(|conn| {
            conn.prepare_cached("SELECT count(*) FROM groups WHERE kind = 'department'")?
                .query_row([], |row| row.get(0))
        })?;
        Ok(count as u64)
    }

    /// Whether there are departments under one.
    pub fn has_departments_under(&self, id: &str) -> Result<bool, DirectoryError> {
        self.reading(|conn| has_any_under(conn, id))
    }
}

pub(super) fn has_any_under(conn: &Connection, id: &str) -> rusqlite::Result<bool> {
    exists(conn, "SELECT 1 FROM groups WHERE kind = 'department' AND parent = ?1 LIMIT 1", [id])
}

/// Makes a department that is not there, with its id as its name.
pub(super) fn make(conn: &Connection, id: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO groups(kind, id, name, description, channel_kind)
         VALUES('department', ?1, ?1, '', 'public')",
    )?
    .execute([id])?;
    Ok(())
}

/// See [`Directory::department_chain`].
pub(super) fn chain(conn: &Connection, id: &str) -> rusqlite::Result<Vec<GroupKey>> {
    let mut above = conn.prepare_cached("SELECT parent FROM groups WHERE kind = 'department' AND id = ?1")?;
    let mut chain = Vec::new();
    let mut next = Some(SmolStr::from(id));
    while let Some(id) = next.take()
        && chain.len() < LEVELS
    {
        let found: Option<Option<String>> = above.query_row([id.as_str()], |row| row.get(0)).optional()?;
        if let Some(parent) = found {
            next = parent.map(SmolStr::from);
            chain.push(GroupKey { kind: GroupKind::Department, id });
        }
    }
    Ok(chain)
}

/// The department that a user is directly in.
pub(super) fn of(conn: &Connection, user: &UserId) -> rusqlite::Result<Option<String>> {
    let found = conn
        .prepare_cached("SELECT department FROM user WHERE id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Everyone who is in a department now or in one below it.
pub(super) fn members(conn: &Connection, department: &str) -> rusqlite::Result<Vec<UserId>> {
    conn.prepare_cached(
        "SELECT user FROM membership WHERE kind = 'department' AND group_id = ?1 AND to_pos IS NULL",
    )?
    .query_map([department], |row| id(row, 0))?
    .collect()
}
