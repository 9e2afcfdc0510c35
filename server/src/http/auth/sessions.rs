//! Signing in with built-in accounts, and one's own sessions.

use crate::auth::{SignedIn, TICKET_LIFE, UserCaller, Visitor};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::cookies::own_page;
use crate::http::envelope::Answer;
use crate::http::extract::{Holder, Listener, OptionalStrangerJson, StrangerJson, id};
use crate::log::record::Kept;
use crate::send::Purpose;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::SessionId;
use hongyan_wire::account::{
    EndedAnswer, LoginRequest, LogoutRequest, RefreshRequest, Session, SessionList, TicketAnswer, TokenAnswer,
};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// Sign in with username and password.
#[utoipa::path(
    post, path = "/api/v3/auth/local/login", tag = "signing in", request_body = LoginRequest, security(),
    responses(
        (status = 200, description = "Tokens", body = Success<TokenAnswer>),
        (status = 401, description = "Wrong username or password, or `second_factor_required`", body = Failure),
        (status = 403, description = "Local login is switched off", body = Failure),
        (status = 429, description = "Failed too often; see Retry-After", body = Failure),
        (status = 503, description = "Too many are signing in", body = Failure),
    ),
)]
pub async fn login(
    State(gateway): State<UserGateway>,
    visitor: Visitor,
    headers: HeaderMap,
    StrangerJson(request): StrangerJson<LoginRequest>,
) -> Result<Response> {
    if request.cookie {
        own_page(&headers, &gateway.origins)?;
    }
    gateway.answer_here(&headers, gateway.auth.login(request, visitor).await?).await
}

/// Renew the tokens. A refresh token is good once; a repeat within 30 seconds gets the same successor, anything
/// older ends the session.
#[utoipa::path(
    post, path = "/api/v3/auth/refresh", tag = "signing in", request_body = RefreshRequest, security(),
    responses(
        (status = 200, description = "New tokens", body = Success<TokenAnswer>),
        (status = 401, description = "Used, expired or unknown", body = Failure),
        (status = 403, description = "The cookie came from a foreign page", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn refresh(
    State(gateway): State<UserGateway>,
    visitor: Visitor,
    headers: HeaderMap,
    StrangerJson(request): StrangerJson<RefreshRequest>,
) -> Result<Response> {
    gateway.meters.stranger(Purpose::Renewing, visitor)?;
    if let Some(token) = request.refresh_token {
        return gateway.answer(gateway.auth.refresh(&token, Kept::Client, visitor).await?);
    }
    own_page(&headers, &gateway.origins)?;
    let token = gateway.cookies.refresh_token(&headers).unwrap_or_default();
    match gateway.auth.refresh(&token, Kept::Cookie, visitor).await {
        Ok(signed_in) => gateway.answer(signed_in),
        // What is of no use is not kept.
        Err(error) if error.error_type.status() == 401 => {
            let mut response = error.into_response();
            response.headers_mut().insert(header::SET_COOKIE, gateway.cookies.forget()?);
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// End the session that calls, or the one whose refresh token this is, in the body or in the cookie. Ending one that is not
/// there is no fault (as RFC 7009, section 2.2, has it).
#[utoipa::path(
    post, path = "/api/v3/auth/logout", tag = "signing in", request_body = Option<LogoutRequest>,
    security(("bearer" = []), ()),
    responses(
        (status = 200, description = "Its tokens are refused and its sockets closed from now on", body = Success<Done>),
        (status = 401, description = "Bad credentials", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn logout(
    State(gateway): State<UserGateway>,
    caller: Result<Option<UserCaller>>,
    visitor: Visitor,
    headers: HeaderMap,
    OptionalStrangerJson(request): OptionalStrangerJson<LogoutRequest>,
) -> Result<Response> {
    if let Some(token) = &request.refresh_token {
        gateway.meters.stranger(Purpose::Renewing, visitor)?;
        gateway.auth.logout_by(token, Kept::Client).await?;
    }
    let own =
        gateway.cookies.refresh_token(&headers).filter(|_| own_page(&headers, &gateway.origins).is_ok());
    // A page's access token may have expired, or be of another session than its cookie is by now: both end.
    if let Some(token) = &own {
        gateway.auth.logout_by(token, Kept::Cookie).await?;
    }
    match caller {
        Ok(Some(caller)) => gateway.auth.logout(&caller).await?,
        _ if request.refresh_token.is_some() => {}
        Err(error) if own.is_none() => return Err(error),
        Ok(None) if own.is_none() => {
            return Err(Error::unauthenticated("the Authorization header is missing"));
        }
        _ => {}
    }
    let mut response = Answer::new(Done {}).into_response();
    if own.is_some() {
        response.headers_mut().insert(header::SET_COOKIE, gateway.cookies.forget()?);
    }
    Ok(response)
}

impl UserGateway {
    /// As [`Self::answer`], for who has signed in: the session that this browser had before ends.
    pub async fn answer_here(&self, headers: &HeaderMap, signed_in: SignedIn) -> Result<Response> {
        if signed_in.cookie.is_some()
            && let Some(before) = self.cookies.refresh_token(headers)
            && let Err(error) = self.auth.logout_by(&before, Kept::Cookie).await
        {
            // They are signed in all the same.
            tracing::warn!(%error, "the session before could not be ended");
        }
        self.answer(signed_in)
    }

    /// Tokens, in the body or beside it in a cookie.
    pub fn answer(&self, signed_in: SignedIn) -> Result<Response> {
        let SignedIn { answer, cookie } = signed_in;
        let mut response = Answer::new(answer).into_response();
        let headers = response.headers_mut();
        // RFC 6749, section 5.1.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((token, until)) = cookie {
            headers.insert(header::SET_COOKIE, self.cookies.keep(&token, until)?);
        }
        Ok(response)
    }
}

/// List the caller's signed-in devices, newest first.
#[utoipa::path(
    get, path = "/api/v3/auth/sessions", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The sessions", body = Success<SessionList>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn sessions(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
) -> Result<Answer<SessionList>> {
    let current = caller.claims.session_id.as_ref();
    let sessions = gateway.auth.sessions(caller.id())?.into_iter().map(|session| Session {
        current: current == Some(&session.id),
        id: session.id,
        device_id: session.device,
        device_type: session.device_type,
        device_name: session.device_name,
        provider: session.provider.to_string(),
        address: session.address,
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
    Holder(caller): Holder,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let session: SessionId = id(&path, "session")?;
    gateway.auth.end_session(caller.id(), &session).await?;
    Ok(Answer::new(Done {}))
}

/// End all of the caller's sessions but the one that calls.
#[utoipa::path(
    delete, path = "/api/v3/auth/sessions", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "How many; their sockets are closed", body = Success<EndedAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "Not with a personal token", body = Failure),
    ),
)]
pub async fn end_others(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
) -> Result<Answer<EndedAnswer>> {
    Ok(Answer::new(EndedAnswer { ended: gateway.auth.end_others(&caller).await? }))
}

/// Get a ticket that opens a socket once, within 30 seconds.
#[utoipa::path(
    post, path = "/api/v3/auth/ws-ticket", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The ticket", body = Success<TicketAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn ticket(
    State(gateway): State<UserGateway>,
    Listener(caller): Listener,
) -> Result<Answer<TicketAnswer>> {
    let ticket = gateway.auth.ticket(&caller)?;
    Ok(Answer::new(TicketAnswer { ticket, expires_in: (TICKET_LIFE / 1000) as u64 }))
}
