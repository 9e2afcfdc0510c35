//! Users.

use super::groups::{count_members, open_groups};
use super::{Outcome, accounts, audit};
use crate::directory::store::exists;
use crate::directory::{Effect, presses};
use crate::log::Pos;
use crate::log::record::{Change, GroupKey, GroupKind, UserPut, UserStatusChange};
use hongyan_wire::UserId;
use hongyan_wire::admin::UserStatus;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

impl Outcome {
    pub(super) fn user<T>(
        &mut self,
        conn: &Connection,
        pos: Pos,
        n: usize,
        change: &Change<T>,
        put: &UserPut,
    ) -> rusqlite::Result<()> {
        if exists(
            conn,
            "SELECT 1 FROM user WHERE username = ?1 AND id <> ?2",
            params![put.username.as_str(), put.id.as_str()],
        )? {
            return Ok(());
        }
        let known = exists(conn, "SELECT 1 FROM user WHERE id = ?1", [put.id.as_str()])?;
        conn.prepare_cached(
            "INSERT INTO user(id, username, name, email, password_hash, created_at, created_pos)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT(id) DO UPDATE SET username = excluded.username, name = excluded.name,
                 email = coalesce(excluded.email, email),
                 password_hash = coalesce(excluded.password_hash, password_hash)",
        )?
        .execute(params![
            put.id.as_str(),
            put.username.as_str(),
            put.name,
            put.email,
            put.password_hash,
            change.at.millis(),
            pos as i64
        ])?;
        self.new_users += u64::from(!known);
        self.renamed |= known;
        if let Some(roles) = &put.roles {
            let wanted: Vec<GroupKey> = roles.iter().map(GroupKey::role).collect();
            if known {
                for held in open_roles(conn, &put.id)? {
                    if !wanted.contains(&held) {
                        self.leave(conn, pos, &put.id, &held)?;
                    }
                }
            }
            for key in &wanted {
                self.join(conn, pos, &put.id, key)?;
            }
        }
        if let Some(department) = &put.department {
            self.place(conn, pos, &put.id, Some(department.as_str()))?;
        }
        self.people.push(put.id.clone());
        let action = if known { "user.update" } else { "user.create" };
        let details = json!({
            "username": put.username, "department_id": put.department, "password_set": put.password_hash.is_some(),
        });
        audit(conn, (pos, n), change, action, put.id.as_str(), &details)
    }

    pub(super) fn user_status(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<UserStatusChange>,
    ) -> rusqlite::Result<()> {
        let UserStatusChange { user, status } = &change.what;
        let disabled = *status == UserStatus::Disabled;
        conn.prepare_cached("UPDATE user SET disabled = ?2 WHERE id = ?1")?
            .execute(params![user.as_str(), disabled])?;
        self.people.push(user.clone());
        if disabled {
            self.effects.push((pos, Effect::Disabled(user.clone())));
        }
        let action = if disabled { "user.disable" } else { "user.enable" };
        audit(conn, (pos, 0), change, action, user.as_str(), &Value::Null)
    }

    /// Everything of a user goes but what others did to them: of that the audit log keeps the bare id.
    pub(super) fn user_deleted(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<UserId>,
    ) -> rusqlite::Result<()> {
        let user = &change.what;
        for key in open_groups(conn, user)? {
            count_members(conn, &key, -1)?;
            self.groups.push(key);
        }
        let gone = conn.prepare_cached("DELETE FROM user WHERE id = ?1")?.execute([user.as_str()])?;
        for sql in [
            "DELETE FROM membership WHERE user = ?1",
            "DELETE FROM owner WHERE user = ?1",
            "DELETE FROM session WHERE user = ?1",
            "DELETE FROM callback WHERE user = ?1",
        ] {
            conn.prepare_cached(sql)?.execute([user.as_str()])?;
        }
        accounts::delete(conn, user)?;
        conn.prepare_cached("DELETE FROM schedule WHERE owner = ?1")?.execute([format!("user:{user}")])?;
        conn.prepare_cached("DELETE FROM thread WHERE owner = ?1")?.execute([format!("user:{user}")])?;
        conn.prepare_cached("UPDATE audit SET details = 'null' WHERE target = ?1 AND action LIKE 'user.%'")?
            .execute([user.as_str()])?;
        presses::forget_user(conn, user)?;
        self.lost_users += gone as u64;
        self.people.push(user.clone());
        self.renamed = true;
        self.scheduled = true;
        self.callbacks = true;
        self.effects.push((pos, Effect::Deleted(user.clone())));
        audit(conn, (pos, 0), change, "user.delete", user.as_str(), &Value::Null)
    }
}

fn open_roles(conn: &Connection, user: &UserId) -> rusqlite::Result<Vec<GroupKey>> {
    Ok(open_groups(conn, user)?.into_iter().filter(|key| key.kind == GroupKind::Role).collect())
}
