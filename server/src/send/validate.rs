//! Whether a request to send is well formed. Every fault is named, not only the first.

use crate::error::{Error, Result};
use hongyan_wire::Timestamp;
use hongyan_wire::error::{ErrorType, FieldError};
use hongyan_wire::limits;
use hongyan_wire::message::{
    ActionInfo, ActionType, AttachmentInfo, Message, RecipientType, SendMessageRequest,
};

/// How far ahead a message may be scheduled, in milliseconds: five years.
const SCHEDULE_MAX: i64 = 5 * 366 * 24 * 60 * 60 * 1000;
/// Faults named in one answer.
const FAULTS_MAX: usize = 50;

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(FieldError::new(field, reason));
        }
    }

    fn unless(&mut self, good: bool, field: &str, reason: &str) {
        if !good {
            self.add(field, reason);
        }
    }
}

/// Checks how deep the JSON is that senders fill as they like. Comes first: all else may go through it.
pub fn check_depth(request: &SendMessageRequest) -> Result<()> {
    let fields = [("metadata", &request.metadata), ("variables", &request.variables)];
    let deep = fields.into_iter().filter(|(_, object)| {
        object.as_ref().is_some_and(|object| limits::object_depth_exceeds(object, limits::DEPTH_MAX))
    });
    let faults: Vec<_> = deep.map(|(field, _)| FieldError::new(field, limits::DEPTH_RULE)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
}

/// Checks everything that can be known without looking anyone up.
pub fn check(request: &SendMessageRequest, recipients_max: usize, now: Timestamp) -> Result<()> {
    let mut faults = Faults::default();
    let title = request.title.as_deref().unwrap_or_default();
    faults.unless(
        !title.trim().is_empty() && title.chars().count() <= limits::TITLE_MAX,
        "title",
        "must have 1 to 200 characters",
    );
    faults.unless(
        !title.contains(limits::is_unshowable),
        "title",
        "must be one line without control characters",
    );
    let content = request.content.as_deref().unwrap_or_default();
    faults.unless(
        !content.contains(limits::is_unshowable_in_text),
        "content",
        "must not contain control characters other than line breaks and tabs",
    );
    if let Some(message_type) = &request.message_type {
        faults.unless(
            hongyan_wire::ids::is_message_type(message_type),
            "message_type",
            "must be 1 to 64 of a-z 0-9 _ - .",
        );
        // What it says is believed because only the server says it.
        faults.unless(
            message_type != limits::ACCOUNT_SECURITY,
            "message_type",
            "is for the server's own messages",
        );
    }
    if let Some(priority) = request.priority {
        faults.unless(
            (limits::PRIORITY_MIN..=limits::PRIORITY_MAX).contains(&priority),
            "priority",
            "must be from 1 to 10",
        );
    }
    match (request.expire_at, request.scheduled_at.filter(|due| *due > now)) {
        (Some(at), Some(due)) => faults.unless(at > due, "expire_at", "must be later than scheduled_at"),
        (Some(at), None) => faults.unless(at > now, "expire_at", "must be in the future"),
        (None, _) => {}
    }
    faults.unless(
        request.scheduled_at.is_none_or(|at| at.millis() - now.millis() <= SCHEDULE_MAX),
        "scheduled_at",
        "must be within five years",
    );
    if let Some(key) = &request.thread_key {
        let is_line = !key.trim().is_empty()
            && key.chars().count() <= limits::THREAD_KEY_MAX
            && !key.contains(limits::is_unshowable);
        faults.unless(is_line, "thread_key", "must be one line of 1 to 200 characters");
        faults.unless(request.replaces.is_none(), "replaces", "goes without thread_key");
    }
    recipients(request, recipients_max, &mut faults);
    if let Some(sender) = &request.sender {
        let is_word = sender.id.len() <= limits::ID_MAX && !sender.id.contains(limits::is_unshowable);
        faults.unless(is_word, "sender.id", "must be one line of at most 64 bytes");
        faults.unless(
            is_name(&sender.name, true),
            "sender.name",
            "must be one line of at most 100 characters",
        );
        faults.unless(sender.avatar.is_empty() || limits::is_url(&sender.avatar), "sender.avatar", URL);
        faults.unless(
            sender.service_id.is_none(),
            "sender.service_id",
            "is filled in from the credentials; leave it out",
        );
    }
    faults.unless(request.attachments.len() <= limits::ATTACHMENTS_MAX, "attachments", "must be at most 20");
    for (n, item) in request.attachments.iter().enumerate().take(limits::ATTACHMENTS_MAX) {
        attachment(n, item, &mut faults);
    }
    faults.unless(request.actions.len() <= limits::ACTIONS_MAX, "actions", "must be at most 10");
    for (n, item) in request.actions.iter().enumerate().take(limits::ACTIONS_MAX) {
        action(n, item, &mut faults);
    }
    if faults.0.is_empty() { Ok(()) } else { Err(Error::invalid(faults.0)) }
}

const URL: &str = "must be an http or https URL of at most 2048 bytes";

fn recipients(request: &SendMessageRequest, max: usize, faults: &mut Faults) {
    let listed = &request.recipients;
    if listed.len() > max {
        faults.add("recipients", format!("must be at most {max}; send to a role, a channel or all"));
        return;
    }
    match request.recipient_type {
        Some(RecipientType::All) => {
            faults.unless(listed.is_empty(), "recipients", "must be empty with recipient_type all");
        }
        Some(RecipientType::Channel) if request.channel_id.is_some() => {}
        _ => faults.unless(!listed.is_empty(), "recipients", "must name at least one recipient"),
    }
    for (n, entry) in listed.iter().enumerate() {
        if entry.is_empty() || entry.chars().count() > limits::NAME_MAX {
            faults.add(format!("recipients[{n}]"), "must have 1 to 100 characters");
        }
    }
}

fn attachment(n: usize, item: &AttachmentInfo, faults: &mut Faults) {
    let at = |field: &str| format!("attachments[{n}].{field}");
    faults.unless(is_name(&item.name, false), &at("name"), "must be one line of 1 to 100 characters");
    faults.unless(limits::is_url(&item.url), &at("url"), URL);
    faults.unless(item.thumbnail.is_empty() || limits::is_url(&item.thumbnail), &at("thumbnail"), URL);
    let mime = item.mime_type.len() <= 127 && item.mime_type.bytes().all(|b| b.is_ascii_graphic());
    faults.unless(mime, &at("mime_type"), "must be a media type such as application/pdf");
}

fn action(n: usize, item: &ActionInfo, faults: &mut Faults) {
    let at = |field: &str| format!("actions[{n}].{field}");
    faults.unless(is_name(&item.text, false), &at("text"), "must be one line of 1 to 100 characters");
    match item.action_type {
        ActionType::Link => {
            faults.unless(limits::is_url(&item.url), &at("url"), URL);
        }
        ActionType::Button | ActionType::Confirm => {
            let called = hongyan_wire::ids::check(&item.action).is_ok();
            faults.unless(
                called,
                &at("action"),
                "must be 1 to 64 of A-Z a-z 0-9 . _ - and not begin with a dot",
            );
            faults.unless(item.url.is_empty() || limits::is_url(&item.url), &at("url"), URL);
        }
    }
}

fn is_name(text: &str, may_be_empty: bool) -> bool {
    (may_be_empty || !text.trim().is_empty())
        && text.chars().count() <= limits::NAME_MAX
        && !text.contains(limits::is_unshowable)
}

/// Checks the size of the whole message.
pub fn check_size(message: &Message, max: usize) -> Result<()> {
    // Most messages are far from the limit: their texts alone say so, without encoding anything.
    let rough = message.title.len() + message.content.len();
    let simple = message.attachments.is_empty() && message.actions.is_empty() && message.metadata.is_empty();
    if simple && rough * 6 + 1_024 <= max {
        return Ok(());
    }
    let size = serde_json::to_vec(message).map_err(Error::internal)?.len();
    if size > max {
        let reason = format!("the message has {size} bytes as JSON, more than {max}");
        return Err(Error::new(ErrorType::TooLarge, reason));
    }
    Ok(())
}
