//! A person's own account: identities, passwords, second factors, passkeys, pictures, personal tokens.

use super::{Outcome, audit, is_user};
use crate::log::Pos;
use crate::log::record::{
    AvatarSet, Change, IdentityKey, IdentityLinked, LinkMade, PasskeyKey, PasskeyPut, PasswordSet,
    ProfileChange, Record, RecoveryUsed, Subject, TokenMade, TotpSet,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hongyan_wire::UserId;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

impl Outcome {
    /// Applies a change of someone's account. Who is there no more has none: whoever gets the id next must not inherit
    /// what was still on its way.
    pub(super) fn account(&mut self, conn: &Connection, pos: Pos, record: &Record) -> rusqlite::Result<()> {
        match owner(record) {
            Some(user) if is_user(conn, user)? => {}
            _ => return Ok(()),
        }
        match record {
            Record::TokenMade(change) => self.token_made(conn, pos, change),
            Record::IdentityLinked(change) => self.identity_linked(conn, pos, change),
            Record::IdentityUnlinked(change) => identity_unlinked(conn, pos, change),
            Record::ProfileChanged(change) => self.profile_changed(conn, pos, change),
            Record::AvatarSet(change) => self.avatar_set(conn, pos, change),
            Record::PasswordSet(change) => self.password_set(conn, pos, change),
            Record::LinkMade(change) => link_made(conn, pos, change),
            Record::LinkUsed(change) => {
                conn.prepare_cached("DELETE FROM link WHERE user = ?1")?.execute([change.what.as_str()])?;
                audit(conn, (pos, 0), change, "user.link_use", change.what.as_str(), &Value::Null)
            }
            Record::TotpSet(change) => totp_set(conn, pos, change),
            Record::RecoveryUsed(change) => recovery_used(conn, pos, change),
            Record::PasskeyPut(change) => passkey_put(conn, pos, change),
            Record::PasskeyDeleted(change) => passkey_deleted(conn, pos, change),
            _ => Ok(()),
        }
    }

    fn token_made(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<TokenMade>,
    ) -> rusqlite::Result<()> {
        let made = &change.what;
        conn.prepare_cached("DELETE FROM token WHERE expires_at <= ?1")?.execute([change.at.millis()])?;
        let scopes: Vec<&str> = made.scopes.iter().map(|scope| scope.as_str()).collect();
        conn.prepare_cached(
            "INSERT OR REPLACE INTO token(prefix, id, user, name, scopes, hash, created_at, expires_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            made.prefix.as_str(),
            made.id.as_str(),
            made.user.as_str(),
            made.name,
            scopes.join("\n"),
            made.hash.as_str(),
            change.at.millis(),
            made.expires_at.map(|at| at.millis()),
        ])?;
        self.tokens.push(made.prefix.clone());
        let details = json!({ "name": made.name, "scopes": made.scopes });
        audit(conn, (pos, 0), change, "user.token_make", made.user.as_str(), &details)
    }

    fn identity_linked(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<IdentityLinked>,
    ) -> rusqlite::Result<()> {
        let linked = &change.what;
        let known: Option<i64> = conn
            .prepare_cached("SELECT linked_at FROM identity WHERE id = ?1")?
            .query_row([linked.id.as_str()], |row| row.get(0))
            .optional()?;
        if linked.is_update && known.is_none() {
            return Ok(());
        }
        for Subject { provider, tenant, subject } in linked.before.iter().chain([&linked.subject]) {
            conn.prepare_cached("DELETE FROM identity WHERE provider = ?1 AND tenant = ?2 AND subject = ?3")?
                .execute([provider.as_str(), tenant.as_str(), subject.as_str()])?;
        }
        let Subject { provider, tenant, subject } = &linked.subject;
        conn.prepare_cached(
            "INSERT OR REPLACE INTO identity(id, user, provider, tenant, subject, name, email, linked_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            linked.id.as_str(),
            linked.user.as_str(),
            provider.as_str(),
            tenant.as_str(),
            subject.as_str(),
            linked.name,
            linked.email,
            known.unwrap_or(change.at.millis()),
        ])?;
        if known.is_some() {
            return Ok(());
        }
        let details = json!({ "provider": provider, "tenant": tenant, "subject": subject });
        audit(conn, (pos, 0), change, "user.identity_link", linked.user.as_str(), &details)
    }

    fn profile_changed(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<ProfileChange>,
    ) -> rusqlite::Result<()> {
        let ProfileChange { user, name, email } = &change.what;
        conn.prepare_cached(
            "UPDATE user SET name = coalesce(?2, name), email = nullif(coalesce(?3, email), '') WHERE id = ?1",
        )?
        .execute(params![user.as_str(), name, email])?;
        self.people.push(user.clone());
        audit(conn, (pos, 0), change, "user.profile", user.as_str(), &Value::Null)
    }

    fn avatar_set(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<AvatarSet>,
    ) -> rusqlite::Result<()> {
        let AvatarSet { user, picture, name } = &change.what;
        let decoded = picture.as_ref().and_then(|picture| STANDARD.decode(picture).ok());
        match (decoded, name) {
            (Some(picture), Some(name)) => {
                conn.prepare_cached("INSERT OR REPLACE INTO avatar(user, name, picture) VALUES(?1, ?2, ?3)")?
                    .execute(params![user.as_str(), name.as_str(), picture])?;
            }
            _ => {
                conn.prepare_cached("DELETE FROM avatar WHERE user = ?1")?.execute([user.as_str()])?;
            }
        }
        conn.prepare_cached("UPDATE user SET avatar = ?2 WHERE id = ?1")?
            .execute(params![user.as_str(), name.as_ref().map(|name| name.as_str())])?;
        self.people.push(user.clone());
        audit(conn, (pos, 0), change, "user.avatar", user.as_str(), &Value::Null)
    }

    fn password_set(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<PasswordSet>,
    ) -> rusqlite::Result<()> {
        let PasswordSet { user, hash } = &change.what;
        conn.prepare_cached("UPDATE user SET password_hash = ?2 WHERE id = ?1")?
            .execute([user.as_str(), hash.0.as_str()])?;
        self.people.push(user.clone());
        audit(conn, (pos, 0), change, "user.password", user.as_str(), &Value::Null)
    }
}

