//! What the record of a restored backup does to an inbox: reads no clock, and gives the same however often and whenever it
//! is applied.

use super::super::InboxError;
use super::super::apply::{Deltas, earlier};
use crate::log::Pos;
use crate::log::record::Restored;
use hongyan_wire::{ChannelId, Timestamp};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;

/// The columns of a message, its place first.
const COLUMNS: &str =
    "pos, id, channel_id, title, content, message_type, priority, sender, sender_info, created_at,
    expire_at, metadata, attachments, actions, replaces, thread_key, pressed";

/// A backup that is put into an inbox.
pub(in super::super) struct Restore<'a> {
    /// `None`: it is gone. Then the record brings nothing, and keeps nobody from their inbox.
    file: Option<Connection>,
    restored: &'a Restored,
}

impl<'a> Restore<'a> {
    /// Takes the folder of the person's backups.
    pub fn open(folder: &Path, restored: &'a Restored) -> Self {
        let path = folder.join(format!("{}.db", restored.file));
        let file = hongyan_backup::reopen(&path)
            .inspect_err(|error| {
                let user = &restored.user;
                tracing::error!(target: "hongyan::error", %user, %error, "a backup that was to be put back is gone");
            })
            .ok();
        Self { file, restored }
    }

    /// Puts back messages that are not there. `pos` is the record's own place.
    pub fn put_messages(
        &self,
        conn: &Connection,
        pos: Pos,
        totals: &mut Deltas,
        next_expiry: &mut Option<Timestamp>,
    ) -> Result<(), InboxError> {
        if let Some(file) = &self.file {
            if self.restored.is_ours {
                self.unless_unreadable(self.put_amended(file, conn))?;
            }
            self.unless_unreadable(self.put_rows(file, conn, totals, next_expiry))?;
        }
        conn.prepare_cached("INSERT OR REPLACE INTO main.meta(key, value) VALUES('restored', ?1)")?
            .execute([pos as i64])?;
        Ok(())
    }

    fn put_rows(
        &self,
        file: &Connection,
        conn: &Connection,
        totals: &mut Deltas,
        next_expiry: &mut Option<Timestamp>,
    ) -> Result<(), InboxError> {
        let mut recalled = recalled(conn)?;
        recalled.extend(self.restored.recalled.iter().map(ToString::to_string));
        let places = self.restored.places.iter();
        let mut places = places.flat_map(|(first, count)| *first..first.saturating_add(*count));
        let mut insert = conn.prepare_cached(&format!(
            "INSERT OR IGNORE INTO main.message({COLUMNS})
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        ))?;
        let mut statement =
            file.prepare(&format!("SELECT {COLUMNS} FROM message ORDER BY pos")).map_err(of_file)?;
        let mut rows = statement.query([]).map_err(of_file)?;
        while let Some(row) = rows.next().map_err(of_file)? {
            let id: String = row.get(1).map_err(of_file)?;
            let expire_at: Option<i64> = row.get(10).map_err(of_file)?;
            let is_gone = is_over(expire_at, self.restored.at) || recalled.contains(&id);
            if is_gone || place_of(conn, &id)?.is_some() {
                continue;
            }
            let place = match self.restored.is_ours {
                true => row.get(0).map_err(of_file)?,
                // As many were taken as were missing then or may have gone since.
                false => match places.next() {
                    Some(place) => place as i64,
                    None => break,
                },
            };
            if put_row(&mut insert, row, place)? {
                *totals.entry(channel(row, 2).map_err(of_file)?).or_default() += 1;
                *next_expiry = earlier(*next_expiry, expire_at.map(Timestamp::from_millis));
            }
        }
        Ok(())
    }

    /// Takes over what is known of recalls and presses, so that a message that was taken back is known to be.
    fn put_amended(&self, file: &Connection, conn: &Connection) -> Result<(), InboxError> {
        let mut insert = conn.prepare_cached(
            "INSERT OR IGNORE INTO main.amended(pos, message_id, at, replaced_by, pressed) VALUES(?1, ?2, ?3, ?4, ?5)",
        )?;
        let sql = "SELECT pos, message_id, at, replaced_by, pressed FROM amended ORDER BY pos";
        let mut statement = file.prepare(sql).map_err(of_file)?;
        let mut rows = statement.query([]).map_err(of_file)?;
        while let Some(row) = rows.next().map_err(of_file)? {
            put_row(&mut insert, row, row.get(0).map_err(of_file)?)?;
        }
        Ok(())
    }

