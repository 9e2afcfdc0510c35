//! Administrators sign in and out.

use crate::auth::Visitor;
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, StrangerJson};
use axum::extract::State;
use hongyan_wire::account::LoginRequest;
use hongyan_wire::admin::AdminTokenAnswer;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

/// Sign in as an administrator.
#[utoipa::path(
    post, path = "/admin/api/v3/auth/login", tag = "signing in", request_body = LoginRequest, security(),
    responses(
        (status = 200, description = "A token for this gateway", body = Success<AdminTokenAnswer>),
        (status = 401, description = "Wrong username or password, or `second_factor_required`", body = Failure),
        (status = 403, description = "Not an administrator", body = Failure),
    ),
)]
pub async fn login(
    State(gateway): State<AdminGateway>,
    visitor: Visitor,
    StrangerJson(request): StrangerJson<LoginRequest>,
) -> Result<Answer<AdminTokenAnswer>> {
    Ok(Answer::new(gateway.auth.admin_login(request, visitor).await?))
}

/// End the session that calls.
#[utoipa::path(
    post, path = "/admin/api/v3/auth/logout", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "Its token is refused from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn logout(State(gateway): State<AdminGateway>, caller: AdminCaller) -> Result<Answer<Done>> {
    gateway.auth.logout(&caller.0).await?;
    Ok(Answer::new(Done {}))
}
