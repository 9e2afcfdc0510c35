//! A plain JSON webhook, as Apprise's `json` plugin sends it: for everything that can post and has no door of its own.

use super::incoming::Taken;
use super::{Loose, Note, Sent};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::message::{AttachmentType, SendAnswer};

/// Take a JSON object with a title and a text.
///
/// `title` or `subject`; `message`, `text`, `content`, `body` or `description`; `type` (`info`, `success`, `warning`,
/// `failure`) or `priority` (1 to 10); `url`; `to`. The service's key comes as `Authorization`, either half of `Basic`,
/// or `?key=`. Who gets it: `to` in the body, else `?to=`, else the service's default recipients.
#[utoipa::path(
    post, path = "/json", tag = "doors", security(("service" = [])),
    params(("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas")),
    responses(
        (status = 200, description = "Durable", body = Success<SendAnswer>),
        (status = 400, description = "No JSON", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "No text, or nobody to tell", body = Failure),
    ),
)]
pub async fn json(State(gateway): State<UserGateway>, taken: Taken) -> Result<Response> {
    let mut incoming = taken?;
    let body = incoming.fields().await?;
    let body = Loose(&body);
    let first = |names: &[&str]| names.iter().find_map(|name| body.get(name).some());
    let mut note = Note {
        title: first(&["title", "subject"]).unwrap_or_default(),
        text: first(&["message", "text", "content", "body", "description"]).unwrap_or_default(),
        priority: match body.get("priority").number() {
            Some(priority) => Some(priority.clamp(1, 10) as u8),
            None => match body.get("type").text().as_str() {
                "failure" | "error" => Some(9),
                "warning" => Some(7),
                "success" => Some(4),
                _ => None,
            },
        },
        ..Note::default()
    };
    if note.title.is_empty() && note.text.is_empty() {
        return Err(Error::field("message", "is missing"));
    }
    if let Some(url) = first(&["url", "link", "click"]) {
        note.link("Open", &url);
    }
    if let Some(url) = first(&["image", "image_url"]) {
        note.picture(AttachmentType::Image, "image", &url);
    }
    let to = body.get("to");
    note.recipients = match to.some() {
        Some(list) => list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Into::into).collect(),
        None => to.items().filter_map(Loose::some).map(Into::into).collect(),
    };
    let sent = gateway.note(incoming, note).await?;
    Ok(Sent::naming(&sent.dropped, Answer::new(sent.answer).into_response()))
}
