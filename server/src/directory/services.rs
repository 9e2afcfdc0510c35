//! Programs that send, found by the public prefix of their key.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use hongyan_wire::admin::{Service, ServiceStatus, ServiceType};
use hongyan_wire::{ServiceId, Timestamp};
use rusqlite::{OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::sync::Arc;

/// A service with the hash of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownService {
    pub service: Service,
    /// SHA-256 in hex.
    pub key_hash: SmolStr,
}

const COLUMNS: &str = "id, name, service_type, owner, status, key_prefix, created_at, key_hash";

impl Directory {
    /// The service whose key begins so.
    pub fn service_by_prefix(&self, prefix: &SmolStr) -> Result<Option<Arc<KnownService>>, DirectoryError> {
        self.cached(&self.services, prefix, |conn| {
            let sql = format!("SELECT {COLUMNS} FROM service WHERE key_prefix = ?1");
            conn.prepare_cached(&sql)?.query_row([prefix.as_str()], service).optional()
        })
    }

    pub fn service(&self, id: &ServiceId) -> Result<Option<Service>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM service WHERE id = ?1");
            let known = conn.prepare_cached(&sql)?.query_row([id.as_str()], service).optional()?;
            Ok(known.map(|known| known.service))
        })
    }

    /// Services by id, which is the order in which they were made.
    pub fn service_list(&self, window: &Window) -> Result<Page<Service>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "(id LIKE ?1 ESCAPE '\\' OR name LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM service WHERE {filter}"))?
                .query_row([&pattern], |row| row.get(0))?;
            let sql = format!("SELECT {COLUMNS} FROM service WHERE {filter} ORDER BY id LIMIT ?2 OFFSET ?3");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params![pattern, window.limit(), window.offset()], service)?
                .map(|known| Ok(known?.service))
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }
}

fn service(row: &Row<'_>) -> rusqlite::Result<KnownService> {
    let id = ServiceId::new(row.get_ref(0)?.as_str()?).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
    })?;
    let service = Service {
        id,
        name: row.get(1)?,
        service_type: match row.get_ref(2)?.as_str()? {
            "internal" => ServiceType::Internal,
            "system" => ServiceType::System,
            _ => ServiceType::External,
        },
        owner: row.get(3)?,
        status: match row.get_ref(4)?.as_str()? {
            "active" => ServiceStatus::Active,
            "suspended" => ServiceStatus::Suspended,
            _ => ServiceStatus::Disabled,
        },
        key_prefix: row.get(5)?,
        created_at: Timestamp::from_millis(row.get(6)?),
    };
    Ok(KnownService { service, key_hash: row.get_ref(7)?.as_str()?.into() })
}
