//! How the caller can sign in: password, authenticator, identities at providers.

use crate::auth::{Proof, Purpose, Visitor};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{Holder, Json};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hongyan_wire::account::LoginUrl;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::{
    ConfirmRequest, LinkIdentityRequest, PasswordChange, RecoveryCodes, Security, TotpOffer, TotpProof,
};

/// How the caller can sign in.
#[utoipa::path(
    get, path = "/api/v3/auth/security", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "Everything by which the caller can sign in", body = Success<Security>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "Not with a personal token", body = Failure),
    ),
)]
pub async fn see(State(gateway): State<UserGateway>, Holder(caller): Holder) -> Result<Answer<Security>> {
    Ok(Answer::new(gateway.accounts.security(&caller)?))
}

/// Show once more who calls. For ten minutes the session counts as just signed in.
#[utoipa::path(
    post, path = "/api/v3/auth/confirm", tag = "signing in", request_body = ConfirmRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The session counts as just signed in", body = Success<Done>),
        (status = 401, description = "Wrong, or `second_factor_required`", body = Failure),
        (status = 422, description = "Neither a password nor a passkey", body = Failure),
        (status = 429, description = "Failed too often; see Retry-After", body = Failure),
    ),
)]
pub async fn confirm(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    visitor: Visitor,
    body: Json<ConfirmRequest>,
) -> Result<Answer<Done>> {
    match body.value {
        ConfirmRequest { passkey: Some(answer), .. } => {
            gateway.accounts.confirm_by_passkey(&caller, answer, visitor).await?;
        }
        ConfirmRequest { password: Some(password), otp, .. } => {
            gateway.auth.confirm(&caller, Proof { password, otp }, visitor).await?;
        }
        ConfirmRequest { .. } => {
            return Err(Error::field("password", "is missing; or send a passkey's answer"));
        }
    }
    Ok(Answer::new(Done {}))
}

/// Change the caller's password. All other sessions, and the personal tokens, end.
#[utoipa::path(
    put, path = "/api/v3/auth/password", tag = "signing in", request_body = PasswordChange, security(("bearer" = [])),
    responses(
        (status = 200, description = "It is changed", body = Success<Done>),
        (status = 401, description = "The current one is wrong", body = Failure),
        (status = 403, description = "Where there is none yet: not long after signing in", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
        (status = 429, description = "Failed too often; see Retry-After", body = Failure),
    ),
)]
pub async fn change_password(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    visitor: Visitor,
    body: Json<PasswordChange>,
) -> Result<Answer<Done>> {
    gateway.accounts.change_password(&caller, body.value, visitor).await?;
    Ok(Answer::new(Done {}))
}

/// Get a secret for an authenticator. It counts once the authenticator has shown a code.
#[utoipa::path(
    post, path = "/api/v3/auth/totp", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The secret, and as a picture", body = Success<TotpOffer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
    ),
)]
pub async fn offer_totp(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
) -> Result<Answer<TotpOffer>> {
    Ok(Answer::new(gateway.accounts.offer_totp(&caller)?))
}

/// Show a code of the authenticator: from now on a password alone does not suffice.
#[utoipa::path(
    put, path = "/api/v3/auth/totp", tag = "signing in", request_body = TotpProof, security(("bearer" = [])),
    responses(
        (status = 200, description = "Codes that take its place once each, shown this once", body = Success<RecoveryCodes>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "Not the code of the moment", body = Failure),
    ),
)]
pub async fn take_totp(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    body: Json<TotpProof>,
) -> Result<Answer<RecoveryCodes>> {
    Ok(Answer::new(gateway.accounts.take_totp(&caller, &body.value.code).await?))
}

/// Go back to the password alone.
#[utoipa::path(
    delete, path = "/api/v3/auth/totp", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "A password suffices", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
    ),
)]
pub async fn drop_totp(State(gateway): State<UserGateway>, Holder(caller): Holder) -> Result<Answer<Done>> {
    gateway.accounts.drop_totp(&caller).await?;
    Ok(Answer::new(Done {}))
}

/// Begin to link an account at a provider: the browser goes to the address in the answer.
#[utoipa::path(
    post, path = "/api/v3/auth/identities", tag = "signing in", request_body = LinkIdentityRequest,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Where to go, with the cookie that binds it to this browser", body = Success<LoginUrl>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 404, description = "There is no such provider", body = Failure),
    ),
)]
pub async fn link_identity(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    visitor: Visitor,
    body: Json<LinkIdentityRequest>,
) -> Result<Response> {
    gateway.auth.require_recent(&caller)?;
    let session = caller.claims.session_id.clone().ok_or_else(Error::not_recent)?;
    let purpose = Purpose::Link { user: caller.id().clone(), session };
    gateway.away(&body.value.provider, purpose, visitor).await
}

/// Unlink an account at a provider; not the last way to sign in.
#[utoipa::path(
    delete, path = "/api/v3/auth/identities/{id}", tag = "signing in", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is no way to sign in any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 404, description = "None of the caller's", body = Failure),
        (status = 422, description = "It is the last way to sign in", body = Failure),
    ),
)]
pub async fn unlink_identity(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    Path(id): Path<String>,
) -> Result<Answer<Done>> {
    gateway.auth.require_recent(&caller)?;
    gateway.accounts.unlink(caller.id(), &id).await?;
    Ok(Answer::new(Done {}))
}

impl UserGateway {
    /// Tells a page where it goes to sign in at a provider, and binds that to its browser.
    pub async fn away(&self, provider: &str, purpose: Purpose, visitor: Visitor) -> Result<Response> {
        let provider = self.provider(provider)?;
        let (auth_url, cookie) = self.to_provider(&provider, purpose, visitor).await?;
        let expires_in = (crate::auth::LOGIN_LIFE / 1_000) as u64;
        let mut response = Answer::new(LoginUrl { auth_url, expires_in }).into_response();
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }
}
