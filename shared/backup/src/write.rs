//! Writing backups: from two databases in which one moment is pinned into a file of its own, in constant memory.

use crate::about::{About, Kind};
use crate::{AMENDED_LIFE, APPLICATION_ID, Error, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Pages copied between two looks whether to go on: 4 MiB with pages of 4 KiB.
const STEP: i32 = 1_024;
/// Rows copied between two looks whether to go on.
const ROWS: u64 = 4_096;
/// Memory for pages of the file that is written, in KiB.
pub(crate) const CACHE_KIB: i64 = 2_048;
/// Milliseconds by which the clocks that give messages their times may go apart.
const SKEW: i64 = 60_000;

/// An inbox at one moment.
pub struct Source<'a> {
    /// `messages.db` as `main` and `read_status.db` as `state`, both within one read transaction.
    pub conn: &'a Connection,
    pub user: &'a str,
    pub epoch: u64,
    /// Everything up to this place is in both.
    pub pos: u64,
    /// The person's last number.
    pub version: u64,
    /// The place at which a backup was last put into it; 0: never. No increment reaches across it.
    pub restored: u64,
    /// Milliseconds since 1970; what has expired by then is in neither.
    pub now: i64,
    pub devices: &'a [Device],
}

/// A device of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: String,
    pub device_type: String,
    pub name: String,
    pub cursor: String,
    pub last_seen: String,
}

/// From where on an increment tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Since {
    /// After this place and this number, as another backup's `about` has them; `at`: when that was made, if it is known.
    Place { pos: u64, version: u64, at: Option<i64> },
    /// After this moment, in milliseconds since 1970.
    Time(i64),
}

