//! One page of an inbox, written as JSON straight from its rows: the columns that hold JSON go out as they
//! are, and no message is built in between.

use super::InboxError;
use super::file::Inbox;
use super::read::{COLUMNS, Filter, TABLES, state};
use hongyan_wire::Timestamp;
use rusqlite::types::{FromSqlError, Type, Value};
use rusqlite::{CachedStatement, Row, params_from_iter};
use serde::ser::{Error as _, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::cell::{Cell, RefCell};

/// A page, newest first, in the shape of [`hongyan_wire::api::MessageList`]. It is read while it is written,
/// once.
pub struct Page<'a> {
    rows: Rows<'a>,
    unread_count: u64,
    /// How many messages the filter finds.
    pub total: u64,
}

struct Rows<'a> {
    statement: RefCell<CachedStatement<'a>>,
    /// What went wrong with the file meanwhile: serde can carry only words.
    failed: Cell<Option<rusqlite::Error>>,
}

impl Inbox {
    /// The `size` messages of a page; pages are counted from 1.
    pub fn page(&self, filter: &Filter, page: u32, size: u32) -> Result<Page<'_>, InboxError> {
        let (condition, mut values) = filter.to_sql();
        let total = self.total(filter, &condition, &values)?;
        let sql =
            format!("SELECT {COLUMNS} FROM {TABLES} WHERE {condition} ORDER BY m.pos DESC LIMIT ? OFFSET ?");
        values.push(Value::Integer(size.into()));
        values.push(Value::Integer(i64::from(page.saturating_sub(1)) * i64::from(size)));
        let mut statement = self.conn.prepare_cached(&sql)?;
        for (index, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        let rows = Rows { statement: RefCell::new(statement), failed: Cell::new(None) };
        Ok(Page { rows, unread_count: self.unread_total(), total })
    }

    fn total(&self, filter: &Filter, condition: &str, values: &[Value]) -> Result<u64, InboxError> {
        if let Some(total) = self.counted(filter) {
            return Ok(total);
        }
        let mut statement =
            self.conn.prepare_cached(&format!("SELECT count(*) FROM {TABLES} WHERE {condition}"))?;
        let total: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
        Ok(total as u64)
    }
}

impl Page<'_> {
    /// What `write` makes of the page; fails if the rows could not be read to their end.
    pub fn written<R, E>(self, write: impl FnOnce(&Self) -> Result<R, E>) -> Result<R, InboxError> {
        let written = write(&self);
        match self.rows.failed.take() {
            Some(error) => Err(error.into()),
            None => written.map_err(|_| rusqlite::Error::InvalidQuery.into()),
        }
    }
}

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_struct("MessageList", 3)?;
        list.serialize_field("messages", &self.rows)?;
        list.serialize_field("unread_count", &self.unread_count)?;
        list.serialize_field("total", &self.total)?;
        list.end()
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let failed = |error: rusqlite::Error| {
            let words = S::Error::custom(&error);
            self.failed.set(Some(error));
            words
        };
        let mut statement = self.statement.borrow_mut();
        let mut rows = statement.raw_query();
        let mut messages = serializer.serialize_seq(None)?;
        while let Some(row) = rows.next().map_err(failed)? {
            messages.serialize_element(&listed(row).map_err(failed)?)?;
        }
        messages.end()
    }
}

/// A row in the shape of [`hongyan_wire::message::Message`].
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    pos: u64,
    channel_id: Option<&'a str>,
    title: &'a str,
    content: &'a str,
    message_type: &'a str,
    priority: u8,
    sender: &'a str,
    sender_info: &'a RawValue,
    created_at: Timestamp,
    expire_at: Option<Timestamp>,
    metadata: &'a RawValue,
    attachments: &'a RawValue,
    actions: &'a RawValue,
    is_read: bool,
    read_at: Option<Timestamp>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pressed: Option<&'a RawValue>,
}

fn listed<'a>(row: &'a Row<'_>) -> rusqlite::Result<Listed<'a>> {
    let pos: i64 = row.get(0)?;
    let expire_at: Option<i64> = row.get(10)?;
    let state = state(row, 14)?;
    Ok(Listed {
        id: text(row, 1)?,
        pos: pos as u64,
        channel_id: row.get_ref(2)?.as_str_or_null()?,
        title: text(row, 3)?,
        content: text(row, 4)?,
        message_type: text(row, 5)?,
        priority: row.get(6)?,
        sender: text(row, 7)?,
        sender_info: json(row, 8, "{}")?,
        created_at: Timestamp::from_millis(row.get(9)?),
        expire_at: expire_at.map(Timestamp::from_millis),
        metadata: json(row, 11, "{}")?,
        attachments: json(row, 12, "[]")?,
        actions: json(row, 13, "[]")?,
        is_read: state.is_read,
        read_at: state.read_at,
        version: state.version,
        replaces: row.get_ref(18)?.as_str_or_null()?,
        thread_key: row.get_ref(17)?.as_str_or_null()?,
        pressed: match row.get_ref(19)?.as_str_or_null()? {
            Some(_) => Some(json(row, 19, "null")?),
            None => None,
        },
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    let wrong =
        |error: FromSqlError| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    row.get_ref(column)?.as_str().map_err(wrong)
}

/// A column of JSON, looked through but not taken apart.
fn json<'a>(row: &'a Row<'_>, column: usize, empty: &'static str) -> rusqlite::Result<&'a RawValue> {
    let text = row.get_ref(column)?.as_str_or_null()?.unwrap_or(empty);
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
