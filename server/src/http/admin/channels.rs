//! Channels and their members.

use super::{PageQuery, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use crate::log::record::{GroupKey, GroupKind};
use axum::extract::{Path, State};
use hongyan_wire::admin::{AdminChannel, AdminChannelList, ChannelRequest};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::{ChannelId, UserId};

/// List channels by id.
#[utoipa::path(
    get, path = "/admin/api/v3/channels", tag = "channels", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<AdminChannelList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<AdminChannelList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.groups(GroupKind::Channel, &window))?;
    let channels = page.rows.iter().filter_map(|group| group.to_channel()).collect();
    Ok(Answer { meta: meta(&window, page.total), data: AdminChannelList { channels, total: page.total } })
}

/// Make a channel.
#[utoipa::path(
    post, path = "/admin/api/v3/channels", tag = "channels", request_body = ChannelRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "The channel", body = Success<AdminChannel>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "The id is taken", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Json<ChannelRequest>,
) -> Result<Answer<AdminChannel>> {
    Ok(Answer::new(gateway.administration.create_channel(caller.name(), body.value).await?))
}

/// Add a member. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/admin/api/v3/channels/{id}/members/{user_id}", tag = "channels",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A member from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such channel or user", body = Failure),
    ),
)]
pub async fn add_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, true).await
}

/// Remove a member; what was sent before stays in the inbox.
#[utoipa::path(
    delete, path = "/admin/api/v3/channels/{id}/members/{user_id}", tag = "channels",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No member any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such channel or user", body = Failure),
    ),
)]
pub async fn remove_member(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, false).await
}

async fn set_member(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    (group, user): &(String, String),
    joined: bool,
) -> Result<Answer<Done>> {
    let key = GroupKey::channel(&id::<ChannelId>(group, "channel")?);
    let user: UserId = id(user, "user")?;
    gateway.administration.set_member(caller.name(), key, user, joined).await?;
    Ok(Answer::new(Done {}))
}
