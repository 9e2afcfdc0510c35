//! What a client's text frame says.
//!
//! Types that are not known here are passed over, and so is data that a type does not need: the protocol can
//! grow. A known type with invalid data is an error that names the field.

use hongyan_wire::error::{ErrorType, FieldError};
use hongyan_wire::frame::{ClientFrame, FrameError, Hello};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Positions and versions are SQLite integers.
const NUMBER_MAX: u64 = i64::MAX as u64;

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads a frame; `None` is a type that is not known here.
pub(super) fn parse(text: &str) -> Result<Option<ClientFrame>, FrameError> {
    let typed = typed(text)?;
    Ok(Some(match &*typed.r#type {
        "hello" => ClientFrame::Hello(hello(typed.data)?),
        "presence" => ClientFrame::Presence(data(typed.data)?),
        "ping" => ClientFrame::Ping,
        "pong" => ClientFrame::Pong,
        _ => return Ok(None),
    }))
}

fn typed(text: &str) -> Result<Typed<'_>, FrameError> {
    let malformed = |message: String| FrameError {
        error_type: ErrorType::MalformedRequest,
        message,
        details: Vec::new(),
    };
    // A list would be read as the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(malformed("frames must be JSON objects with a `type`".into()));
    }
    serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => invalid("type", reason(&error)),
        false => malformed(format!("the frame is not valid JSON: {error}")),
    })
}

fn hello(given: Option<&RawValue>) -> Result<Hello, FrameError> {
    let hello: Hello = data(given)?;
    for (name, value) in [("pos", hello.pos), ("version", hello.version)] {
        match value {
            Some(_) if hello.cursor.is_none() => {
                return Err(invalid(name, "is only allowed with `cursor`".into()));
            }
            Some(NUMBER_MAX..) => return Err(invalid(name, format!("must be less than {NUMBER_MAX}"))),
            Some(_) | None => {}
        }
    }
    Ok(hello)
}

fn data<T: DeserializeOwned>(given: Option<&RawValue>) -> Result<T, FrameError> {
    let given = given.ok_or_else(|| invalid("data", "is missing".into()))?;
    if !given.get().starts_with('{') {
        return Err(invalid("data", "must be an object".into()));
    }
    let mut json = serde_json::Deserializer::from_str(given.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, reason) = (error.path().to_string(), reason(error.inner()));
        match named(&error.inner().to_string()) {
            Some(field) => invalid(&field, reason),
            None => invalid(&path, reason),
        }
    })
}

fn invalid(field: &str, reason: String) -> FrameError {
    FrameError {
        error_type: ErrorType::ValidationFailed,
        message: format!("{field}: {reason}"),
        details: vec![FieldError::new(field, reason)],
    }
}

/// The field that serde names in its words and not in the path.
fn named(words: &str) -> Option<String> {
    let starts = ["missing field `", "duplicate field `"];
    let rest = starts.iter().find_map(|start| words.strip_prefix(start))?;
    rest.split('`').next().map(str::to_owned)
}

/// Returns the reason of a decoding error in the terms of JSON, without the place.
fn reason(error: &serde_json::Error) -> String {
    let words = error.to_string();
    // The field says where.
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    if words.starts_with("missing field") {
        return "is missing".to_owned();
    }
    if words.starts_with("duplicate field") {
        return "is given twice".to_owned();
    }
    // The value is JSON, so this is what serde_json says of a number or a list in the place of a word.
    if words == "expected value" {
        return "must be a string".to_owned();
    }
    let Some((_, expected)) = words.rsplit_once(", expected ") else { return words.to_owned() };
    let expected = match expected {
        "u64" => "a whole number, 0 or more",
        "a sequence" => "a list",
        "string or map" | "a borrowed string" => "a string",
        other => other,
    };
    let choices = expected.trim_start_matches("one of ").replace('`', "");
    match choices.rsplit_once(", ") {
        Some((first, last)) if expected.starts_with("one of ") => format!("must be {first} or {last}"),
        _ => format!("must be {choices}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hongyan_wire::account::DeviceType;

    #[test]
    fn data_that_is_not_needed_is_passed_over() {
        for text in [
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","data":null}"#,
            r#"{"type":"ping","data":{}}"#,
            r#"{"type":"ping","data":{"sent_at":[1,2]}}"#,
            r#"{"data":"x","type":"ping","more":1}"#,
        ] {
            assert_eq!(parse(text), Ok(Some(ClientFrame::Ping)), "{text}");
        }
        assert_eq!(parse(r#"{"type":"dance","data":{"wild":true}}"#), Ok(None));
        let text =
            r#"{"type":"hello","data":{"device_id":"d","device_type":null,"capabilities":null,"theme":1}}"#;
        let Ok(Some(ClientFrame::Hello(hello))) = parse(text) else { panic!("a hello") };
        assert_eq!((hello.device_type, hello.capabilities.len()), (DeviceType::Web, 0));
    }

    #[test]
    fn an_invalid_hello_names_the_field_and_what_is_right() {
        for (data, field, reason) in [
            (r#"{}"#, "device_id", "is missing"),
            (r#"{"device_id":"a b"}"#, "device_id", "must be 1 to 64 of"),
            (r#"{"device_id":7}"#, "device_id", "must be a string"),
            (r#"{"device_id":"d","device_type":"tv"}"#, "device_type", "must be mobile, desktop or web"),
            (r#"{"device_id":"d","device_type":7}"#, "device_type", "must be a string"),
            (r#"{"device_id":"d","device_name":[]}"#, "device_name", "must be a string"),
            (r#"{"device_id":"d","capabilities":"all"}"#, "capabilities", "must be a list"),
            (r#"{"device_id":"d","capabilities":["a",1]}"#, "capabilities[1]", "must be a string"),
            (r#"{"device_id":"d","cursor":5}"#, "cursor", "must be a string"),
            (r#"{"device_id":"d","pos":5}"#, "pos", "is only allowed with `cursor`"),
            (r#"{"device_id":"d","version":5}"#, "version", "is only allowed with `cursor`"),
            (r#"{"device_id":"d","cursor":"c","pos":-1}"#, "pos", "must be a whole number, 0 or more"),
            (r#"{"device_id":"d","cursor":"c","pos":18446744073709551615}"#, "pos", "must be less than"),
            (r#"{"device_id":"d","device_id":"e"}"#, "device_id", "is given twice"),
            (r#"["d"]"#, "data", "must be an object"),
            ("null", "data", "is missing"),
        ] {
            let error = parse(&format!(r#"{{"type":"hello","data":{data}}}"#)).unwrap_err();
            assert_eq!(error.details[0].field, field, "{data}");
            assert!(error.details[0].reason.starts_with(reason), "{data}: {}", error.details[0].reason);
        }
        let error = parse(r#"{"type":"presence","data":{"state":"dancing"}}"#).unwrap_err();
        assert_eq!(error.message, "state: must be active or idle");
    }

    #[test]
    fn invalid_frames_differ_from_unknown_types() {
        for (text, error_type) in [
            ("", ErrorType::MalformedRequest),
            ("no json", ErrorType::MalformedRequest),
            (r#"["ping"]"#, ErrorType::MalformedRequest),
            (r#"{"type":"ping""#, ErrorType::MalformedRequest),
            (r#"{}"#, ErrorType::ValidationFailed),
            (r#"{"type":5}"#, ErrorType::ValidationFailed),
            (r#"{"type":"ping","type":"pong"}"#, ErrorType::ValidationFailed),
        ] {
            assert_eq!(parse(text).unwrap_err().error_type, error_type, "{text}");
        }
    }
}
