//! Roles, channels, departments: who is in them and who looks after them.

use super::{Outcome, audit};
use crate::directory::store::exists;
use crate::directory::{Effect, departments};
use crate::log::Pos;
use crate::log::record::{Change, GroupKey, GroupKind, GroupPut, MembersChange};
use hongyan_wire::UserId;
use hongyan_wire::channel::ChannelKind;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

impl Outcome {
    /// Its members have left; what was sent to them stays theirs.
    pub(super) fn group_deleted(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<GroupKey>,
    ) -> rusqlite::Result<()> {
        let key = &change.what;
        if key.kind == GroupKind::Department {
            if departments::has_any_under(conn, &key.id)? {
                return Ok(());
            }
            // Who was directly in it is directly in the one above.
            conn.prepare_cached(
                "UPDATE user SET department = (SELECT parent FROM groups WHERE kind = 'department' AND id = ?1)
                 WHERE department = ?1",
            )?
            .execute([key.id.as_str()])?;
        }
        conn.prepare_cached(
            "UPDATE membership SET to_pos = ?3 WHERE kind = ?1 AND group_id = ?2 AND to_pos IS NULL",
        )?
        .execute(params![key.kind.as_str(), key.id.as_str(), pos as i64])?;
        for sql in [
            "DELETE FROM groups WHERE kind = ?1 AND id = ?2",
            "DELETE FROM owner WHERE kind = ?1 AND group_id = ?2",
        ] {
            conn.prepare_cached(sql)?.execute(params![key.kind.as_str(), key.id.as_str()])?;
        }
        self.everyone = true;
        self.groups.push(key.clone());
        self.effects.push((pos, Effect::GroupDeleted(key.clone())));
        audit(conn, (pos, 0), change, &format!("{}.delete", key.kind.as_str()), &key.id, &Value::Null)
    }

    pub(super) fn group(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<GroupPut>,
    ) -> rusqlite::Result<()> {
        let put = &change.what;
        let channel_kind = match put.channel_kind {
            ChannelKind::Public => "public",
            ChannelKind::Private => "private",
            ChannelKind::System => "system",
        };
        let key = params![put.key.kind.as_str(), put.key.id.as_str()];
        let known = exists(conn, "SELECT 1 FROM groups WHERE kind = ?1 AND id = ?2", key)?;
        let above = match &put.parent {
            Some(parent) => departments::chain(conn, parent)?,
            None => Vec::new(),
        };
        if above.contains(&put.key) || put.parent.is_some() && above.is_empty() {
            // Above itself, or under what is not there.
            return Ok(());
        }
        let above_before = match put.key.kind {
            GroupKind::Department if known => departments::chain(conn, &put.key.id)?.split_off(1),
            _ => above.clone(),
        };
        conn.prepare_cached(
            "INSERT INTO groups(kind, id, name, description, channel_kind, parent) VALUES(?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(kind, id) DO UPDATE SET name = excluded.name, description = excluded.description,
                 channel_kind = excluded.channel_kind, parent = excluded.parent",
        )?
        .execute(params![
            put.key.kind.as_str(),
            put.key.id.as_str(),
            put.name,
            put.description,
            channel_kind,
            put.parent.as_ref().map(|parent| parent.as_str())
        ])?;
        if above != above_before {
            self.rehang(conn, pos, &put.key, &above_before, &above)?;
        }
        self.groups.push(put.key.clone());
        for user in &put.members {
            self.join(conn, pos, user, &put.key)?;
        }
        let action = format!("{}.{}", put.key.kind.as_str(), if known { "update" } else { "create" });
        let mut details = json!({ "name": put.name, "members": put.members.len() });
        if put.key.kind == GroupKind::Department {
            details = json!({ "name": put.name, "parent_id": put.parent });
        }
        audit(conn, (pos, 0), change, &action, &put.key.id, &details)
    }

    pub(super) fn members(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<MembersChange>,
    ) -> rusqlite::Result<()> {
        let MembersChange { key, user, joined } = &change.what;
        match (key.kind, *joined) {
            (GroupKind::Department, true) => self.place(conn, pos, user, Some(&key.id))?,
            (GroupKind::Department, false) => {
                if departments::of(conn, user)?.is_some_and(|of| of == key.id) {
                    self.place(conn, pos, user, None)?;
                }
            }
            (_, true) => self.join(conn, pos, user, key)?,
            (_, false) => self.leave(conn, pos, user, key)?,
        }
        let action = format!("{}.member.{}", key.kind.as_str(), if *joined { "add" } else { "remove" });
        audit(conn, (pos, 0), change, &action, &key.id, &json!({ "user": user }))
    }

