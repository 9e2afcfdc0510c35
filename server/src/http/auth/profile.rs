//! Who the caller is, as they see and change it themself.

use crate::auth::{UserCaller, profile};
use crate::http::envelope::Answer;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::profile::Profile;

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
