//! Roles and their members.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use crate::log::record::{GroupKey, GroupKind};
use axum::extract::{Path, State};
use hongyan_wire::admin::{Role, RoleList, RoleRequest};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::{RoleId, UserId};

/// List roles by id.
#[utoipa::path(
    get, path = "/admin/api/v3/roles", tag = "roles", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<RoleList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<RoleList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.groups(GroupKind::Role, &window))?;
    let roles = page.rows.iter().filter_map(|group| group.to_role()).collect();
    Ok(Answer { meta: meta(&window, page.total), data: RoleList { roles, total: page.total } })
}

/// Make a role.
#[utoipa::path(
    post, path = "/admin/api/v3/roles", tag = "roles", request_body = RoleRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The role", body = Success<Role>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "The id is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<RoleRequest>,
) -> Result<Answer<Role>> {
    Ok(Answer::new(gateway.administration.create_role(caller.name(), body.value).await?))
}

/// Add a member. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/admin/api/v3/roles/{id}/members/{user_id}", tag = "roles",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A member from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such role or user", body = Failure),
    ),
)]
pub async fn add_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, true).await
}

/// Remove a member; what was sent before stays in the inbox.
#[utoipa::path(
    delete, path = "/admin/api/v3/roles/{id}/members/{user_id}", tag = "roles",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No member any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such role or user", body = Failure),
    ),
)]
pub async fn remove_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, false).await
}

async fn set_member(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    (group, user): &(String, String),
    joined: bool,
) -> Result<Answer<Done>> {
    let key = GroupKey::role(&id::<RoleId>(group, "role")?);
    let user: UserId = id(user, "user")?;
    gateway.administration.set_member(caller.name(), key, user, joined).await?;
    Ok(Answer::new(Done {}))
}
