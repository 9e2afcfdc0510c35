//! `POST /api/v3/messages/send`.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::Json;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::send::RepeatKey;
use axum::extract::State;
use axum::http::HeaderMap;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::limits::IDEMPOTENCY_KEY_MAX;
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
    headers: HeaderMap,
    body: Json<SendMessageRequest>,
) -> Result<Answer<SendAnswer>> {
    let repeat = repeat_key(&headers, &body.bytes)?;
    Ok(Answer::new(gateway.gate.send(&caller, body.value, repeat).await?))
}

fn repeat_key(headers: &HeaderMap, body: &[u8]) -> Result<Option<RepeatKey>> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_MAX);
    let key =
        key.ok_or_else(|| Error::field("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))?;
    Ok(Some(RepeatKey { key: key.to_owned(), fingerprint: Sha256::digest(body).into() }))
}
