//! What a person asks of their inbox.

use super::InboxError;
use super::file::{Count, Inbox};
use crate::directory::like;
use crate::log::Pos;
pub(super) use hongyan_backup::COLUMNS;
use hongyan_backup::message;
use hongyan_wire::api::{Change, UnreadCount};
use hongyan_wire::cursor::Cursor;
use hongyan_wire::frame::StatusUpdate;
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, DeviceId, MessageId, Timestamp};
use rusqlite::types::{Type, Value};
use rusqlite::{OptionalExtension, Row, params};

/// Which messages a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub channel: Option<ChannelId>,
    pub is_read: Option<bool>,
    pub message_type: Option<String>,
    pub min_priority: Option<u8>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub q: Option<String>,
}

impl Filter {
    /// Whether the kept counts know how many messages it finds.
    fn is_counted(&self) -> bool {
        self.message_type.is_none()
            && self.min_priority.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.q.is_none()
    }

    pub(super) fn to_sql(&self) -> (String, Vec<Value>) {
        let mut sql = String::from("1");
        let mut values = Vec::new();
        let mut and = |condition: &str, value: Option<Value>| {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.extend(value);
        };
        if let Some(channel) = &self.channel {
            and("m.channel_id = ?", Some(Value::Text(channel.to_string())));
        }
        match self.is_read {
            Some(true) => and("s.is_read = 1", None),
            Some(false) => and("s.is_read IS NOT 1", None),
            None => {}
        }
        if let Some(message_type) = &self.message_type {
            and("m.message_type = ?", Some(Value::Text(message_type.clone())));
        }
        if let Some(priority) = self.min_priority {
            and("m.priority >= ?", Some(Value::Integer(priority.into())));
        }
        if let Some(since) = self.since {
            and("m.created_at >= ?", Some(Value::Integer(since.millis())));
        }
        if let Some(until) = self.until {
            and("m.created_at < ?", Some(Value::Integer(until.millis())));
        }
        if let Some(q) = &self.q {
            let pattern = Value::Text(like(q));
            and("(m.title LIKE ? ESCAPE '\\'", Some(pattern.clone()));
            // Closes the parenthesis of the line above.
            sql.push_str(" OR m.content LIKE ? ESCAPE '\\')");
            values.push(pattern);
        }
        (sql, values)
    }
}

/// A message's state, as its reader left it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    pub is_read: bool,
    pub read_at: Option<Timestamp>,
    pub version: u64,
}

/// Part of what has changed since a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// Where the next part begins.
    pub pos: Pos,
    pub version: u64,
    pub has_more: bool,
}

pub(super) const TABLES: &str = "main.message m LEFT JOIN state.status s ON s.pos = m.pos";

impl Inbox {
    /// The epoch of the person's cursors: another one after each restored backup, which brings messages to places that
    /// a cursor of before has passed.
    pub fn epoch(&self) -> u64 {
        // The golden ratio of 2^64: numbers of logs are random, so two never meet this way.
        self.log_epoch.wrapping_add(self.restored.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A cursor at what the inbox has now.
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch(), pos: self.seen, version: self.version }
    }

    /// Whether a cursor is of this inbox as it is now. It is not where a backup was restored since, or where the server was
    /// put back to an earlier state.
    pub fn knows(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch() && cursor.pos <= self.seen && cursor.version <= self.version
    }

    /// Everything up to here is in the inbox.
    pub fn seen(&self) -> Pos {
        self.seen
    }

    /// The person's last number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The place of the newest message that the inbox ever took in.
    pub fn last_message(&self) -> Pos {
        self.messages_applied
    }

