//! Slack's incoming webhooks, below `/slack/services`: the last part of the path is the service's key.

use super::incoming::Taken;
use super::{Loose, Note, Sent, plain, with_patience};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use axum::extract::State;
use axum::response::Response;
use hongyan_wire::error::ErrorType;
use hongyan_wire::message::AttachmentType;
use serde_json::Value;

/// Take what a Slack incoming webhook takes: `text`, `blocks`, `attachments`, `channel`, `username`.
///
/// The address is `…/slack/services/{any}/{any}/{key}`. Who gets it: `channel` (without `#` or `@`), else `?to=`, else
/// the service's default recipients.
#[utoipa::path(
    post, path = "/slack/services/{team}/{hook}/{key}", tag = "doors",
    params(
        ("team" = String, Path, description = "Anything"), ("hook" = String, Path, description = "Anything"),
        ("key" = String, Path, description = "The service's key"),
    ),
    responses((status = 200, description = "`ok`"), (status = 400, description = "As Slack says it"), (status = 403, description = "`invalid_token`")),
)]
pub async fn services(State(gateway): State<UserGateway>, taken: Taken) -> Response {
    match send(&gateway, taken).await {
        Ok(dropped) => Sent::naming(&dropped, plain(200, "text/plain; charset=utf-8", "ok")),
        Err(error) => refused(&error),
    }
}

/// Gives what was dropped.
async fn send(gateway: &UserGateway, taken: Taken) -> Result<Vec<String>> {
    let mut incoming = taken?;
    let fields = incoming.fields().await?;
    // A form holds the JSON in one field.
    let body: Value = match Loose(&fields).get("payload").some() {
        Some(json) => incoming
            .parsed(json.as_bytes())
            .map_err(|_| Error::new(ErrorType::MalformedRequest, "the payload is no valid JSON"))?,
        None => fields,
    };
    Ok(gateway.note(incoming, note(Loose(&body))?).await?.dropped)
}

