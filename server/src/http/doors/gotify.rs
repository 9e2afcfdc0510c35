//! Gotify's `POST /message`, below `/gotify`.

use super::incoming::Taken;
use super::{Loose, Note, Sent, own_words, with_patience};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hongyan_wire::message::AttachmentType;
use serde_json::json;

/// What Gotify shows for an application without a priority of its own is our usual one.
const PRIORITY_DEFAULT: i64 = 5;

/// Send as to a Gotify server.
///
/// The service's key stands for the application's token: `X-Gotify-Key`, `?token=` or `Authorization: Bearer`. JSON or
/// a form with `message`, `title`, `priority` (0 to 10), `extras`. Who gets it: `?to=`, else the service's default
/// recipients.
#[utoipa::path(
    post, path = "/gotify/message", tag = "doors", security(("service" = [])),
    params(("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas")),
    responses(
        (status = 200, description = "Durable; the message as Gotify shows it"),
        (status = 400, description = "As Gotify says it"),
        (status = 401, description = "As Gotify says it"),
    ),
)]
pub async fn message(State(gateway): State<UserGateway>, taken: Taken) -> Response {
    send(&gateway, taken).await.unwrap_or_else(|error| refused(&error))
}

async fn send(gateway: &UserGateway, taken: Taken) -> Result<Response> {
    let mut incoming = taken?;
    let body = incoming.fields().await?;
    let body = Loose(&body);
    let text = body.get("message").some();
    let text = text.ok_or_else(|| Error::field("message", "is required"))?;
    let priority = body.get("priority").number().unwrap_or(PRIORITY_DEFAULT);
    let title = body.get("title").text();
    let mut note = Note {
        title: title.clone(),
        text: text.clone(),
        priority: Some(priority.clamp(1, 10) as u8),
        ..Note::default()
    };
    let extras = body.get("extras");
    let shown = extras.get("client::notification");
    note.link("Open", &shown.get("click").get("url").text());
    note.picture(AttachmentType::Image, "image", &shown.get("bigImageUrl").text());
    if let Some(kind) = extras.get("client::display").get("contentType").some() {
        note.metadata.insert("content_type".into(), kind.into());
    }
    let Sent { answer, dropped } = gateway.note(incoming, note).await?;
    let mut message = json!({
        // Its clients want whole numbers; nothing can be asked under this one.
        "id": crate::clock::now().millis(), "appid": 0, "message": text, "title": title, "priority": priority,
        "date": crate::clock::now(), "message_id": answer.message_id,
    });
    if extras.is_there() {
        message["extras"] = extras.0.clone();
    }
    Ok(Sent::naming(&dropped, own_words(200, &message)))
}

fn refused(error: &Error) -> Response {
    // Gotify knows no 422.
    let status = match error.error_type.status() {
        422 => 400,
        other => other,
    };
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let description = match error.details.as_slice() {
        [one] if one.field == "message" && one.reason == "is required" => {
            "Field 'message' is required".to_owned()
        }
        _ => error.message.clone(),
    };
    let body = json!({
        "error": reason.unwrap_or_default(), "errorCode": status, "errorDescription": description,
    });
    with_patience(own_words(status, &body), error)
}
