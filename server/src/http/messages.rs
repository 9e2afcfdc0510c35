//! Reading: lists, one message, read states, counts.

use super::UserGateway;
use super::envelope::{Answer, Encoded};
use super::extract::{Json, OptionalJson, Query, id};
use super::page::{search, window};
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::inbox::{Filter, Inbox, MarkOutcome, MarkRequest};
use axum::extract::{Path, State};
use hongyan_wire::api::{
    MessageList, Meta, ReadBatchAnswer, ReadBatchRequest, ReadRequest, ReadState, Success, UnreadCount,
};
use hongyan_wire::error::Failure;
use hongyan_wire::limits::READ_BATCH_MAX;
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which messages are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    channel_id: Option<ChannelId>,
    is_read: Option<bool>,
    message_type: Option<String>,
    /// Only messages of at least this priority.
    min_priority: Option<u8>,
    /// Created at this moment or later.
    since: Option<Timestamp>,
    /// Created before this moment.
    until: Option<Timestamp>,
    /// Text in title or content; at most 200 characters.
    q: Option<String>,
}

/// List messages, newest first.
#[utoipa::path(
    get, path = "/api/v3/messages", tag = "reading", params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page; `meta.cursor` is where `sync` or a socket goes on from", body = Success<MessageList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
        (status = 500, description = "The inbox is damaged", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Query(query): Query<ListQuery>,
) -> Result<Encoded> {
    page(&gateway, &caller, query).await
}

/// One page of the caller's inbox.
pub async fn page(gateway: &UserGateway, caller: &UserCaller, query: ListQuery) -> Result<Encoded> {
    let (page, size) = window(query.page, query.size)?;
    let filter = Filter {
        channel: query.channel_id,
        is_read: query.is_read,
        message_type: query.message_type,
        min_priority: query.min_priority,
        since: query.since,
        until: query.until,
        q: search(query.q)?,
    };
    let is_search = filter.q.is_some();
    let is_newest = page == 1 && filter == Filter::default();
    let write = move |inbox: &mut Inbox| {
        let seen = inbox.seen();
        let cursor = inbox.cursor().to_string();
        let list = inbox.page(&filter, page, size)?;
        let meta = Meta { cursor: Some(cursor), ..Meta::page(page, size, list.total) };
        Ok((seen, list.written(|data| Answer { data, meta }.encode())?))
    };
    // A search looks through the whole inbox.
    let (seen, encoded) = match is_search {
        true => gateway.inboxes.access(caller.id(), write).await?,
        false => gateway.inboxes.read(caller.id(), write).await?,
    };
    if is_newest {
        gateway.reports.ledger.reached(caller.id(), seen);
    }
    Ok(encoded)
}

impl ListQuery {
    /// The same question about one channel.
    pub fn in_channel(self, channel: ChannelId) -> Self {
        Self { channel_id: Some(channel), ..self }
    }
}

/// Read one message.
#[utoipa::path(
    get, path = "/api/v3/messages/{id}", tag = "reading", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The message", body = Success<Message>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "Not in the caller's inbox", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
) -> Result<Answer<Message>> {
    let id: MessageId = id(&path, "message")?;
    let found = gateway.inboxes.read(caller.id(), move |inbox| inbox.get(&id)).await?;
    found.map(Answer::new).ok_or_else(|| Error::not_found("message"))
}

/// Count unread messages. Costs the same however large the inbox.
#[utoipa::path(
    get, path = "/api/v3/messages/unread-count", tag = "reading", security(("bearer" = [])),
    responses(
        (status = 200, description = "The counts, and in `meta.cursor` their moment", body = Success<UnreadCount>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn unread_count(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
) -> Result<Answer<UnreadCount>> {
    let tip = gateway.inboxes.tip(caller.id()).await?;
    let cursor = tip.cursor().to_string();
    let meta = Meta { cursor: Some(cursor), ..Meta::default() };
    Ok(Answer { data: (*tip.unread).clone(), meta })
}

/// Mark one message read, or take it back.
#[utoipa::path(
    post, path = "/api/v3/messages/{id}/read", tag = "reading", params(("id" = String, Path)),
    request_body(content = Option<ReadRequest>), security(("bearer" = [])),
    responses(
        (status = 200, description = "The state now; doing it twice is doing it once", body = Success<ReadState>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "Not in the caller's inbox", body = Failure),
        (status = 409, description = "`if_version` has passed; `error.current` is the state now", body = Failure),
    ),
)]
pub async fn read(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(path): Path<String>,
    OptionalJson(request): OptionalJson<ReadRequest>,
) -> Result<Answer<ReadState>> {
    let message_id: MessageId = id(&path, "message")?;
    let request = MarkRequest::One {
        id: message_id.clone(),
        is_read: request.is_read.unwrap_or(true),
        if_version: request.if_version,
    };
    let outcome = mark(&gateway, &caller, request).await?;
    let state = outcome.state;
    Ok(Answer::new(ReadState {
        message_id,
        is_read: state.is_read,
        read_at: state.read_at,
        version: state.version,
        unread_count: outcome.unread_count,
    }))
}

/// Mark several messages read, or all.
#[utoipa::path(
    post, path = "/api/v3/messages/read-batch", tag = "reading", request_body = ReadBatchRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "How many changed", body = Success<ReadBatchAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "Neither `message_ids` nor `all`, or both", body = Failure),
    ),
)]
pub async fn read_batch(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    body: Json<ReadBatchRequest>,
) -> Result<Answer<ReadBatchAnswer>> {
    let outcome = mark(&gateway, &caller, batch(body.value)?).await?;
    Ok(Answer::new(ReadBatchAnswer { changed: outcome.changed, unread_count: outcome.unread_count }))
}

fn batch(request: ReadBatchRequest) -> Result<MarkRequest> {
    let ReadBatchRequest { message_ids, all, channel_id, until_pos } = request;
    match (message_ids, all.unwrap_or(false)) {
        (Some(_), true) => Err(Error::field("message_ids", "goes without all")),
        (None, false) => Err(Error::field("message_ids", "is missing; give message_ids, or all")),
        (None, true) => Ok(MarkRequest::Through { until_pos, channel: channel_id }),
        (Some(_), false) if channel_id.is_some() => Err(Error::field("channel_id", "goes with all only")),
        (Some(_), false) if until_pos.is_some() => Err(Error::field("until_pos", "goes with all only")),
        (Some(ids), false) if ids.len() > READ_BATCH_MAX => {
            Err(Error::field("message_ids", "must be at most 1000"))
        }
        (Some(ids), false) => Ok(MarkRequest::Some(ids)),
    }
}

/// Makes the change and tells the caller's other devices.
async fn mark(gateway: &UserGateway, caller: &UserCaller, request: MarkRequest) -> Result<MarkOutcome> {
    let (user, device) = (caller.id().clone(), caller.claims.device_id.clone());
    let (hub, to, but) = (gateway.hub.clone(), user.clone(), device.clone());
    let tell = move |outcome: Option<&MarkOutcome>| match outcome {
        Some(outcome) => {
            let complete = outcome.changed == outcome.updates.len() as u64;
            hub.tell_updates(&to, but.as_ref(), &outcome.updates, complete);
        }
        None => hub.tell_updates(&to, None, &[], false),
    };
    Ok(gateway.inboxes.mark(&user, device, request, tell).await?)
}