/// Whose account a record changes.
fn owner(record: &Record) -> Option<&UserId> {
    Some(match record {
        Record::TokenMade(change) => &change.what.user,
        Record::IdentityLinked(change) => &change.what.user,
        Record::IdentityUnlinked(change) => &change.what.user,
        Record::ProfileChanged(change) => &change.what.user,
        Record::AvatarSet(change) => &change.what.user,
        Record::PasswordSet(change) => &change.what.user,
        Record::LinkMade(change) => &change.what.user,
        Record::LinkUsed(change) => &change.what,
        Record::TotpSet(change) => &change.what.user,
        Record::RecoveryUsed(change) => &change.what.user,
        Record::PasskeyPut(change) => &change.what.user,
        Record::PasskeyDeleted(change) => &change.what.user,
        _ => return None,
    })
}

/// Takes everything away that a user who is deleted could sign in with.
pub(super) fn delete(conn: &Connection, user: &UserId) -> rusqlite::Result<()> {
    for table in ["token", "identity", "link", "totp", "recovery", "passkey", "avatar"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE user = ?1"))?.execute([user.as_str()])?;
    }
    Ok(())
}

fn identity_unlinked(conn: &Connection, pos: Pos, change: &Change<IdentityKey>) -> rusqlite::Result<()> {
    let IdentityKey { user, id } = &change.what;
    conn.prepare_cached("DELETE FROM identity WHERE id = ?1 AND user = ?2")?
        .execute([id.as_str(), user.as_str()])?;
    audit(conn, (pos, 0), change, "user.identity_unlink", user.as_str(), &json!({ "id": id }))
}

fn link_made(conn: &Connection, pos: Pos, change: &Change<LinkMade>) -> rusqlite::Result<()> {
    let LinkMade { user, hash, until } = &change.what;
    conn.prepare_cached("DELETE FROM link WHERE until <= ?1")?.execute([change.at.millis()])?;
    conn.prepare_cached("INSERT OR REPLACE INTO link(user, hash, until) VALUES(?1, ?2, ?3)")?
        .execute(params![user.as_str(), hash.as_str(), until.millis()])?;
    audit(conn, (pos, 0), change, "user.link_make", user.as_str(), &json!({ "until": until }))
}

fn totp_set(conn: &Connection, pos: Pos, change: &Change<TotpSet>) -> rusqlite::Result<()> {
    let TotpSet { user, secret, recovery } = &change.what;
    conn.prepare_cached("DELETE FROM recovery WHERE user = ?1")?.execute([user.as_str()])?;
    match secret {
        Some(secret) => conn
            .prepare_cached("INSERT OR REPLACE INTO totp(user, secret) VALUES(?1, ?2)")?
            .execute([user.as_str(), secret.0.as_str()])?,
        None => conn.prepare_cached("DELETE FROM totp WHERE user = ?1")?.execute([user.as_str()])?,
    };
    for hash in recovery {
        conn.prepare_cached("INSERT OR REPLACE INTO recovery(user, hash) VALUES(?1, ?2)")?
            .execute([user.as_str(), hash.as_str()])?;
    }
    let action = if secret.is_some() { "user.totp_on" } else { "user.totp_off" };
    audit(conn, (pos, 0), change, action, user.as_str(), &Value::Null)
}

fn recovery_used(conn: &Connection, pos: Pos, change: &Change<RecoveryUsed>) -> rusqlite::Result<()> {
    let RecoveryUsed { user, hash } = &change.what;
    conn.prepare_cached("DELETE FROM recovery WHERE user = ?1 AND hash = ?2")?
        .execute([user.as_str(), hash.as_str()])?;
    audit(conn, (pos, 0), change, "user.recovery_use", user.as_str(), &Value::Null)
}

fn passkey_put(conn: &Connection, pos: Pos, change: &Change<PasskeyPut>) -> rusqlite::Result<()> {
    let PasskeyPut { user, id, name, key, is_update } = &change.what;
    let is_new = conn
        .prepare_cached("UPDATE passkey SET name = ?3, key = ?4 WHERE id = ?1 AND user = ?2")?
        .execute([id.as_str(), user.as_str(), name, key])?
        == 0;
    if !is_new || *is_update {
        return Ok(());
    }
    conn.prepare_cached("INSERT INTO passkey(id, user, name, key, created_at) VALUES(?1, ?2, ?3, ?4, ?5)")?
        .execute(params![id.as_str(), user.as_str(), name, key, change.at.millis()])?;
    audit(conn, (pos, 0), change, "user.passkey_add", user.as_str(), &json!({ "name": name }))
}

fn passkey_deleted(conn: &Connection, pos: Pos, change: &Change<PasskeyKey>) -> rusqlite::Result<()> {
    let PasskeyKey { user, id } = &change.what;
    conn.prepare_cached("DELETE FROM passkey WHERE id = ?1 AND user = ?2")?
        .execute([id.as_str(), user.as_str()])?;
    audit(conn, (pos, 0), change, "user.passkey_delete", user.as_str(), &json!({ "id": id }))
}
