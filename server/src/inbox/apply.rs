//! What the log's records do to an inbox. Reads no clock; a record at or before a file's watermark
//! changes nothing in that file, so applying a record twice is applying it once.

use super::InboxError;
use super::file::Inbox;
use super::restore::{Restore, place_of};
use crate::log::record::{Marked, Posted, PressMade, Recalled, Record};
use crate::log::{Logged, Pos};
use hongyan_backup::AMENDED_LIFE;
use hongyan_wire::frame::StatusUpdate;
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};

/// Messages that expire in one step.
const EXPIRE_STEP: usize = 1_000;

/// By how much the counts of channels change.
pub(super) type Deltas = BTreeMap<Option<ChannelId>, i64>;

impl Inbox {
    /// Takes in messages, given in order.
    pub(super) fn apply_messages(&mut self, records: &[Logged]) -> Result<(), InboxError> {
        let applied = self.messages_applied;
        let Some(last) = records.last().map(|l| l.pos).filter(|last| *last > applied) else { return Ok(()) };
        let mut recalled = BTreeSet::new();
        for logged in records.iter().filter(|logged| logged.pos > applied) {
            if let Record::Recalled(of) = &*logged.record {
                // Where the log has it, as its state may be there before it; and where it came to with a backup.
                recalled.insert(of.target as i64);
                recalled.extend(place_of(&self.conn, of.id.as_str())?.map(|(place, _)| place as i64));
            }
        }
        // One may be taken back twice; its state goes once.
        self.let_go_of_states(&recalled)?;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut totals = Deltas::new();
        let mut next_expiry = self.next_expiry;
        let mut last_restored = self.restored;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR IGNORE INTO main.message(pos, id, channel_id, title, content, message_type, priority,
                     sender, sender_info, created_at, expire_at, metadata, attachments, actions, replaces, thread_key)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?;
            for logged in records.iter().filter(|logged| logged.pos > applied) {
                match &*logged.record {
                    Record::Message(posted) if insert_message(&mut insert, logged.pos, posted)? => {
                        *totals.entry(posted.message.channel_id.clone()).or_default() += 1;
                        next_expiry = earlier(next_expiry, posted.message.expire_at);
                    }
                    Record::Recalled(recalled) => {
                        if let Some(channel) = recall(&transaction, logged.pos, recalled)? {
                            *totals.entry(channel).or_default() -= 1;
                        }
                    }
                    Record::Pressed(made) => press(&transaction, logged.pos, made)?,
                    Record::Restored(restored) => {
                        let restore = Restore::open(&self.restores, restored);
                        restore.put_messages(&transaction, logged.pos, &mut totals, &mut next_expiry)?;
                        last_restored = logged.pos;
                    }
                    _ => {}
                }
            }
        }
        add(&transaction, "main", &totals)?;
        transaction
            .prepare_cached("UPDATE main.meta SET value = ?1 WHERE key = 'applied'")?
            .execute([last as i64])?;
        transaction.commit()?;
        for (channel, delta) in totals {
            let count = self.counts.entry(channel).or_default();
            count.total = count.total.saturating_add_signed(delta);
        }
        self.messages_applied = last;
        self.next_expiry = next_expiry;
        self.restored = last_restored;
        Ok(())
    }

    /// Takes in the person's own changes, given in order, after all messages before them. Gives what
    /// changed, for the other devices.
    pub(super) fn apply_marks(&mut self, records: &[Logged]) -> Result<Vec<StatusUpdate>, InboxError> {
        let applied = self.status_applied;
        let Some(last) = records.last().map(|l| l.pos).filter(|last| *last > applied) else {
            return Ok(Vec::new());
        };
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut marking =
            Marking { conn: &transaction, version: self.version, read: Deltas::new(), updates: Vec::new() };
        for logged in records.iter().filter(|logged| logged.pos > applied) {
            match &*logged.record {
                Record::Marked(marked) => marking.apply(marked)?,
                Record::Restored(restored) => {
                    let restore = Restore::open(&self.restores, restored);
                    restore.put_states(&transaction, &mut marking.version, &mut marking.read)?;
                }
                _ => {}
            }
        }
        let Marking { version, read, updates, .. } = marking;
        add(&transaction, "state", &read)?;
        transaction
            .prepare_cached(
                "UPDATE state.meta SET value = CASE key WHEN 'applied' THEN ?1 ELSE ?2 END
                 WHERE key IN ('applied', 'version')",
            )?
            .execute([last as i64, version as i64])?;
        transaction.commit()?;
        self.add_read(&read);
        self.status_applied = last;
        self.version = version;
        Ok(updates)
    }

    /// Removes messages whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) -> Result<(), InboxError> {
        while self.next_expiry.is_some_and(|at| at <= now) {
            let expired: Vec<(i64, Option<String>)> = {
                let mut statement = self.conn.prepare_cached(
                    "SELECT pos, channel_id FROM main.message WHERE expire_at <= ?1 LIMIT ?2",
                )?;
                statement
                    .query_map(params![now.millis(), EXPIRE_STEP as i64], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?
                    .collect::<rusqlite::Result<_>>()?
            };
            self.remove(&expired)?;
            self.load_next_expiry()?;
        }
        Ok(())
    }

    fn remove(&mut self, messages: &[(i64, Option<String>)]) -> Result<(), InboxError> {
        let mut totals = Deltas::new();
        for (_, channel) in messages {
            let channel = channel.as_deref().and_then(|c| ChannelId::new(c).ok());
            *totals.entry(channel).or_default() -= 1;
        }
        self.let_go_of_states(&messages.iter().map(|(pos, _)| *pos).collect())?;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (pos, _) in messages {
            transaction.prepare_cached("DELETE FROM main.message WHERE pos = ?1")?.execute([pos])?;
        }
        add(&transaction, "main", &totals)?;
        transaction.commit()?;
        for (channel, delta) in totals {
            let count = self.counts.entry(channel).or_default();
            count.total = count.total.saturating_add_signed(delta);
        }
        Ok(())
    }

    /// Removes the states of messages that are about to go. They must be durably gone before the messages are, as
    /// the two files are not atomic together: so this one commit is flushed.
    fn let_go_of_states(&mut self, places: &BTreeSet<i64>) -> Result<(), InboxError> {
        let mut read = Deltas::new();
        let mut has_states = false;
        for pos in places {
            let state: Option<(Option<String>, bool)> = self
                .conn
                .prepare_cached("SELECT channel_id, is_read FROM state.status WHERE pos = ?1")?
                .query_row([pos], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            has_states |= state.is_some();
            if let Some((channel, true)) = state {
                let channel = channel.and_then(|c| ChannelId::new(&c).ok());
                *read.entry(channel).or_default() -= 1;
            }
        }
        if has_states {
            self.conn.pragma_update(Some("state"), "synchronous", "FULL")?;
            let gone = self.remove_states(places, &read);
            self.conn.pragma_update(Some("state"), "synchronous", "NORMAL")?;
            gone?;
            self.add_read(&read);
            self.faults.at("states of messages that go are durably gone")?;
        }
        Ok(())
    }

    fn remove_states(&mut self, places: &BTreeSet<i64>, read: &Deltas) -> Result<(), InboxError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for pos in places {
            transaction.prepare_cached("DELETE FROM state.status WHERE pos = ?1")?.execute([pos])?;
        }
        add(&transaction, "state", read)?;
        Ok(transaction.commit()?)
    }

    fn add_read(&mut self, deltas: &Deltas) {
        for (channel, delta) in deltas {
            let count = self.counts.entry(channel.clone()).or_default();
            count.read = count.read.saturating_add_signed(*delta);
        }
    }
}

