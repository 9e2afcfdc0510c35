//! Signed-in devices of everyone.

use super::{PageQuery, meta};
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query, id};
use axum::extract::{Path, State};
use hongyan_wire::SessionId;
use hongyan_wire::admin::{AdminSession, AdminSessionList};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// List sessions, newest first; `q` finds user ids and device names.
#[utoipa::path(
    get, path = "/admin/api/v3/sessions", tag = "sessions", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<AdminSessionList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<AdminSessionList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.session_list(&window))?;
    let sessions = page.rows.into_iter().map(|session| AdminSession {
        id: session.id,
        user_id: session.user,
        device_id: session.device,
        device_type: session.device_type,
        device_name: session.device_name,
        provider: session.provider.to_string(),
        created_at: session.created_at,
        refreshed_at: session.refreshed_at,
        expires_at: session.expires_at,
    });
    let data = AdminSessionList { sessions: sessions.collect(), total: page.total };
    Ok(Answer { meta: meta(&window, page.total), data })
}

/// End a session: its tokens are refused and its sockets closed at once.
#[utoipa::path(
    delete, path = "/admin/api/v3/sessions/{id}", tag = "sessions", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is ended", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn end(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let session: SessionId = id(&path, "session")?;
    let found = gateway.directory.session(&session)?.ok_or_else(|| Error::not_found("session"))?;
    gateway.auth.end_session(&found.user, &session).await?;
    Ok(Answer::new(Done {}))
}
