//! Who did what.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query};
use axum::extract::State;
use hongyan_wire::admin::AuditList;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;

/// List changes, newest first; `q` is looked for in actor, action and target.
#[utoipa::path(
    get, path = "/admin/api/v3/audit", tag = "audit", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<AuditList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<AuditList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.audit(&window))?;
    Ok(Answer { meta: meta(&window, page.total), data: AuditList { entries: page.rows, total: page.total } })
}
