//! Sending: one, many, by template, at a time; and what a send would send.

use super::envelope::{Answer, WithRate};
use super::extract::{BatchJson, IdempotencyKey, Json, Query, Sending, id, parse};
use super::{PageQuery, UserGateway};
use crate::auth::Caller;
use crate::error::{Error, Result};
use axum::extract::{Path, State};
use hongyan_wire::MessageId;
use hongyan_wire::api::{Done, Meta, Success};
use hongyan_wire::error::{Failure, FieldError};
use hongyan_wire::message::{
    BatchError, BatchFailure, BatchResult, PreviewAnswer, RecallAnswer, ScheduledList, ScheduledMessage,
    SendAnswer, SendBatchAnswer, SendBatchRequest, SendMessageRequest,
};

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
        (status = 429, description = "Too often; see `RateLimit-*` and `Retry-After`", body = Failure),
        (status = 503, description = "The storage cannot be written right now; nothing was sent", body = Failure),
    ),
)]
pub async fn send(
    State(gateway): State<UserGateway>,
    sending: Sending,
    key: IdempotencyKey,
    body: Json<Box<SendMessageRequest>>,
) -> Result<WithRate<Answer<SendAnswer>>> {
    let Sending { caller, metered } = sending;
    let sent = gateway.gate.send(&caller, body.value, key.of(&body.bytes)).await?;
    Ok(Answer::new(sent).metered(metered.rate))
}

/// Send with a template.
///
/// As `send`, with `template_id` required.
#[utoipa::path(
    post, path = "/api/v3/messages/send-template", tag = "sending",
    params(("Idempotency-Key" = Option<String>, Header, description = "As for `send`")),
    request_body = SendMessageRequest, security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Durable", body = Success<SendAnswer>),
        (status = 400, description = "No JSON, or a wrong type", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "A permission is missing", body = Failure),
        (status = 409, description = "The Idempotency-Key was used with another body", body = Failure),
        (status = 413, description = "Too large", body = Failure),
        (status = 422, description = "A field or variable is not valid, or no recipient exists", body = Failure),
        (status = 429, description = "Too often; see `RateLimit-*` and `Retry-After`", body = Failure),
        (status = 503, description = "The storage cannot be written right now; nothing was sent", body = Failure),
    ),
)]
pub async fn send_template(
    State(gateway): State<UserGateway>,
    sending: Sending,
    key: IdempotencyKey,
    body: Json<Box<SendMessageRequest>>,
) -> Result<WithRate<Answer<SendAnswer>>> {
    if body.value.template_id.is_none() {
        return Err(Error::field("template_id", "is missing"));
    }
    send(State(gateway), sending, key, body).await
}

/// Send many messages with one request.
///
/// One result a message, in order: the good ones are sent, the bad ones explained. With an `Idempotency-Key` each
/// message is repeated or not by its place in the batch.
#[utoipa::path(
    post, path = "/api/v3/messages/send-batch", tag = "sending",
    params(("Idempotency-Key" = Option<String>, Header, description = "As for `send`")),
    request_body = SendBatchRequest, security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What became of each", body = Success<SendBatchAnswer>),
        (status = 400, description = "No JSON, or `messages` is no list", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 413, description = "The whole is too large", body = Failure),
        (status = 422, description = "None, or too many messages", body = Failure),
        (status = 429, description = "Too often; see `RateLimit-*` and `Retry-After`", body = Failure),
    ),
)]
pub async fn send_batch(
    State(gateway): State<UserGateway>,
    sending: Sending,
    key: IdempotencyKey,
    body: BatchJson,
) -> Result<WithRate<Answer<SendBatchAnswer>>> {
    let Sending { caller, mut metered } = sending;
    let requests = body.items.into_iter().enumerate().map(|(n, item)| {
        let request = parse::<Box<SendMessageRequest>>(item.get().as_bytes())?;
        let key = IdempotencyKey(key.0.as_ref().map(|key| format!("{key} {n}")));
        Ok((request, key.of(item.get().as_bytes())))
    });
    let results = gateway.gate.send_batch(&caller, requests.collect(), &mut metered).await?;
    let results: Vec<BatchResult> =
        results.into_iter().enumerate().map(|(n, result)| batch_result(n, result)).collect();
    let sent = results.iter().filter(|result| matches!(result, BatchResult::Sent(_))).count() as u64;
    let answer = SendBatchAnswer { sent, failed: results.len() as u64 - sent, results };
    Ok(Answer::new(answer).metered(metered.rate))
}