/// One transaction over the person's own changes.
struct Marking<'a> {
    conn: &'a Connection,
    version: u64,
    read: Deltas,
    updates: Vec<StatusUpdate>,
}

impl Marking<'_> {
    fn apply(&mut self, marked: &Marked) -> rusqlite::Result<()> {
        for pos in &marked.places {
            let message: Option<(String, Option<String>)> = self
                .conn
                .prepare_cached("SELECT id, channel_id FROM main.message WHERE pos = ?1")?
                .query_row([*pos as i64], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match message {
                Some((id, channel)) => self.mark(marked, *pos, &id, channel.as_deref())?,
                // Expired since: its number is used all the same, so that numbers never depend on when
                // something is applied.
                None => self.version += 1,
            }
        }
        Ok(())
    }

    fn mark(&mut self, marked: &Marked, pos: Pos, id: &str, channel: Option<&str>) -> rusqlite::Result<()> {
        self.version += 1;
        let was_read: Option<bool> = self
            .conn
            .prepare_cached("SELECT is_read FROM state.status WHERE pos = ?1")?
            .query_row([pos as i64], |row| row.get(0))
            .optional()?;
        let delta = i64::from(marked.is_read) - i64::from(was_read.unwrap_or(false));
        if delta != 0 {
            let channel = channel.and_then(|c| ChannelId::new(c).ok());
            *self.read.entry(channel).or_default() += delta;
        }
        self.conn
            .prepare_cached(
                "INSERT INTO state.status(pos, message_id, channel_id, is_read, read_at, version, changed_at, device_id)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT(pos) DO UPDATE SET is_read = excluded.is_read, read_at = excluded.read_at,
                     version = excluded.version, changed_at = excluded.changed_at, device_id = excluded.device_id",
            )?
            .execute(params![
                pos as i64,
                id,
                channel,
                marked.is_read,
                marked.is_read.then_some(marked.at.millis()),
                self.version as i64,
                marked.at.millis(),
                marked.device.as_ref().map(|d| d.as_str())
            ])?;
        if let Ok(message_id) = MessageId::new(id) {
            let device = marked.device.clone();
            self.updates.push(StatusUpdate::own(message_id, marked.is_read, device, self.version, marked.at));
        }
        Ok(())
    }
}

