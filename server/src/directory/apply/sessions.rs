//! Sessions: opened, refreshed, ended.

use super::{Outcome, audit, is_user};
use crate::directory::Effect;
use crate::directory::sessions::ids_of;
use crate::log::Pos;
use crate::log::record::{Change, SessionOpened, SessionRefreshed, SessionsEnded, SessionsSwept};
use hongyan_wire::{SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use smol_str::SmolStr;
use std::collections::BTreeMap;

impl Outcome {
    pub(super) fn sessions_ended(
        &mut self,
        conn: &Connection,
        pos: Pos,
        ended: &SessionsEnded,
    ) -> rusqlite::Result<()> {
        forget_old(conn, ended.at)?;
        let mut sessions = ended.sessions.clone();
        if ended.everything {
            // Also what was opened since the record was made.
            sessions.extend(ids_of(conn, &ended.user)?);
            sessions.sort_unstable();
            sessions.dedup();
        }
        for session in &sessions {
            self.session_ended(conn, session, ended.remember_until)?;
        }
        if ended.everything {
            self.refuse_before(conn, pos, &ended.user, ended.at)?;
        }
        self.effects.push((pos, Effect::SessionsEnded(ended.user.clone(), sessions)));
        Ok(())
    }

    pub(super) fn sessions_swept(
        &mut self,
        conn: &Connection,
        pos: Pos,
        change: &Change<SessionsSwept>,
    ) -> rusqlite::Result<()> {
        let SessionsSwept { sessions, remember_until, wholly } = &change.what;
        forget_old(conn, change.at)?;
        let mut by_user: BTreeMap<&UserId, Vec<SessionId>> = BTreeMap::new();
        for (user, session) in sessions {
            self.session_ended(conn, session, *remember_until)?;
            by_user.entry(user).or_default().push(session.clone());
        }
        for user in wholly {
            self.refuse_before(conn, pos, user, change.at)?;
        }
        let target = match (by_user.len(), by_user.keys().next()) {
            (1, Some(user)) => user.as_str(),
            _ => "",
        };
        audit(conn, (pos, 0), change, "session.end", target, &json!({ "sessions": sessions.len() }))?;
        let effects =
            by_user.into_iter().map(|(user, sessions)| (pos, Effect::SessionsEnded(user.clone(), sessions)));
        self.effects.extend(effects);
        Ok(())
    }

    /// A session, or a personal token, which ends likewise.
    fn session_ended(
        &mut self,
        conn: &Connection,
        session: &SessionId,
        remember_until: Timestamp,
    ) -> rusqlite::Result<()> {
        conn.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([session.as_str()])?;
        let token: Option<String> = conn
            .prepare_cached("DELETE FROM token WHERE id = ?1 RETURNING prefix")?
            .query_row([session.as_str()], |row| row.get(0))
            .optional()?;
        self.tokens.extend(token.map(SmolStr::from));
        conn.prepare_cached("INSERT OR REPLACE INTO revoked(session, until) VALUES(?1, ?2)")?
            .execute(params![session.as_str(), remember_until.millis()])?;
        self.revoked.push((session.clone(), remember_until));
        Ok(())
    }

    fn refuse_before(
        &mut self,
        conn: &Connection,
        pos: Pos,
        user: &UserId,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        conn.prepare_cached("UPDATE user SET tokens_since = ?2 WHERE id = ?1")?
            .execute(params![user.as_str(), at.millis()])?;
        self.people.push(user.clone());
        self.effects.push((pos, Effect::AllEnded(user.clone())));
        Ok(())
    }
}

fn forget_old(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM revoked WHERE until <= ?1")?.execute([now.millis()])?;
    Ok(())
}

pub(super) fn opened(conn: &Connection, opened: &SessionOpened) -> rusqlite::Result<()> {
    if !is_user(conn, &opened.user)? {
        return Ok(());
    }
    // A session whose refresh token has expired is of no use to anyone.
    conn.prepare_cached("DELETE FROM session WHERE expires_at <= ?1")?.execute([opened.at.millis()])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO session(id, user, device, device_type, device_name, provider, refresh_hash,
             created_at, refreshed_at, expires_at, kept, address, family_hash)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12)",
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
        opened.expires_at.millis(),
        opened.kept.as_str(),
        opened.address.as_deref(),
        opened.family_hash.as_str(),
    ])?;
    Ok(())
}

pub(super) fn refreshed(conn: &Connection, refreshed: &SessionRefreshed) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE session SET refresh_hash = ?2, refreshed_at = ?3, expires_at = ?4, replaced_hash = ?5,
             replaced_until = ?6, address = coalesce(?7, address) WHERE id = ?1",
    )?
    .execute(params![
        refreshed.id.as_str(),
        refreshed.refresh_hash.as_str(),
        refreshed.at.millis(),
        refreshed.expires_at.millis(),
        refreshed.replaced.hash.as_str(),
        refreshed.replaced.until.millis(),
        refreshed.address.as_deref(),
    ])?;
    Ok(())
}
