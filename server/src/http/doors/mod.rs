//! Doors for programs that were written for other systems: each takes what that system takes, at a prefix of its
//! own, and answers as that system does. What comes in goes through the same gate as any send of the service
//! whose key comes with it.

pub mod alerts;
pub mod gotify;
mod incoming;
pub mod json;
mod loose;
pub mod ntfy;
pub mod robots;
mod shallow;
pub mod slack;

use super::UserGateway;
use super::envelope::OwnWords;
use crate::auth::{Caller, secrets};
use crate::error::{Error, Result};
use crate::send::RepeatKey;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::Timestamp;
use hongyan_wire::limits::{
    ACTIONS_MAX, ATTACHMENTS_MAX, DEPTH_MAX, NAME_MAX, PRIORITY_MAX, PRIORITY_MIN, THREAD_KEY_MAX, TITLE_MAX,
    depth_exceeds, is_unshowable, is_unshowable_in_text, is_url,
};
use hongyan_wire::message::{
    ActionInfo, ActionStyle, ActionType, AttachmentInfo, AttachmentType, SendAnswer, SendMessageRequest,
    SenderInfo, SenderType,
};
pub use incoming::Incoming;
pub use loose::Loose;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::fmt::Write;

/// A path as it may be written down: the door for Slack has the key in it, wherever that door is looked for.
pub fn without_key(path: &str) -> String {
    let hidden = |part| if secrets::key_prefix(part).is_some() { "***" } else { part };
    // As it is understood: an escaped key is the key.
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    path.split('/').map(hidden).collect::<Vec<_>>().join("/")
}

/// What a door has understood, in our terms.
#[derive(Debug, Default)]
pub struct Note {
    /// Becomes one line; the first line of the text when it is empty.
    pub title: String,
    pub text: String,
    pub priority: Option<u8>,
    pub message_type: Option<&'static str>,
    pub links: Vec<ActionInfo>,
    pub pictures: Vec<AttachmentInfo>,
    pub metadata: Map<String, Value>,
    /// Who gets it, where the note itself says so.
    pub recipients: Vec<SmolStr>,
    pub sender_name: Option<String>,
    pub thread_key: Option<String>,
    pub scheduled_at: Option<Timestamp>,
    /// A repeat under the same words within 24 hours sends nothing.
    pub repeat: Option<String>,
    /// Paths of what could not be kept because it is nested too deep. The message says so, and the answer too.
    pub dropped: Vec<String>,
}

/// A note that was sent.
pub struct Sent {
    pub answer: SendAnswer,
    /// As [`Note::dropped`].
    pub dropped: Vec<String>,
}

impl Sent {
    /// Says in an answer of another system what was dropped: as the header `X-Dropped`, as its body has its own shape.
    pub fn naming(dropped: &[String], mut response: Response) -> Response {
        // Other than visible ASCII is escaped.
        let visible = dropped.join(", ").escape_default().to_string();
        if let Ok(value) = HeaderValue::from_str(&visible)
            && !dropped.is_empty()
        {
            response.headers_mut().insert(DROPPED, value);
        }
        response
    }
}

/// Most paths that are named.
const DROPPED_MAX: usize = 20;
/// Names what a message does not have because it is nested too deep.
const DROPPED: HeaderName = HeaderName::from_static("x-dropped");

impl Note {
    /// Adds a link, if it is one that may be shown.
    pub fn link(&mut self, text: &str, url: &str) {
        let known = self.links.iter().any(|link| link.url == url);
        if is_url(url) && !known && self.links.len() < ACTIONS_MAX {
            let text = line(text, NAME_MAX);
            self.links.push(ActionInfo {
                action_type: ActionType::Link,
                text: if text.is_empty() { "Open".into() } else { text },
                url: url.into(),
                action: String::new(),
                style: ActionStyle::default(),
            });
        }
    }

