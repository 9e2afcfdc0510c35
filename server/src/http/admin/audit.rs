//! Who did what.

use super::meta;
use crate::directory::{AuditFilter, Window};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query};
use crate::http::page::{search, window};
use axum::extract::State;
use hongyan_wire::Timestamp;
use hongyan_wire::admin::AuditList;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Who did it: a user id, or `system`.
    actor: Option<String>,
    /// What was done, as `user.create`; or to what kind of thing, as `user`.
    action: Option<String>,
    /// The id of what it was done to.
    target: Option<String>,
    /// At this moment or later.
    since: Option<Timestamp>,
    /// Before this moment.
    until: Option<Timestamp>,
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    /// Text in actor, action or target; at most 200 characters.
    q: Option<String>,
}

/// List changes, newest first.
#[utoipa::path(
    get, path = "/admin/api/v3/audit", tag = "audit", params(AuditQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<AuditList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditList>> {
    let AuditQuery { actor, action, target, since, until, page, size, q } = query;
    let (page, size) = window(page, size)?;
    let window = Window { page, size, q: search(q)? };
    let filter = AuditFilter { actor, action, target, since, until };
    let page = tokio::task::block_in_place(|| gateway.directory.audit(&filter, &window))?;
    Ok(Answer { meta: meta(&window, page.total), data: AuditList { entries: page.rows, total: page.total } })
}
