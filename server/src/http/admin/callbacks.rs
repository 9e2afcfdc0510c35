//! What services are told of: how far it has got, and telling it again.

use super::meta;
use crate::directory::Window;
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query};
use crate::http::page::{search, window};
use axum::extract::{Path, State};
use hongyan_wire::admin::{Callback, CallbackList, CallbackState};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which callbacks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// Only those that have got so far.
    state: Option<CallbackState>,
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    /// Text in the ids of services and messages; at most 200 characters.
    q: Option<String>,
}

/// List what services are told of, the newest first.
#[utoipa::path(
    get, path = "/admin/api/v3/callbacks", tag = "callbacks", params(CallbackQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<CallbackList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<CallbackQuery>,
) -> Result<Answer<CallbackList>> {
    let (page, size) = window(query.page, query.size)?;
    let window = Window { page, size, q: search(query.q)? };
    let page = tokio::task::block_in_place(|| gateway.directory.callbacks(query.state, &window))?;
    Ok(Answer {
        meta: meta(&window, page.total),
        data: CallbackList { callbacks: page.rows, total: page.total },
    })
}

/// Tell a service again, from the first try on.
#[utoipa::path(
    post, path = "/admin/api/v3/callbacks/{id}/replay", tag = "callbacks", params(("id" = u64, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It will be tried", body = Success<Callback>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn replay(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Callback>> {
    let id = path.parse().map_err(|_| Error::not_found("callback"))?;
    Ok(Answer::new(gateway.administration.replay_callback(caller.name(), id).await?))
}