    /// Adds a picture or file that lies elsewhere.
    pub fn picture(&mut self, attachment_type: AttachmentType, name: &str, url: &str) {
        if is_url(url) && self.pictures.len() < ATTACHMENTS_MAX {
            let name = line(name, NAME_MAX);
            self.pictures.push(AttachmentInfo {
                attachment_type,
                name: if name.is_empty() { "attachment".into() } else { name },
                url: url.into(),
                size: 0,
                mime_type: String::new(),
                thumbnail: String::new(),
            });
        }
    }

    /// Leaves metadata out that is nested too deep.
    fn drop_deep_metadata(&mut self) {
        let dropped = &mut self.dropped;
        self.metadata.retain(|key, value| {
            let is_deep = depth_exceeds(value, DEPTH_MAX - 1);
            if is_deep && dropped.len() < DROPPED_MAX {
                dropped.push(format!("metadata.{}", line(key, NAME_MAX)));
            }
            !is_deep
        });
    }

    /// Says below the text what was dropped.
    fn with_dropped(&self, mut text: String) -> String {
        if !self.dropped.is_empty() {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str("(Not kept, as nested more than 32 levels deep: ");
            text.push_str(&self.dropped.join(", "));
            text.push(')');
        }
        text
    }

    /// The request to send it to those whom it names, else to the `usual` ones.
    fn request(self, usual: &[SmolStr], text_max: usize) -> Box<SendMessageRequest> {
        let mut text = text(&self.text, text_max);
        let mut title = line(&self.title, TITLE_MAX);
        if title.is_empty() {
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            title = line(first, TITLE_MAX);
            text = if title.ends_with('…') { text } else { rest.trim().to_owned() };
        }
        let text = self.with_dropped(text);
        Box::new(SendMessageRequest {
            title: Some(title),
            content: Some(text),
            message_type: self.message_type.map(str::to_owned),
            recipients: if self.recipients.is_empty() { usual.to_vec() } else { self.recipients },
            sender: self.sender_name.map(|name| SenderInfo {
                sender_type: SenderType::Service,
                name: line(&name, NAME_MAX),
                ..SenderInfo::default()
            }),
            priority: self.priority.map(|priority| priority.clamp(PRIORITY_MIN, PRIORITY_MAX)),
            scheduled_at: self.scheduled_at,
            metadata: (!self.metadata.is_empty()).then_some(self.metadata),
            attachments: self.pictures,
            actions: self.links,
            thread_key: self.thread_key.map(|key| short(&key)),
            ..SendMessageRequest::default()
        })
    }
}

impl UserGateway {
    /// Sends one note.
    async fn note(&self, incoming: Incoming, mut note: Note) -> Result<Sent> {
        let Incoming { caller, metered: _metered, to, dropped, .. } = incoming;
        note.dropped.splice(..0, dropped);
        note.drop_deep_metadata();
        let dropped = note.dropped.clone();
        let repeat = note.repeat.as_deref().map(repeat_key);
        let request = note.request(usual(&caller, &to), self.text_max());
        known_recipients(&request)?;
        Ok(Sent { answer: self.gate.send(&caller, request, repeat).await?, dropped })
    }

    /// Sends many notes, in order; at most as many as a batch has.
    async fn notes(&self, incoming: Incoming, notes: Vec<Note>) -> Result<Vec<Result<SendAnswer>>> {
        let Incoming { caller, mut metered, to, .. } = incoming;
        let requests = notes.into_iter().map(|mut note| {
            note.drop_deep_metadata();
            let repeat = note.repeat.as_deref().map(repeat_key);
            let request = note.request(usual(&caller, &to), self.text_max());
            known_recipients(&request)?;
            Ok((request, repeat))
        });
        self.gate.send_batch(&caller, requests.collect(), &mut metered).await
    }

    /// Longest text of a note, in bytes: as JSON it may need two for one, and the message has other parts.
    fn text_max(&self) -> usize {
        const OTHER_PARTS: usize = 16 * 1024;
        (self.gate.message_bytes() / 2).saturating_sub(OTHER_PARTS).max(1_024)
    }
}