fn note(body: Loose<'_>) -> Result<Note> {
    let mut note = Note { sender_name: body.get("username").some(), ..Note::default() };
    let mut parts = vec![unescaped(&body.get("text").text(), &mut note)];
    for block in body.get("blocks").items() {
        parts.extend(block_text(block, &mut note));
    }
    for attachment in body.get("attachments").items() {
        parts.extend(attachment_text(attachment, &mut note));
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.dedup();
    note.text = parts.join("\n");
    if note.text.is_empty() && note.title.is_empty() {
        return Err(Error::field("text", "no_text"));
    }
    let channel = body.get("channel").text();
    let channel = channel.trim().trim_start_matches(['#', '@']);
    if !channel.is_empty() {
        note.recipients.push(channel.into());
    }
    Ok(note)
}

fn block_text(block: Loose<'_>, note: &mut Note) -> Vec<String> {
    let mut parts = Vec::new();
    match block.get("type").text().as_str() {
        "header" => {
            let text = unescaped(&block.get("text").get("text").text(), note);
            if note.title.is_empty() { note.title = text } else { parts.push(text) }
        }
        "image" => {
            let name = block.get("alt_text").some().unwrap_or_else(|| block.get("title").get("text").text());
            note.picture(AttachmentType::Image, &name, &block.get("image_url").text());
        }
        "actions" => {
            for element in block.get("elements").items() {
                note.link(&element.get("text").get("text").text(), &element.get("url").text());
            }
        }
        "rich_text" => {
            let mut text = String::new();
            rich(block, &mut text, 0);
            parts.push(text);
        }
        _ => {
            parts.push(unescaped(&block.get("text").get("text").text(), note));
            for part in block.get("fields").items().chain(block.get("elements").items()) {
                parts.push(unescaped(&part.get("text").text(), note));
            }
            let accessory = block.get("accessory");
            note.link(&accessory.get("text").get("text").text(), &accessory.get("url").text());
        }
    }
    parts
}

/// The texts of nested elements; no deeper than Slack nests them.
fn rich(element: Loose<'_>, text: &mut String, depth: usize) {
    const DEPTH_MAX: usize = 8;
    for inner in element.get("elements").items().filter(|_| depth < DEPTH_MAX) {
        text.push_str(&inner.get("text").text());
        rich(inner, text, depth + 1);
    }
}

fn attachment_text(attachment: Loose<'_>, note: &mut Note) -> Vec<String> {
    let mut parts = vec![unescaped(&attachment.get("pretext").text(), note)];
    let title = unescaped(&attachment.get("title").text(), note);
    let link = attachment.get("title_link").text();
    note.link(if title.is_empty() { "Open" } else { &title }, &link);
    if note.title.is_empty() {
        note.title = title
    } else {
        parts.push(title)
    }
    for block in attachment.get("blocks").items() {
        parts.extend(block_text(block, note));
    }
    let text = attachment.get("text").some();
    let is_bare = text.is_none() && attachment.get("blocks").items().next().is_none();
    parts.push(unescaped(&text.unwrap_or_default(), note));
    if is_bare {
        parts.push(unescaped(&attachment.get("fallback").text(), note));
    }
    for field in attachment.get("fields").items() {
        let (title, value) = (field.get("title").text(), unescaped(&field.get("value").text(), note));
        parts.push(if title.is_empty() { value } else { format!("{title}: {value}") });
    }
    for action in attachment.get("actions").items() {
        note.link(&action.get("text").text(), &action.get("url").text());
    }
    note.picture(AttachmentType::Image, "image", &attachment.get("image_url").text());
    note.priority = note.priority.max(match attachment.get("color").text().as_str() {
        "danger" => Some(8),
        "warning" => Some(7),
        _ => None,
    });
    parts
}

/// A text of Slack's as people read it: `<url|words>` is the words, and the link goes below.
fn unescaped(text: &str, note: &mut Note) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(length) = rest.find('>') else { break };
        let inside = &rest[1..length];
        let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
        if target.starts_with("http://") || target.starts_with("https://") {
            note.link(label, target);
            plain.push_str(if label.is_empty() { target } else { label });
        } else {
            let target = target.trim_start_matches('!').split('^').next().unwrap_or_default();
            plain.push_str(if label.is_empty() { target } else { label });
        }
        rest = &rest[length + 1..];
    }
    plain.push_str(rest);
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn refused(error: &Error) -> Response {
    let field = error.details.first().map(|fault| fault.field.as_str()).unwrap_or_default();
    let (status, words) = match error.error_type {
        ErrorType::Unauthenticated => (403, "invalid_token"),
        ErrorType::PermissionDenied => (403, "action_prohibited"),
        ErrorType::RateLimited => (429, "rate_limited"),
        ErrorType::TooLarge => (413, "invalid_payload"),
        ErrorType::Overloaded | ErrorType::StorageUnavailable => (503, "service_unavailable"),
        ErrorType::Internal => (500, "rollup_error"),
        _ => match field {
            "text" => (400, "no_text"),
            "recipients" | "to" => (404, "channel_not_found"),
            _ => (400, "invalid_payload"),
        },
    };
    with_patience(plain(status, "text/plain; charset=utf-8", words), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_and_kept() {
        let mut note = Note::default();
        let text =
            unescaped("see <https://a.example/x|the page> &amp; <!here> <@U1|bob> 1 &lt; 2 <b", &mut note);
        assert_eq!(text, "see the page & here bob 1 < 2 <b");
        assert_eq!((note.links.len(), note.links[0].text.as_str()), (1, "the page"));
    }

    #[test]
    fn blocks_and_attachments_become_one_text() {
        let body = serde_json::json!({
            "channel": "#ops", "username": "ci",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "Build failed"}},
                {"type": "section", "text": {"type": "mrkdwn", "text": "on *main*"}, "fields": [{"text": "a"}]},
                {"type": "actions", "elements": [{"text": {"text": "Log"}, "url": "https://a.example/log"}]},
            ],
            "attachments": [{"color": "danger", "text": "late", "fields": [{"title": "Env", "value": "prod"}]}],
        });
        let note = note(Loose(&body)).unwrap();
        assert_eq!(
            (note.title.as_str(), note.text.as_str()),
            ("Build failed", "on *main*\na\nlate\nEnv: prod")
        );
        assert_eq!((note.priority, note.recipients.as_slice()), (Some(8), &["ops".into()][..]));
        assert_eq!(note.links[0].url, "https://a.example/log");
    }
}
