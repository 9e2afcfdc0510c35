//! Templates and their versions.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use crate::http::templates::TemplateQuery;
use axum::extract::{Path, State};
use hongyan_wire::TemplateId;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::template::{Template, TemplateList, TemplateRequest};

/// List templates by id.
#[utoipa::path(
    get, path = "/admin/api/v3/templates", tag = "templates", params(TemplateQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<TemplateList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<TemplateQuery>,
) -> Result<Answer<TemplateList>> {
    query.page(&gateway.directory)
}

/// See one template.
#[utoipa::path(
    get, path = "/admin/api/v3/templates/{id}", tag = "templates", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Template>> {
    Ok(Answer::new(gateway.administration.template(&id(&path, "template")?)?))
}

/// List the versions of a template, newest first; also of one that is deleted.
#[utoipa::path(
    get, path = "/admin/api/v3/templates/{id}/versions", tag = "templates", params(("id" = String, Path), PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<TemplateList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn versions(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer<TemplateList>> {
    let (id, window) = (id::<TemplateId>(&path, "template")?, query.window()?);
    let page = tokio::task::block_in_place(|| gateway.directory.template_versions(&id, &window))?;
    let data = TemplateList { templates: page.rows, total: page.total };
    Ok(Answer { meta: meta(&window, page.total), data })
}

/// Make a template.
#[utoipa::path(
    post, path = "/admin/api/v3/templates", tag = "templates", request_body = TemplateRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "The id is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<TemplateRequest>,
) -> Result<Answer<Template>> {
    Ok(Answer::new(gateway.administration.create_template(caller.name(), body.value).await?))
}

/// Change a template: it has a new version.
#[utoipa::path(
    put, path = "/admin/api/v3/templates/{id}", tag = "templates", params(("id" = String, Path)),
    request_body = TemplateRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 409, description = "`if_version` has passed; `error.current` is the template now", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    body: Json<TemplateRequest>,
) -> Result<Answer<Template>> {
    let id: TemplateId = id(&path, "template")?;
    Ok(Answer::new(gateway.administration.update_template(caller.name(), &id, body.value).await?))
}

/// Delete a template; its versions stay known for what was sent.
#[utoipa::path(
    delete, path = "/admin/api/v3/templates/{id}", tag = "templates", params(("id" = String, Path)), security(("bearer" = [])),
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
    gateway.administration.delete_template(caller.name(), &id(&path, "template")?).await?;
    Ok(Answer::new(Done {}))
}
