//! Services: programs that send.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, OptionalJson, Query, id};
use axum::extract::{Path, State};
use hongyan_wire::ServiceId;
use hongyan_wire::admin::{
    CallbackSecret, RotateKeyRequest, Service, ServiceCreated, ServiceList, ServiceRequest, ServiceStatus,
    ServiceUpdate,
};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// List services by id, which is the order in which they were made.
#[utoipa::path(
    get, path = "/admin/api/v3/services", tag = "services", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<ServiceList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<ServiceList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.service_list(&window))?;
    Ok(Answer {
        meta: meta(&window, page.total),
        data: ServiceList { services: page.rows, total: page.total },
    })
}

/// Make a service. Its key is shown this once.
#[utoipa::path(
    post, path = "/admin/api/v3/services", tag = "services", request_body = ServiceRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The service and its key", body = Success<ServiceCreated>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<ServiceRequest>,
) -> Result<Answer<ServiceCreated>> {
    Ok(Answer::new(gateway.administration.create_service(caller.name(), body.value).await?))
}

/// See one service.
#[utoipa::path(
    get, path = "/admin/api/v3/services/{id}", tag = "services", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The service", body = Success<Service>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Service>> {
    let service: ServiceId = id(&path, "service")?;
    Ok(Answer::new(gateway.administration.service(&service)?))
}

/// Change a service: what is left out stays as it is.
#[utoipa::path(
    put, path = "/admin/api/v3/services/{id}", tag = "services", params(("id" = String, Path)),
    request_body = ServiceUpdate, security(("bearer" = [])),
    responses(
        (status = 200, description = "The service", body = Success<Service>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    body: Json<ServiceUpdate>,
) -> Result<Answer<Service>> {
    let service: ServiceId = id(&path, "service")?;
    Ok(Answer::new(gateway.administration.update_service(caller.name(), &service, body.value).await?))
}

/// Delete a service and its keys. What it sent stays.
#[utoipa::path(
    delete, path = "/admin/api/v3/services/{id}", tag = "services", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    gateway.administration.delete_service(caller.name(), &id(&path, "service")?).await?;
    Ok(Answer::new(Done {}))
}

/// Approve an external service, so that it may send.
#[utoipa::path(
    post, path = "/admin/api/v3/services/{id}/approve", tag = "services", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The service", body = Success<Service>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn approve(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Service>> {
    let service: ServiceId = id(&path, "service")?;
    Ok(Answer::new(gateway.administration.approve_service(caller.name(), &service).await?))
}

/// Give a service another key, which is shown this once; the keys there are end after a while.
#[utoipa::path(
    post, path = "/admin/api/v3/services/{id}/rotate-key", tag = "services", params(("id" = String, Path)),
    request_body(content = Option<RotateKeyRequest>), security(("bearer" = [])),
    responses(
        (status = 200, description = "The service and its new key", body = Success<ServiceCreated>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 422, description = "The overlap is too long", body = Failure),
    ),
)]
pub async fn rotate_key(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    OptionalJson(request): OptionalJson<RotateKeyRequest>,
) -> Result<Answer<ServiceCreated>> {
    let service: ServiceId = id(&path, "service")?;
    Ok(Answer::new(gateway.administration.rotate_key(caller.name(), &service, request).await?))
}

/// Give a service another secret for what it is told, shown this once; the one before it signs beside it for a day.
#[utoipa::path(
    post, path = "/admin/api/v3/services/{id}/rotate-callback-secret", tag = "services", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The new secret", body = Success<CallbackSecret>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn rotate_callback_secret(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<CallbackSecret>> {
    let service: ServiceId = id(&path, "service")?;
    Ok(Answer::new(gateway.administration.rotate_callback_secret(caller.name(), &service).await?))
}

/// Suspend a service: its key is refused at once.
#[utoipa::path(
    post, path = "/admin/api/v3/services/{id}/suspend", tag = "services", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The service", body = Success<Service>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn suspend(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Service>> {
    set(&gateway, &caller, &path, ServiceStatus::Suspended).await
}

/// Let a suspended service go on.
#[utoipa::path(
    post, path = "/admin/api/v3/services/{id}/resume", tag = "services", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The service", body = Success<Service>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn resume(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Service>> {
    set(&gateway, &caller, &path, ServiceStatus::Active).await
}

async fn set(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    path: &str,
    status: ServiceStatus,
) -> Result<Answer<Service>> {
    let service: ServiceId = id(path, "service")?;
    Ok(Answer::new(gateway.administration.set_service_status(caller.name(), &service, status).await?))
}
