//! Opening what may be anything.

use crate::about::About;
use crate::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Pages of memory for a file that is read, in KiB.
const CACHE_KIB: i64 = 2_048;

/// Opens a backup that is not packed, and checks that it is one: whole, of a format that is known, with the tables and
/// rows that it says.
///
/// # Errors
/// What is wrong with it. It is not changed in any case.
pub fn open(path: &Path) -> Result<(Connection, About)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    guard(&conn)?;
    let about = check(&conn, "main")?;
    Ok((conn, about))
}

/// Lets nothing in a file that others may have made do anything (SQLite, "Defense Against The Dark Arts").
pub(crate) fn guard(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
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

/// Whether a database is a whole backup.
pub(crate) fn check(conn: &Connection, schema: &str) -> Result<About> {
    let about = About::read(conn, schema)?;
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
