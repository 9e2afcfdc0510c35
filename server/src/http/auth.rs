//! Signing in with built-in accounts, and one's own sessions.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::{StrangerJson, id};
use crate::auth::{TICKET_LIFE, UserCaller, profile as profile_of};
use crate::error::Result;
use axum::extract::{Path, State};
use hongyan_wire::SessionId;
use hongyan_wire::account::{
    LoginRequest, Profile, RefreshRequest, Session, SessionList, TicketAnswer, TokenAnswer,
};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// Sign in with username and password.
#[utoipa::path(
    post, path = "/api/v3/auth/local/login", tag = "signing in", request_body = LoginRequest, security(),
    responses(
        (status = 200, description = "Tokens", body = Success<TokenAnswer>),
        (status = 401, description = "Wrong username or password", body = Failure),
        (status = 403, description = "Local login is switched off", body = Failure),
        (status = 503, description = "Too many are signing in", body = Failure),
    ),
)]
pub async fn login(
    State(gateway): State<UserGateway>,
    StrangerJson(request): StrangerJson<LoginRequest>,
) -> Result<Answer<TokenAnswer>> {
    Ok(Answer::new(gateway.auth.login(request).await?))
}

/// Renew the tokens. A refresh token is good once.
#[utoipa::path(
    post, path = "/api/v3/auth/refresh", tag = "signing in", request_body = RefreshRequest, security(),
    responses(
        (status = 200, description = "New tokens", body = Success<TokenAnswer>),
        (status = 401, description = "Used, expired or unknown", body = Failure),
    ),
)]
pub async fn refresh(
    State(gateway): State<UserGateway>,
    StrangerJson(request): StrangerJson<RefreshRequest>,
) -> Result<Answer<TokenAnswer>> {
    Ok(Answer::new(gateway.auth.refresh(&request.refresh_token).await?))
}

/// End the session that calls.
#[utoipa::path(
    post, path = "/api/v3/auth/logout", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "Its tokens are refused and its sockets closed from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn logout(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<Done>> {
    gateway.auth.logout(&caller).await?;
    Ok(Answer::new(Done {}))
}

/// Who the caller is.
#[utoipa::path(
    get, path = "/api/v3/auth/profile", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller", body = Success<Profile>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn profile(caller: UserCaller) -> Answer<Profile> {
    Answer::new(profile_of(&caller.person))
}

/// List the caller's signed-in devices, newest first.
#[utoipa::path(
    get, path = "/api/v3/auth/sessions", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The sessions", body = Success<SessionList>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn sessions(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<SessionList>> {
    let current = caller.claims.session_id.as_ref();
    let sessions = gateway.auth.sessions(caller.id())?.into_iter().map(|session| Session {
        current: current == Some(&session.id),
        id: session.id,
        device_id: session.device,
        device_type: session.device_type,
        device_name: session.device_name,
        created_at: session.created_at,
        refreshed_at: session.refreshed_at,
        expires_at: session.expires_at,
    });
    Ok(Answer::new(SessionList { sessions: sessions.collect() }))
}

/// End one of the caller's sessions.
#[utoipa::path(
    delete, path = "/api/v3/auth/sessions/{id}", tag = "signing in", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "Ended, its sockets included", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No session of the caller's", body = Failure),
    ),
)]
pub async fn end_session(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let session: SessionId = id(&path, "session")?;
    gateway.auth.end_session(caller.id(), &session).await?;
    Ok(Answer::new(Done {}))
}

/// Get a ticket that opens a socket once, within 30 seconds.
#[utoipa::path(
    post, path = "/api/v3/auth/ws-ticket", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The ticket", body = Success<TicketAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn ticket(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<TicketAnswer>> {
    let ticket = gateway.auth.ticket(&caller)?;
    Ok(Answer::new(TicketAnswer { ticket, expires_in: (TICKET_LIFE / 1000) as u64 }))
}
