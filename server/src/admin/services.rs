//! Services: made, approved, changed, given new keys, suspended, deleted.

use super::{Administration, check_name};
use crate::auth::secrets;
use crate::error::{Error, Result};
use crate::log::record::{
    Record, Sealed, ServiceChange, ServiceKeyAdded, ServicePut, ServiceSecretChanged, ServiceStatusChange,
};
use hongyan_wire::ServiceId;
use hongyan_wire::admin::{
    Callback, CallbackSecret, RateLimit, RotateKeyRequest, Service, ServiceCreated, ServiceRequest,
    ServiceStatus, ServiceType, ServiceUpdate,
};
use hongyan_wire::error::FieldError;
use hongyan_wire::limits::NAME_MAX;
use hongyan_wire::permission::Permissions;
use smol_str::SmolStr;

/// Most permissions of one service.
const PERMISSIONS_MAX: usize = 100;
/// Most default recipients of one service.
const RECIPIENTS_MAX: usize = 100;
const RATE_MAX: u32 = 1_000_000;
/// Seconds for which old keys stay good when nothing is said, and at most.
const OVERLAP: u32 = 24 * 60 * 60;
const OVERLAP_MAX: u32 = 30 * OVERLAP;
/// Most keys of one service that are good at one time.
const KEYS_MAX: usize = 5;

