//! Templates, each with all of its versions.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use hongyan_wire::TemplateId;
use hongyan_wire::template::{Template, TemplateCategory};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

impl Directory {
    /// A template as it is now.
    pub fn template(&self, id: &TemplateId) -> Result<Option<Arc<Template>>, DirectoryError> {
        self.cached(&self.templates, id, |conn| {
            let sql = "SELECT body FROM template WHERE id = ?1";
            conn.prepare_cached(sql)?.query_row([id.as_str()], template).optional()
        })
    }

    /// Templates by id, of one category or of all.
    pub fn templates(
        &self,
        category: Option<TemplateCategory>,
        window: &Window,
    ) -> Result<Page<Template>, DirectoryError> {
        let (pattern, category) = (window.pattern(), category.map(TemplateCategory::as_str));
        let filter = "(?2 IS NULL OR category = ?2) AND (id LIKE ?1 ESCAPE '\\' OR name LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM template WHERE {filter}"))?
                .query_row(params![pattern, category], |row| row.get(0))?;
            let sql = format!("SELECT body FROM template WHERE {filter} ORDER BY id LIMIT ?3 OFFSET ?4");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![pattern, category, window.limit(), window.offset()], template)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    /// A template as it was in one of its versions, newest first; also of one that is deleted.
    pub fn template_versions(
        &self,
        id: &TemplateId,
        window: &Window,
    ) -> Result<Page<Template>, DirectoryError> {
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached("SELECT count(*) FROM template_version WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get(0))?;
            let mut statement = conn.prepare_cached(
                "SELECT body FROM template_version WHERE id = ?1 ORDER BY version DESC LIMIT ?2 OFFSET ?3",
            )?;
            let rows = statement
                .query_map(params![id.as_str(), window.limit(), window.offset()], template)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }

    /// The last version that a template ever had; 0 if there never was one.
    pub fn last_template_version(&self, id: &TemplateId) -> Result<u32, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT coalesce(max(version), 0) FROM template_version WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get(0))
        })
    }

    /// Whether there ever was a template.
    pub fn has_known_templates(&self) -> Result<bool, DirectoryError> {
        self.reading(|conn| super::store::exists(conn, "SELECT 1 FROM template_version LIMIT 1", []))
    }
}

pub(super) fn put(conn: &Connection, template: &Template) -> rusqlite::Result<()> {
    let body = serde_json::to_string(template)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    conn.prepare_cached("INSERT OR REPLACE INTO template(id, category, name, body) VALUES(?1, ?2, ?3, ?4)")?
        .execute(params![template.id.as_str(), template.category.as_str(), template.name, body])?;
    conn.prepare_cached("INSERT OR IGNORE INTO template_version(id, version, body) VALUES(?1, ?2, ?3)")?
        .execute(params![template.id.as_str(), template.version, body])?;
    Ok(())
}

pub(super) fn delete(conn: &Connection, id: &TemplateId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM template WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

fn template(row: &Row<'_>) -> rusqlite::Result<Template> {
    serde_json::from_str(row.get_ref(0)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}
