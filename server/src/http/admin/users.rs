//! Users.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use axum::extract::{Path, State};
use hongyan_wire::UserId;
use hongyan_wire::admin::{User, UserList, UserRequest, UserStatus, UserUpdate};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// List users by id.
#[utoipa::path(
    get, path = "/admin/api/v3/users", tag = "users", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<UserList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<UserList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.users(&window))?;
    Ok(Answer { meta: meta(&window, page.total), data: UserList { users: page.rows, total: page.total } })
}

/// Make a user.
#[utoipa::path(
    post, path = "/admin/api/v3/users", tag = "users", request_body = UserRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = Success<User>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "The id or the username is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<UserRequest>,
) -> Result<Answer<User>> {
    Ok(Answer::new(gateway.administration.create_user(caller.name(), body.value).await?))
}

/// See one user.
#[utoipa::path(
    get, path = "/admin/api/v3/users/{id}", tag = "users", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = Success<User>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<User>> {
    let user: UserId = id(&path, "user")?;
    Ok(Answer::new(gateway.administration.user(&user)?))
}

/// Change a user: what is left out stays as it is.
#[utoipa::path(
    put, path = "/admin/api/v3/users/{id}", tag = "users", params(("id" = String, Path)), request_body = UserUpdate,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = Success<User>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 409, description = "The username is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    body: Json<UserUpdate>,
) -> Result<Answer<User>> {
    let user: UserId = id(&path, "user")?;
    Ok(Answer::new(gateway.administration.update_user(caller.name(), &user, body.value).await?))
}

/// Delete a user with everything that is theirs: folder, rows, and what the log has of them.
#[utoipa::path(
    delete, path = "/admin/api/v3/users/{id}", tag = "users", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "Nothing of theirs is left but the bare id in the audit log", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    gateway.administration.delete_user(caller.name(), &id(&path, "user")?).await?;
    Ok(Answer::new(Done {}))
}

/// Disable a user: all sessions and personal tokens end, sockets are closed at once.
#[utoipa::path(
    post, path = "/admin/api/v3/users/{id}/disable", tag = "users", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = Success<User>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn disable(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<User>> {
    set(&gateway, &caller, &path, UserStatus::Disabled).await
}

/// Let a disabled user sign in again.
#[utoipa::path(
    post, path = "/admin/api/v3/users/{id}/enable", tag = "users", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = Success<User>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn enable(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<User>> {
    set(&gateway, &caller, &path, UserStatus::Active).await
}

async fn set(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    path: &str,
    status: UserStatus,
) -> Result<Answer<User>> {
    let user: UserId = id(path, "user")?;
    Ok(Answer::new(gateway.administration.set_user_status(caller.name(), &user, status).await?))
}
