//! The fold: each record changes the directory in one way only, whenever it is read. No clock and no
//! randomness; a record that cannot be (a username that is taken) changes nothing, everywhere.

use super::store::{Directory, DirectoryError, exists};
use super::{callbacks, presses, schedule, services, templates, threads};
use crate::log::record::{
    Change, GroupKey, GroupKind, GroupPut, MembersChange, Record, ServiceStatusChange, SessionOpened,
    SessionRefreshed, SessionsEnded, UserPut, UserStatusChange,
};
use crate::log::{Logged, Pos};
use hongyan_wire::admin::{ServiceStatus, UserStatus};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::{ServiceId, SessionId, TemplateId, Timestamp, UserId};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::sync::atomic::Ordering;

/// What those who are connected must learn of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Joined(UserId, GroupKey),
    Left(UserId, GroupKey),
    Disabled(UserId),
    Deleted(UserId),
    GroupDeleted(GroupKey),
    SessionsEnded(UserId, Vec<SessionId>),
}

/// What one batch changes outside the database, once it is committed.
#[derive(Default)]
struct Outcome {
    effects: Vec<(Pos, Effect)>,
    people: Vec<UserId>,
    groups: Vec<GroupKey>,
    service_keys: Vec<SmolStr>,
    templates: Vec<TemplateId>,
    /// What is scheduled has changed.
    scheduled: bool,
    /// What services are to be told has changed.
    callbacks: bool,
    /// An existing user's name may have changed.
    renamed: bool,
    revoked: Vec<(SessionId, Timestamp)>,
    new_users: u64,
    lost_users: u64,
    /// Whatever is cached of people may be outdated.
    everyone: bool,
}

impl Directory {
    /// Applies records in order; those at or before the watermark change nothing. Gives what follows for those
    /// who are connected, with the places of the records that it follows from, in order.
    pub fn apply(&self, batch: &[Logged]) -> Result<Vec<(Pos, Effect)>, DirectoryError> {
        let applied = self.applied();
        let Some(last) = batch.last().map(|logged| logged.pos).filter(|last| *last > applied) else {
            return Ok(Vec::new());
        };
        let fresh = || batch.iter().filter(|logged| logged.pos > applied);
        if !fresh().any(|logged| concerns(&logged.record)) {
            // Messages change nothing here: the watermark on disk may stay behind and they are passed
            // over again after a restart.
            self.applied.store(last, Ordering::Release);
            return Ok(Vec::new());
        }
        let mut writer = self.writer.lock();
        let transaction = writer.transaction()?;
        let mut outcome = Outcome::default();
        for logged in fresh().filter(|logged| concerns(&logged.record)) {
            outcome.apply_whole(&transaction, logged)?;
        }
        transaction
            .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'applied'")?
            .execute([last as i64])?;
        let more_users = outcome.new_users as i64 - outcome.lost_users as i64;
        if more_users != 0 {
            transaction
                .prepare_cached("UPDATE meta SET value = value + ?1 WHERE key = 'users'")?
                .execute([more_users])?;
        }
        let next_callback = if outcome.callbacks { Some(callbacks::next(&transaction)?) } else { None };
        let next_due = if outcome.scheduled { Some(schedule::next_due(&transaction)?) } else { None };
        let _filling = self.filling.write();
        transaction.commit()?;
        if let Some(next) = next_callback {
            self.next_callback.store(next, Ordering::Release);
        }
        if let Some(next_due) = next_due {
            self.next_due.store(next_due, Ordering::Release);
        }
        for user in &outcome.people {
            self.people.remove(user);
        }
        if outcome.everyone {
            self.people.clear();
        }
        for key in &outcome.groups {
            self.groups.remove(key);
        }
        if !outcome.groups.is_empty() {
            self.unions.clear();
        }
        if outcome.renamed {
            self.names.clear();
        }
        for key in &outcome.service_keys {
            self.services.remove(key);
        }
        for id in &outcome.templates {
            self.templates.remove(id);
        }
        if !outcome.revoked.is_empty() {
            let now = crate::clock::now();
            let mut revoked = self.revoked.write();
            revoked.retain(|_, until| *until > now);
            revoked.extend(outcome.revoked);
        }
        self.user_count.fetch_add(outcome.new_users, Ordering::Relaxed);
        self.user_count.fetch_sub(outcome.lost_users, Ordering::Relaxed);
        self.applied.store(last, Ordering::Release);
        Ok(outcome.effects)
    }
}

