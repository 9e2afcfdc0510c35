//! Opening what may be anything.

use crate::about::About;
use crate::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

/// Pages of memory for a file that is read, in KiB.
const CACHE_KIB: i64 = 2_048;

/// Opens a backup that is not packed, and checks that it is one: whole, of a format that is known, with the tables and
/// rows that it says.
///
/// # Errors
/// What is wrong with it. It is not changed in any case.
pub fn open(path: &Path) -> Result<(Connection, About)> {
    let no_database = |error| match error {
        Error::Storage(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Error::NoBackup
        }
        error => error,
    };
    let conn = reopen(path).map_err(no_database)?;
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

/// Largest value in a file, in bytes: far above any message, far below what would be felt.
const VALUE_MAX: i32 = 16 * 1024 * 1024;

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

/// What a backup has besides its tables; what SQLite makes by itself is named `sqlite_…`.
const OTHERS: [(&str, &str); 4] =
    [("view", "inbox"), ("index", "message_channel"), ("index", "message_expire"), ("index", "amended_at")];

/// Whether a database has nothing that would be run: a trigger, or an expression that is worked out for each row.
fn check_schema(conn: &Connection, schema: &str) -> Result<()> {
    let sql = format!("SELECT type, name, coalesce(sql, '') FROM {schema}.sqlite_schema");
    let mut statement = conn.prepare(&sql).map_err(|_| Error::NoBackup)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next().map_err(|error| Error::Damaged(error.to_string()))? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let sql: String = row.get(2)?;
        let code: Vec<&str> = sql.lines().filter_map(|line| line.split("--").next()).collect();
        let code = code.join(" ").to_ascii_uppercase();
        let is_table = kind == "table" && (name == "about" || TABLES.iter().any(|(table, _)| *table == name));
        let is_known = is_table
            || OTHERS.contains(&(kind.as_str(), name.as_str()))
            || (kind == "index" && name.starts_with("sqlite_"));
        let words: Vec<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let is_worked_out = kind != "view"
            && (words.iter().any(|word| matches!(*word, "CHECK" | "GENERATED" | "AS"))
                || code.matches('(').count() > 1);
        if !is_known || is_worked_out {
            return Err(Error::NoBackup);
        }
    }
    Ok(())
}

/// Whether a database is a whole backup.
pub(crate) fn check(conn: &Connection, schema: &str) -> Result<About> {
    let about = About::read(conn, schema)?;
    check_schema(conn, schema)?;
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
        .map_err(|error| Error::Damaged(error.to_string()))?;
    if whole != "ok" {
        return Err(Error::Damaged(whole));
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
