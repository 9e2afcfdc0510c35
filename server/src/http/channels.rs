//! The caller's channels.

use super::PageQuery;
use super::UserGateway;
use super::envelope::{Answer, Encoded};
use super::extract::{Query, id};
use super::messages::{ListQuery, page};
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::log::record::{GroupKey, GroupKind};
use axum::extract::{Path, State};
use hongyan_wire::ChannelId;
use hongyan_wire::api::{Done, MessageList, Meta, Success};
use hongyan_wire::channel::{
    Channel, ChannelKind, ChannelList, Member, MemberList, PublicChannel, PublicChannelList,
};
use hongyan_wire::error::Failure;

/// List the channels that the caller is a member of.
#[utoipa::path(
    get, path = "/api/v3/channels", tag = "reading", security(("bearer" = [])),
    responses(
        (status = 200, description = "The channels, by id", body = Success<ChannelList>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn list(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<ChannelList>> {
    let unread = gateway.inboxes.tip(caller.id()).await?.unread;
    let mut channels = Vec::new();
    for key in caller.person.groups().filter(|key| key.kind == GroupKind::Channel) {
        let Some(channel) = gateway.directory.group(key)?.and_then(|group| group.to_channel()) else {
            continue;
        };
        let unread_count = unread.by_channel.get(&channel.id).copied().unwrap_or(0);
        channels.push(Channel {
            id: channel.id,
            name: channel.name,
            description: channel.description,
            kind: channel.kind,
            unread_count,
            is_owner: caller.person.owns.contains(key),
        });
    }
    Ok(Answer::new(ChannelList { channels }))
}

/// List the public channels, by id: those that one may join.
#[utoipa::path(
    get, path = "/api/v3/channels/public", tag = "reading", params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<PublicChannelList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn public(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<PublicChannelList>> {
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.public_channels(&window))?;
    let is_member = |id: &ChannelId| caller.person.groups().any(|key| *key == GroupKey::channel(id));
    let channels = page.rows.iter().filter_map(|group| group.to_channel()).map(|channel| PublicChannel {
        is_member: is_member(&channel.id),
        id: channel.id,
        name: channel.name,
        description: channel.description,
        member_count: channel.member_count,
    });
    let data = PublicChannelList { channels: channels.collect(), total: page.total };
    Ok(Answer { meta: Meta::page(window.page, window.size, page.total), data })
}

/// Join a public channel. Doing it twice is doing it once.
#[utoipa::path(
    post, path = "/api/v3/channels/{id}/join", tag = "reading", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A member from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No public channel", body = Failure),
    ),
)]
pub async fn join(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, true).await
}

/// Leave a public channel; what came through it stays.
#[utoipa::path(
    post, path = "/api/v3/channels/{id}/leave", tag = "reading", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No member any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No public channel", body = Failure),
    ),
)]
pub async fn leave(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    set_member(&gateway, &caller, &path, false).await
}

async fn set_member(
    gateway: &UserGateway,
    caller: &UserCaller,
    path: &str,
    joined: bool,
) -> Result<Answer<Done>> {
    let channel: ChannelId = id(path, "channel")?;
    let key = GroupKey::channel(&channel);
    // Private ones are not even said to exist.
    let group = gateway.directory.group(&key)?;
    if group.is_none_or(|group| group.channel_kind != ChannelKind::Public) {
        return Err(Error::not_found("public channel"));
    }
    let user = caller.id();
    gateway.administration.set_member(user.as_str(), key, user.clone(), joined).await?;
    Ok(Answer::new(Done {}))
}

/// List who is in a channel, by id. For those who look after it.
#[utoipa::path(
    get, path = "/api/v3/channels/{id}/members", tag = "reading", params(("id" = String, Path), PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<MemberList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No channel that the caller looks after", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn members(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer<MemberList>> {
    let key = owned(&caller, &path)?;
    let window = query.window()?;
    let page = tokio::task::block_in_place(|| gateway.directory.members(&key, &window))?;
    let members =
        page.rows.into_iter().map(|user| Member { id: user.id, username: user.username, name: user.name });
    let data = MemberList { members: members.collect(), total: page.total };
    Ok(Answer { data, meta: Meta::page(window.page, window.size, page.total) })
}

/// Take someone into a channel that one looks after. Doing it twice is doing it once.
#[utoipa::path(
    put, path = "/api/v3/channels/{id}/members/{user_id}", tag = "reading",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A member from now on", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No channel that the caller looks after, or no such user", body = Failure),
    ),
)]
pub async fn add_member(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path((path, user)): Path<(String, String)>,
) -> Result<Answer<Done>> {
    let (key, user) = (owned(&caller, &path)?, id(&user, "user")?);
    gateway.administration.set_member(caller.id().as_str(), key, user, true).await?;
    Ok(Answer::new(Done {}))
}

/// Take someone out of a channel that one looks after; what came through it stays theirs.
#[utoipa::path(
    delete, path = "/api/v3/channels/{id}/members/{user_id}", tag = "reading",
    params(("id" = String, Path), ("user_id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "No member any more", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No channel that the caller looks after, or no such user", body = Failure),
    ),
)]
pub async fn remove_member(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path((path, user)): Path<(String, String)>,
) -> Result<Answer<Done>> {
    let (key, user) = (owned(&caller, &path)?, id(&user, "user")?);
    gateway.administration.set_member(caller.id().as_str(), key, user, false).await?;
    Ok(Answer::new(Done {}))
}

/// The channel, if the caller looks after it.
fn owned(caller: &UserCaller, path: &str) -> Result<GroupKey> {
    let key = GroupKey::channel(&id::<ChannelId>(path, "channel")?);
    let owns = caller.person.owns.contains(&key);
    owns.then_some(key).ok_or_else(|| Error::not_found("channel that you look after"))
}

/// List the messages of one channel, newest first.
#[utoipa::path(
    get, path = "/api/v3/channels/{id}/messages", tag = "reading", params(("id" = String, Path), ListQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<MessageList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "No channel that the caller is or was a member of", body = Failure),
    ),
)]
pub async fn messages(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Encoded> {
    let channel: ChannelId = id(&path, "channel")?;
    let key = GroupKey::channel(&channel);
    if !caller.person.memberships.iter().any(|membership| membership.key == key) {
        return Err(Error::not_found("channel"));
    }
    page(&gateway, &caller, query.in_channel(channel)).await
}
