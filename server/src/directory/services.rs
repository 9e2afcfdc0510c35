//! Programs that send, found by the public prefix of one of their keys.

use super::store::{Directory, DirectoryError};
use super::{Page, Window};
use crate::log::record::{ServiceChange, ServiceKeyAdded, ServicePut, ServiceSecretChanged};
use hongyan_wire::admin::{RateLimit, Service, ServiceKey, ServiceStatus, ServiceType};
use hongyan_wire::permission::{Permission, Permissions};
use hongyan_wire::template::TemplateCategory;
use hongyan_wire::{ServiceId, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use smol_str::SmolStr;
use std::sync::Arc;

/// A service with the hash of the key that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownService {
    pub service: Service,
    /// SHA-256 in hex.
    pub key_hash: SmolStr,
    /// When this key ends, if another has taken its place.
    pub key_until: Option<Timestamp>,
}

const COLUMNS: &str = "s.id, s.name, s.service_type, s.owner, s.status, s.created_at, s.permissions, s.rate_limit, s.default_recipients,
     s.callback_url";

/// What a service of a tier may do, unless an administrator has said otherwise.
pub fn tier(service_type: ServiceType) -> Permissions {
    use Permission::{
        Category, Everything, OnBehalfOf, SeeRecipients, ToAll, ToChannel, ToDepartment, ToRole, ToUsers,
    };
    let content = [Category(TemplateCategory::Business), Category(TemplateCategory::Notification)];
    let audience = match service_type {
        ServiceType::System => return Permissions(vec![Everything]),
        ServiceType::Internal => {
            let groups = [ToChannel(None), ToRole(None), ToDepartment(None), ToAll];
            [ToUsers, OnBehalfOf, SeeRecipients].into_iter().chain(groups).collect()
        }
        ServiceType::External => vec![ToUsers],
    };
    Permissions(audience.into_iter().chain(content).collect())
}

impl Directory {
    /// The service that has a key which begins so.
    pub fn service_by_prefix(&self, prefix: &SmolStr) -> Result<Option<Arc<KnownService>>, DirectoryError> {
        self.cached(&self.services, prefix, |conn| {
            let sql = format!(
                "SELECT {COLUMNS}, k.hash, k.until FROM service_key k JOIN service s ON s.id = k.service
                 WHERE k.prefix = ?1"
            );
            let known = conn.prepare_cached(&sql)?.query_row([prefix.as_str()], |row| {
                let until: Option<i64> = row.get(11)?;
                Ok(KnownService {
                    service: service(row)?,
                    key_hash: row.get_ref(10)?.as_str()?.into(),
                    key_until: until.map(Timestamp::from_millis),
                })
            });
            known.optional()
        })
    }

    pub fn service(&self, id: &ServiceId) -> Result<Option<Service>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM service s WHERE s.id = ?1");
            let found = conn.prepare_cached(&sql)?.query_row([id.as_str()], service).optional()?;
            found.map(|found| with_keys(conn, found)).transpose()
        })
    }

    /// Services by id, which is the order in which they were made.
    pub fn service_list(&self, window: &Window) -> Result<Page<Service>, DirectoryError> {
        let pattern = window.pattern();
        let filter = "(s.id LIKE ?1 ESCAPE '\\' OR s.name LIKE ?1 ESCAPE '\\')";
        self.reading(|conn| {
            let total: i64 = conn
                .prepare_cached(&format!("SELECT count(*) FROM service s WHERE {filter}"))?
                .query_row([&pattern], |row| row.get(0))?;
            let sql =
                format!("SELECT {COLUMNS} FROM service s WHERE {filter} ORDER BY s.id LIMIT ?2 OFFSET ?3");
            let found: Vec<Service> = conn
                .prepare_cached(&sql)?
                .query_map(params![pattern, window.limit(), window.offset()], service)?
                .collect::<rusqlite::Result<_>>()?;
            let rows =
                found.into_iter().map(|found| with_keys(conn, found)).collect::<rusqlite::Result<_>>()?;
            Ok(Page { rows, total: total as u64 })
        })
    }
}

pub(super) fn put(conn: &Connection, put: &ServicePut, at: Timestamp) -> rusqlite::Result<()> {
    let made = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO service(id, name, service_type, owner, status, permissions, rate_limit, created_at,
                 default_recipients, callback_url, callback_secret)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            put.id.as_str(),
            put.name,
            type_word(put.service_type),
            put.owner,
            status_word(put.status),
            put.permissions.as_ref().map(words),
            put.rate_limit.map(|limit| limit.per_minute),
            at.millis(),
            put.default_recipients.join("\n"),
            put.callback_url,
            put.callback_secret.0
        ])?;
    if made > 0 {
        insert_key(conn, &put.id, &put.key_prefix, &put.key_hash, at)?;
    }
    Ok(())
}

pub(super) fn change(conn: &Connection, change: &ServiceChange) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE service SET name = coalesce(?2, name), owner = coalesce(?3, owner),
             permissions = coalesce(?4, permissions), rate_limit = coalesce(?5, rate_limit),
             default_recipients = coalesce(?6, default_recipients),
             callback_url = nullif(coalesce(?7, callback_url), '') WHERE id = ?1",
    )?
    .execute(params![
        change.id.as_str(),
        change.name,
        change.owner,
        change.permissions.as_ref().map(words),
        change.rate_limit.map(|limit| limit.per_minute),
        change.default_recipients.as_ref().map(|recipients| recipients.join("\n")),
        change.callback_url
    ])?;
    Ok(())
}

