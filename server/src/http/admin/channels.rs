//! Channels and their members.

use super::{PageQuery, members, meta};
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Json, Query, id};
use crate::log::record::{GroupKey, GroupKind};
use axum::extract::{Path, State};
use hongyan_wire::ChannelId;
use hongyan_wire::admin::{AdminChannel, AdminChannelList, ChannelRequest, ChannelUpdate, UserList};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;

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
    let key = key(&path.0)?;
    members::set(&gateway, &caller, key, &path.1, true).await
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
    let key = key(&path.0)?;
    members::set(&gateway, &caller, key, &path.1, false).await
}

/// List the members, by id.
#[utoipa::path(
    get, path = "/admin/api/v3/channels/{id}/members", tag = "channels", params(("id" = String, Path), PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<UserList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such channel", body = Failure),
    ),
)]
pub async fn members(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer<UserList>> {
    members::list(&gateway, &key(&path)?, query)
}

/// See one channel.
#[utoipa::path(
    get, path = "/admin/api/v3/channels/{id}", tag = "channels", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The channel", body = Success<AdminChannel>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<AdminChannel>> {
    Ok(Answer::new(gateway.administration.channel(&key(&path)?)?))
}

/// Change a channel.
#[utoipa::path(
    put, path = "/admin/api/v3/channels/{id}", tag = "channels", params(("id" = String, Path)), request_body = ChannelUpdate,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The channel", body = Success<AdminChannel>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn update(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
    body: Json<ChannelUpdate>,
) -> Result<Answer<AdminChannel>> {
    let key = key(&path)?;
    Ok(Answer::new(gateway.administration.update_channel(caller.name(), &key, body.value).await?))
}

/// Delete a channel; what was sent to its members stays theirs.
#[utoipa::path(
    delete, path = "/admin/api/v3/channels/{id}", tag = "channels", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "There is none", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    gateway.administration.delete_group(caller.name(), &key(&path)?).await?;
    Ok(Answer::new(Done {}))
}

/// Let a user look after a channel: send to it, say who is in it. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/admin/api/v3/channels/{id}/owners/{user_id}", tag = "channels",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "So from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such channel or user", body = Failure),
        (status = 422, description = "There are 100 already", body = Failure),
    ),
)]
pub async fn add_owner(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    members::set_owner(&gateway, &caller, key(&path.0)?, &path.1, true).await
}

/// Let a user no longer look after a channel.
#[utoipa::path(
    delete, path = "/admin/api/v3/channels/{id}/owners/{user_id}", tag = "channels",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No such channel or user", body = Failure),
    ),
)]
pub async fn remove_owner(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Done>> {
    members::set_owner(&gateway, &caller, key(&path.0)?, &path.1, false).await
}

fn key(path: &str) -> Result<GroupKey> {
    Ok(GroupKey::channel(&id::<ChannelId>(path, "channel")?))
}
