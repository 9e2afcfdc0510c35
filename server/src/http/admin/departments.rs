//! Departments: a tree, with those in them and those who look after them.

use super::{PageQuery, members, meta};
use crate::directory::Window;
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use crate::http::page::{search, window};
use crate::log::record::GroupKey;
use axum::extract::{Path, State};
use hongyan_wire::DepartmentId;
use hongyan_wire::admin::{Department, DepartmentList, DepartmentRequest, DepartmentUpdate, UserList};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which departments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DepartmentQuery {
    /// Only those right under this one; with an empty text those under none.
    parent_id: Option<String>,
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    /// Text in ids and names; at most 200 characters.
    q: Option<String>,
}

/// List departments by id.
#[utoipa::path(
    get, path = "/admin/api/v3/departments", tag = "departments", params(DepartmentQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<DepartmentList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<DepartmentQuery>,
) -> Result<Answer<DepartmentList>> {
    let (page, size) = window(query.page, query.size)?;
    let window = Window { page, size, q: search(query.q)? };
    let parent = query.parent_id.as_deref();
    let page = tokio::task::block_in_place(|| gateway.directory.departments(parent, &window))?;
    let departments = page.rows.iter().filter_map(|group| group.to_department()).collect();
    Ok(Answer { meta: meta(&window, page.total), data: DepartmentList { departments, total: page.total } })
}

/// Make a department.
#[utoipa::path(
    post, path = "/admin/api/v3/departments", tag = "departments", request_body = DepartmentRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The department", body = Success<Department>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "The id is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<DepartmentRequest>,
) -> Result<Answer<Department>> {
    Ok(Answer::new(gateway.administration.create_department(caller.name(), body.value).await?))
}

/// Put a user into a department, out of the one they were in. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/admin/api/v3/departments/{id}/members/{user_id}", tag = "departments",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A member from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such department or user", body = Failure),
    ),
)]
pub async fn add_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    let key = key(&path.0)?;
    members::set(&gateway, &caller, key, &path.1, true).await
}

/// Take a user out of a department; what was sent before stays in the inbox.
#[utoipa::path(
    delete, path = "/admin/api/v3/departments/{id}/members/{user_id}", tag = "departments",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No member any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such department or user", body = Failure),
    ),
)]
pub async fn remove_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    let key = key(&path.0)?;
    members::set(&gateway, &caller, key, &path.1, false).await
}

/// List the members, those of departments below included, by id.
#[utoipa::path(
    get, path = "/admin/api/v3/departments/{id}/members", tag = "departments", params(("id" = String, Path), PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<UserList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such department", body = Failure),
    ),
)]
pub async fn members(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer<UserList>> {
    members::list(&gateway, &key(&path)?, query)
}

/// See one department.
#[utoipa::path(
    get, path = "/admin/api/v3/departments/{id}", tag = "departments", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The department", body = Success<Department>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Department>> {
    Ok(Answer::new(gateway.administration.department(&key(&path)?)?))
}

/// Change a department, or hang it elsewhere.
#[utoipa::path(
    put, path = "/admin/api/v3/departments/{id}", tag = "departments", params(("id" = String, Path)), request_body = DepartmentUpdate,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The department", body = Success<Department>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    body: Json<DepartmentUpdate>,
) -> Result<Answer<Department>> {
    let key = key(&path)?;
    Ok(Answer::new(gateway.administration.update_department(caller.name(), &key, body.value).await?))
}

/// Delete a department that has none under it. Who was in it is in the one above; what was sent to them stays theirs.
#[utoipa::path(
    delete, path = "/admin/api/v3/departments/{id}", tag = "departments", params(("id" = String, Path)), security(("bearer" = [])),
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
    gateway.administration.delete_group(caller.name(), &key(&path)?).await?;
    Ok(Answer::new(Done {}))
}

/// Let a user send to a department and those below it. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/admin/api/v3/departments/{id}/admins/{user_id}", tag = "departments",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "So from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such department or user", body = Failure),
        (status = 422, description = "There are 100 already", body = Failure),
    ),
)]
pub async fn add_admin(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    members::set_owner(&gateway, &caller, key(&path.0)?, &path.1, true).await
}

/// Let a user no longer send to a department.
#[utoipa::path(
    delete, path = "/admin/api/v3/departments/{id}/admins/{user_id}", tag = "departments",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such department or user", body = Failure),
    ),
)]
pub async fn remove_admin(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    members::set_owner(&gateway, &caller, key(&path.0)?, &path.1, false).await
}

fn key(path: &str) -> Result<GroupKey> {
    Ok(GroupKey::department(&id::<DepartmentId>(path, "department")?))
}
