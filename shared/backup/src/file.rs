//! Opening what may be anything.

use crate::about::About;
use crate::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

/// Pages of memory for a file that is read, in KiB.
const CACHE_KIB: i64 = 2_048;

/// Asked every few milliseconds while a file is worked on that may be large: false ends it with [`Error::Cancelled`].
pub type GoOn = Arc<dyn Fn() -> bool + Send + Sync>;

/// Steps of SQLite between two questions whether to go on: a few milliseconds.
const ASK_EVERY: i32 = 100_000;

/// Opens a backup that is not packed, and checks that it is one: whole, of a format that is known, with the tables and
/// rows that it says.
///
/// # Errors
/// What is wrong with it. It is not changed in any case.
pub fn open(path: &Path) -> Result<(Connection, About)> {
    open_while(path, &always())
}

/// The same, as long as it is to go on.
///
/// # Errors
/// The same, and [`Error::Cancelled`].
pub fn open_while(path: &Path, go_on: &GoOn) -> Result<(Connection, About)> {
    let no_database = |error| match error {
        Error::Storage(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Error::NoBackup
        }
        error => error,
    };
    let conn = reopen_while(path, go_on).map_err(no_database)?;
    let about = check(&conn, "main").map_err(no_database)?;
    Ok((conn, about))
}

/// Opens a backup that was checked before.
///
/// # Errors
/// What the disk says.
pub fn reopen(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    guard(&conn)?;
    Ok(conn)
}

/// The same, for work that is long.
///
/// # Errors
/// What the disk says. What is asked of it later says [`ErrorCode::OperationInterrupted`] once it is not to go on.
pub fn reopen_while(path: &Path, go_on: &GoOn) -> Result<Connection> {
    let mut conn = reopen(path)?;
    ask(&mut conn, go_on)?;
    Ok(conn)
}

/// Goes on to the end.
pub fn always() -> GoOn {
    Arc::new(|| true)
}

/// Lets what runs on a connection be ended.
pub(crate) fn ask(conn: &mut Connection, go_on: &GoOn) -> Result<()> {
    let go_on = AssertUnwindSafe(go_on.clone());
    Ok(conn.progress_handler(ASK_EVERY, Some(move || !go_on()))?)
}

/// Largest value in a file, in bytes: far above any message, far below what would be felt.
const VALUE_MAX: i32 = 16 * 1024 * 1024;

/// Longest press, in bytes as JSON: ten times what it can come to.
const PRESSED_MAX: usize = 16 * 1024;

/// Lets nothing in a file that others may have made do anything (SQLite, "Defense Against The Dark Arts").
pub(crate) fn guard(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(())
}

/// The columns of the tables that everything relies on.
const TABLES: [(&str, &str); 4] = [
    (
        "message",
        "pos,id,channel_id,title,content,message_type,priority,sender,sender_info,created_at,expire_at,metadata,attachments,actions,replaces,thread_key,pressed",
    ),
    ("amended", "pos,message_id,at,replaced_by,pressed"),
    ("status", "pos,message_id,channel_id,is_read,read_at,version,changed_at,device_id"),
    ("device", "id,type,name,cursor,last_seen"),
];

/// Everything that a backup is made of, without comments and with single spaces. What SQLite makes by itself has no text.
pub(crate) const SCHEMA: [(&str, &str); 9] = [
    (
        "message",
        "CREATE TABLE message(pos INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, channel_id TEXT, title TEXT NOT NULL, content TEXT NOT NULL, message_type TEXT NOT NULL, priority INTEGER NOT NULL, sender TEXT NOT NULL, sender_info TEXT NOT NULL, created_at INTEGER NOT NULL, expire_at INTEGER, metadata TEXT, attachments TEXT, actions TEXT, replaces TEXT, thread_key TEXT, pressed TEXT) STRICT",
    ),
    (
        "amended",
        "CREATE TABLE amended(pos INTEGER PRIMARY KEY, message_id TEXT NOT NULL, at INTEGER NOT NULL, replaced_by TEXT, pressed TEXT) STRICT",
    ),
    (
        "status",
        "CREATE TABLE status(pos INTEGER PRIMARY KEY, message_id TEXT NOT NULL, channel_id TEXT, is_read INTEGER NOT NULL, read_at INTEGER, version INTEGER NOT NULL UNIQUE, changed_at INTEGER NOT NULL, device_id TEXT) STRICT",
    ),
    ("about", "CREATE TABLE about(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"),
    (
        "device",
        "CREATE TABLE device(id TEXT PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL, cursor TEXT NOT NULL, last_seen TEXT NOT NULL) STRICT, WITHOUT ROWID",
    ),
    ("message_channel", "CREATE INDEX message_channel ON message(channel_id) WHERE channel_id IS NOT NULL"),
    ("message_expire", "CREATE INDEX message_expire ON message(expire_at) WHERE expire_at IS NOT NULL"),
    ("amended_at", "CREATE INDEX amended_at ON amended(at)"),
    // It is never run here: views are off.
    ("inbox", ""),
];