    /// Takes over states that are later than those that are there. Each of the file's takes the next number.
    pub fn put_states(
        &self,
        conn: &Connection,
        version: &mut u64,
        read: &mut Deltas,
    ) -> Result<(), InboxError> {
        let first = *version + 1;
        // Whatever becomes of them: numbers never depend on when something is applied.
        *version += self.restored.states;
        match &self.file {
            Some(file) => self.unless_unreadable(self.put_state_rows(file, conn, first..=*version, read)),
            None => Ok(()),
        }
    }

    /// A file that has become unreadable since it was checked brings what could be read of it: the inbox goes on.
    fn unless_unreadable(&self, put: Result<(), InboxError>) -> Result<(), InboxError> {
        let is_of_file = match &put {
            Err(InboxError::Backup(_)) => true,
            // A value that the inbox does not take.
            Err(InboxError::Storage(error)) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            _ => false,
        };
        if let Err(error) = &put
            && is_of_file
        {
            let user = &self.restored.user;
            tracing::error!(target: "hongyan::error", %user, %error, "a backup could be put back only in part");
            return Ok(());
        }
        put
    }

    fn put_state_rows(
        &self,
        file: &Connection,
        conn: &Connection,
        mut numbers: RangeInclusive<u64>,
        read: &mut Deltas,
    ) -> Result<(), InboxError> {
        let sql =
            "SELECT message_id, is_read, read_at, changed_at, device_id FROM status ORDER BY version, pos";
        let mut statement = file.prepare(sql).map_err(of_file)?;
        let mut rows = statement.query([]).map_err(of_file)?;
        while let (Some(row), Some(number)) = (rows.next().map_err(of_file)?, numbers.next()) {
            let id: String = row.get(0).map_err(of_file)?;
            let (is_read, changed_at): (bool, i64) =
                (row.get(1).map_err(of_file)?, row.get(3).map_err(of_file)?);
            let Some((place, channel)) = place_of(conn, &id)? else { continue };
            let before = state_of(conn, place)?;
            if before.is_some_and(|(_, before)| before >= changed_at) {
                continue;
            }
            let delta = i64::from(is_read) - i64::from(before.is_some_and(|(was_read, _)| was_read));
            let channel_id = channel.as_deref().and_then(|channel| ChannelId::new(channel).ok());
            *read.entry(channel_id).or_default() += delta;
            conn.prepare_cached(
                "INSERT OR REPLACE INTO state.status
                     (pos, message_id, channel_id, is_read, read_at, version, changed_at, device_id)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                place as i64,
                id,
                channel,
                is_read,
                row.get::<_, Option<i64>>(2).map_err(of_file)?.filter(|_| is_read),
                number as i64,
                changed_at,
                row.get::<_, Option<String>>(4).map_err(of_file)?,
            ])?;
        }
        Ok(())
    }
}

/// Puts a row with its place as the first value; gives whether it was put.
fn put_row(insert: &mut rusqlite::Statement<'_>, row: &Row<'_>, place: i64) -> Result<bool, InboxError> {
    insert.raw_bind_parameter(1, place)?;
    for column in 1..row.as_ref().column_count() {
        let value = row.get_ref(column).map_err(of_file)?;
        insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(insert.raw_execute()? > 0)
}

fn channel(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<ChannelId>> {
    let channel: Option<String> = row.get(column)?;
    Ok(channel.and_then(|channel| ChannelId::new(&channel).ok()))
}

/// What is wrong with the file is nothing that the inbox can help.
pub(super) fn of_file(error: rusqlite::Error) -> InboxError {
    InboxError::Backup(error.into())
}

/// A message's place and channel, if the inbox has it.
pub(in super::super) fn place_of(
    conn: &Connection,
    id: &str,
) -> rusqlite::Result<Option<(Pos, Option<String>)>> {
    conn.prepare_cached("SELECT pos, channel_id FROM main.message WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)? as Pos, row.get(1)?)))
        .optional()
}

/// Whether what is at a place is read, and when that was said.
pub(super) fn state_of(conn: &Connection, place: Pos) -> rusqlite::Result<Option<(bool, i64)>> {
    conn.prepare_cached("SELECT is_read, changed_at FROM state.status WHERE pos = ?1")?
        .query_row([place as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

pub(super) fn is_over(expire_at: Option<i64>, at: Timestamp) -> bool {
    expire_at.is_some_and(|expire_at| expire_at <= at.millis())
}

/// The messages that were taken back by their senders, as far as that is remembered.
pub(super) fn recalled(conn: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut statement = conn.prepare("SELECT message_id FROM main.amended WHERE pressed IS NULL")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    ids.collect()
}
