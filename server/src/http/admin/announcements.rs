//! Announcements: messages from the administrators to everyone.

use crate::auth::Caller;
use crate::error::Result;
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, IdempotencyKey, Json};
use axum::extract::State;
use hongyan_wire::admin::AnnouncementRequest;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::message::{RecipientType, SendAnswer, SendMessageRequest};

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
    let AnnouncementRequest { title, content, priority, scheduled_at, expire_at, actions } = body.value;
    let request = SendMessageRequest {
        title: Some(title),
        content: Some(content),
        message_type: Some("announcement".into()),
        recipient_type: Some(RecipientType::All),
        priority,
        scheduled_at,
        expire_at,
        actions,
        ..SendMessageRequest::default()
    };
    let repeat = key.of(&body.bytes);
    let caller = Caller::User(caller.0);
    Ok(Answer::new(gateway.gate.send(&caller, Box::new(request), repeat).await?))
}