/// Whether a record changes the directory at all.
fn concerns(record: &Record) -> bool {
    match record {
        Record::Message(posted) => posted.was_scheduled || posted.message.thread_key.is_some(),
        Record::Marked(_) | Record::Recalled(_) | Record::Erased => false,
        _ => true,
    }
}

impl Outcome {
    /// Applies a record whole, or, where it contradicts what is there, not at all: the same everywhere, and
    /// nobody waits for what can never be.
    fn apply_whole(&mut self, conn: &Connection, logged: &Logged) -> rusqlite::Result<()> {
        conn.execute_batch("SAVEPOINT record")?;
        match self.apply(conn, logged.pos, &logged.record) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                tracing::error!(target: "hongyan::error", pos = logged.pos, %error, "a record cannot be and is passed over");
                conn.execute_batch("ROLLBACK TO record; RELEASE record")
            }
            Err(error) => Err(error),
            Ok(()) => conn.execute_batch("RELEASE record"),
        }
    }

    fn apply(&mut self, conn: &Connection, pos: Pos, record: &Record) -> rusqlite::Result<()> {
        match record {
            Record::Message(posted) => {
                if posted.was_scheduled {
                    self.scheduled = true;
                    schedule::delete(conn, &posted.message.id)?;
                }
                match &posted.message.thread_key {
                    Some(key) => threads::put(conn, posted, key),
                    None => Ok(()),
                }
            }
            Record::Marked(_) | Record::Recalled(_) | Record::Erased => Ok(()),
            Record::Pressed(made) => {
                if presses::put(conn, made)?
                    && let Some(callback) = &made.callback
                {
                    self.callbacks = true;
                    callbacks::put(conn, pos, made, callback)?;
                }
                Ok(())
            }
            Record::CallbackTried(tried) => {
                self.callbacks = true;
                callbacks::tried(conn, tried)
            }
            Record::CallbackReplayed(change) => {
                self.callbacks = true;
                callbacks::replay(conn, change.what, change.at)?;
                let id = change.what.to_string();
                audit(conn, (pos, 0), change, "callback.replay", &id, &Value::Null)
            }
            Record::Scheduled(scheduled) => {
                self.scheduled = true;
                schedule::put(conn, scheduled)
            }
            Record::Unscheduled(unscheduled) => {
                self.scheduled = true;
                schedule::delete(conn, &unscheduled.id)
            }
            Record::UsersPut(change) => {
                for (n, put) in change.what.iter().enumerate() {
                    self.user(conn, pos, n, change, put)?;
                }
                Ok(())
            }
            Record::UserStatus(change) => self.user_status(conn, pos, change),
            Record::UserDeleted(change) => self.user_deleted(conn, pos, change),
            Record::GroupPut(change) => self.group(conn, pos, change),
            Record::GroupDeleted(change) => self.group_deleted(conn, pos, change),
            Record::MembersChanged(change) => self.members(conn, pos, change),
            Record::ServicePut(_)
            | Record::ServiceChanged(_)
            | Record::ServiceStatus(_)
            | Record::ServiceKeyAdded(_)
            | Record::ServiceSecretChanged(_)
            | Record::ServiceDeleted(_) => self.service(conn, pos, record),
            Record::TemplatePut(change) => {
                templates::put(conn, &change.what)?;
                self.templates.push(change.what.id.clone());
                let action = if change.what.version == 1 { "template.create" } else { "template.update" };
                let details = json!({ "name": change.what.name, "version": change.what.version });
                audit(conn, (pos, 0), change, action, change.what.id.as_str(), &details)
            }
            Record::TemplateDeleted(change) => {
                templates::delete(conn, &change.what)?;
                self.templates.push(change.what.clone());
                audit(conn, (pos, 0), change, "template.delete", change.what.as_str(), &Value::Null)
            }
            Record::SessionOpened(opened) => session_opened(conn, opened),
            Record::SessionRefreshed(refreshed) => session_refreshed(conn, refreshed),
            Record::SessionsEnded(ended) => self.sessions_ended(conn, pos, ended),
        }
    }

    fn user<T>(
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
            "INSERT INTO user(id, username, name, email, department, password_hash, created_at, created_pos)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT(id) DO UPDATE SET username = excluded.username, name = excluded.name,
                 email = coalesce(excluded.email, email), department = coalesce(excluded.department, department),
                 password_hash = coalesce(excluded.password_hash, password_hash)",
        )?
        .execute(params![
            put.id.as_str(),
            put.username.as_str(),
            put.name,
            put.email,
            put.department.as_ref().map(|d| d.as_str()),
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
        self.people.push(put.id.clone());
        let action = if known { "user.update" } else { "user.create" };
        let details = json!({ "username": put.username, "password_set": put.password_hash.is_some() });
        audit(conn, (pos, n), change, action, put.id.as_str(), &details)
    }

    fn user_status(
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
    fn user_deleted(&mut self, conn: &Connection, pos: Pos, change: &Change<UserId>) -> rusqlite::Result<()> {
        let user = &change.what;
        for key in open_groups(conn, user)? {
            count_members(conn, &key, -1)?;
            self.groups.push(key);
        }
        let gone = conn.prepare_cached("DELETE FROM user WHERE id = ?1")?.execute([user.as_str()])?;
        for sql in [
            "DELETE FROM membership WHERE user = ?1",
            "DELETE FROM session WHERE user = ?1",
            "DELETE FROM press WHERE user = ?1",
            "DELETE FROM callback WHERE user = ?1",
        ] {
            conn.prepare_cached(sql)?.execute([user.as_str()])?;
        }
        conn.prepare_cached("DELETE FROM schedule WHERE owner = ?1")?.execute([format!("user:{user}")])?;
        conn.prepare_cached("DELETE FROM thread WHERE owner = ?1")?.execute([format!("user:{user}")])?;
        conn.prepare_cached("UPDATE audit SET details = 'null' WHERE target = ?1 AND action LIKE 'user.%'")?
            .execute([user.as_str()])?;
        self.lost_users += gone as u64;
        self.people.push(user.clone());
        self.renamed = true;
        self.scheduled = true;
        self.callbacks = true;
        self.effects.push((pos, Effect::Deleted(user.clone())));
        audit(conn, (pos, 0), change, "user.delete", user.as_str(), &Value::Null)
    }

    /// Its members have left; what was sent to them stays theirs.
    fn group_deleted(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<GroupKey>,
    ) -> rusqlite::Result<()> {
        let key = &change.what;
        conn.prepare_cached(
            "UPDATE membership SET to_pos = ?3 WHERE kind = ?1 AND group_id = ?2 AND to_pos IS NULL",
        )?
        .execute(params![key.kind.as_str(), key.id.as_str(), pos as i64])?;
        conn.prepare_cached("DELETE FROM groups WHERE kind = ?1 AND id = ?2")?
            .execute(params![key.kind.as_str(), key.id.as_str()])?;
        self.everyone = true;
        self.groups.push(key.clone());
        self.effects.push((pos, Effect::GroupDeleted(key.clone())));
        audit(conn, (pos, 0), change, &format!("{}.delete", key.kind.as_str()), &key.id, &Value::Null)
    }

    fn group(&mut self, conn: &Connection, pos: Pos, change: &Change<GroupPut>) -> rusqlite::Result<()> {
        let put = &change.what;
        let channel_kind = match put.channel_kind {
            ChannelKind::Public => "public",
            ChannelKind::Private => "private",
            ChannelKind::System => "system",
        };
        let key = params![put.key.kind.as_str(), put.key.id.as_str()];
        let known = exists(conn, "SELECT 1 FROM groups WHERE kind = ?1 AND id = ?2", key)?;
        conn.prepare_cached(
            "INSERT INTO groups(kind, id, name, description, channel_kind) VALUES(?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(kind, id) DO UPDATE SET name = excluded.name, description = excluded.description,
                 channel_kind = excluded.channel_kind",
        )?
        .execute(params![
            put.key.kind.as_str(),
            put.key.id.as_str(),
            put.name,
            put.description,
            channel_kind
        ])?;
        self.groups.push(put.key.clone());
        for user in &put.members {
            self.join(conn, pos, user, &put.key)?;
        }
        let action = format!("{}.{}", put.key.kind.as_str(), if known { "update" } else { "create" });
        let details = json!({ "name": put.name, "members": put.members.len() });
        audit(conn, (pos, 0), change, &action, &put.key.id, &details)
    }

    fn members(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<MembersChange>,
    ) -> rusqlite::Result<()> {
        let MembersChange { key, user, joined } = &change.what;
        if *joined {
            self.join(conn, pos, user, key)?;
        } else {
            self.leave(conn, pos, user, key)?;
        }
        let action = format!("{}.member.{}", key.kind.as_str(), if *joined { "add" } else { "remove" });
        audit(conn, (pos, 0), change, &action, &key.id, &json!({ "user": user }))
    }

    fn join(&mut self, conn: &Connection, pos: Pos, user: &UserId, key: &GroupKey) -> rusqlite::Result<()> {
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

    fn leave(&mut self, conn: &Connection, pos: Pos, user: &UserId, key: &GroupKey) -> rusqlite::Result<()> {
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

    fn service(&mut self, conn: &Connection, pos: Pos, record: &Record) -> rusqlite::Result<()> {
        let mut touch = |conn: &Connection, id: &ServiceId| -> rusqlite::Result<()> {
            self.service_keys.extend(services::prefixes(conn, id)?);
            Ok(())
        };
        match record {
            Record::ServicePut(change) => {
                let put = &change.what;
                services::put(conn, put, change.at)?;
                let details = json!({ "name": put.name, "type": put.service_type, "status": put.status });
                audit(conn, (pos, 0), change, "service.create", put.id.as_str(), &details)
            }
            Record::ServiceChanged(change) => {
                let changed = &change.what;
                services::change(conn, changed)?;
                touch(conn, &changed.id)?;
                let details = json!({
                    "name": changed.name, "owner": changed.owner, "permissions": changed.permissions,
                    "rate_limit": changed.rate_limit, "default_recipients": changed.default_recipients,
                    "callback_url": changed.callback_url,
                });
                audit(conn, (pos, 0), change, "service.update", changed.id.as_str(), &details)
            }
            Record::ServiceStatus(change) => {
                let ServiceStatusChange { service, status } = &change.what;
                services::set_status(conn, service, *status)?;
                touch(conn, service)?;
                let action = match status {
                    ServiceStatus::Active => "service.resume",
                    ServiceStatus::Pending => "service.await_approval",
                    ServiceStatus::Disabled => "service.disable",
                    ServiceStatus::Suspended => "service.suspend",
                };
                audit(conn, (pos, 0), change, action, service.as_str(), &Value::Null)
            }
            Record::ServiceKeyAdded(change) => {
                let added = &change.what;
                touch(conn, &added.service)?;
                services::add_key(conn, added, change.at)?;
                let details = json!({ "prefix": added.key_prefix, "others_until": added.others_until });
                audit(conn, (pos, 0), change, "service.rotate_key", added.service.as_str(), &details)
            }
            Record::ServiceSecretChanged(change) => {
                services::change_secret(conn, &change.what)?;
                audit(
                    conn,
                    (pos, 0),
                    change,
                    "service.rotate_secret",
                    change.what.service.as_str(),
                    &Value::Null,
                )
            }
            Record::ServiceDeleted(change) => {
                callbacks::forget_service(conn, &change.what)?;
                self.callbacks = true;
                touch(conn, &change.what)?;
                services::delete(conn, &change.what)?;
                audit(conn, (pos, 0), change, "service.delete", change.what.as_str(), &Value::Null)
            }
            _ => Ok(()),
        }
    }

    fn sessions_ended(&mut self, conn: &Connection, pos: Pos, ended: &SessionsEnded) -> rusqlite::Result<()> {
        conn.prepare_cached("DELETE FROM revoked WHERE until <= ?1")?.execute([ended.at.millis()])?;
        for session in &ended.sessions {
            conn.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([session.as_str()])?;
            conn.prepare_cached("INSERT OR REPLACE INTO revoked(session, until) VALUES(?1, ?2)")?
                .execute(params![session.as_str(), ended.remember_until.millis()])?;
            self.revoked.push((session.clone(), ended.remember_until));
        }
        self.effects.push((pos, Effect::SessionsEnded(ended.user.clone(), ended.sessions.clone())));
        Ok(())
    }
}

fn session_opened(conn: &Connection, opened: &SessionOpened) -> rusqlite::Result<()> {
    // A session whose refresh token has expired is of no use to anyone.
    conn.prepare_cached("DELETE FROM session WHERE expires_at <= ?1")?.execute([opened.at.millis()])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO session(id, user, device, device_type, device_name, provider, refresh_hash,
             created_at, refreshed_at, expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
    )?
    .execute(params![
        opened.id.as_str(),
        opened.user.as_str(),
        opened.device.as_str(),
        opened.device_type.as_str(),
        opened.device_name,
        opened.provider.as_str(),
        opened.refresh_hash.as_str(),
        opened.at.millis(),
        opened.expires_at.millis()
    ])?;
    Ok(())
}

fn session_refreshed(conn: &Connection, refreshed: &SessionRefreshed) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE session SET refresh_hash = ?2, refreshed_at = ?3, expires_at = ?4, replaced_hash = ?5,
             replaced_until = ?6 WHERE id = ?1",
    )?
    .execute(params![
        refreshed.id.as_str(),
        refreshed.refresh_hash.as_str(),
        refreshed.at.millis(),
        refreshed.expires_at.millis(),
        refreshed.replaced.hash.as_str(),
        refreshed.replaced.until.millis()
    ])?;
    Ok(())
}

fn open_roles(conn: &Connection, user: &UserId) -> rusqlite::Result<Vec<GroupKey>> {
    let groups = open_groups(conn, user)?;
    Ok(groups.into_iter().filter(|key| key.kind == GroupKind::Role).collect())
}

/// What a user is a member of.
fn open_groups(conn: &Connection, user: &UserId) -> rusqlite::Result<Vec<GroupKey>> {
    conn.prepare_cached("SELECT kind, group_id FROM membership WHERE user = ?1 AND to_pos IS NULL")?
        .query_map([user.as_str()], |row| {
            let kind = match row.get_ref(0)?.as_str()? {
                "role" => GroupKind::Role,
                _ => GroupKind::Channel,
            };
            Ok(GroupKey { kind, id: row.get_ref(1)?.as_str()?.into() })
        })?
        .collect()
}

fn count_members(conn: &Connection, key: &GroupKey, by: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE groups SET member_count = member_count + ?3 WHERE kind = ?1 AND id = ?2")?
        .execute(params![key.kind.as_str(), key.id.as_str(), by])?;
    Ok(())
}

fn audit<T>(
    conn: &Connection,
    (pos, n): (Pos, usize),
    change: &Change<T>,
    action: &str,
    target: &str,
    details: &Value,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO audit(pos, n, at, actor, action, target, details)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        pos as i64,
        n as i64,
        change.at.millis(),
        change.actor.as_str(),
        action,
        target,
        details.to_string()
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::ServicePut;
    use hongyan_wire::account::DeviceType;
    use hongyan_wire::admin::ServiceType;
    use hongyan_wire::{DeviceId, RoleId};
    use std::sync::Arc;

    fn change<T>(what: T) -> Change<T> {
        Change { actor: "admin".into(), at: Timestamp::from_millis(5), what }
    }

    fn put(id: &str, username: &str, roles: Option<&[&str]>) -> UserPut {
        UserPut {
            id: UserId::new(id).unwrap(),
            username: username.into(),
            name: id.into(),
            email: None,
            password_hash: None,
            department: None,
            roles: roles.map(|roles| roles.iter().map(|role| RoleId::new(role).unwrap()).collect()),
        }
    }

    fn role(id: &str) -> GroupKey {
        GroupKey { kind: GroupKind::Role, id: id.into() }
    }

    fn history() -> Vec<Logged> {
        let group = |id: &str, members: &[&str]| GroupPut {
            key: role(id),
            name: id.into(),
            description: String::new(),
            channel_kind: ChannelKind::Public,
            members: members.iter().map(|user| UserId::new(user).unwrap()).collect(),
        };
        let member = |id: &str, user: &str, joined| MembersChange {
            key: role(id),
            user: UserId::new(user).unwrap(),
            joined,
        };
        let session = SessionId::new("s1").unwrap();
        let opened = SessionOpened {
            id: session.clone(),
            user: UserId::new("ann").unwrap(),
            device: DeviceId::new("d1").unwrap(),
            device_type: DeviceType::Web,
            device_name: String::new(),
            provider: "local".into(),
            refresh_hash: "h".into(),
            at: Timestamp::from_millis(6),
            expires_at: Timestamp::from_millis(i64::MAX),
        };
        let ended = SessionsEnded {
            user: opened.user.clone(),
            sessions: vec![session],
            at: Timestamp::from_millis(7),
            remember_until: Timestamp::from_millis(i64::MAX),
        };
        let service = ServicePut {
            id: ServiceId::new("svc").unwrap(),
            name: "svc".into(),
            service_type: ServiceType::Internal,
            owner: None,
            key_prefix: "abc".into(),
            key_hash: "h".into(),
            status: ServiceStatus::Active,
            permissions: None,
            rate_limit: None,
            default_recipients: Vec::new(),
            callback_url: None,
            callback_secret: crate::log::record::Sealed(String::new()),
        };
        let records = vec![
            Record::GroupPut(Box::new(change(group("ops", &[])))),
            Record::UsersPut(change(vec![put("ann", "ann", Some(&["ops"])), put("bob", "bob", None)])),
            Record::GroupPut(Box::new(change(group("dev", &["ann", "bob", "nobody"])))),
            // A username that is taken: nothing happens, everywhere.
            Record::UsersPut(change(vec![put("cid", "ANN", None)])),
            Record::MembersChanged(change(member("ops", "bob", true))),
            Record::MembersChanged(change(member("ops", "bob", true))),
            Record::MembersChanged(change(member("dev", "ann", false))),
            Record::UsersPut(change(vec![put("ann", "anna", Some(&[]))])),
            Record::ServicePut(Box::new(change(service))),
            Record::SessionOpened(Box::new(opened)),
            Record::SessionsEnded(ended),
            Record::UserStatus(change(UserStatusChange {
                user: UserId::new("bob").unwrap(),
                status: UserStatus::Disabled,
            })),
        ];
        let logged = |(n, record)| Logged { pos: n as Pos + 1, record: Arc::new(record) };
        records.into_iter().enumerate().map(logged).collect()
    }

    #[test]
    fn whatever_an_import_names_more_than_once_can_be_applied() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(&dir.path().join("directory.db")).unwrap();
        let sets: [&[&str]; 4] = [&["ops"], &["dev"], &["ops", "dev"], &[]];
        let mut records = vec![Record::GroupPut(Box::new(change(GroupPut {
            key: role("ops"),
            name: "ops".into(),
            description: String::new(),
            channel_kind: ChannelKind::Public,
            members: Vec::new(),
        })))];
        // Every order of three lines about one user, as one record each.
        for (a, b, c) in (0..64).map(|n| (n % 4, n / 4 % 4, n / 16)) {
            records.push(Record::UsersPut(change(vec![
                put("ann", "ann", Some(sets[a])),
                put("ann", "ann", Some(sets[b])),
                put("ann", "ann", Some(sets[c])),
            ])));
            let pos = records.len() as Pos;
            let batch = [Logged { pos, record: Arc::new(records.pop().unwrap()) }];
            records.push((*batch[0].record).clone());
            directory.apply(&batch).unwrap();
            let mut wanted: Vec<&str> = sets[c].to_vec();
            wanted.sort_unstable();
            let mut held: Vec<String> = directory
                .person(&UserId::new("ann").unwrap())
                .unwrap()
                .unwrap()
                .roles()
                .iter()
                .map(ToString::to_string)
                .collect();
            held.sort_unstable();
            assert_eq!(held, wanted, "{a} {b} {c}");
        }
    }

    /// Every row of every table.
    fn dump(directory: &Directory) -> Vec<String> {
        let writer = directory.writer.lock();
        let tables = [
            "meta",
            "user",
            "groups",
            "membership",
            "service",
            "template",
            "template_version",
            "schedule",
            "thread",
            "session",
            "revoked",
            "audit",
        ];
        let mut rows = Vec::new();
        for table in tables {
            let mut statement = writer.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let read = statement.query_map([], |row| {
                (0..columns)
                    .map(|n| row.get::<_, rusqlite::types::Value>(n))
                    .collect::<rusqlite::Result<Vec<_>>>()
            });
            rows.extend(read.unwrap().map(|row| format!("{table} {:?}", row.unwrap())));
        }
        rows
    }

    #[test]
    fn the_same_records_give_the_same_directory_however_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Directory::open(&dir.path().join(name)).unwrap();
        let (whole, single, again) = (open("whole"), open("single"), open("again"));
        let history = history();
        whole.apply(&history).unwrap();
        for logged in &history {
            single.apply(std::slice::from_ref(logged)).unwrap();
        }
        for end in [3, 7, 5, history.len()] {
            again.apply(&history[..end]).unwrap();
        }
        assert_eq!(dump(&whole), dump(&single));
        assert_eq!(dump(&whole), dump(&again));
        drop(whole);
        let reopened = open("whole");
        assert_eq!(dump(&reopened), dump(&single));
        assert!(reopened.is_revoked(&SessionId::new("s1").unwrap()));
    }

    #[test]
    fn what_is_cached_is_never_older_than_what_was_applied() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(&dir.path().join("directory.db")).unwrap();
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
        for logged in history() {
            directory.apply(&[logged]).unwrap();
            // Fills the caches between all changes.
            for id in [&ann, &bob] {
                let _ = directory.person(id).unwrap();
            }
            let _ = (directory.user_named("ann").unwrap(), directory.group(&role("ops")).unwrap());
        }
        assert_eq!(directory.person(&ann).unwrap().unwrap().username, "anna");
        assert_eq!(directory.user_named("ann").unwrap(), None);
        assert_eq!(directory.user_named("Anna").unwrap().as_deref(), Some(&ann));
        assert!(directory.person(&bob).unwrap().unwrap().disabled);
        assert_eq!(directory.group(&role("ops")).unwrap().unwrap().member_count, 1);
        assert_eq!(directory.user_count(), 2);
    }
}