/// Whether a database is made of what a backup is made of and nothing else: no expression of whoever made it is worked out.
/// Types hold, as the tables are strict.
fn check_schema(conn: &Connection, schema: &str) -> Result<()> {
    let sql = format!("SELECT type, name, sql FROM {schema}.sqlite_schema");
    let mut statement = conn.prepare(&sql).map_err(|_| Error::NoBackup)?;
    let mut rows = statement.query([])?;
    let mut tables = 0;
    while let Some(row) = rows.next().map_err(|error| Error::Damaged(error.to_string()))? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let is_known = match row.get::<_, Option<String>>(2)? {
            None => kind == "index" && name.starts_with("sqlite_autoindex_"),
            Some(_) if kind == "view" => name == "inbox",
            // Behind it SQLite sees nothing.
            Some(sql) if sql.contains('\0') => false,
            Some(sql) => SCHEMA.iter().any(|(known, text)| *known == name && *text == plain(&sql)),
        };
        if !is_known {
            return Err(Error::NoBackup);
        }
        tables += usize::from(kind == "table");
    }
    if tables == TABLES.len() + 1 { Ok(()) } else { Err(Error::NoBackup) }
}

/// SQL without comments and with single spaces. What only looks like a comment leaves its quotation mark behind.
fn plain(sql: &str) -> String {
    let code: Vec<&str> = sql.lines().filter_map(|line| line.split("--").next()).collect();
    let words: Vec<&str> = code.iter().flat_map(|line| line.split_whitespace()).collect();
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

/// Whether a database is a whole backup.
pub(crate) fn check(conn: &Connection, schema: &str) -> Result<About> {
    let is_known = check_schema(conn, schema);
    // One that is newer may be made of other things; that it is newer stands where it always did.
    let sql = format!("SELECT sql FROM {schema}.sqlite_schema WHERE type = 'table' AND name = 'about'");
    let text: String = conn.query_row(&sql, [], |row| row.get(0)).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Error::NoBackup,
        error => Error::Storage(error),
    })?;
    if !SCHEMA.contains(&("about", &plain(&text))) {
        return Err(Error::NoBackup);
    }
    let about = About::read(conn, schema)?;
    is_known?;
    for (table, columns) in TABLES {
        let sql = "SELECT group_concat(name) FROM pragma_table_info(?1, ?2)";
        let found: Option<String> =
            conn.query_row(sql, [table, schema], |row| row.get(0)).map_err(|_| Error::NoBackup)?;
        if found.as_deref() != Some(columns) {
            return Err(Error::NoBackup);
        }
    }
    let whole: String = conn
        .query_row(&format!("PRAGMA {schema}.integrity_check(1)"), [], |row| row.get(0))
        .map_err(|error| match Error::from(error) {
            Error::Storage(error) => Error::Damaged(error.to_string()),
            error => error,
        })?;
    if whole != "ok" {
        return Err(Error::Damaged(whole));
    }
    // What is pressed is short, and is copied several times when increments are joined.
    let sql = format!("SELECT count(*) FROM {schema}.amended WHERE octet_length(pressed) > {PRESSED_MAX}");
    let long: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    if long > 0 {
        return Err(Error::Damaged("in amended, what was pressed is too long".into()));
    }
    for (table, rows) in [("message", about.messages), ("status", about.states)] {
        let found: i64 =
            conn.query_row(&format!("SELECT count(*) FROM {schema}.{table}"), [], |row| row.get(0))?;
        if found as u64 != rows {
            return Err(Error::Damaged(format!(
                "it says that it has {rows} rows in {table}, and has {found}"
            )));
        }
    }
    Ok(about)
}
