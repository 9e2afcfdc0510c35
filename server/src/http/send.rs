//! `POST /api/v3/messages/send`.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::{IdempotencyKey, Json};
use crate::auth::Caller;
use crate::error::Result;
use crate::send::RepeatKey;
use axum::extract::State;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::message::{SendAnswer, SendMessageRequest};
use sha2::{Digest, Sha256};

/// Send a message.
///
/// When the answer is 200 the message is durable and reaches every recipient once, whatever happens next.
#[utoipa::path(
    post, path = "/api/v3/messages/send", tag = "sending",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "A repeat within 24 hours gives the first answer and sends nothing; at most 255 characters")),
    request_body = SendMessageRequest,
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Durable", body = Success<SendAnswer>),
        (status = 400, description = "No JSON, or a wrong type", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "A permission is missing", body = Failure),
        (status = 409, description = "The Idempotency-Key was used with another body", body = Failure),
        (status = 413, description = "Too large", body = Failure),
        (status = 422, description = "A field is not valid, or no recipient exists", body = Failure),
        (status = 503, description = "The storage cannot be written right now; nothing was sent", body = Failure),
    ),
)]
pub async fn send(
    State(gateway): State<UserGateway>,
    caller: Caller,
    key: IdempotencyKey,
    body: Json<Box<SendMessageRequest>>,
) -> Result<Answer<SendAnswer>> {
    let repeat = key.0.map(|key| RepeatKey { key, fingerprint: Sha256::digest(&body.bytes).into() });
    Ok(Answer::new(gateway.gate.send(&caller, body.value, repeat).await?))
}
