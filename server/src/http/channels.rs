//! The caller's channels.

use super::UserGateway;
use super::envelope::{Answer, Encoded};
use super::extract::{Query, id};
use super::messages::{ListQuery, page};
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::log::record::{GroupKey, GroupKind};
use axum::extract::{Path, State};
use hongyan_wire::ChannelId;
use hongyan_wire::api::{MessageList, Success};
use hongyan_wire::channel::{Channel, ChannelList};
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
        });
    }
    Ok(Answer::new(ChannelList { channels }))
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
