//! How a user can sign in, where an administrator helps: one-time links, lost factors, identities known beforehand.

use crate::config::duration;
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, OptionalJson, id};
use axum::extract::{Path, State};
use hongyan_wire::UserId;
use hongyan_wire::admin::{AdminIdentityList, IdentityRequest, LinkAnswer, MakeLinkRequest};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::Identity;

/// How long a link is good where nothing is said, and at most: milliseconds.
const LINK_LIFE: i64 = 24 * 3_600_000;
const LINK_LIFE_MAX: i64 = 30 * 24 * 3_600_000;

/// Make a one-time link with which the user sets a password, or links an account at a provider. The one before is void.
#[utoipa::path(
    post, path = "/admin/api/v3/users/{id}/link", tag = "users", params(("id" = String, Path)),
    request_body = MakeLinkRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The link; it is shown this once", body = Success<LinkAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is no such user", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn make_link(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
    Path(path): Path<String>,
    OptionalJson(request): OptionalJson<MakeLinkRequest>,
) -> Result<Answer<LinkAnswer>> {
    let user: UserId = id(&path, "user")?;
    let life = match &request.expires_in {
        None => LINK_LIFE,
        Some(text) => {
            let life =
                duration(text).map(|life| life.as_millis() as i64).filter(|life| *life <= LINK_LIFE_MAX);
            life.ok_or_else(|| Error::field("expires_in", "must be a duration such as 24h, at most 720h"))?
        }
    };
    let expires_at = crate::clock::now().plus_millis(life);
    let token = gateway.accounts.make_link(&caller, &user, expires_at).await?;
    Ok(Answer::new(LinkAnswer { url: format!("{}/#/link/{token}", gateway.public_url), expires_at }))
}

/// Take a user's authenticator and passkeys away, as when a phone is lost.
#[utoipa::path(
    delete, path = "/admin/api/v3/users/{id}/second-factors", tag = "users", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A password suffices", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is no such user", body = Failure),
    ),
)]
pub async fn reset_second_factors(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    gateway.accounts.reset_second_factors(&caller, &id(&path, "user")?).await?;
    Ok(Answer::new(Done {}))
}

/// List who a user is at providers.
#[utoipa::path(
    get, path = "/admin/api/v3/users/{id}/identities", tag = "users", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The identities", body = Success<AdminIdentityList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is no such user", body = Failure),
    ),
)]
pub async fn identities(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<AdminIdentityList>> {
    let user: UserId = id(&path, "user")?;
    gateway.administration.user(&user)?;
    let identities = gateway.directory.identities_of(&user)?;
    Ok(Answer::new(AdminIdentityList { identities: identities.into_iter().map(|one| one.about).collect() }))
}

/// Say beforehand who a user is at a provider, as after an import: they sign in there and are known.
#[utoipa::path(
    post, path = "/admin/api/v3/users/{id}/identities", tag = "users", params(("id" = String, Path)),
    request_body = IdentityRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The identity", body = Success<Identity>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is no such user", body = Failure),
        (status = 409, description = "Another user is that", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn add_identity(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
    Path(path): Path<String>,
    body: Json<IdentityRequest>,
) -> Result<Answer<Identity>> {
    let user: UserId = id(&path, "user")?;
    let request = body.value;
    let provider = gateway.providers.iter().find(|provider| provider.about().id == request.provider);
    let provider = provider.ok_or_else(|| Error::field("provider", "there is no such provider"))?;
    let tenant = if request.tenant.is_empty() { provider.tenant().to_owned() } else { request.tenant };
    let request = IdentityRequest { subject: provider.subject(&request.subject), tenant, ..request };
    Ok(Answer::new(gateway.accounts.add_identity(&caller, &user, request).await?))
}

/// Unlink an account of a user's at a provider.
#[utoipa::path(
    delete, path = "/admin/api/v3/users/{id}/identities/{identity}", tag = "users",
    params(("id" = String, Path), ("identity" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is no way to sign in any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn remove_identity(
    State(gateway): State<AdminGateway>,
    AdminCaller(caller): AdminCaller,
    Path((path, identity)): Path<(String, String)>,
) -> Result<Answer<Done>> {
    let user: UserId = id(&path, "user")?;
    gateway.accounts.remove_identity(&caller, &user, &identity).await?;
    Ok(Answer::new(Done {}))
}