/// Writes a backup to a file that is not there yet, and does not flush it: it may only be a step to a packed one. `since`: an
/// increment from there on. `go_on` is asked now and then with the part that is done, from 0 to 1: whether to.
///
/// # Errors
/// What the databases or the disk say, that it was cancelled, and for increments that what they would have to tell is not
/// known any more. The file may be there in parts then.
pub fn write(
    source: &Source<'_>,
    kind: Kind,
    since: Option<Since>,
    path: &Path,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<About> {
    let mut about = About {
        kind,
        user: source.user.to_owned(),
        epoch: source.epoch,
        pos: source.pos,
        version: source.version,
        from_pos: 0,
        from_version: 0,
        made_at: source.now,
        messages: 0,
        states: 0,
    };
    let messages = match kind {
        Kind::Incremental => 0.0,
        Kind::Messages => 1.0,
        Kind::Full => source.share_of_messages()?,
    };
    let mut file = Connection::open(path)?;
    file.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A file that is not whole is thrown away: it needs no journal.
    file.pragma_update(None, "synchronous", "OFF")?;
    match (kind, since) {
        (Kind::Incremental, since) => {
            (about.from_pos, about.from_version) = source.place_of(since.ok_or(Error::NotIncremental)?)?;
            file.pragma_update(None, "journal_mode", "OFF")?;
            create(source.conn, "main", &["message", "amended"], &file)?;
        }
        _ => {
            copy_pages(source.conn, &mut file, &mut |part| go_on(part * messages))?;
            // It was one that is written ahead of; some programs can open such a file only where they can write.
            file.pragma_update(None, "journal_mode", "DELETE")?;
            file.pragma_update(None, "journal_mode", "OFF")?;
            file.execute_batch("DROP TABLE meta; DROP TABLE total;")?;
        }
    }
    file.execute_batch("BEGIN")?;
    create(source.conn, "state", &["status"], &file)?;
    file.execute_batch(include_str!("extra.sql"))?;
    file.pragma_update(None, "application_id", APPLICATION_ID)?;
    let tables: &[Table] = match kind {
        Kind::Incremental => &[
            ("main", "message", Some(("pos", about.from_pos))),
            ("main", "amended", Some(("pos", about.from_pos))),
            ("state", "status", Some(("version", about.from_version))),
        ],
        Kind::Full => &[("state", "status", None)],
        Kind::Messages => &[],
    };
    let share = (1.0 - messages) / tables.len().max(1) as f64;
    for (n, (schema, table, after)) in tables.iter().enumerate() {
        let before = messages + n as f64 * share;
        copy_rows(source.conn, schema, table, *after, &file, &mut |part| go_on(before + part * share))?;
    }
    if kind != Kind::Messages {
        put_devices(source.devices, &file)?;
    }
    let count = |table: &str| -> rusqlite::Result<i64> {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    (about.messages, about.states) = (count("message")? as u64, count("status")? as u64);
    about.write(&file)?;
    file.execute_batch("COMMIT")?;
    file.close().map_err(|(_, error)| error)?;
    Ok(about)
}

fn put_devices(devices: &[Device], to: &Connection) -> Result<()> {
    let mut insert = to.prepare(
        "INSERT OR REPLACE INTO device(id, type, name, cursor, last_seen) VALUES(?1, ?2, ?3, ?4, ?5)",
    )?;
    for Device { id, device_type, name, cursor, last_seen } in devices {
        insert.execute(params![id, device_type, name, cursor, last_seen])?;
    }
    Ok(())
}

/// Whose and which table is copied, and after which value of which column.
type Table = (&'static str, &'static str, Option<(&'static str, u64)>);

impl Source<'_> {
    /// How much of all that is to be copied are the messages, from 0 to 1, by bytes.
    fn share_of_messages(&self) -> Result<f64> {
        let pages = |schema: &str| -> Result<f64> {
            let sql = format!("PRAGMA {schema}.page_count");
            Ok(self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0))? as f64)
        };
        let (messages, states) = (pages("main")?, pages("state")?);
        Ok(messages / (messages + states).max(1.0))
    }

    /// The place and the number after which an increment tells.
    fn place_of(&self, since: Since) -> Result<(u64, u64)> {
        // What is given its time is appended in a moment: whatever comes behind the last of before is of later.
        let last = |sql: &str, at: i64| -> Result<u64> {
            let found: Option<i64> = self.conn.query_row(sql, [at], |row| row.get(0)).optional()?;
            Ok(found.unwrap_or(0).max(0) as u64)
        };
        let (pos, version) = match since {
            Since::Place { pos, version, .. } => (pos.min(self.pos), version.min(self.version)),
            Since::Time(at) => {
                let at = at.saturating_sub(SKEW);
                let pos = "SELECT pos FROM main.message WHERE created_at <= ?1 ORDER BY pos DESC LIMIT 1";
                let version =
                    "SELECT version FROM state.status WHERE changed_at <= ?1 ORDER BY version DESC LIMIT 1";
                (last(pos, at)?, last(version, at)?)
            }
        };
        if (1..self.restored).contains(&pos) {
            return Err(Error::TooOld);
        }
        if matches!(since, Since::Place { pos: 0, .. }) {
            return Ok((pos, version));
        }
        // Recalls are told for a time, the oldest are let go first. Was it within that time?
        let found = |sql: &str| -> Result<Option<i64>> {
            Ok(self.conn.query_row(sql, [pos as i64], |row| row.get(0)).optional()?)
        };
        let at = match since {
            Since::Time(at) | Since::Place { at: Some(at), .. } => Some(at),
            Since::Place { at: None, .. } => {
                found("SELECT created_at FROM main.message WHERE pos <= ?1 ORDER BY pos DESC LIMIT 1")?
            }
        };
        let is_known = at.is_some_and(|at| at > self.now - AMENDED_LIFE + SKEW)
            || found("SELECT 1 FROM main.amended WHERE pos <= ?1 LIMIT 1")?.is_some();
        if is_known { Ok((pos, version)) } else { Err(Error::TooOld) }
    }
}

pub(crate) fn copy_pages(
    from: &Connection,
    to: &mut Connection,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<()> {
    let copying = Backup::new(from, to)?;
    loop {
        let step = copying.step(STEP)?;
        let progress = copying.progress();
        let all = f64::from(progress.pagecount.max(1));
        if !go_on((all - f64::from(progress.remaining)) / all) {
            return Err(Error::Cancelled);
        }
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody writes to either: the one is pinned, the other ours.
            _ => return Err(Error::Damaged("it cannot be read at one moment".into())),
        }
    }
}

/// Makes tables with their indexes as they are in the source.
fn create(from: &Connection, schema: &str, tables: &[&str], to: &Connection) -> Result<()> {
    let sql = format!(
        "SELECT sql FROM {schema}.sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type = 'index'"
    );
    let mut statement = from.prepare(&sql)?;
    for table in tables {
        let made: Vec<String> =
            statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        to.execute_batch(&made.join(";"))?;
    }
    Ok(())
}

/// Copies all rows of a table of an inbox or a backup into one that is the same, in the order of their places.
///
/// # Errors
/// What the databases say.
pub fn copy_table(from: &Connection, table: &str, to: &Connection) -> Result<()> {
    copy_rows(from, "main", table, None, to, &mut |_| true)
}

/// Copies rows, in the order of their keys; those after a value of a column.
fn copy_rows(
    from: &Connection,
    schema: &str,
    table: &str,
    after: Option<(&str, u64)>,
    to: &Connection,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<()> {
    let (column, value) = after.map_or(("pos", i64::MIN), |(column, value)| (column, value as i64));
    let all: i64 = from.query_row(
        &format!("SELECT count(*) FROM {schema}.{table} WHERE {column} > ?1"),
        [value],
        |row| row.get(0),
    )?;
    let mut rows =
        from.prepare(&format!("SELECT * FROM {schema}.{table} WHERE {column} > ?1 ORDER BY {column}"))?;
    let columns = rows.column_count();
    let places = (1..=columns).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let mut insert = to.prepare(&format!("INSERT INTO {table} VALUES({places})"))?;
    let mut rows = rows.query([value])?;
    let mut copied = 0u64;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(row.get_ref(column)?))?;
        }
        insert.raw_execute()?;
        copied += 1;
        if copied.is_multiple_of(ROWS) && !go_on(copied as f64 / all.max(1) as f64) {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}
