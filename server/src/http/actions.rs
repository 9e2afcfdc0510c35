//! Pressing an action of a message.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::id;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use axum::extract::{Path, State};
use hongyan_wire::MessageId;
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::message::PressAnswer;

/// Press a `button` or `confirm` of a message.
///
/// It is recorded once, shown on every device, and told to the sender. Pressing the same again changes nothing; another
/// answer is refused with the one that counts: the reader's own, or, where the sender wants the first one, anyone's. A
/// message can be answered for as long as the log has it.
#[utoipa::path(
    post, path = "/api/v3/messages/{id}/actions/{action}", tag = "reading", security(("bearer" = [])),
    params(("id" = String, Path), ("action" = String, Path)),
    responses(
        (status = 200, description = "What counts", body = Success<PressAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's, or no such action", body = Failure),
        (status = 409, description = "Another answer counts; `current` says which", body = Failure),
    ),
)]
pub async fn press(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path((path, action)): Path<(String, String)>,
) -> Result<Answer<PressAnswer>> {
    let message_id: MessageId = id(&path, "message")?;
    let asked = message_id.clone();
    let user = caller.id().clone();
    // Only what is in the caller's inbox: meant for them, neither expired nor taken back.
    let found = gateway.inboxes.access(&user, move |inbox| inbox.get(&asked)).await?;
    found.ok_or_else(|| Error::not_found("message"))?;
    let pressed = gateway.gate.press(caller, message_id.clone(), action).await?;
    Ok(Answer::new(PressAnswer { message_id, pressed }))
}
