//! ntfy's publishing, below `/ntfy`; and as JSON at `/` too, as its clients know no prefix. A topic is a user, role or
//! channel.

use super::incoming::{Incoming, Taken};
use super::{Loose, Note, Sent, is_blank, own_words, with_patience};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use hongyan_wire::Timestamp;
use hongyan_wire::error::ErrorType;
use hongyan_wire::message::AttachmentType;
use serde_json::{Value, json};

/// Longest message that is none of ntfy's attachments, in bytes.
const MESSAGE_MAX: usize = 4_096;
/// What an empty message becomes.
const EMPTY: &str = "triggered";

/// Publish to a topic, which is a user, role or channel.
///
/// The body is the message; headers or the query say the rest, in ntfy's words. The service's key comes as
/// `Authorization: Bearer`, as either half of `Basic`, or as `?auth=`.
#[utoipa::path(
    method(post, put), path = "/ntfy/{topic}", tag = "doors", params(("topic" = String, Path)), security(("service" = [])),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, description = "Durable; the message as ntfy shows it"), (status = 400, description = "As ntfy says it")),
)]
pub async fn publish(
    State(gateway): State<UserGateway>,
    Path(topic): Path<String>,
    taken: Taken,
) -> Response {
    answered(send(&gateway, taken, Some(topic), None).await)
}

/// Publish with `GET …/publish`, `…/send` or `…/trigger`, or under a sequence id: a later message under the same one
/// takes the place of the earlier.
#[utoipa::path(
    method(get, post, put), path = "/ntfy/{topic}/{further}", tag = "doors",
    params(("topic" = String, Path), ("further" = String, Path, description = "`publish`, `send`, `trigger`, or a sequence id")),
    security(("service" = [])),
    responses((status = 200, description = "Durable; the message as ntfy shows it"), (status = 400, description = "As ntfy says it")),
)]
pub async fn publish_further(
    State(gateway): State<UserGateway>,
    method: Method,
    Path((topic, further)): Path<(String, String)>,
    taken: Taken,
) -> Response {
    let is_word = matches!(further.as_str(), "publish" | "send" | "trigger");
    // Those who subscribe there, or ask whether they may, send nothing.
    let is_subscriber = matches!(further.as_str(), "json" | "sse" | "raw" | "ws" | "auth");
    let is_sent = match method {
        Method::POST | Method::PUT => !is_subscriber,
        Method::GET => is_word,
        _ => false,
    };
    if !is_sent && taken.is_ok() {
        return refused(&Error::not_found("path"));
    }
    let sequence = (!is_word).then_some(further);
    answered(send(&gateway, taken, Some(topic), sequence).await)
}

/// Publish as JSON, with the topic in it.
#[utoipa::path(
    method(post, put), path = "/ntfy", tag = "doors", security(("service" = [])),
    responses((status = 200, description = "Durable; the message as ntfy shows it"), (status = 400, description = "As ntfy says it")),
)]
pub async fn publish_json(State(gateway): State<UserGateway>, taken: Taken) -> Response {
    answered(send(&gateway, taken, None, None).await)
}

/// The same at the root, for ntfy's clients that know a host and no path.
#[utoipa::path(
    method(post, put), path = "/", tag = "doors", security(("service" = [])),
    responses((status = 200, description = "Durable; the message as ntfy shows it"), (status = 400, description = "As ntfy says it")),
)]
pub async fn publish_json_at_root(gateway: State<UserGateway>, taken: Taken) -> Response {
    publish_json(gateway, taken).await
}

