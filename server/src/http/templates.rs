//! Templates, as senders see and keep them.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::{Json, Query, id};
use super::page::{search, window};
use crate::auth::Caller;
use crate::directory::Window;
use crate::error::{Error, Result};
use axum::extract::{Path, State};
use hongyan_wire::TemplateId;
use hongyan_wire::api::{Done, Meta, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::permission::Permission;
use hongyan_wire::template::{Template, TemplateCategory, TemplateList, TemplateRequest};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which templates are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TemplateQuery {
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    category: Option<TemplateCategory>,
    /// Text in ids and names; at most 200 characters.
    q: Option<String>,
}

impl TemplateQuery {
    /// The page of templates that is asked for.
    pub fn page(self, directory: &crate::directory::Directory) -> Result<Answer<TemplateList>> {
        let (page, size) = window(self.page, self.size)?;
        let window = Window { page, size, q: search(self.q)? };
        let found = tokio::task::block_in_place(|| directory.templates(self.category, &window))?;
        let meta = Meta::page(page, size, found.total);
        Ok(Answer { meta, data: TemplateList { templates: found.rows, total: found.total } })
    }
}

/// List templates by id.
#[utoipa::path(
    get, path = "/api/v3/messages/templates", tag = "templates", params(TemplateQuery),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<TemplateList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<UserGateway>,
    _caller: Caller,
    Query(query): Query<TemplateQuery>,
) -> Result<Answer<TemplateList>> {
    query.page(&gateway.directory)
}

/// See one template.
#[utoipa::path(
    get, path = "/api/v3/messages/templates/{id}", tag = "templates", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<UserGateway>,
    _caller: Caller,
    Path(path): Path<String>,
) -> Result<Answer<Template>> {
    Ok(Answer::new(gateway.administration.template(&id(&path, "template")?)?))
}

/// Make a template. For administrators, and services with `templates:write`.
#[utoipa::path(
    post, path = "/api/v3/messages/templates", tag = "templates", request_body = TemplateRequest,
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The permission templates:write is missing", body = Failure),
        (status = 409, description = "The id is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<UserGateway>,
    caller: Caller,
    body: Json<TemplateRequest>,
) -> Result<Answer<Template>> {
    let actor = writer(&caller)?;
    Ok(Answer::new(gateway.administration.create_template(&actor, body.value).await?))
}

/// Change a template: it has a new version. For administrators, and services with `templates:write`.
#[utoipa::path(
    put, path = "/api/v3/messages/templates/{id}", tag = "templates", params(("id" = String, Path)),
    request_body = TemplateRequest, security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The template", body = Success<Template>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The permission templates:write is missing", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 409, description = "`if_version` has passed; `error.current` is the template now", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
    body: Json<TemplateRequest>,
) -> Result<Answer<Template>> {
    let actor = writer(&caller)?;
    let id: TemplateId = id(&path, "template")?;
    Ok(Answer::new(gateway.administration.update_template(&actor, &id, body.value).await?))
}

/// Delete a template. For administrators, and services with `templates:write`.
#[utoipa::path(
    delete, path = "/api/v3/messages/templates/{id}", tag = "templates", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The permission templates:write is missing", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let actor = writer(&caller)?;
    gateway.administration.delete_template(&actor, &id(&path, "template")?).await?;
    Ok(Answer::new(Done {}))
}

/// Who changes templates, for the audit log.
fn writer(caller: &Caller) -> Result<String> {
    let wanted = Permission::WriteTemplates;
    match caller {
        Caller::User(user) if user.is_admin() => Ok(user.id().to_string()),
        Caller::Service(known) if known.service.permissions.allows(&wanted) => {
            Ok(known.service.id.to_string())
        }
        _ => Err(Error::forbidden(&wanted.to_string())),
    }
}