    /// When the next message expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.next_expiry
    }

    fn count(&self, channel: Option<&ChannelId>) -> Count {
        match channel {
            Some(_) => self.counts.get(&channel.cloned()).copied().unwrap_or_default(),
            None => self.counts.values().fold(Count::default(), |sum, count| Count {
                total: sum.total + count.total,
                read: sum.read + count.read,
            }),
        }
    }

    /// Messages of all channels together.
    pub fn message_total(&self) -> u64 {
        self.count(None).total
    }

    /// Unread messages of all channels together.
    pub fn unread_total(&self) -> u64 {
        let count = self.count(None);
        count.total.saturating_sub(count.read)
    }

    /// Unread messages by channel.
    pub fn unread(&self) -> UnreadCount {
        let by_channel = self.counts.iter().filter_map(|(channel, count)| {
            let unread = count.total.saturating_sub(count.read);
            Some((channel.clone()?, unread)).filter(|(_, unread)| *unread > 0)
        });
        UnreadCount { total: self.unread_total(), by_channel: by_channel.collect() }
    }

    /// How many messages a filter finds, if the kept counts know it.
    pub(super) fn counted(&self, filter: &Filter) -> Option<u64> {
        if !filter.is_counted() {
            return None;
        }
        let count = self.count(filter.channel.as_ref());
        Some(match filter.is_read {
            None => count.total,
            Some(true) => count.read,
            Some(false) => count.total.saturating_sub(count.read),
        })
    }

    /// One message.
    pub fn get(&self, id: &MessageId) -> Result<Option<Message>, InboxError> {
        let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE m.id = ?1");
        Ok(self.conn.prepare_cached(&sql)?.query_row([id.as_str()], message).optional()?)
    }

    /// A message's place and state, without its content.
    pub(super) fn state(&self, id: &MessageId) -> Result<Option<(Pos, State)>, InboxError> {
        let sql = format!("SELECT m.pos, s.is_read, s.read_at, s.version FROM {TABLES} WHERE m.id = ?1");
        let found = self.conn.prepare_cached(&sql)?.query_row([id.as_str()], |row| {
            let pos: i64 = row.get(0)?;
            Ok((pos as Pos, state(row, 1)?))
        });
        Ok(found.optional()?)
    }

    /// The places of unread messages up to one, of one channel or of all, in order.
    pub(super) fn unread_places(
        &self,
        until: Pos,
        channel: Option<&ChannelId>,
    ) -> Result<Vec<Pos>, InboxError> {
        let count = self.count(channel);
        if count.read >= count.total {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT m.pos FROM {TABLES} WHERE m.pos <= ?1 AND (?2 IS NULL OR m.channel_id = ?2)
             AND s.is_read IS NOT 1 ORDER BY m.pos"
        );
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        let places = self
            .conn
            .prepare_cached(&sql)?
            .query_map(params![until, channel.map(|c| c.as_str())], |row| row.get::<_, i64>(0))?
            .map(|pos| pos.map(|pos| pos as Pos))
            .collect::<rusqlite::Result<_>>()?;
        Ok(places)
    }

    /// The person's changes after a number, in order, at most `limit`.
    pub(super) fn updates_after(&self, version: u64, limit: usize) -> Result<Vec<StatusUpdate>, InboxError> {
        let updates = self
            .conn
            .prepare_cached(
                "SELECT message_id, is_read, device_id, version, changed_at FROM state.status
                 WHERE version > ?1 ORDER BY version LIMIT ?2",
            )?
            .query_map(params![version as i64, limit as i64], update)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(updates)
    }

    /// What has changed after a place and a number: first messages with the state they have now, recalls and presses, in
    /// the order of the log, then the person's own changes. Those follow only when nothing else is left, so that
    /// each finds its message known.
    pub fn changes(&self, pos: Pos, version: u64, limit: usize) -> Result<Changes, InboxError> {
        let after = params![pos as i64, self.seen as i64, limit as i64 + 1];
        let sql = format!(
            "SELECT {COLUMNS} FROM {TABLES} WHERE m.pos > ?1 AND m.pos <= ?2 ORDER BY m.pos LIMIT ?3"
        );
        let mut placed = self
            .conn
            .prepare_cached(&sql)?
            .query_map(after, |row| message(row).map(|message| (message.pos, Change::Message(message))))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let amendments = self
            .conn
            .prepare_cached(
                "SELECT pos, message_id, at, replaced_by, pressed FROM main.amended WHERE pos > ?1 AND pos <= ?2
                 ORDER BY pos LIMIT ?3",
            )?
            .query_map(after, amendment)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        // Who begins anew has nothing to take away.
        placed.extend(amendments.into_iter().filter(|_| pos > 0));
        placed.sort_by_key(|(pos, _)| *pos);
        let whole = placed.len() <= limit;
        placed.truncate(limit);
        let reached = placed.last().map_or(pos, |(pos, _)| *pos);
        let mut changes: Vec<Change> = placed.into_iter().map(|(_, change)| change).collect();
        if !whole {
            return Ok(Changes { changes, pos: reached, version, has_more: true });
        }
        let room = limit - changes.len();
        let mut statuses = self.updates_after(version, room + 1)?;
        let has_more = statuses.len() > room;
        statuses.truncate(room);
        let version = match statuses.last() {
            Some(last) if has_more => last.version,
            _ if has_more => version,
            _ => self.version,
        };
        changes.extend(statuses.into_iter().map(Change::StatusUpdate));
        Ok(Changes { changes, pos: self.seen.max(pos), version, has_more })
    }
}

fn amendment(row: &Row<'_>) -> rusqlite::Result<(Pos, Change)> {
    let pos: i64 = row.get(0)?;
    if let Some(pressed) = json(row, 4)? {
        let update = StatusUpdate::pressed(parsed(row, 1)?, pos as Pos, pressed);
        return Ok((pos as Pos, Change::StatusUpdate(update)));
    }
    let replaced_by = row.get_ref(3)?.as_str_or_null()?.and_then(|id| MessageId::new(id).ok());
    let at = Timestamp::from_millis(row.get(2)?);
    let update = StatusUpdate::recalled(parsed(row, 1)?, pos as Pos, at, replaced_by);
    Ok((pos as Pos, Change::StatusUpdate(update)))
}

pub(super) fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<State> {
    let read_at: Option<i64> = row.get(first + 1)?;
    let version: Option<i64> = row.get(first + 2)?;
    Ok(State {
        is_read: row.get::<_, Option<bool>>(first)?.unwrap_or(false),
        read_at: read_at.map(Timestamp::from_millis),
        version: version.unwrap_or(0) as u64,
    })
}

fn update(row: &Row<'_>) -> rusqlite::Result<StatusUpdate> {
    let device: Option<String> = row.get(2)?;
    let version: i64 = row.get(3)?;
    let device = device.and_then(|d| DeviceId::new(&d).ok());
    let at = Timestamp::from_millis(row.get(4)?);
    Ok(StatusUpdate::own(parsed(row, 0)?, row.get(1)?, device, version as u64, at))
}

fn parsed<T: std::str::FromStr<Err = hongyan_wire::ids::InvalidId>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    let value = serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))?;
    Ok(Some(value))
}
