//! Users, and what they are members of.

use super::store::{Directory, DirectoryError, exists};
use super::{Page, Window};
use crate::log::Pos;
use crate::log::record::{Audience, GroupKey, GroupKind};
use hongyan_wire::admin::{User, UserStatus};
use hongyan_wire::{DepartmentId, RoleId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::sync::Arc;

/// A user as requests and deliveries need to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: UserId,
    pub username: SmolStr,
    pub name: String,
    pub email: Option<String>,
    pub department: Option<DepartmentId>,
    pub disabled: bool,
    pub has_password: bool,
    /// The name of the picture.
    pub avatar: Option<SmolStr>,
    /// Tokens that were signed before are refused.
    pub tokens_since: Timestamp,
    pub created_at: Timestamp,
    pub created_pos: Pos,
    /// Now and in the past.
    pub memberships: Vec<Membership>,
    /// The channels and departments that the person looks after.
    pub owns: Vec<GroupKey>,
}

/// An interval of membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub key: GroupKey,
    pub from: Pos,
    pub to: Option<Pos>,
}

impl Membership {
    /// Whether a message at `pos` was for its members then.
    pub fn covers(&self, pos: Pos) -> bool {
        self.from < pos && self.to.is_none_or(|to| pos < to)
    }
}

impl Person {
    /// Whether a message at `pos` is for this person.
    pub fn is_meant(&self, audience: &Audience, pos: Pos) -> bool {
        self.created_pos < pos
            && (audience.everyone
                || audience.users.contains(&self.id)
                || self.memberships.iter().any(|m| m.covers(pos) && audience.groups.contains(&m.key)))
    }

    /// What the person is a member of now.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.memberships.iter().filter(|m| m.to.is_none()).map(|m| &m.key)
    }

    /// The person's roles.
    pub fn roles(&self) -> Vec<RoleId> {
        self.groups()
            .filter(|key| key.kind == GroupKind::Role)
            .filter_map(|key| RoleId::new(&key.id).ok())
            .collect()
    }

    /// As administrators see them.
    pub fn to_user(&self) -> User {
        User {
            id: self.id.clone(),
            username: self.username.to_string(),
            name: self.name.clone(),
            email: self.email.clone(),
            department_id: self.department.clone(),
            roles: self.roles(),
            status: if self.disabled { UserStatus::Disabled } else { UserStatus::Active },
            has_password: self.has_password,
            created_at: self.created_at,
        }
    }
}

const COLUMNS: &str = "id, username, name, email, department, disabled, password_hash IS NOT NULL, created_at, created_pos, avatar, tokens_since";

impl Directory {
    /// The user with this id.
    pub fn person(&self, id: &UserId) -> Result<Option<Arc<Person>>, DirectoryError> {
        self.cached(&self.people, id, |conn| load(conn, id))
    }

    /// The user whose id this is, or else whose username.
    pub fn user_called(&self, name: &str) -> Result<Option<UserId>, DirectoryError> {
        if let Ok(id) = UserId::new(name)
            && self.person(&id)?.is_some()
        {
            return Ok(Some(id));
        }
        Ok(self.user_named(name)?.map(|id| (*id).clone()))
    }

    /// The id of the user with this username.
    pub fn user_named(&self, username: &str) -> Result<Option<Arc<UserId>>, DirectoryError> {
        let key = SmolStr::from(username.to_ascii_lowercase());
        self.cached(&self.names, &key, |conn| {
            conn.prepare_cached("SELECT id FROM user WHERE username = ?1")?
                .query_row([username], |row| id(row, 0))
                .optional()
        })
    }