/// Who gets what names nobody: those of `?to=`, else the service's own.
fn usual<'a>(caller: &'a Caller, to: &'a [SmolStr]) -> &'a [SmolStr] {
    match caller {
        Caller::Service(known) if to.is_empty() => &known.service.default_recipients,
        _ => to,
    }
}

fn known_recipients(request: &SendMessageRequest) -> Result<()> {
    if request.recipients.is_empty() {
        let reason = "name somebody with ?to=, or have an administrator set the service's default_recipients";
        return Err(Error::field("to", reason));
    }
    Ok(())
}

/// What is the same under the same words, whatever else is said.
fn repeat_key(words: &str) -> RepeatKey {
    let digest: [u8; 32] = Sha256::digest(words.as_bytes()).into();
    RepeatKey { key: format!("door {}", hex(&digest)), fingerprint: digest }
}

/// A name for a thread that is as long as one may be; what is longer is told apart by its digest.
fn short(name: &str) -> String {
    const KEPT: usize = 100;
    let whole = line(name, THREAD_KEY_MAX);
    if name.chars().count() <= THREAD_KEY_MAX {
        return whole;
    }
    format!("{} {}", line(name, KEPT), hex(&Sha256::digest(name.as_bytes())[..16]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A text as one line of at most so many characters.
fn line(text: &str, max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || is_unshowable(c)).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max) {
        None => line,
        Some(_) => line.chars().take(max - 1).chain(['…']).collect(),
    }
}

/// Whether nothing of a text can be shown.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_unshowable(c))
}

/// A text of several lines and at most so many bytes.
fn text(text: &str, max: usize) -> String {
    let mut text = text.replace("\r\n", "\n");
    text.retain(|c| !is_unshowable_in_text(c));
    let mut text = text.trim().to_owned();
    if text.len() > max {
        let end = (0..=max.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// JSON with a status of the other system's choosing, which goes out as it is.
pub(super) fn own_words(status: u16, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => plain(status, "application/json", json),
        Err(error) => Error::internal(error).into_response(),
    }
}

fn plain(status: u16, content_type: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body.into()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.extensions_mut().insert(OwnWords);
    response
}

/// Takes over when to come back.
fn with_patience(mut response: Response, error: &Error) -> Response {
    let seconds = error.rate.map(|rate| rate.reset.max(1)).or(error.retry_after);
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_becomes_what_may_be_shown() {
        assert_eq!(line(" a\n b\u{202e}c\t", 10), "a b c");
        assert_eq!(line("雁雁雁雁", 3), "雁雁…");
        assert_eq!(text("a\r\nb\u{0}\u{7}c", 10), "a\nbc");
        assert_eq!(text("雁雁雁", 7), "雁…");
        assert_eq!(text("\u{1b}\n\u{202e} hello\nworld", 99), "hello\nworld");
        let (a, b) = (short(&format!("{}a", "x".repeat(300))), short(&format!("{}b", "x".repeat(300))));
        assert!(a != b && a.chars().count() <= THREAD_KEY_MAX && short("k 1") == "k 1");
    }

    #[test]
    fn a_path_is_written_down_without_its_key() {
        let (key, _) = secrets::service_key().unwrap();
        assert_eq!(without_key(&format!("//slack/services/T/B/{key}")), "//slack/services/T/B/***");
        assert_eq!(without_key("/api/v3/messages/hyena"), "/api/v3/messages/hyena");
    }

    #[test]
    fn without_a_title_the_first_line_is_it() {
        let note = Note { text: "first\nsecond\nthird".into(), ..Note::default() };
        let request = note.request(&["ops".into()], 1_000);
        assert_eq!(
            (request.title.as_deref(), request.content.as_deref()),
            (Some("first"), Some("second\nthird"))
        );
        let long = Note { text: "x".repeat(300), ..Note::default() }.request(&[], 1_000);
        assert_eq!(long.content.unwrap().len(), 300, "nothing is lost of a long first line");
    }
}
