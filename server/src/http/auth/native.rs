//! Programs of the person's own (RFC 8252): the person allows it in the browser, the program redeems its code.

use crate::auth::{
    Asked, Auth, BadCode, Client, Granted, Native, NoLogin, Opening, REQUEST_LIFE, SignedIn, Visitor,
};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::http::envelope::{Answer, OwnWords};
use crate::http::extract::{Holder, Json, Stranger, StrangerJson, body, parse};
use crate::http::{AdminGateway, UserGateway};
use crate::log::record::Kept;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::SessionId;
use hongyan_wire::account::{
    CodeRequest, DeviceInfo, RedirectTo, SignInDecision, SignInRequest, TokenAnswer,
};
use hongyan_wire::admin::AdminTokenAnswer;
use hongyan_wire::api::Success;
use hongyan_wire::error::{ErrorType, Failure};
use serde_json::json;

/// Largest body of a code, in bytes.
const CODE_BODY_MAX: usize = 16 * 1024;

/// Keeps what a program asks for until the person has signed in and allowed it. Gives the page where they do, and the
/// cookie that binds it to their browser.
pub fn bound(gateway: &UserGateway, asked: Asked, visitor: Visitor) -> Result<(String, HeaderValue)> {
    let now = crate::clock::now();
    let (id, binding) =
        gateway.native.wait(asked.check(now)?, visitor.address, now).map_err(|refused| match refused {
            NoLogin::TooMany(_) => Error::rate_limited(refused.to_string()),
            NoLogin::NoRandomness(error) => Error::internal(error),
        })?;
    let cookie = gateway.cookies.bind(&id, &binding, REQUEST_LIFE / 1_000)?;
    Ok((format!("/#/authorize/{id}"), cookie))
}

/// See which program waits to be signed in.
#[utoipa::path(
    get, path = "/api/v3/auth/requests/{id}", tag = "signing in", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "What it said of itself", body = Success<SignInRequest>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None waits in this browser, or not any more", body = Failure),
    ),
)]
pub async fn see(
    State(gateway): State<UserGateway>,
    Holder(_caller): Holder,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Answer<SignInRequest>> {
    let binding = gateway.cookies.binding(&headers, &id);
    let request = gateway.native.waiting(&id, binding.as_deref(), crate::clock::now()).ok_or_else(none)?;
    Ok(Answer::new(SignInRequest {
        client_id: request.client.id().into(),
        device_name: request.device.name.unwrap_or_default(),
        expires_at: request.until,
    }))
}

/// Allow a program to act as the caller, or decline. Gives where the browser goes then.
#[utoipa::path(
    post, path = "/api/v3/auth/requests/{id}", tag = "signing in", params(("id" = String, Path)),
    request_body = SignInDecision, security(("bearer" = [])),
    responses(
        (status = 200, description = "Back to the program", body = Success<RedirectTo>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None waits in this browser, or not any more", body = Failure),
    ),
)]
pub async fn decide(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    Path(id): Path<String>,
    headers: HeaderMap,
    decision: Json<SignInDecision>,
) -> Result<Answer<RedirectTo>> {
    let binding = gateway.cookies.binding(&headers, &id);
    if decision.value.allow {
        // What comes of it counts as just signed in, and outlives this session.
        gateway.auth.require_recent(&caller)?;
    }
    let granted = Granted { claims: caller.claims.clone(), device: DeviceInfo::default() };
    let granted = decision.value.allow.then_some(granted);
    let now = crate::clock::now();
    let decided = gateway.native.decided(&id, binding.as_deref(), granted, &gateway.public_url, now);
    let redirect_to = decided.map_err(Error::internal)?.ok_or_else(none)?;
    tracing::info!(
        target: "hongyan::security", user = %caller.id(), allowed = decision.value.allow, "a program asked to be signed in",
    );
    Ok(Answer::new(RedirectTo { redirect_to }))
}

fn none() -> Error {
    Error::not_found("program that waits to be signed in")
}

