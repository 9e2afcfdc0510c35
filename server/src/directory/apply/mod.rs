//! The fold: each record changes the directory in one way only, whenever it is read. No clock and no
//! randomness; a record that cannot be (a username that is taken) changes nothing, everywhere.

mod accounts;
mod groups;
mod people;
mod services;
mod sessions;
#[cfg(test)]
mod tests;

use super::store::{Directory, DirectoryError};
use super::{callbacks, presses, schedule, templates, threads};
use crate::log::record::{Change, GroupKey, Record};
use crate::log::{Logged, Pos};
use hongyan_wire::{SessionId, TemplateId, Timestamp, UserId};
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
    /// All that were opened before, whatever session they belong to.
    AllEnded(UserId),
}

/// What one batch changes outside the database, once it is committed.
#[derive(Default)]
struct Outcome {
    effects: Vec<(Pos, Effect)>,
    people: Vec<UserId>,
    groups: Vec<GroupKey>,
    service_keys: Vec<SmolStr>,
    /// Personal tokens, by their prefixes.
    tokens: Vec<SmolStr>,
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
        for key in &outcome.tokens {
            self.tokens.remove(key);
        }
        for id in &outcome.templates {
            self.templates.remove(id);
        }
        if !outcome.revoked.is_empty() {
            let now = crate::clock::now();
            let mut revoked = self.revoked.write();
            if self.revoked_swept.load(Ordering::Relaxed) + SWEEP_EVERY < now.millis() {
                self.revoked_swept.store(now.millis(), Ordering::Relaxed);
                revoked.retain(|_, until| *until > now);
            }
            revoked.extend(outcome.revoked);
        }
        self.user_count.fetch_add(outcome.new_users, Ordering::Relaxed);
        self.user_count.fetch_sub(outcome.lost_users, Ordering::Relaxed);
        self.applied.store(last, Ordering::Release);
        Ok(outcome.effects)
    }
}

/// Milliseconds between two looks for ended sessions that need not be remembered any more.
const SWEEP_EVERY: i64 = 60_000;

/// Whether somebody is a user.
fn is_user(conn: &Connection, user: &UserId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM user WHERE id = ?1")?.exists([user.as_str()])
}

/// Whether a record changes the directory at all.
fn concerns(record: &Record) -> bool {
    match record {
        Record::Message(posted) => posted.was_scheduled || posted.message.thread_key.is_some(),
        Record::Marked(_) | Record::Restored(_) | Record::Place | Record::Erased => false,
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
            Record::Marked(_) | Record::Restored(_) | Record::Place | Record::Erased => Ok(()),
            Record::Recalled(recalled) => presses::recall(conn, recalled),
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
            Record::OwnersChanged(change) => self.owners(conn, pos, change),
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
            Record::SessionOpened(opened) => sessions::opened(conn, opened),
            Record::SessionRefreshed(refreshed) => sessions::refreshed(conn, refreshed),
            Record::SessionsEnded(ended) => self.sessions_ended(conn, pos, ended),
            Record::SessionsSwept(change) => self.sessions_swept(conn, pos, change),
            Record::TokenMade(_)
            | Record::IdentityLinked(_)
            | Record::IdentityUnlinked(_)
            | Record::ProfileChanged(_)
            | Record::AvatarSet(_)
            | Record::PasswordSet(_)
            | Record::LinkMade(_)
            | Record::LinkUsed(_)
            | Record::TotpSet(_)
            | Record::RecoveryUsed(_)
            | Record::PasskeyPut(_)
            | Record::PasskeyDeleted(_) => self.account(conn, pos, record),
            Record::Noted(change) => {
                let noted = &change.what;
                audit(conn, (pos, 0), change, &noted.action, &noted.target, &Value::Null)
            }
        }
    }
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