async fn send(
    gateway: &UserGateway,
    taken: Taken,
    topic: Option<String>,
    sequence: Option<String>,
) -> Result<Response> {
    let mut incoming = taken?;
    let body = match topic {
        None => incoming.json()?,
        Some(_) => Value::Null,
    };
    let body = Loose(&body);
    let topic = topic.or_else(|| body.get("topic").some());
    let topic = topic.filter(|topic| hongyan_wire::ids::check(topic).is_ok());
    let topic = topic.ok_or_else(|| Error::field("topic", "must be 1 to 64 of A-Z a-z 0-9 . _ -"))?;
    let get = |names: &[&str]| incoming.parameter(names, body);
    let mut note = Note {
        title: get(&["title", "t"]).unwrap_or_default(),
        text: message(&incoming, body)?,
        priority: get(&["priority", "prio", "p"]).map(|text| priority(&text)).transpose()?,
        thread_key: sequence
            .or_else(|| get(&["sequence-id"]))
            .or_else(|| body.get("sequence_id").some())
            .map(|sequence| format!("ntfy {topic} {sequence}")),
        scheduled_at: get(&["delay", "at", "in"]).map(|text| delay(&text)).transpose()?,
        recipients: vec![topic.as_str().into()],
        ..Note::default()
    };
    note.metadata.insert("topic".into(), topic.as_str().into());
    let tags: Vec<String> = match get(&["tags", "tag", "ta"]) {
        Some(tags) => {
            tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
        }
        None => body.get("tags").items().filter_map(Loose::some).collect(),
    };
    if !tags.is_empty() {
        note.metadata.insert("tags".into(), tags.clone().into());
    }
    if let Some(url) = get(&["click"]) {
        note.link("Open", &url);
    }
    if let Some(url) = get(&["attach", "a"]) {
        note.picture(AttachmentType::File, &get(&["filename", "file", "f"]).unwrap_or_default(), &url);
    }
    if get(&["markdown", "md"]).is_some_and(|flag| matches!(flag.as_str(), "1" | "yes" | "true")) {
        note.metadata.insert("content_type".into(), "text/markdown".into());
    }
    match get(&["actions", "action"]) {
        Some(text) if text.trim_start().starts_with('[') => {
            if let Ok(list) = incoming.parsed(text.as_bytes()) {
                Loose(&list).items().for_each(|action| note_action(action, &mut note));
            }
        }
        Some(text) => actions(&text, &mut note),
        None => body.get("actions").items().for_each(|action| note_action(action, &mut note)),
    }
    let (title, text) = (note.title.clone(), note.text.clone());
    let Sent { answer, dropped } = gateway.note(incoming, note).await?;
    let now = crate::clock::now().millis() / 1_000;
    let mut shown = json!({
        "id": answer.message_id, "time": answer.scheduled_at.map_or(now, |at| at.millis() / 1_000),
        "event": "message", "topic": topic, "message": text,
    });
    if !title.is_empty() {
        shown["title"] = title.into();
    }
    if !tags.is_empty() {
        shown["tags"] = tags.into();
    }
    Ok(Sent::naming(&dropped, own_words(200, &shown)))
}

fn message(incoming: &Incoming, body: Loose<'_>) -> Result<String> {
    let text = match incoming.parameter(&["message", "m"], body) {
        // In a header or query a line break is written out.
        Some(text) if !body.is_there() => text.replace("\\n", "\n"),
        Some(text) => text,
        None if body.is_there() => String::new(),
        None => {
            let is_file = incoming.parameter(&["filename", "file", "f"], body).is_some();
            let text =
                std::str::from_utf8(&incoming.body).ok().filter(|text| text.len() <= MESSAGE_MAX && !is_file);
            let text = text.ok_or_else(|| Error::field("attachment", "attachments not allowed"))?;
            text.to_owned()
        }
    };
    Ok(if is_blank(&text) { EMPTY.into() } else { text })
}

/// From ntfy's five steps to ours.
fn priority(text: &str) -> Result<u8> {
    Ok(match text.trim().to_ascii_lowercase().as_str() {
        "1" | "min" => 1,
        "2" | "low" => 3,
        "" | "0" | "3" | "default" => 5,
        "4" | "high" => 8,
        "5" | "max" | "urgent" => 10,
        _ => return Err(Error::field("priority", "invalid priority parameter")),
    })
}

