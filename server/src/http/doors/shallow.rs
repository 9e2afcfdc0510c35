//! JSON of any depth from other systems' programs: what is nested deeper than is kept becomes `null` before anything
//! parses it, and its path is noted, so that depth never costs the message. Does not recurse.

use hongyan_wire::limits::DEPTH_MAX;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::ops::Range;

/// Paths that are noted; more say nothing new.
const CUTS_MAX: usize = 10;
/// Parts of a path that are noted: enough to find it.
const PARTS_MAX: usize = 4;

/// JSON that is nested at most [`DEPTH_MAX`] levels deep.
pub struct Shallow<'a> {
    pub json: Cow<'a, [u8]>,
    /// Paths of what was replaced by `null`, such as `alerts[0].labels.a`.
    pub cuts: Vec<String>,
}

impl Shallow<'_> {
    /// Reads the value.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.json)
    }
}

/// Where the scan is within one array or object.
enum Level {
    Array(usize),
    /// The bytes of the current key, with its quotes.
    Object(Option<Range<usize>>),
}

/// Replaces what is too deep. Text that is not JSON stays as it is; parsing it says so.
pub fn shallow(json: &[u8]) -> Shallow<'_> {
    let mut levels: Vec<Level> = Vec::new();
    let mut kept = Vec::new();
    let mut cuts = Vec::new();
    // Where the part begins that is not in `kept` yet.
    let mut begin = 0;
    let mut last_string = 0..0;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = string_end(json, at);
                last_string = at..end;
                at = end;
                continue;
            }
            b'[' | b'{' if levels.len() == DEPTH_MAX => {
                if cuts.len() < CUTS_MAX {
                    cuts.push(path(json, &levels));
                }
                kept.extend_from_slice(json.get(begin..at).unwrap_or_default());
                kept.extend_from_slice(b"null");
                at = container_end(json, at);
                begin = at;
                continue;
            }
            b'[' => levels.push(Level::Array(0)),
            b'{' => levels.push(Level::Object(None)),
            b']' | b'}' => drop(levels.pop()),
            b':' => {
                if let Some(Level::Object(key)) = levels.last_mut() {
                    *key = Some(last_string.clone());
                }
            }
            b',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if cuts.is_empty() {
        return Shallow { json: json.into(), cuts };
    }
    kept.extend_from_slice(json.get(begin..).unwrap_or_default());
    Shallow { json: kept.into(), cuts }
}

/// One past the string that begins at `start` with its quote.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

/// One past the array or object that begins at `start`.
fn container_end(json: &[u8], start: usize) -> usize {
    let mut open = 0usize;
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at);
                continue;
            }
            b'[' | b'{' => open += 1,
            b']' | b'}' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    json.len()
}

fn path(json: &[u8], levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels.iter().take(PARTS_MAX) {
        match level {
            Level::Array(index) => path.push_str(&format!("[{index}]")),
            Level::Object(key) => {
                let text = key.clone().and_then(|key| json.get(key));
                let key: Option<String> = text.and_then(|text| serde_json::from_slice(text).ok());
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&super::line(&key.unwrap_or_default(), 40));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn nested(levels: usize) -> String {
        format!("{}1{}", r#"{"a":["#.repeat(levels / 2), "]}".repeat(levels / 2))
    }

    #[test]
    fn only_what_is_too_deep_is_cut_and_its_path_is_noted() {
        for text in ["", "[", "{]}", "\"", "\"\\", r#"{"a":[1,{"b":"]}\""}]}"#, &nested(DEPTH_MAX)] {
            let read = shallow(text.as_bytes());
            assert_eq!((&*read.json, read.cuts.len()), (text.as_bytes(), 0), "{text}");
        }
        let text = format!(
            r#"{{"title":"t", "extras":{{"x":"[[", "list":[0,{}]}}, "text":"after"}}"#,
            nested(DEPTH_MAX)
        );
        let read = shallow(text.as_bytes());
        let value: Value = read.parse().unwrap();
        assert_eq!((&value["title"], &value["text"]), (&json!("t"), &json!("after")));
        assert_eq!(value["extras"]["x"], "[[");
        assert_eq!(read.cuts, ["extras.list[1]"].map(|start| format!("{start}.a")));
        assert!(!hongyan_wire::limits::depth_exceeds(&value, DEPTH_MAX));
    }

    #[test]
    fn depth_beyond_every_parser_is_cut_too() {
        let deep = format!(r#"{{"text":"here","x":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        let value: Value = shallow(deep.as_bytes()).parse().unwrap();
        assert_eq!(value["text"], "here");
        // Cut off within what is left out: no JSON, and no panic.
        let half = shallow(&deep.as_bytes()[..500_000]).parse::<Value>();
        assert!(half.is_err());
    }
}
