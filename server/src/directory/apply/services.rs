//! Services and their keys.

use super::{Outcome, audit};
use crate::directory::{callbacks, services};
use crate::log::Pos;
use crate::log::record::{Record, ServiceStatusChange};
use hongyan_wire::ServiceId;
use hongyan_wire::admin::ServiceStatus;
use rusqlite::Connection;
use serde_json::{Value, json};

impl Outcome {
    pub(super) fn service(&mut self, conn: &Connection, pos: Pos, record: &Record) -> rusqlite::Result<()> {
        let mut touch = |conn: &Connection, id: &ServiceId| -> rusqlite::Result<()> {
            self.service_keys.extend(services::prefixes(conn, id)?);
            Ok(())
        };
        match record {
            Record::ServicePut(change) => {
                let put = &change.what;
                services::put(conn, put, change.at)?;
                let details = json!({ "name": put.name, "type": put.service_type, "status": put.status });
                audit(conn, (pos, 0), change, "service.create", put.id.as_str(), &details)
            }
            Record::ServiceChanged(change) => {
                let changed = &change.what;
                services::change(conn, changed)?;
                touch(conn, &changed.id)?;
                let details = json!({
                    "name": changed.name, "owner": changed.owner, "permissions": changed.permissions,
                    "rate_limit": changed.rate_limit, "default_recipients": changed.default_recipients,
                    "callback_url": changed.callback_url,
                });
                audit(conn, (pos, 0), change, "service.update", changed.id.as_str(), &details)
            }
            Record::ServiceStatus(change) => {
                let ServiceStatusChange { service, status } = &change.what;
                self.callbacks = true;
                let was_pending = services::set_status(conn, service, *status)?;
                touch(conn, service)?;
                let action = match status {
                    ServiceStatus::Active if was_pending => "service.approve",
                    ServiceStatus::Active => "service.resume",
                    ServiceStatus::Pending => "service.await_approval",
                    ServiceStatus::Disabled => "service.disable",
                    ServiceStatus::Suspended => "service.suspend",
                };
                audit(conn, (pos, 0), change, action, service.as_str(), &Value::Null)
            }
            Record::ServiceKeyAdded(change) => {
                let added = &change.what;
                touch(conn, &added.service)?;
                services::add_key(conn, added, change.at)?;
                let details = json!({ "prefix": added.key_prefix, "others_until": added.others_until });
                audit(conn, (pos, 0), change, "service.rotate_key", added.service.as_str(), &details)
            }
            Record::ServiceSecretChanged(change) => {
                services::change_secret(conn, &change.what)?;
                audit(
                    conn,
                    (pos, 0),
                    change,
                    "service.rotate_secret",
                    change.what.service.as_str(),
                    &Value::Null,
                )
            }
            Record::ServiceDeleted(change) => {
                callbacks::forget_service(conn, &change.what)?;
                self.callbacks = true;
                touch(conn, &change.what)?;
                services::delete(conn, &change.what)?;
                audit(conn, (pos, 0), change, "service.delete", change.what.as_str(), &Value::Null)
            }
            _ => Ok(()),
        }
    }
}