fn batch_result(n: usize, result: Result<SendAnswer>) -> BatchResult {
    match result {
        Ok(answer) => BatchResult::Sent(answer),
        Err(error) => {
            let details = error
                .details
                .into_iter()
                .map(|fault| FieldError { field: format!("messages[{n}].{}", fault.field), ..fault });
            let details = details.collect();
            BatchResult::Failed(BatchFailure {
                message: error.message,
                error: BatchError { error_type: error.error_type, details },
            })
        }
    }
}

/// See what a send would send, and to how many. Nothing is sent.
#[utoipa::path(
    post, path = "/api/v3/messages/preview", tag = "sending", request_body = SendMessageRequest,
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What would be sent", body = Success<PreviewAnswer>),
        (status = 400, description = "No JSON, or a wrong type", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "A permission is missing", body = Failure),
        (status = 422, description = "A field or variable is not valid, or no recipient exists", body = Failure),
    ),
)]
pub async fn preview(
    State(gateway): State<UserGateway>,
    caller: Caller,
    body: Json<Box<SendMessageRequest>>,
) -> Result<Answer<PreviewAnswer>> {
    Ok(Answer::new(gateway.gate.preview(&caller, body.value).await?))
}

/// Take a message back: nobody sees it any more. For its sender, and administrators.
#[utoipa::path(
    post, path = "/api/v3/messages/{id}/recall", tag = "sending", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "It is gone; doing it twice is doing it once", body = Success<RecallAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's that the log still has", body = Failure),
        (status = 429, description = "Too often; see `RateLimit-*` and `Retry-After`", body = Failure),
    ),
)]
pub async fn recall(
    State(gateway): State<UserGateway>,
    Sending { caller, metered: _metered }: Sending,
    Path(path): Path<String>,
) -> Result<Answer<RecallAnswer>> {
    let message_id: MessageId = id(&path, "message")?;
    caller.require_write()?;
    gateway.gate.recall(&caller, &message_id).await?;
    Ok(Answer::new(RecallAnswer { message_id, recalled: true }))
}

/// List the caller's own scheduled messages, the next due first.
#[utoipa::path(
    get, path = "/api/v3/messages/scheduled", tag = "sending", params(PageQuery),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<ScheduledList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn scheduled(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Answer<ScheduledList>> {
    let window = query.window()?;
    let page = gateway.gate.scheduled(&caller, &window).await?;
    let meta = Meta::page(window.page, window.size, page.total);
    Ok(Answer { meta, data: ScheduledList { messages: page.rows, total: page.total } })
}

/// See one of the caller's own scheduled messages.
#[utoipa::path(
    get, path = "/api/v3/messages/scheduled/{id}", tag = "sending", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The message", body = Success<ScheduledMessage>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's that waits", body = Failure),
    ),
)]
pub async fn scheduled_one(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Answer<ScheduledMessage>> {
    let id: MessageId = id(&path, "scheduled message")?;
    Ok(Answer::new(gateway.gate.scheduled_one(&caller, &id).await?))
}

/// Put another message, or another time, in the place of a scheduled one; it keeps its id.
#[utoipa::path(
    put, path = "/api/v3/messages/scheduled/{id}", tag = "sending", params(("id" = String, Path)),
    request_body = SendMessageRequest, security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Durable", body = Success<SendAnswer>),
        (status = 400, description = "No JSON, or a wrong type", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's that waits", body = Failure),
        (status = 422, description = "A field is not valid, or no recipient exists", body = Failure),
        (status = 429, description = "Too often; see `RateLimit-*` and `Retry-After`", body = Failure),
    ),
)]
pub async fn reschedule(
    State(gateway): State<UserGateway>,
    sending: Sending,
    Path(path): Path<String>,
    body: Json<Box<SendMessageRequest>>,
) -> Result<Answer<SendAnswer>> {
    let Sending { caller, metered: _metered } = sending;
    let id: MessageId = id(&path, "scheduled message")?;
    caller.require_write()?;
    Ok(Answer::new(gateway.gate.reschedule(&caller, &id, body.value).await?))
}

/// Take a scheduled message back before it is sent.
#[utoipa::path(
    delete, path = "/api/v3/messages/scheduled/{id}", tag = "sending", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "It will not be sent", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's that waits", body = Failure),
    ),
)]
pub async fn unschedule(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Answer<Done>> {
    let id: MessageId = id(&path, "scheduled message")?;
    gateway.gate.unschedule(&caller, &id).await?;
    Ok(Answer::new(Done {}))
}
