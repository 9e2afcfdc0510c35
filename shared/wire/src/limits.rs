//! Bounds that both ends know. Those an operator may change are only defaults here.

use serde_json::{Map, Value};

/// Most levels of arrays and objects within each other in free-form JSON such as a message's `metadata`, the outermost
/// one counted. Readers in other languages recurse: what is deeper may end them.
pub const DEPTH_MAX: usize = 32;
/// The reason given for a field that is nested deeper.
pub const DEPTH_RULE: &str = "must be nested at most 32 levels deep";

/// Whether a value has more than `max` levels of arrays and objects within each other. Text and numbers have none.
/// Does not recurse, so that the value may be of any depth.
pub fn depth_exceeds(value: &Value, max: usize) -> bool {
    any_exceeds(vec![(value, max)])
}

/// The same for an object that is not wrapped in a [`Value`].
pub fn object_depth_exceeds(object: &Map<String, Value>, max: usize) -> bool {
    match max.checked_sub(1) {
        Some(left) => any_exceeds(object.values().map(|value| (value, left)).collect()),
        None => true,
    }
}

/// `waiting`: values, each with the levels that it may have.
fn any_exceeds(mut waiting: Vec<(&Value, usize)>) -> bool {
    while let Some((value, max)) = waiting.pop() {
        let Some(left) = max.checked_sub(1) else {
            if value.is_array() || value.is_object() {
                return true;
            }
            continue;
        };
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, left))),
            Value::Object(entries) => waiting.extend(entries.values().map(|item| (item, left))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

/// Whether a character has no place on a line that is shown to people: control characters, line and
/// paragraph separators, and those that turn the direction of what follows (Unicode TR36, section 2.7: a name
/// that reads differently from what it is).
pub fn is_unshowable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2060}' | '\u{FEFF}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character has no place in a text of several lines.
pub fn is_unshowable_in_text(c: char) -> bool {
    is_unshowable(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}')
}

/// Whether a text may be a password: at least [`PASSWORD_MIN`] characters, at most [`PASSWORD_MAX`] bytes.
pub fn is_password(text: &str) -> bool {
    text.chars().count() >= PASSWORD_MIN && text.len() <= PASSWORD_MAX
}

/// Whether a text is a link that may be shown: http or https with a host, nothing that breaks out of it.
pub fn is_url(text: &str) -> bool {
    let Some(rest) = ["https://", "http://"].iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    }) else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    text.len() <= URL_MAX
        && !host.is_empty()
        && !text
            .contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\\'))
}

/// Longest id that a caller may choose, in bytes.
pub const ID_MAX: usize = 64;
/// Longest title of a message, in characters.
pub const TITLE_MAX: usize = 200;
/// Largest message as JSON, in bytes (default of a setting).
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Most recipients listed in one request (default of a setting).
pub const RECIPIENTS_MAX: usize = 100_000;
/// Most messages in one batch.
pub const BATCH_MAX: usize = 1_000;
/// Longest thread key, in characters.
pub const THREAD_KEY_MAX: usize = 200;
/// Most variables of a template.
pub const VARIABLES_MAX: usize = 50;
/// Longest content of a template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Most attachments of a message.
pub const ATTACHMENTS_MAX: usize = 20;
/// Most actions of a message.
pub const ACTIONS_MAX: usize = 10;
/// The `message_type` by which the server tells people that a way into their account has changed; nobody else may use it.
pub const ACCOUNT_SECURITY: &str = "account_security";
/// Characters of the passphrase of a backup, at least: whoever has the file may try as long as they like.
pub const PASSPHRASE_MIN: usize = 12;
/// And at most.
pub const PASSPHRASE_MAX: usize = 1_024;
/// Bytes of a picture of a person.
pub const PICTURE_MAX: usize = 5 * 1024 * 1024;
/// Longest name of a user, channel, role, service, device or action, in characters.
pub const NAME_MAX: usize = 100;
/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 1_000;
/// Longest URL, in bytes.
pub const URL_MAX: usize = 2_048;
/// Longest message type, in bytes.
pub const MESSAGE_TYPE_MAX: usize = 64;
/// Most items on a page of any list.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Items on a page when the caller does not say.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// Highest page number; beyond it a narrower filter is wanted.
pub const PAGE_MAX: u32 = 100_000;
/// Most changes in one answer of `sync`.
pub const SYNC_LIMIT_MAX: u32 = 500;
/// Changes in one answer of `sync` when the caller does not say.
pub const SYNC_LIMIT_DEFAULT: u32 = 100;
/// Most message ids in one `read-batch`.
pub const READ_BATCH_MAX: usize = 1_000;
/// Longest search text, in characters.
pub const SEARCH_MAX: usize = 200;
/// Shortest and longest password, in bytes. The upper bound keeps hashing bounded.
pub const PASSWORD_MIN: usize = 8;
pub const PASSWORD_MAX: usize = 256;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Largest text frame that a client may send, in bytes.
pub const CLIENT_FRAME_MAX: usize = 16 * 1024;
/// Lowest, usual and highest priority of a message.
pub const PRIORITY_MIN: u8 = 1;
pub const PRIORITY_DEFAULT: u8 = 5;
pub const PRIORITY_MAX: u8 = 10;

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, depth_exceeds, is_url, object_depth_exceeds};
    use serde_json::{Value, json};

    fn nested(levels: usize) -> Value {
        (0..levels).fold(
            json!(1),
            |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) },
        )
    }

    #[test]
    fn depth_counts_arrays_and_objects() {
        assert!(!depth_exceeds(&json!("text"), 0));
        assert!(depth_exceeds(&json!([]), 0) && !depth_exceeds(&json!([]), 1));
        assert!(
            !depth_exceeds(&nested(DEPTH_MAX), DEPTH_MAX) && depth_exceeds(&nested(DEPTH_MAX + 1), DEPTH_MAX)
        );
        let object =
            |levels| json!({ "flat": 1, "deep": nested(levels), "last": {} }).as_object().cloned().unwrap();
        assert!(!object_depth_exceeds(&object(DEPTH_MAX - 1), DEPTH_MAX));
        assert!(object_depth_exceeds(&object(DEPTH_MAX), DEPTH_MAX));
    }

    #[test]
    fn only_plain_web_links_are_links() {
        for good in ["https://a.example/x?y#z", "http://localhost:1/", "HTTPS://A"] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "ftp://a",
            "https://a b",
            "//a",
            "https://a\n",
            "data:text/html,x",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
