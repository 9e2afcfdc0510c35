//! Signed-in devices of everyone.

use super::{PageQuery, meta};
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query, id};
use axum::extract::{Path, State};
use hongyan_wire::account::EndedAnswer;
use hongyan_wire::admin::{AdminSession, AdminSessionList};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::{SessionId, UserId};

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
        address: session.address,
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
    AdminCaller(caller): AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let session: SessionId = id(&path, "session")?;
    let found = gateway.directory.session(&session)?.ok_or_else(|| Error::not_found("session"))?;
    gateway.auth.sweep(&caller, vec![(found.user, session)], Vec::new()).await?;
    Ok(Answer::new(Done {}))
}

/// End all sessions and personal tokens of everyone, but the session that calls. Tokens that others have signed with the
/// server's secret end with that secret: change `JWT_SECRET`.
#[utoipa::path(
    delete, path = "/admin/api/v3/sessions", tag = "sessions", security(("bearer" = [])),
    responses(
        (status = 200, description = "How many", body = Success<EndedAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn end_all(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
) -> Result<Answer<EndedAnswer>> {
    let all = tokio::task::block_in_place(|| gateway.auth.all_sessions(&caller))?;
    Ok(Answer::new(EndedAnswer { ended: gateway.auth.sweep(&caller, all, Vec::new()).await? }))
}

/// End all sessions and personal tokens of a user; whatever was signed for them before is refused.
#[utoipa::path(
    delete, path = "/admin/api/v3/users/{id}/sessions", tag = "sessions", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "How many", body = Success<EndedAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is no such user", body = Failure),
    ),
)]
pub async fn end_all_of(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<EndedAnswer>> {
    let user: UserId = id(&path, "user")?;
    gateway.administration.user(&user)?;
    let sessions = gateway.directory.session_ids_of(&user)?;
    let sessions = sessions.into_iter().map(|session| (user.clone(), session)).collect();
    Ok(Answer::new(EndedAnswer { ended: gateway.auth.sweep(&caller, sessions, vec![user]).await? }))
}
