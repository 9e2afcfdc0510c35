//! One-time links that administrators make: with one a person sets a password, or signs in at a provider for the first
//! time. The token never stands in an address that a server sees.

use crate::auth::Purpose;
use crate::config::SignUp;
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{Stranger, StrangerJson};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hongyan_wire::account::LoginUrl;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::{LinkInfo, LinkPassword, LinkProvider, LinkRequest};

/// See whose a one-time link is.
#[utoipa::path(
    post, path = "/api/v3/auth/link", tag = "signing in", request_body = LinkRequest, security(),
    responses(
        (status = 200, description = "Whose it is", body = Success<LinkInfo>),
        (status = 404, description = "It is used or has expired", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn see(
    State(gateway): State<UserGateway>,
    _: Stranger,
    StrangerJson(request): StrangerJson<LinkRequest>,
) -> Result<Answer<LinkInfo>> {
    Ok(Answer::new(gateway.accounts.link_info(&request.token)?))
}

/// Set a password by a one-time link. All sessions and personal tokens of the person end; a second factor stays.
#[utoipa::path(
    put, path = "/api/v3/auth/link/password", tag = "signing in", request_body = LinkPassword, security(),
    responses(
        (status = 200, description = "It is set, the link is used up", body = Success<Done>),
        (status = 403, description = "Local login is switched off", body = Failure),
        (status = 404, description = "The link is used or has expired", body = Failure),
        (status = 422, description = "The password is too short or too long", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn set_password(
    State(gateway): State<UserGateway>,
    _: Stranger,
    StrangerJson(request): StrangerJson<LinkPassword>,
) -> Result<Answer<Done>> {
    gateway.accounts.set_password(&request.token, request.password).await?;
    Ok(Answer::new(Done {}))
}

/// Begin to link an account at a provider by a one-time link: the browser goes to the address in the answer.
#[utoipa::path(
    post, path = "/api/v3/auth/link/identity", tag = "signing in", request_body = LinkProvider, security(),
    responses(
        (status = 200, description = "Where to go, with the cookie that binds it to this browser", body = Success<LoginUrl>),
        (status = 403, description = "Nobody comes in by links here", body = Failure),
        (status = 404, description = "The link is used or has expired, or there is no such provider", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn link_identity(
    State(gateway): State<UserGateway>,
    Stranger(visitor): Stranger,
    headers: HeaderMap,
    StrangerJson(request): StrangerJson<LinkProvider>,
) -> Result<Response> {
    if gateway.accounts.sign_up() == SignUp::Closed {
        return Err(Error::forbidden("sign_up"));
    }
    let (user, _, link_hash) = gateway.accounts.whose_link(&request.token)?;
    let before = gateway.session_here(&headers)?;
    gateway.away(&request.provider, Purpose::OneTime { user, link_hash, before }, visitor).await
}
