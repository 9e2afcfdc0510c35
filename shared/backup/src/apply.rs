//! Applying increments to a full backup.

use crate::about::{About, Kind};
use crate::file::{GoOn, always, ask, check, guard};
use crate::{AMENDED_LIFE, Error, Result};
use rusqlite::Connection;
use std::path::Path;

/// Applies increments, in their order, to a full backup, which is changed in place: afterwards it is the inbox at the place
/// of the last one. Each is applied whole or not at all: after an error the file is at the last one before.
///
/// # Errors
/// What is wrong with one of them, and that they do not join.
pub fn apply(full: &Path, increments: &[impl AsRef<Path>]) -> Result<About> {
    apply_while(full, increments, &always())
}

/// The same, as long as it is to go on.
///
/// # Errors
/// The same, and [`Error::Cancelled`].
pub fn apply_while(full: &Path, increments: &[impl AsRef<Path>], go_on: &GoOn) -> Result<About> {
    let mut conn = Connection::open(full)?;
    guard(&conn)?;
    ask(&mut conn, go_on)?;
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
    let applied = join(conn, before, &increment).and_then(|about| {
        conn.execute_batch("COMMIT")?;
        Ok(about)
    });
    // What ends a statement may have undone everything already, and is what is to be told.
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    applied
}

fn join(conn: &Connection, before: &About, increment: &About) -> Result<About> {
    // From its place on an increment has all that there is, also where nothing tells any more of what was taken back or
    // pressed since.
    conn.execute("DELETE FROM main.message WHERE pos > ?1", [increment.from_pos as i64])?;
    // What was taken back since, then what is new; what was pressed since (the first counts); what has expired.
    conn.execute_batch(
        "DELETE FROM main.message WHERE id IN (SELECT message_id FROM increment.amended WHERE pressed IS NULL);
         INSERT INTO main.message SELECT * FROM increment.message;
         UPDATE main.message SET pressed = first.pressed
             FROM (SELECT message_id, pressed, min(pos) FROM increment.amended
                   WHERE pressed IS NOT NULL GROUP BY message_id) AS first
             WHERE main.message.id = first.message_id AND main.message.pressed IS NULL;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::file::SCHEMA;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A backup that has these messages at their places, all of them pressed since if it is an increment.
    fn backup(path: &Path, kind: Kind, messages: std::ops::Range<u64>, pressed: u64) -> Connection {
        let conn = Connection::open(path).unwrap();
        for (_, sql) in SCHEMA {
            conn.execute_batch(sql).unwrap();
        }
        let about = About {
            kind,
            user: "ann".into(),
            epoch: 7,
            pos: 1_000_000,
            version: 0,
            from_pos: 0,
            from_version: 0,
            made_at: 1,
            messages: messages.end - messages.start,
            states: 0,
        };
        conn.execute_batch("BEGIN").unwrap();
        about.write(&conn).unwrap();
        for pos in messages {
            conn.execute(
                "INSERT INTO message(pos, id, title, content, message_type, priority, sender, sender_info, created_at)
                 VALUES(?1, 'm' || ?1, 't', '', 'x', 1, 's', '{}', 0)",
                [pos as i64],
            )
            .unwrap();
        }
        for pos in 0..pressed {
            let sql =
                "INSERT INTO amended(pos, message_id, at, pressed) VALUES(100000 + ?1, 'm' || ?1, 0, '{}')";
            conn.execute(sql, [pos as i64]).unwrap();
        }
        conn.execute_batch("COMMIT").unwrap();
        conn
    }

    #[test]
    fn work_grows_with_what_is_there_and_not_with_its_square_and_can_be_ended() {
        const MANY: u64 = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let (full, increment) = (dir.path().join("full"), dir.path().join("increment"));
        drop(backup(&full, Kind::Full, 1..MANY, 0));
        drop(backup(&increment, Kind::Incremental, 1..MANY, MANY));
        let pressed = || -> i64 {
            let conn = Connection::open(&full).unwrap();
            let sql = "SELECT count(*) FROM message WHERE pressed = '{}'";
            conn.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        // Ended wherever it may be, it has changed nothing. A square would be thousands of questions.
        let mut questions = 0;
        for most in 0..1_000 {
            let asked = Arc::new(AtomicUsize::new(0));
            let counted = asked.clone();
            let go_on: GoOn = Arc::new(move || counted.fetch_add(1, Ordering::Relaxed) < most);
            match apply_while(&full, &[&increment], &go_on) {
                Ok(_) => break,
                Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
            }
            assert_eq!(pressed(), 0);
            questions = asked.load(Ordering::Relaxed);
        }
        assert!(questions > 5, "{questions}");
        assert_eq!(pressed(), MANY as i64 - 1);
    }

    #[test]
    fn what_a_file_says_of_itself_is_read_only_as_far_as_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full");
        let conn = backup(&path, Kind::Full, 1..3, 0);
        for sql in [
            "INSERT INTO about(key, value) VALUES('a', CAST(zeroblob(8000000) AS TEXT))",
            "INSERT INTO about(key, value) VALUES(CAST(zeroblob(8000000) AS TEXT), 'a')",
        ] {
            conn.execute(sql, []).unwrap();
        }
        assert_eq!(crate::open(&path).unwrap().1.messages, 2);
        // As if it were not there.
        conn.execute("UPDATE about SET value = CAST(zeroblob(8000000) AS TEXT) WHERE key = 'user'", [])
            .unwrap();
        assert!(matches!(crate::open(&path), Err(Error::NoBackup)));
    }
}
