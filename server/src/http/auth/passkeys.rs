//! Passkeys: made, listed among what is in `security`, deleted, signed in with.

use crate::auth::Visitor;
use crate::error::Result;
use crate::http::UserGateway;
use crate::http::cookies::own_page;
use crate::http::envelope::Answer;
use crate::http::extract::{Holder, Json, Stranger, StrangerJson};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hongyan_wire::account::TokenAnswer;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::{PasskeyChallenge, PasskeyInfo, PasskeyLogin, PasskeyRequest};

/// Begin to make a passkey. `options` are those of `PublicKeyCredential.parseCreationOptionsFromJSON`.
#[utoipa::path(
    post, path = "/api/v3/auth/passkeys/options", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "What the authenticator is asked", body = Success<PasskeyChallenge>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 422, description = "There can be none here, or no more", body = Failure),
    ),
)]
pub async fn offer(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    visitor: Visitor,
) -> Result<Answer<PasskeyChallenge>> {
    Ok(Answer::new(gateway.accounts.offer_passkey(&caller, visitor)?))
}

/// Keep a passkey that an authenticator has made.
#[utoipa::path(
    post, path = "/api/v3/auth/passkeys", tag = "signing in", request_body = PasskeyRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The passkey", body = Success<PasskeyInfo>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 409, description = "It is known already", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn add(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    body: Json<PasskeyRequest>,
) -> Result<Answer<PasskeyInfo>> {
    Ok(Answer::new(gateway.accounts.add_passkey(&caller, body.value).await?))
}

/// Take a passkey away; not the last way to sign in.
#[utoipa::path(
    delete, path = "/api/v3/auth/passkeys/{id}", tag = "signing in", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is no way to sign in any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 404, description = "None of the caller's", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    Path(id): Path<String>,
) -> Result<Answer<Done>> {
    gateway.accounts.delete_passkey(&caller, &id).await?;
    Ok(Answer::new(Done {}))
}

/// Begin to sign in with a passkey, or to confirm with one. `options` are those of
/// `PublicKeyCredential.parseRequestOptionsFromJSON`.
#[utoipa::path(
    post, path = "/api/v3/auth/passkey/options", tag = "signing in", security(),
    responses(
        (status = 200, description = "What the authenticator is asked", body = Success<PasskeyChallenge>),
        (status = 403, description = "Local login is switched off", body = Failure),
        (status = 422, description = "There can be none here", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn ask(
    State(gateway): State<UserGateway>,
    Stranger(visitor): Stranger,
) -> Result<Answer<PasskeyChallenge>> {
    Ok(Answer::new(gateway.accounts.ask_for_passkey(visitor)?))
}

/// Sign in with a passkey. It needs no password and no second factor: the device has asked for a finger or a PIN.
#[utoipa::path(
    post, path = "/api/v3/auth/passkey/login", tag = "signing in", request_body = PasskeyLogin, security(),
    responses(
        (status = 200, description = "Tokens", body = Success<TokenAnswer>),
        (status = 401, description = "Unknown here, or not valid", body = Failure),
        (status = 403, description = "Local login is switched off", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn login(
    State(gateway): State<UserGateway>,
    Stranger(visitor): Stranger,
    headers: HeaderMap,
    StrangerJson(request): StrangerJson<PasskeyLogin>,
) -> Result<Response> {
    if request.cookie {
        own_page(&headers, &gateway.origins)?;
    }
    gateway.answer_here(&headers, gateway.accounts.passkey_login(request, visitor).await?).await
}
