//! Applying increments to a full backup.

use crate::about::{About, Kind};
use crate::file::{check, guard};
use crate::{AMENDED_LIFE, Error, Result};
use rusqlite::Connection;
use std::path::Path;

/// Applies increments, in their order, to a full backup, which is changed in place: afterwards it is the inbox at the place
/// of the last one. Each is applied whole or not at all: after an error the file is at the last one before.
///
/// # Errors
/// What is wrong with one of them, and that they do not join.
pub fn apply(full: &Path, increments: &[impl AsRef<Path>]) -> Result<About> {
    let conn = Connection::open(full)?;
    guard(&conn)?;
    let mut about = check(&conn, "main")?;
    if about.kind != Kind::Full {
        return Err(Error::NotFull);
    }
    for increment in increments {
        let path = increment.as_ref().to_str().ok_or(Error::NoBackup)?;
        conn.execute("ATTACH ?1 AS increment", [path])?;
        let applied = apply_one(&conn, &about);
        conn.execute_batch("DETACH increment")?;
        about = applied?;
    }
    conn.close().map_err(|(_, error)| error)?;
    Ok(about)
}

fn apply_one(conn: &Connection, before: &About) -> Result<About> {
    let increment = check(conn, "increment")?;
    if increment.kind != Kind::Incremental {
        return Err(Error::NotIncremental);
    }
    if increment.user != before.user {
        return Err(Error::OtherPerson(increment.user));
    }
    if increment.epoch != before.epoch {
        return Err(Error::OtherServer);
    }
    if increment.from_pos > before.pos || increment.from_version > before.version {
        return Err(Error::Gap { from: increment.from_pos, end: before.pos });
    }
    if increment.pos < before.pos || increment.version < before.version {
        return Err(Error::Older);
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let applied = join(conn, before, &increment);
    conn.execute_batch(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    applied
}

fn join(conn: &Connection, before: &About, increment: &About) -> Result<About> {
    // What was taken back since, then what is new; what was pressed since; what has expired.
    conn.execute_batch(
        "DELETE FROM main.message WHERE id IN (SELECT message_id FROM increment.amended WHERE pressed IS NULL);
         INSERT OR IGNORE INTO main.message SELECT * FROM increment.message;
         UPDATE main.message SET pressed = (SELECT pressed FROM increment.amended a
                 WHERE a.message_id = main.message.id AND a.pressed IS NOT NULL ORDER BY a.pos LIMIT 1)
             WHERE pressed IS NULL
               AND id IN (SELECT message_id FROM increment.amended WHERE pressed IS NOT NULL);
         INSERT OR IGNORE INTO main.amended SELECT * FROM increment.amended;",
    )?;
    conn.execute("DELETE FROM main.message WHERE expire_at <= ?1", [increment.made_at])?;
    // As each of them was noted, what was too old by then was let go.
    conn.execute(
        "DELETE FROM main.amended WHERE at < (SELECT max(at) FROM increment.amended) - ?1",
        [AMENDED_LIFE],
    )?;
    conn.execute_batch(
        "DELETE FROM main.status WHERE pos IN (SELECT pos FROM increment.status);
         INSERT INTO main.status SELECT * FROM increment.status;
         DELETE FROM main.status WHERE pos NOT IN (SELECT pos FROM main.message);
         DELETE FROM main.device;
         INSERT INTO main.device SELECT * FROM increment.device;",
    )?;
    let count = |table: &str| -> rusqlite::Result<i64> {
        conn.query_row(&format!("SELECT count(*) FROM main.{table}"), [], |row| row.get(0))
    };
    let about = About {
        kind: Kind::Full,
        from_pos: 0,
        from_version: 0,
        messages: count("message")? as u64,
        states: count("status")? as u64,
        user: before.user.clone(),
        ..increment.clone()
    };
    about.write(conn)?;
    Ok(about)
}
