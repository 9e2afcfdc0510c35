//! A message as it stands in the log: as its readers see it, without what is the same in every message that was
//! never read, and without what is empty. It is what most of the log consists of.

use hongyan_wire::limits::DEPTH_MAX;
use hongyan_wire::message::{ActionInfo, AttachmentInfo, Message, SenderInfo};
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: Cow<'a, MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel_id: Option<Cow<'a, ChannelId>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    title: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    content: Cow<'a, str>,
    message_type: Cow<'a, str>,
    priority: u8,
    /// Only where it is not the id in `sender_info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<Cow<'a, str>>,
    sender_info: Cow<'a, SenderInfo>,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_empty_map")]
    metadata: Cow<'a, Map<String, Value>>,
    #[serde(default, skip_serializing_if = "is_empty_list")]
    attachments: Cow<'a, [AttachmentInfo]>,
    #[serde(default, skip_serializing_if = "is_empty_list")]
    actions: Cow<'a, [ActionInfo]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<Cow<'a, MessageId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thread_key: Option<Cow<'a, str>>,
}

fn is_empty_map(map: &Map<String, Value>) -> bool {
    map.is_empty()
}

fn is_empty_list<T>(list: &[T]) -> bool {
    list.is_empty()
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(message: &Message, serializer: S) -> Result<S::Ok, S::Error> {
    Stored {
        id: Cow::Borrowed(&message.id),
        channel_id: message.channel_id.as_ref().map(Cow::Borrowed),
        title: message.title.as_str().into(),
        content: message.content.as_str().into(),
        message_type: message.message_type.as_str().into(),
        priority: message.priority,
        sender: (message.sender != message.sender_info.id).then(|| message.sender.as_str().into()),
        sender_info: Cow::Borrowed(&message.sender_info),
        created_at: message.created_at,
        expire_at: message.expire_at,
        metadata: Cow::Borrowed(&message.metadata),
        attachments: message.attachments.as_slice().into(),
        actions: message.actions.as_slice().into(),
        replaces: message.replaces.as_ref().map(Cow::Borrowed),
        thread_key: message.thread_key.as_deref().map(Cow::Borrowed),
    }
    .serialize(serializer)
}

/// Replaces what is nested more than so many levels deep by its JSON as text. Records that were written before senders
/// were limited may have it, and clients could not decode a page of messages with it.
fn flatten(value: &mut Value, levels: usize) {
    if levels == 0 && (value.is_array() || value.is_object()) {
        *value = Value::String(value.to_string());
    }
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| flatten(value, levels - 1)),
        Value::Object(map) => map.values_mut().for_each(|value| flatten(value, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// For `#[serde(with)]`. Its place is the record's own.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Message, D::Error> {
    let stored = Stored::deserialize(deserializer)?;
    let sender_info = stored.sender_info.into_owned();
    let mut metadata = stored.metadata.into_owned();
    metadata.values_mut().for_each(|value| flatten(value, DEPTH_MAX - 1));
    Ok(Message {
        id: stored.id.into_owned(),
        pos: 0,
        channel_id: stored.channel_id.map(Cow::into_owned),
        title: stored.title.into_owned(),
        content: stored.content.into_owned(),
        message_type: stored.message_type.into_owned(),
        priority: stored.priority,
        sender: stored.sender.map_or_else(|| sender_info.id.clone(), Cow::into_owned),
        sender_info,
        created_at: stored.created_at,
        expire_at: stored.expire_at,
        metadata,
        attachments: stored.attachments.into_owned(),
        actions: stored.actions.into_owned(),
        is_read: false,
        read_at: None,
        version: 0,
        replaces: stored.replaces.map(Cow::into_owned),
        thread_key: stored.thread_key.map(Cow::into_owned),
        pressed: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_beyond_the_limit_becomes_text() {
        let nested =
            |levels: usize, inner: Value| (0..levels).fold(inner, |value, _| Value::from(vec![value]));
        for (levels, inner, after) in [
            (3, Value::from(1), Value::from(1)),
            (3, serde_json::json!({"a": [2]}), Value::from(r#"{"a":[2]}"#)),
        ] {
            let mut value = nested(levels, inner);
            flatten(&mut value, levels);
            assert_eq!(value, nested(levels, after));
        }
    }
}
