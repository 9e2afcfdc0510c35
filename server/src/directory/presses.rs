//! Who has pressed what.

use super::store::{Directory, DirectoryError, exists};
use crate::log::record::{PressMade, Recalled};
use hongyan_wire::message::{AnswerMode, Pressed};
use hongyan_wire::receipt::PressCount;
use hongyan_wire::{MessageId, Timestamp, UserId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Milliseconds after which a press is forgotten here; inboxes still show it: 90 days.
const LIFE: i64 = 90 * 24 * 60 * 60 * 1000;

impl Directory {
    /// The answer that counts for a reader, if there is one.
    pub fn press(
        &self,
        id: &MessageId,
        mode: AnswerMode,
        user: &UserId,
    ) -> Result<Option<Pressed>, DirectoryError> {
        let own = matches!(mode, AnswerMode::Each).then_some(user.as_str());
        self.reading(|conn| {
            conn.prepare_cached(
                "SELECT action, user, name, at FROM press WHERE message_id = ?1 AND (?2 IS NULL OR user = ?2) LIMIT 1",
            )?
            .query_row(params![id.as_str(), own], pressed)
            .optional()
        })
    }

    /// How often each action of a message was pressed, the most pressed first.
    pub fn press_counts(&self, id: &MessageId) -> Result<Vec<PressCount>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached(
                "SELECT action, count(*) FROM press WHERE message_id = ?1 GROUP BY action ORDER BY count(*) DESC, action",
            )?
            .query_map([id.as_str()], |row| {
                let count: i64 = row.get(1)?;
                Ok(PressCount { action: row.get(0)?, count: count as u64 })
            })?
            .collect()
        })
    }

    /// Whether a message was taken back.
    pub fn is_recalled(&self, id: &MessageId) -> Result<bool, DirectoryError> {
        self.reading(|conn| exists(conn, "SELECT 1 FROM recalled WHERE message_id = ?1", [id.as_str()]))
    }
}

/// Notes that a message was taken back.
pub(super) fn recall(conn: &Connection, recalled: &Recalled) -> rusqlite::Result<()> {
    let at = recalled.at;
    conn.prepare_cached("DELETE FROM recalled WHERE at < ?1")?.execute([at.plus_millis(-LIFE).millis()])?;
    conn.prepare_cached("INSERT OR IGNORE INTO recalled(message_id, at) VALUES(?1, ?2)")?
        .execute(params![recalled.id.as_str(), at.millis()])?;
    Ok(())
}

/// Takes a user who is deleted out of what they have pressed; what counts for others stays, without a name.
pub(super) fn forget_user(conn: &Connection, user: &UserId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM press WHERE user = ?1 AND NOT shared")?.execute([user.as_str()])?;
    conn.prepare_cached("UPDATE press SET user = ?2, name = '' WHERE user = ?1")?
        .execute([user.as_str(), UserId::nobody().as_str()])?;
    Ok(())
}

/// Notes a press, unless that reader has pressed before or the message was taken back; gives whether it was noted.
pub(super) fn put(conn: &Connection, made: &PressMade) -> rusqlite::Result<bool> {
    let pressed = &made.pressed;
    conn.prepare_cached("DELETE FROM press WHERE at < ?1")?
        .execute([pressed.at.plus_millis(-LIFE).millis()])?;
    let noted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO press(message_id, user, name, action, at, shared)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS(SELECT 1 FROM recalled WHERE message_id = ?1)",
        )?
        .execute(params![
            made.id.as_str(),
            pressed.by.as_str(),
            pressed.name,
            pressed.action,
            pressed.at.millis(),
            made.is_shared()
        ])?;
    Ok(noted > 0)
}

fn pressed(row: &Row<'_>) -> rusqlite::Result<Pressed> {
    Ok(Pressed {
        action: row.get(0)?,
        by: UserId::new(row.get_ref(1)?.as_str()?)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error)))?,
        name: row.get(2)?,
        at: Timestamp::from_millis(row.get(3)?),
    })
}