/// Gives whether it had waited to be approved.
pub(super) fn set_status(conn: &Connection, id: &ServiceId, status: ServiceStatus) -> rusqlite::Result<bool> {
    let was_pending = super::store::exists(
        conn,
        "SELECT 1 FROM service WHERE id = ?1 AND status = 'pending'",
        [id.as_str()],
    )?;
    conn.prepare_cached("UPDATE service SET status = ?2 WHERE id = ?1")?
        .execute(params![id.as_str(), status_word(status)])?;
    Ok(was_pending)
}

pub(super) fn add_key(conn: &Connection, added: &ServiceKeyAdded, at: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM service_key WHERE service = ?1 AND until <= ?2")?
        .execute(params![added.service.as_str(), at.millis()])?;
    conn.prepare_cached("UPDATE service_key SET until = min(coalesce(until, ?2), ?2) WHERE service = ?1")?
        .execute(params![added.service.as_str(), added.others_until.millis()])?;
    insert_key(conn, &added.service, &added.key_prefix, &added.key_hash, at)
}

fn insert_key(
    conn: &Connection,
    service: &ServiceId,
    prefix: &str,
    hash: &str,
    at: Timestamp,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO service_key(prefix, service, hash, created_at) VALUES(?1, ?2, ?3, ?4)",
    )?
    .execute(params![prefix, service.as_str(), hash, at.millis()])?;
    Ok(())
}

pub(super) fn change_secret(conn: &Connection, changed: &ServiceSecretChanged) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE service SET callback_secret_before = callback_secret, callback_secret_before_until = ?3,
             callback_secret = ?2 WHERE id = ?1",
    )?
    .execute(params![changed.service.as_str(), changed.secret.0, changed.before_until.millis()])?;
    Ok(())
}

pub(super) fn delete(conn: &Connection, id: &ServiceId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM service_key WHERE service = ?1")?.execute([id.as_str()])?;
    conn.prepare_cached("DELETE FROM service WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

/// The prefixes of all of a service's keys: what it is cached by.
pub(super) fn prefixes(conn: &Connection, id: &ServiceId) -> rusqlite::Result<Vec<SmolStr>> {
    conn.prepare_cached("SELECT prefix FROM service_key WHERE service = ?1")?
        .query_map([id.as_str()], |row| Ok(row.get_ref(0)?.as_str()?.into()))?
        .collect()
}

fn with_keys(conn: &Connection, mut service: Service) -> rusqlite::Result<Service> {
    service.keys = conn
        .prepare_cached(
            "SELECT prefix, created_at, until FROM service_key WHERE service = ?1 ORDER BY created_at DESC, prefix",
        )?
        .query_map([service.id.as_str()], |row| {
            let until: Option<i64> = row.get(2)?;
            Ok(ServiceKey {
                prefix: row.get(0)?,
                created_at: Timestamp::from_millis(row.get(1)?),
                ends_at: until.map(Timestamp::from_millis),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(service)
}

const fn type_word(service_type: ServiceType) -> &'static str {
    match service_type {
        ServiceType::Internal => "internal",
        ServiceType::External => "external",
        ServiceType::System => "system",
    }
}

const fn status_word(status: ServiceStatus) -> &'static str {
    match status {
        ServiceStatus::Active => "active",
        ServiceStatus::Pending => "pending",
        ServiceStatus::Suspended => "suspended",
        ServiceStatus::Disabled => "disabled",
    }
}

/// Permissions as they are stored: their words, one a line.
fn words(permissions: &Permissions) -> String {
    permissions.0.iter().map(Permission::to_string).collect::<Vec<_>>().join("\n")
}

fn service(row: &Row<'_>) -> rusqlite::Result<Service> {
    let bad = |column, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
    };
    let service_type = match row.get_ref(2)?.as_str()? {
        "internal" => ServiceType::Internal,
        "system" => ServiceType::System,
        _ => ServiceType::External,
    };
    let permissions = match row.get_ref(6)?.as_str_or_null()? {
        Some(words) => {
            let parsed = words.lines().map(str::parse).collect::<Result<_, _>>();
            Permissions(parsed.map_err(|error| bad(6, Box::new(error)))?)
        }
        None => tier(service_type),
    };
    let rate_limit: Option<u32> = row.get(7)?;
    Ok(Service {
        id: ServiceId::new(row.get_ref(0)?.as_str()?).map_err(|error| bad(0, Box::new(error)))?,
        name: row.get(1)?,
        service_type,
        owner: row.get(3)?,
        status: match row.get_ref(4)?.as_str()? {
            "active" => ServiceStatus::Active,
            "pending" => ServiceStatus::Pending,
            "suspended" => ServiceStatus::Suspended,
            _ => ServiceStatus::Disabled,
        },
        permissions,
        rate_limit: rate_limit.map(|per_minute| RateLimit { per_minute }),
        default_recipients: row.get_ref(8)?.as_str()?.lines().map(SmolStr::from).collect(),
        callback_url: row.get(9)?,
        keys: Vec::new(),
        created_at: Timestamp::from_millis(row.get(5)?),
    })
}
