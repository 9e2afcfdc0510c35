//! Sessions: opened, refreshed, ended.

use super::Outcome;
use crate::directory::Effect;
use crate::log::Pos;
use crate::log::record::{SessionOpened, SessionRefreshed, SessionsEnded};
use rusqlite::{Connection, params};

impl Outcome {
    pub(super) fn sessions_ended(
        &mut self,
        conn: &Connection,
        pos: Pos,
        ended: &SessionsEnded,
    ) -> rusqlite::Result<()> {
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

pub(super) fn opened(conn: &Connection, opened: &SessionOpened) -> rusqlite::Result<()> {
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

pub(super) fn refreshed(conn: &Connection, refreshed: &SessionRefreshed) -> rusqlite::Result<()> {
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
