//! Who the caller is, as they see and change it themself.

use crate::auth::{UserCaller, profile};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::{Answer, RESOURCE_POLICY};
use crate::http::extract::{BodyRules, Holder, Json, body};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::limits::PICTURE_MAX;
use hongyan_wire::profile::{Profile, ProfileUpdate};

/// Who the caller is.
#[utoipa::path(
    get, path = "/api/v3/auth/profile", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller", body = Success<Profile>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn get(caller: UserCaller) -> Answer<Profile> {
    Answer::new(profile(&caller.person))
}

/// Change what is given.
#[utoipa::path(
    put, path = "/api/v3/auth/profile", tag = "signing in", request_body = ProfileUpdate, security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller, as they are now", body = Success<Profile>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "Not with a personal token", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    body: Json<ProfileUpdate>,
) -> Result<Answer<Profile>> {
    gateway.accounts.change_profile(&caller, body.value).await?;
    gateway.profile(&caller)
}

/// Set the caller's picture: PNG, JPEG, GIF or WebP, at most 5 MiB. It is kept small and square.
#[utoipa::path(
    put, path = "/api/v3/auth/profile/avatar", tag = "signing in",
    request_body(content = String, content_type = "image/*"), security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller, as they are now", body = Success<Profile>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 413, description = "Larger than 5 MiB", body = Failure),
        (status = 422, description = "No picture", body = Failure),
    ),
)]
pub async fn set_avatar(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
    request: Request,
) -> Result<Answer<Profile>> {
    let _place = gateway.accounts.pictures.place(caller.id())?;
    let bytes = body(request, PICTURE_MAX).await?;
    gateway.still(caller.claims.clone())?;
    gateway.accounts.pictures.set(caller.id(), bytes.into()).await?;
    gateway.profile(&caller)
}

/// Take the caller's picture away.
#[utoipa::path(
    delete, path = "/api/v3/auth/profile/avatar", tag = "signing in", security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller, as they are now", body = Success<Profile>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn clear_avatar(
    State(gateway): State<UserGateway>,
    Holder(caller): Holder,
) -> Result<Answer<Profile>> {
    gateway.accounts.pictures.clear(caller.id()).await?;
    gateway.profile(&caller)
}

/// A picture, by a name that follows from what is in it: it never changes, and nobody guesses it.
#[utoipa::path(
    get, path = "/api/v3/avatars/{name}", tag = "signing in", params(("name" = String, Path)), security(),
    responses(
        (status = 200, description = "The picture", body = String, content_type = "image/jpeg"),
        (status = 404, description = "There is none, or not any more", body = Failure),
    ),
)]
pub async fn avatar(State(gateway): State<UserGateway>, Path(name): Path<String>) -> Result<Response> {
    let picture = tokio::task::block_in_place(|| gateway.directory.avatar(&name))?;
    let picture = picture.ok_or_else(|| Error::not_found("picture"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        // The desktop app shows it on a page of its own.
        (RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
    ];
    Ok((headers, picture).into_response())
}

impl UserGateway {
    fn profile(&self, caller: &UserCaller) -> Result<Answer<Profile>> {
        let person = self.directory.person(caller.id())?.ok_or_else(|| Error::not_found("user"))?;
        Ok(Answer::new(profile(&person)))
    }
}