/// Redeem a code, once, within a minute. A form is answered as RFC 6749 has it, sections 5.1 and 5.2.
#[utoipa::path(
    post, path = "/api/v3/auth/token", tag = "signing in", security(),
    request_body(content(
        (CodeRequest = "application/json"), (CodeRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Tokens", body = Success<TokenAnswer>),
        (status = 401, description = "The code is unknown, used, too old, or of another program", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn token(
    State(gateway): State<UserGateway>,
    Stranger(visitor): Stranger,
    request: Request,
) -> Result<Response> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    if !is_form && !is_json {
        let message = "the Content-Type must be application/json or application/x-www-form-urlencoded";
        return Err(Error::new(ErrorType::UnsupportedMediaType, message));
    }
    let bytes = body(request, CODE_BODY_MAX).await?;
    if !is_form {
        return gateway.answer(gateway.redeem(parse(&bytes)?, visitor).await?);
    }
    let Ok(asked) = serde_urlencoded::from_bytes::<CodeRequest>(&bytes) else {
        return Ok(standard_error("invalid_request"));
    };
    if asked.grant_type != "authorization_code" {
        return Ok(standard_error("unsupported_grant_type"));
    }
    match gateway.redeem(asked, visitor).await {
        Ok(signed_in) => {
            let answer = serde_json::to_value(&signed_in.answer).map_err(Error::internal)?;
            Ok(standard(StatusCode::OK, &answer))
        }
        Err(error) if error.error_type.status() < 500 => Ok(standard_error("invalid_grant")),
        Err(error) => Err(error),
    }
}

fn standard_error(error: &str) -> Response {
    standard(StatusCode::BAD_REQUEST, &json!({ "error": error }))
}

fn standard(status: StatusCode, answer: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (status, headers, answer.to_string()).into_response();
    response.extensions_mut().insert(OwnWords);
    response
}

/// Redeem a code of a program for administrators, once, within a minute.
#[utoipa::path(
    post, path = "/admin/api/v3/auth/token", tag = "signing in", request_body = CodeRequest, security(),
    responses(
        (status = 200, description = "A token for this gateway", body = Success<AdminTokenAnswer>),
        (status = 401, description = "The code is unknown, used, too old, or of another program", body = Failure),
        (status = 403, description = "Not an administrator", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn admin_token(
    State(gateway): State<AdminGateway>,
    visitor: Visitor,
    StrangerJson(asked): StrangerJson<CodeRequest>,
) -> Result<Answer<AdminTokenAnswer>> {
    check_grant(&asked)?;
    let granted = match granted(&gateway.native, &asked, Client::AdminConsole, visitor) {
        Ok(granted) => granted,
        Err(bad) => return Err(end_replayed(&gateway.auth, &gateway.directory, bad).await?),
    };
    let caller = gateway.auth.bearer(granted.claims).map_err(|_| bad_code())?;
    if !caller.is_admin() {
        return Err(Error::forbidden("admin"));
    }
    let provider = caller.claims.provider.clone();
    let opening = Opening { device: granted.device, provider, kept: Kept::Nowhere, visitor };
    let (answer, session) = gateway.auth.open_admin_session(&caller.person, opening).await?;
    gateway.auth.note_derived(&session, caller.claims.session_id.as_ref())?;
    settled(&gateway.native, &gateway.auth, &gateway.directory, &asked.code, session).await?;
    Ok(Answer::new(answer))
}

impl UserGateway {
    async fn redeem(&self, asked: CodeRequest, visitor: Visitor) -> Result<SignedIn> {
        check_grant(&asked)?;
        let granted = match granted(&self.native, &asked, Client::Desktop, visitor) {
            Ok(granted) => granted,
            Err(bad) => return Err(end_replayed(&self.auth, &self.directory, bad).await?),
        };
        let caller = self.auth.bearer(granted.claims).map_err(|_| bad_code())?;
        let provider = caller.claims.provider.clone();
        let opening = Opening { device: granted.device, provider, kept: Kept::Client, visitor };
        let signed_in = self.auth.open_session(&caller.person, opening).await?;
        let session = signed_in.answer.session_id.clone();
        self.auth.note_derived(&session, caller.claims.session_id.as_ref())?;
        settled(&self.native, &self.auth, &self.directory, &asked.code, session).await?;
        Ok(signed_in)
    }
}

fn check_grant(asked: &CodeRequest) -> Result<()> {
    let is_known = asked.grant_type == "authorization_code";
    if is_known { Ok(()) } else { Err(Error::field("grant_type", "must be authorization_code")) }
}

/// Ends what came of a code that is shown again: whoever has redeemed it first may be the thief. Gives what is answered.
async fn end_replayed(auth: &Auth, directory: &Directory, bad: BadCode) -> Result<Error> {
    if let BadCode::Replayed(Some(session)) = bad
        && let Some(found) = directory.session(&session)?
    {
        auth.end_session(&found.user, &session).await?;
    }
    Ok(bad_code())
}

/// Notes what came of a code. One that was shown again meanwhile comes to nothing.
async fn settled(
    native: &Native,
    auth: &Auth,
    directory: &Directory,
    code: &str,
    session: SessionId,
) -> Result<()> {
    if native.redeemed(code, session.clone()) {
        return Ok(());
    }
    Err(end_replayed(auth, directory, BadCode::Replayed(Some(session))).await?)
}

fn granted(
    native: &Native,
    asked: &CodeRequest,
    client: Client,
    visitor: Visitor,
) -> Result<Granted, BadCode> {
    native.redeem(asked, client, crate::clock::now()).inspect_err(|bad| {
        let reason =
            if *bad == BadCode::Invalid { "unknown, too old, or of something else" } else { "used before" };
        tracing::warn!(target: "hongyan::security", address = %visitor.address, reason, "a code was refused");
    })
}

fn bad_code() -> Error {
    Error::unauthenticated(
        "invalid_grant: the code is unknown, used, too old, or of something else; begin again",
    )
}
