//! Tokens that people make for scripts.

use crate::auth::UserCaller;
use crate::error::Result;
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{Holder, Json, id};
use axum::extract::{Path, State};
use hongyan_wire::SessionId;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::{NewToken, PersonalTokenList, TokenRequest};

/// List the caller's personal tokens, newest first.
#[utoipa::path(
    get, path = "/api/v3/auth/tokens", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The tokens, without what proves them", body = Success<PersonalTokenList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "Not with a personal token", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
) -> Result<Answer<PersonalTokenList>> {
    let tokens = gateway.directory.tokens_of(caller.id(), crate::clock::now())?;
    Ok(Answer::new(PersonalTokenList { tokens }))
}

/// Make a token for a script: to read, to write, or to send to oneself.
#[utoipa::path(
    post, path = "/api/v3/auth/tokens", tag = "signing in", request_body = TokenRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The token; it is shown this once", body = Success<NewToken>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "Not with a personal token, or not long after signing in", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    body: Json<TokenRequest>,
) -> Result<Answer<NewToken>> {
    Ok(Answer::new(gateway.accounts.make_token(&caller, body.value).await?))
}

/// End a personal token; its sockets are closed.
#[utoipa::path(
    delete, path = "/api/v3/auth/tokens/{id}", tag = "signing in", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is refused from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No token of the caller's", body = Failure),
    ),
)]
pub async fn end(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let token: SessionId = id(&path, "token")?;
    // A script may end its own.
    if caller.claims.session_id.as_ref() != Some(&token) {
        caller.require_session()?;
    }
    let is_token =
        gateway.directory.tokens_of(caller.id(), crate::clock::now())?.iter().any(|known| known.id == token);
    if !is_token {
        return Err(crate::error::Error::not_found("token"));
    }
    gateway.auth.end_session(caller.id(), &token).await?;
    Ok(Answer::new(Done {}))
}