impl Administration {
    /// Makes a service and its key, which is shown this once. An external one waits to be approved.
    pub async fn create_service(&self, actor: &str, request: ServiceRequest) -> Result<ServiceCreated> {
        let mut faults = Vec::new();
        check_name("name", &request.name, &mut faults);
        if let Some(owner) = &request.owner {
            check_name("owner", owner, &mut faults);
        }
        check_bounds(request.permissions.as_ref(), request.rate_limit, &mut faults);
        check_recipients(&request.default_recipients, &mut faults);
        self.check_callback_url(request.callback_url.as_deref(), &mut faults);
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let id = ServiceId::new(&format!("svc-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?;
        let (api_key, key_prefix) = secrets::service_key().map_err(Error::internal)?;
        let put = ServicePut {
            id: id.clone(),
            name: request.name,
            service_type: request.service_type,
            owner: request.owner,
            key_prefix,
            key_hash: secrets::hash(&api_key),
            status: match request.service_type {
                ServiceType::External => ServiceStatus::Pending,
                ServiceType::Internal | ServiceType::System => ServiceStatus::Active,
            },
            permissions: request.permissions,
            rate_limit: request.rate_limit,
            default_recipients: request.default_recipients,
            callback_url: request.callback_url,
            callback_secret: Sealed(secrets::callback_secret().map_err(Error::internal)?),
        };
        let callback_secret = Some(put.callback_secret.0.clone());
        self.put(actor, put, |change| Record::ServicePut(Box::new(change))).await?;
        Ok(ServiceCreated { service: self.service(&id)?, api_key, callback_secret })
    }

    /// One service.
    pub fn service(&self, id: &ServiceId) -> Result<Service> {
        self.directory.service(id)?.ok_or_else(|| Error::not_found("service"))
    }

    /// Changes what is given; takes effect at once.
    pub async fn update_service(
        &self,
        actor: &str,
        id: &ServiceId,
        request: ServiceUpdate,
    ) -> Result<Service> {
        let mut faults = Vec::new();
        for (field, text) in [("name", &request.name), ("owner", &request.owner)] {
            if let Some(text) = text {
                check_name(field, text, &mut faults);
            }
        }
        check_bounds(request.permissions.as_ref(), request.rate_limit, &mut faults);
        check_recipients(request.default_recipients.as_deref().unwrap_or_default(), &mut faults);
        self.check_callback_url(request.callback_url.as_deref().filter(|url| !url.is_empty()), &mut faults);
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let _turn = self.turn().await?;
        self.service(id)?;
        let ServiceUpdate { name, owner, permissions, rate_limit, default_recipients, callback_url } =
            request;
        let change = ServiceChange {
            id: id.clone(),
            name,
            owner,
            permissions,
            rate_limit,
            default_recipients,
            callback_url,
        };
        self.put(actor, change, |change| Record::ServiceChanged(Box::new(change))).await?;
        self.service(id)
    }

    /// Lets an external service send.
    pub async fn approve_service(&self, actor: &str, id: &ServiceId) -> Result<Service> {
        let _turn = self.turn().await?;
        if self.service(id)?.status == ServiceStatus::Pending {
            self.put_status(actor, id, ServiceStatus::Active).await?;
        }
        self.service(id)
    }

    /// Suspends a service or lets it go on; takes effect at once.
    pub async fn set_service_status(
        &self,
        actor: &str,
        id: &ServiceId,
        status: ServiceStatus,
    ) -> Result<Service> {
        let _turn = self.turn().await?;
        let before = self.service(id)?.status;
        if before == ServiceStatus::Pending && status == ServiceStatus::Active {
            return Err(Error::field("id", "the service waits to be approved"));
        }
        if before != status {
            self.put_status(actor, id, status).await?;
        }
        self.service(id)
    }

    async fn put_status(&self, actor: &str, id: &ServiceId, status: ServiceStatus) -> Result<()> {
        let change = ServiceStatusChange { service: id.clone(), status };
        self.put(actor, change, Record::ServiceStatus).await
    }

    /// Gives a service another key; those there are end after a while.
    pub async fn rotate_key(
        &self,
        actor: &str,
        id: &ServiceId,
        request: RotateKeyRequest,
    ) -> Result<ServiceCreated> {
        let overlap = request.overlap_seconds.unwrap_or(OVERLAP);
        if overlap > OVERLAP_MAX {
            return Err(Error::field("overlap_seconds", "must be at most 2592000, which is 30 days"));
        }
        let _turn = self.turn().await?;
        let now = crate::clock::now();
        let keys = self.service(id)?.keys;
        let good = keys.iter().filter(|key| key.ends_at.is_none_or(|at| at > now)).count();
        if good >= KEYS_MAX && overlap > 0 {
            return Err(Error::field("overlap_seconds", "must be 0: five keys are good already"));
        }
        let (api_key, key_prefix) = secrets::service_key().map_err(Error::internal)?;
        let added = ServiceKeyAdded {
            service: id.clone(),
            key_prefix,
            key_hash: secrets::hash(&api_key),
            others_until: now.plus_millis(i64::from(overlap) * 1_000),
        };
        self.put(actor, added, |change| Record::ServiceKeyAdded(Box::new(change))).await?;
        Ok(ServiceCreated { service: self.service(id)?, api_key, callback_secret: None })
    }

    /// Gives a service another secret for its callbacks; the one before it signs beside it for a day.
    pub async fn rotate_callback_secret(&self, actor: &str, id: &ServiceId) -> Result<CallbackSecret> {
        let _turn = self.turn().await?;
        self.service(id)?;
        let callback_secret = secrets::callback_secret().map_err(Error::internal)?;
        let changed = ServiceSecretChanged {
            service: id.clone(),
            secret: Sealed(callback_secret.clone()),
            before_until: crate::clock::now().plus_millis(i64::from(OVERLAP) * 1_000),
        };
        self.put(actor, changed, |change| Record::ServiceSecretChanged(Box::new(change))).await?;
        Ok(CallbackSecret { callback_secret })
    }

    /// Tells a service again what it was told, or could not be.
    pub async fn replay_callback(&self, actor: &str, id: u64) -> Result<Callback> {
        let _turn = self.turn().await?;
        let known = || self.directory.callback(id)?.ok_or_else(|| Error::not_found("callback"));
        known()?;
        self.put(actor, id, Record::CallbackReplayed).await?;
        known()
    }

    fn check_callback_url(&self, url: Option<&str>, faults: &mut Vec<FieldError>) {
        if let Some(reason) = url.and_then(|url| self.callback_guard.refuses(url)) {
            faults.push(FieldError::new("callback_url", reason));
        }
    }

    /// Deletes a service and its keys. What it sent stays.
    pub async fn delete_service(&self, actor: &str, id: &ServiceId) -> Result<()> {
        let _turn = self.turn().await?;
        self.service(id)?;
        self.put(actor, id.clone(), Record::ServiceDeleted).await
    }
}

fn check_bounds(permissions: Option<&Permissions>, rate: Option<RateLimit>, faults: &mut Vec<FieldError>) {
    if permissions.is_some_and(|permissions| permissions.0.len() > PERMISSIONS_MAX) {
        faults.push(FieldError::new("permissions", "must be at most 100"));
    }
    if rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate.per_minute)) {
        faults.push(FieldError::new("rate_limit.per_minute", "must be from 1 to 1000000"));
    }
}

fn check_recipients(recipients: &[SmolStr], faults: &mut Vec<FieldError>) {
    let is_one = |text: &SmolStr| {
        !text.trim().is_empty() && text.chars().count() <= NAME_MAX && !text.contains(char::is_control)
    };
    if recipients.len() > RECIPIENTS_MAX || !recipients.iter().all(is_one) {
        faults.push(FieldError::new("default_recipients", "must be at most 100 ids or usernames"));
    }
}
