//! Who did what.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::Pos;
use hongyan_wire::Timestamp;
use hongyan_wire::admin::AuditEntry;
use rusqlite::params;

/// Which entries are wanted.
#[derive(Debug, Default)]
pub struct AuditFilter {
    /// Exactly.
    pub actor: Option<String>,
    /// Exactly, or its beginning up to a dot.
    pub action: Option<String>,
    /// Exactly.
    pub target: Option<String>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl Directory {
    /// What administrators did, newest first; `q` is looked for in actor, action and target.
    pub fn audit(&self, wanted: &AuditFilter, window: &Window) -> Result<Page<AuditEntry>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "(actor LIKE ?1 ESCAPE '\\' OR action LIKE ?1 ESCAPE '\\' OR target LIKE ?1 ESCAPE '\\')
             AND (?4 IS NULL OR actor = ?4) AND (?5 IS NULL OR action = ?5 OR action LIKE ?6 ESCAPE '\\')
             AND (?7 IS NULL OR target = ?7) AND (?8 IS NULL OR at >= ?8) AND (?9 IS NULL OR at < ?9)";
        let AuditFilter { actor, action, target, since, until } = wanted;
        // Everything that is done to one kind of thing: its name and a dot come before.
        let beginning = action.as_ref().map(|action| super::like(&format!("{action}."))[1..].to_owned());
        let (since, until) = (since.map(Timestamp::millis), until.map(Timestamp::millis));
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM audit WHERE {filter}"))?
                .query_row(params![pattern, 0, 0, actor, action, beginning, target, since, until], |row| {
                    row.get(0)
                })?;
            let sql = format!(
                "SELECT pos, at, actor, action, target, details FROM audit WHERE {filter}
                 ORDER BY pos DESC, n DESC LIMIT ?2 OFFSET ?3"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let (limit, offset) = (window.limit(), window.offset());
            let given = params![pattern, limit, offset, actor, action, beginning, target, since, until];
            let rows = statement
                .query_map(given, |row| {
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