    /// A user's password hash, which is not cached with the rest.
    pub fn password_hash(&self, id: &UserId) -> Result<Option<String>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT password_hash FROM user WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get(0))
                .optional()
                .map(Option::flatten)
        })
    }

    /// Whether anyone has a role now.
    pub fn anyone_has(&self, role: &RoleId) -> Result<bool, DirectoryError> {
        self.reading(|conn| {
            exists(
                conn,
                "SELECT 1 FROM membership WHERE kind = 'role' AND group_id = ?1 AND to_pos IS NULL LIMIT 1",
                [role.as_str()],
            )
        })
    }

    /// Users by id, in order.
    pub fn users(&self, window: &Window) -> Result<Page<User>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "(?1 = '%%' OR id LIKE ?1 ESCAPE '\\' OR username LIKE ?1 ESCAPE '\\'
             OR name LIKE ?1 ESCAPE '\\' OR email LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = if window.q.is_none() {
                self.user_count() as i64
            } else {
                conn.prepare_cached(&format!("SELECT count(*) FROM user WHERE {filter}"))?
                    .query_row([&pattern], |row| row.get(0))?
            };
            let sql = format!("SELECT {COLUMNS} FROM user WHERE {filter} ORDER BY id LIMIT ?2 OFFSET ?3");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![pattern, window.limit(), window.offset()], person)?
                .map(|person| {
                    let mut person = person?;
                    person.memberships = memberships(conn, &person.id)?;
                    Ok(person.to_user())
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    /// The ids after one, in order, at most `limit`: to walk over everyone.
    pub fn user_ids_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, DirectoryError> {
        self.reading(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT id FROM user WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let after = after.map_or("", |after| after.as_str());
            statement.query_map(params![after, limit as i64], |row| id(row, 0))?.collect()
        })
    }

    /// Everyone, with the places in the log at which they came.
    pub fn since(&self) -> Result<Vec<(UserId, Pos)>, DirectoryError> {
        self.reading(|conn| {
            let mut statement = conn.prepare_cached("SELECT id, created_pos FROM user")?;
            let rows = statement.query_map([], |row| Ok((id(row, 0)?, row.get::<_, i64>(1)? as Pos)))?;
            rows.collect()
        })
    }

    /// One page of the people who are in a role, channel or department now, by id.
    pub fn members(&self, key: &GroupKey, window: &Window) -> Result<Page<User>, DirectoryError> {
        let pattern = window.pattern();
        let ids: Page<UserId> = self.reading(|conn| {
            let filter = "kind = ?1 AND group_id = ?2 AND to_pos IS NULL AND user LIKE ?3 ESCAPE '\\'";
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM membership WHERE {filter}"))?
                .query_row(params![key.kind.as_str(), key.id.as_str(), pattern], |row| row.get(0))?;
            let rows = conn
                .prepare_cached(&format!(
                    "SELECT user FROM membership WHERE {filter} ORDER BY user LIMIT ?4 OFFSET ?5"
                ))?
                .query_map(
                    params![key.kind.as_str(), key.id.as_str(), pattern, window.limit(), window.offset()],
                    |row| id(row, 0),
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })?;
        let mut rows = Vec::with_capacity(ids.rows.len());
        for user in &ids.rows {
            rows.extend(self.person(user)?.map(|person| person.to_user()));
        }
        Ok(Page { rows, total: ids.total })
    }

    /// The ids of those who are or were members of a group, after one, in order, at most `limit`.
    pub fn member_ids_after(
        &self,
        key: &GroupKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, DirectoryError> {
        self.reading(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT DISTINCT user FROM membership WHERE kind = ?1 AND group_id = ?2 AND user > ?3
                 ORDER BY user LIMIT ?4",
            )?;
            let after = after.map_or("", |after| after.as_str());
            statement
                .query_map(params![key.kind.as_str(), key.id.as_str(), after, limit as i64], |row| {
                    id(row, 0)
                })?
                .collect()
        })
    }
}

fn load(conn: &Connection, id: &UserId) -> rusqlite::Result<Option<Person>> {
    let sql = format!("SELECT {COLUMNS} FROM user WHERE id = ?1");
    let Some(mut found) = conn.prepare_cached(&sql)?.query_row([id.as_str()], person).optional()? else {
        return Ok(None);
    };
    found.memberships = memberships(conn, id)?;
    found.owns = owned(conn, id)?;
    Ok(Some(found))
}

fn owned(conn: &Connection, id: &UserId) -> rusqlite::Result<Vec<GroupKey>> {
    conn.prepare_cached("SELECT kind, group_id FROM owner WHERE user = ?1")?
        .query_map([id.as_str()], |row| {
            let kind = GroupKind::named(row.get_ref(0)?.as_str()?);
            Ok(GroupKey { kind, id: row.get_ref(1)?.as_str()?.into() })
        })?
        .collect()
}

fn memberships(conn: &Connection, id: &UserId) -> rusqlite::Result<Vec<Membership>> {
    let mut statement = conn.prepare_cached(
        "SELECT kind, group_id, from_pos, to_pos FROM membership WHERE user = ?1 ORDER BY kind, group_id, from_pos",
    )?;
    statement
        .query_map([id.as_str()], |row| {
            let kind = GroupKind::named(row.get_ref(0)?.as_str()?);
            let key = GroupKey { kind, id: row.get_ref(1)?.as_str()?.into() };
            let (from, to): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            Ok(Membership { key, from: from as Pos, to: to.map(|to| to as Pos) })
        })?
        .collect()
}

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let department: Option<String> = row.get(4)?;
    let created_pos: i64 = row.get(8)?;
    Ok(Person {
        id: id(row, 0)?,
        username: row.get_ref(1)?.as_str()?.into(),
        name: row.get(2)?,
        email: row.get(3)?,
        department: department.and_then(|d| DepartmentId::new(&d).ok()),
        disabled: row.get(5)?,
        has_password: row.get(6)?,
        avatar: row.get::<_, Option<String>>(9)?.map(SmolStr::from),
        tokens_since: Timestamp::from_millis(row.get(10)?),
        created_at: Timestamp::from_millis(row.get(7)?),
        created_pos: created_pos as Pos,
        memberships: Vec::new(),
        owns: Vec::new(),
    })
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<UserId> {
    UserId::new(row.get_ref(column)?.as_str()?).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}
