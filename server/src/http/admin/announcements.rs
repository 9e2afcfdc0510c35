//! Announcements: messages from the administrators to everyone.

use crate::auth::Caller;
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, IdempotencyKey, Json, Query, id};
use crate::http::page::{search, window};
use crate::report::DeliveryFilter;
use axum::extract::{Path, State};
use hongyan_wire::MessageId;
use hongyan_wire::admin::AnnouncementRequest;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::{ErrorType, Failure};
use hongyan_wire::message::{RecipientType, SendAnswer, SendMessageRequest};
use hongyan_wire::receipt::DeliveryList;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which announcements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AnnouncementQuery {
    /// Text in the title; at most 200 characters.
    q: Option<String>,
    /// The `next` of the page before.
    before: Option<u64>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
}

/// List what administrators have sent to everyone, the newest first, for as long as the log has it.
#[utoipa::path(
    get, path = "/admin/api/v3/announcements", tag = "announcements", params(AnnouncementQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page, with how far each has got", body = Success<DeliveryList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<AnnouncementQuery>,
) -> Result<Answer<DeliveryList>> {
    let (_, size) = window(None, query.size)?;
    let q = search(query.q)?.map(|q| q.to_lowercase());
    let filter = DeliveryFilter { announcements: true, q, ..DeliveryFilter::default() };
    let list =
        tokio::task::block_in_place(|| gateway.reports.deliveries(&filter, query.before, size as usize))?;
    Ok(Answer::new(list))
}

/// Take an announcement back: nobody sees it any more. One of one's own that waits for its time is not sent.
#[utoipa::path(
    delete, path = "/admin/api/v3/announcements/{id}", tag = "announcements", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that can still be taken back", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let id: MessageId = id(&path, "announcement")?;
    let caller = Caller::User(caller.0);
    match gateway.gate.unschedule(&caller, &id).await {
        Err(error) if error.error_type == ErrorType::NotFound => gateway.gate.recall(&caller, &id).await?,
        unscheduled => unscheduled?,
    }
    Ok(Answer::new(Done {}))
}

/// Announce something to everyone, now or at a time.
#[utoipa::path(
    post, path = "/admin/api/v3/announcements", tag = "announcements", request_body = AnnouncementRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat within 24 hours announces nothing more")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Durable", body = Success<SendAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    key: IdempotencyKey,
    body: Json<AnnouncementRequest>,
) -> Result<Answer<SendAnswer>> {
    let AnnouncementRequest { title, content, priority, scheduled_at, expire_at, actions, replaces } =
        body.value;
    let request = SendMessageRequest {
        title: Some(title),
        content: Some(content),
        message_type: Some("announcement".into()),
        recipient_type: Some(RecipientType::All),
        priority,
        scheduled_at,
        expire_at,
        actions,
        replaces,
        ..SendMessageRequest::default()
    };
    let repeat = key.of(&body.bytes);
    let caller = Caller::User(caller.0);
    Ok(Answer::new(gateway.gate.send(&caller, Box::new(request), repeat).await?))
}