/// A moment: in Unix seconds, or a while from now as `30m`, `2 hours`, `1d`.
fn delay(text: &str) -> Result<Timestamp> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: Option<i64> = number.parse().ok();
    let unit = match unit.trim() {
        "" => None,
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60),
        "h" | "hour" | "hours" => Some(60 * 60),
        "d" | "day" | "days" => Some(24 * 60 * 60),
        _ => Some(0),
    };
    let at = match (number, unit) {
        (Some(at), None) => at.checked_mul(1_000).map(Timestamp::from_millis),
        (Some(number), Some(unit)) if unit > 0 => {
            let wait = number.checked_mul(unit).and_then(|seconds| seconds.checked_mul(1_000));
            wait.filter(|wait| *wait < i64::MAX / 4).map(|wait| crate::clock::now().plus_millis(wait))
        }
        _ => None,
    };
    at.ok_or_else(|| {
        let reason =
            "invalid delay parameter: unable to parse delay; give Unix seconds, or a while such as 30m";
        Error::field("delay", reason)
    })
}

/// Actions as a header has them where they are no JSON: `view, Label, url; …`.
fn actions(text: &str, note: &mut Note) {
    for action in text.split(';') {
        let mut parts = action.split(',').map(|part| part.trim().trim_matches(['"', '\'']));
        if let (Some(kind), Some(label), Some(url)) = (parts.next(), parts.next(), parts.next())
            && kind.trim_start_matches("action=").eq_ignore_ascii_case("view")
        {
            note.link(label.trim_start_matches("label="), url.trim_start_matches("url="));
        }
    }
}

/// What a reader can follow is a link of ours. What asks a phone to call something stays in the metadata.
fn note_action(action: Loose<'_>, note: &mut Note) {
    if action.get("action").text().eq_ignore_ascii_case("view") {
        note.link(&action.get("label").text(), &action.get("url").text());
    } else if let Some(list) =
        note.metadata.entry("actions").or_insert_with(|| Value::Array(Vec::new())).as_array_mut()
    {
        list.push(action.0.clone());
    }
}

fn answered(sent: Result<Response>) -> Response {
    sent.unwrap_or_else(|error| refused(&error))
}

/// ntfy's own codes (`server/errors.go`).
fn refused(error: &Error) -> Response {
    let field = error.details.first().map(|fault| fault.field.as_str()).unwrap_or_default();
    let (status, code) = match error.error_type {
        ErrorType::Unauthenticated => (401, 40_101),
        ErrorType::PermissionDenied => (403, 40_301),
        ErrorType::NotFound => (404, 40_401),
        ErrorType::TooLarge => (413, 41_301),
        ErrorType::RateLimited => (429, 42_901),
        ErrorType::Overloaded | ErrorType::StorageUnavailable => (503, 50_301),
        ErrorType::Internal => (500, 50_001),
        _ => match field {
            "delay" => (400, 40_004),
            "priority" => (400, 40_007),
            "topic" | "recipients" => (400, 40_009),
            "attachment" => (400, 40_014),
            _ => (400, 40_000),
        },
    };
    let body = json!({ "code": code, "http": status, "error": error.message, "link": "https://docs.ntfy.sh/publish/" });
    with_patience(own_words(status, &body), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_moments_or_whiles() {
        assert_eq!(delay("1900000000").unwrap().millis(), 1_900_000_000_000);
        let soon = delay("2 hours").unwrap().millis() - crate::clock::now().millis();
        assert!((7_190_000..=7_200_000).contains(&soon), "{soon}");
        for bad in ["", "tomorrow", "5 parsecs", "-3m", "99999999999999999999", "9223372036854775807d"] {
            assert!(delay(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn actions_in_a_header_become_links() {
        let mut note = Note::default();
        actions(
            "view, Open portal, https://a.example/, clear=true; http, Close, https://b.example/",
            &mut note,
        );
        let list = json!([{ "action": "view", "label": "Docs", "url": "https://c.example/" }, { "action": "http", "label": "x" }]);
        Loose(&list).items().for_each(|action| note_action(action, &mut note));
        let links: Vec<_> = note.links.iter().map(|link| (link.text.as_str(), link.url.as_str())).collect();
        assert_eq!(links, [("Open portal", "https://a.example/"), ("Docs", "https://c.example/")]);
        assert_eq!(note.metadata["actions"][0]["label"], "x");
    }
}