fn insert_message(insert: &mut rusqlite::Statement<'_>, pos: Pos, posted: &Posted) -> rusqlite::Result<bool> {
    let message = &posted.message;
    let json = |value: serde_json::Result<String>| {
        value.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
    };
    let unless_empty = |empty: bool, value: serde_json::Result<String>| {
        if empty { Ok(None) } else { json(value).map(Some) }
    };
    let inserted = insert.execute(params![
        pos as i64,
        message.id.as_str(),
        message.channel_id.as_ref().map(|c| c.as_str()),
        message.title,
        message.content,
        message.message_type,
        message.priority,
        message.sender,
        json(serde_json::to_string(&message.sender_info))?,
        message.created_at.millis(),
        message.expire_at.map(Timestamp::millis),
        unless_empty(message.metadata.is_empty(), serde_json::to_string(&message.metadata))?,
        unless_empty(message.attachments.is_empty(), serde_json::to_string(&message.attachments))?,
        unless_empty(message.actions.is_empty(), serde_json::to_string(&message.actions))?,
        message.replaces.as_ref().map(|id| id.as_str()),
        message.thread_key,
    ])?;
    Ok(inserted > 0)
}

/// Takes a recalled message away; gives its channel if it was there.
fn recall(conn: &Connection, pos: Pos, recalled: &Recalled) -> rusqlite::Result<Option<Option<ChannelId>>> {
    let channel: Option<Option<String>> = conn
        // By its id: one that came with a backup may stand at another place than the log has it.
        .prepare_cached("DELETE FROM main.message WHERE id = ?1 RETURNING channel_id")?
        .query_row([recalled.id.as_str()], |row| row.get(0))
        .optional()?;
    // Also of one that is not there: a backup that has it may be put back.
    amend(conn, pos, &recalled.id, recalled.at, recalled.replaced_by.as_ref(), None)?;
    Ok(channel.map(|channel| channel.and_then(|c| ChannelId::new(&c).ok())))
}

/// Shows on a message what was pressed, if it is there and nothing was before.
fn press(conn: &Connection, pos: Pos, made: &PressMade) -> rusqlite::Result<()> {
    let pressed = serde_json::to_string(&made.pressed)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let shown = conn
        .prepare_cached("UPDATE main.message SET pressed = ?2 WHERE id = ?1 AND pressed IS NULL")?
        .execute(params![made.id.as_str(), pressed])?;
    if shown > 0 {
        amend(conn, pos, &made.id, made.pressed.at, None, Some(&pressed))?;
    }
    Ok(())
}

/// Notes what happened to a message, for clients that were away.
fn amend(
    conn: &Connection,
    pos: Pos,
    id: &MessageId,
    at: Timestamp,
    replaced_by: Option<&MessageId>,
    pressed: Option<&str>,
) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM main.amended WHERE at < ?1")?
        .execute([at.plus_millis(-AMENDED_LIFE).millis()])?;
    conn.prepare_cached(
        "INSERT OR IGNORE INTO main.amended(pos, message_id, at, replaced_by, pressed) VALUES(?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![pos as i64, id.as_str(), at.millis(), replaced_by.map(MessageId::as_str), pressed])?;
    Ok(())
}

fn add(conn: &Connection, schema: &str, deltas: &Deltas) -> rusqlite::Result<()> {
    if deltas.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO {schema}.total(channel_id, messages) VALUES(?1, ?2)
         ON CONFLICT(channel_id) DO UPDATE SET messages = messages + excluded.messages"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    for (channel, delta) in deltas {
        statement.execute(params![channel.as_ref().map_or("", |c| c.as_str()), delta])?;
    }
    Ok(())
}

pub(super) fn earlier(known: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (known, other) {
        (Some(known), Some(other)) => Some(known.min(other)),
        (known, other) => known.or(other),
    }
}
