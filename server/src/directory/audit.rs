//! Who did what.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::Pos;
use hongyan_wire::Timestamp;
use hongyan_wire::admin::AuditEntry;
use rusqlite::params;

impl Directory {
    /// What administrators did, newest first; `q` is looked for in actor, action and target.
    pub fn audit(&self, window: &Window) -> Result<Page<AuditEntry>, DirectoryError> {
        let pattern = window.pattern();
        let filter =
            "(actor LIKE ?1 ESCAPE '\\' OR action LIKE ?1 ESCAPE '\\' OR target LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM audit WHERE {filter}"))?
                .query_row([&pattern], |row| row.get(0))?;
            let sql = format!(
                "SELECT pos, at, actor, action, target, details FROM audit WHERE {filter}
                 ORDER BY pos DESC, n DESC LIMIT ?2 OFFSET ?3"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![pattern, window.limit(), window.offset()], |row| {
                    let pos: i64 = row.get(0)?;
                    Ok(AuditEntry {
                        pos: pos as Pos,
                        at: Timestamp::from_millis(row.get(1)?),
                        actor: row.get(2)?,
                        action: row.get(3)?,
                        target: row.get(4)?,
                        details: serde_json::from_str(row.get_ref(5)?.as_str()?).unwrap_or_default(),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }
}