    /// Who looks after a channel or a department.
    pub(super) fn owners(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<MembersChange>,
    ) -> rusqlite::Result<()> {
        let MembersChange { key, user, joined } = &change.what;
        let row = params![key.kind.as_str(), key.id.as_str(), user.as_str()];
        let sql = match joined {
            true => {
                "INSERT OR IGNORE INTO owner(kind, group_id, user) SELECT g.kind, g.id, u.id FROM groups g, user u
                 WHERE g.kind = ?1 AND g.id = ?2 AND u.id = ?3"
            }
            false => "DELETE FROM owner WHERE kind = ?1 AND group_id = ?2 AND user = ?3",
        };
        conn.prepare_cached(sql)?.execute(row)?;
        self.people.push(user.clone());
        self.groups.push(key.clone());
        let word = if key.kind == GroupKind::Department { "admin" } else { "owner" };
        let action = format!("{}.{word}.{}", key.kind.as_str(), if *joined { "add" } else { "remove" });
        audit(conn, (pos, 0), change, &action, &key.id, &json!({ "user": user }))
    }

    /// Puts a user into a department, and so into those above it, out of the one they were in.
    pub(super) fn place(
        &mut self,
        conn: &Connection,
        pos: Pos,
        user: &UserId,
        department: Option<&str>,
    ) -> rusqlite::Result<()> {
        let wanted = match department {
            Some(id) => {
                // One that nobody has made hangs under none, until an administrator puts it where it belongs.
                departments::make(conn, id)?;
                departments::chain(conn, id)?
            }
            None => Vec::new(),
        };
        conn.prepare_cached("UPDATE user SET department = ?2 WHERE id = ?1")?
            .execute(params![user.as_str(), department])?;
        let held = open_groups(conn, user)?.into_iter().filter(|key| key.kind == GroupKind::Department);
        for key in held.filter(|key| !wanted.contains(key)) {
            self.leave(conn, pos, user, &key)?;
        }
        for key in &wanted {
            self.join(conn, pos, user, key)?;
        }
        self.people.push(user.clone());
        Ok(())
    }

    /// A department hangs elsewhere in the tree: everyone in it and below leaves what was above and joins what is.
    fn rehang(
        &mut self,
        conn: &Connection,
        pos: Pos,
        key: &GroupKey,
        before: &[GroupKey],
        after: &[GroupKey],
    ) -> rusqlite::Result<()> {
        for user in departments::members(conn, &key.id)? {
            for left in before.iter().filter(|key| !after.contains(key)) {
                self.leave(conn, pos, &user, left)?;
            }
            for joined in after.iter().filter(|key| !before.contains(key)) {
                self.join(conn, pos, &user, joined)?;
            }
        }
        Ok(())
    }

    pub(super) fn join(
        &mut self,
        conn: &Connection,
        pos: Pos,
        user: &UserId,
        key: &GroupKey,
    ) -> rusqlite::Result<()> {
        let here = params![user.as_str(), key.kind.as_str(), key.id.as_str()];
        if exists(
            conn,
            "SELECT 1 FROM membership WHERE user = ?1 AND kind = ?2 AND group_id = ?3 AND to_pos IS NULL",
            here,
        )? || !exists(conn, "SELECT 1 FROM user WHERE id = ?1", [user.as_str()])?
        {
            return Ok(());
        }
        // Who left and joined again with one record has never been away.
        conn.prepare_cached(
            "INSERT INTO membership(user, kind, group_id, from_pos) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT(user, kind, group_id, from_pos) DO UPDATE SET to_pos = NULL",
        )?
        .execute(params![user.as_str(), key.kind.as_str(), key.id.as_str(), pos as i64])?;
        count_members(conn, key, 1)?;
        self.groups.push(key.clone());
        self.people.push(user.clone());
        self.effects.push((pos, Effect::Joined(user.clone(), key.clone())));
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        conn: &Connection,
        pos: Pos,
        user: &UserId,
        key: &GroupKey,
    ) -> rusqlite::Result<()> {
        let ended = conn
            .prepare_cached(
                "UPDATE membership SET to_pos = ?4
                 WHERE user = ?1 AND kind = ?2 AND group_id = ?3 AND to_pos IS NULL",
            )?
            .execute(params![user.as_str(), key.kind.as_str(), key.id.as_str(), pos as i64])?;
        if ended > 0 {
            count_members(conn, key, -1)?;
            self.groups.push(key.clone());
            self.people.push(user.clone());
            self.effects.push((pos, Effect::Left(user.clone(), key.clone())));
        }
        Ok(())
    }
}

pub(super) fn count_members(conn: &Connection, key: &GroupKey, by: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE groups SET member_count = member_count + ?3 WHERE kind = ?1 AND id = ?2")?
        .execute(params![key.kind.as_str(), key.id.as_str(), by])?;
    Ok(())
}

/// What a user is a member of.
pub(super) fn open_groups(conn: &Connection, user: &UserId) -> rusqlite::Result<Vec<GroupKey>> {
    conn.prepare_cached("SELECT kind, group_id FROM membership WHERE user = ?1 AND to_pos IS NULL")?
        .query_map([user.as_str()], |row| {
            Ok(GroupKey {
                kind: GroupKind::named(row.get_ref(0)?.as_str()?),
                id: row.get_ref(1)?.as_str()?.into(),
            })
        })?
        .collect()
}
