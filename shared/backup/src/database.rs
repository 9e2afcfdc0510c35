//! Whole databases of the server, copied while it goes on writing to them, and looked at as what may be anything.

use crate::Result;
use crate::file::guard;
use crate::write::{CACHE_KIB, copy_pages};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How long it is waited for who holds the database at the very first look.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines of what is wrong with one database.
const FAULTS_MAX: u32 = 20;

/// Copies a database into a file that is not there yet, as it is at one moment, however much is written meanwhile.
/// `go_on` is asked now and then with the part that is done, from 0 to 1: whether to. The copy is not flushed.
///
/// # Errors
/// What either of them says, and that it was cancelled. The file may be there in parts then.
pub fn copy(from: &Path, to: &Path, go_on: &mut dyn FnMut(f64) -> bool) -> Result<()> {
    let source = Connection::open_with_flags(from, reading())?;
    source.busy_timeout(PATIENCE)?;
    // The first look pins the moment.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut file = Connection::open(to)?;
    file.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A file that is not whole is thrown away.
    file.pragma_update(None, "synchronous", "OFF")?;
    copy_pages(&source, &mut file, go_on)?;
    // It was one that is written ahead of, and is to be one file.
    file.pragma_update(None, "journal_mode", "DELETE")?;
    file.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// What is wrong with a database that is to have this `user_version`; nothing when it is whole. It is not changed.
///
/// # Errors
/// What the database says when it cannot even be looked through.
pub fn faults(path: &Path, version: i64) -> Result<Vec<String>> {
    let conn = Connection::open_with_flags(path, reading())?;
    guard(&conn)?;
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?;
    let mut faults: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    faults.retain(|line| line != "ok");
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != version {
        faults.push(format!("it has version {found}, and {version} is known"));
    }
    Ok(faults)
}

fn reading() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn a_copy_is_one_moment_of_what_is_written_meanwhile_and_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from.db"), dir.path().join("to.db"));
        let writer = Connection::open(&from).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE t(n INTEGER, x BLOB); PRAGMA user_version = 3").unwrap();
        let more = || {
            writer.execute_batch("BEGIN").unwrap();
            for n in 0..3_000 {
                writer.execute("INSERT INTO t VALUES(?1, zeroblob(4000))", [n]).unwrap();
            }
            writer.execute_batch("COMMIT").unwrap();
        };
        more();
        let mut looks = 0;
        copy(&from, &to, &mut |_| {
            looks += 1;
            more();
            true
        })
        .unwrap();
        assert!(looks > 1, "{looks}");
        let copied = Connection::open(&to).unwrap();
        let count: i64 = copied.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 3_000);
        assert!(!dir.path().join("to.db-wal").exists());
        assert!(faults(&to, 3).unwrap().is_empty());
        assert!(faults(&to, 4).unwrap()[0].contains("version 3"));
        let cancelled = copy(&from, &dir.path().join("half.db"), &mut |_| false);
        assert!(matches!(cancelled, Err(Error::Cancelled)));
    }
}
