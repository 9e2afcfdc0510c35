//! A record's text, decoded. A record that was accepted once can always be read again: the text may be nested as deeply
//! as any sender could ever nest it, and it never costs the reader its stack.

use super::record::Record;
use serde::Deserialize;

/// Levels that a record's text may have. JSON that came in over HTTP has 128 at most, and a record adds a few; a level
/// costs at most two KiB of stack, of the two MiB that a thread has.
const LEVELS_MAX: usize = 256;

/// Decodes a record's text.
///
/// # Errors
/// The reason, without the text: it may hold secrets.
pub(super) fn decode(body: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not valid UTF-8".to_owned())?;
    if levels(text) > LEVELS_MAX {
        return Err(format!("nested more than {LEVELS_MAX} levels deep"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let record = Record::deserialize(&mut reader).and_then(|record| reader.end().map(|()| record));
    record.map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => format!("not a record of this version, at {place}"),
            _ => format!("not valid JSON, at {place}"),
        }
    })
}

/// How deeply arrays and objects are nested in a text, if it is JSON.
fn levels(text: &str) -> usize {
    let (mut level, mut most, mut is_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => {
                level += 1;
                most = most.max(level);
            }
            b']' | b'}' if !is_string => level = level.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_strings() {
        for (text, count) in
            [("1", 0), ("[]", 1), (r#"{"a":[{}]}"#, 3), (r#"["[[[\"[[", "\\", []]"#, 2), ("[[]],[", 2)]
        {
            assert_eq!(levels(text), count, "{text}");
        }
    }

    #[test]
    fn reasons_do_not_quote_the_text() {
        for body in [r#"{"message":"hunter2"}"#, r#"{"hunter2":1}"#, r#"hunter2"#, r#""place" hunter2"#] {
            let reason = decode(body.as_bytes()).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert_eq!(decode(b"\"place\""), Ok(Record::Place));
        assert_eq!(decode(b"\xFF"), Err("not valid UTF-8".into()));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(decode(deep.as_bytes()), Err("nested more than 256 levels deep".into()));
    }
    /// Such records were accepted before senders were limited, and then stopped every start.
    #[test]
    fn deeply_nested_metadata_does_not_stop_the_reader() {
        let deep = format!("{}{}", "[".repeat(126), "]".repeat(126));
        let message = format!(
            r#"{{"id":"msg-1","title":"t","message_type":"info","priority":5,
                "sender_info":{{"id":"s","type":"service","name":"s"}},
                "created_at":"2026-01-02T03:04:05.678Z","metadata":{{"a":{deep}}}}}"#
        );
        let body = format!(
            r#"{{"message":{{"message":{message},"audience":{{"everyone":true}},"recipients":1,"sent_by":"service:s"}}}}"#
        );
        assert!(serde_json::from_str::<Record>(&body).is_err(), "the usual limit refuses it");
        let Ok(Record::Message(posted)) = decode(body.as_bytes()) else { panic!("not a message") };
        assert!(!hongyan_wire::limits::object_depth_exceeds(&posted.message.metadata, 32));
    }
}
