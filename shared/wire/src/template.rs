//! Message templates: texts with placeholders, and the one way in which they are filled in. The server sends
//! what [`Text::fill`] gives, and the UI previews the same.
//!
//! A placeholder is `{{name}}`, spaces around the name allowed; a name is 1–64 of `A-Z a-z 0-9 _` and does not
//! begin with a digit. Values are data: what stands in them is never looked at for placeholders again.

use crate::error::FieldError;
use crate::ids::TemplateId;
use crate::limits;
use crate::message::{ActionInfo, ActionType};
use crate::{Timestamp, ids};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateCategory {
    System,
    Business,
    Notification,
}

impl TemplateCategory {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Business => "business",
            Self::Notification => "notification",
        }
    }
}

/// What values a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Text.
    #[default]
    String,
    /// A JSON number, or a text that is one.
    Number,
    /// RFC 3339, `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`; shown as it was given.
    Date,
    /// An `http` or `https` URL.
    Url,
}

/// One variable of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateVariable {
    pub name: String,
    #[serde(default, rename = "type")]
    pub variable_type: VariableType,
    #[serde(default)]
    pub required: bool,
    /// Stands in where no value is given; empty or left out: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a template consists of: `POST /api/v3/messages/templates`, and `PUT …/{id}` without the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateRequest {
    /// Made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TemplateId>,
    /// 1 to 100 characters on one line.
    pub name: String,
    pub category: TemplateCategory,
    /// 1 to 200 characters on one line, with placeholders.
    pub title: String,
    /// With placeholders.
    pub content: String,
    /// At most 50. A placeholder that is not declared is an optional string.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub variables: Vec<TemplateVariable>,
    /// `text` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// 1 to 10; 5 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub priority: Option<u8>,
    /// Texts and URLs with placeholders. An action whose `url` needs a value that is not given is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub actions: Vec<ActionInfo>,
    /// Change only if the template still has this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u32>,
}

/// A template as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    pub id: TemplateId,
    /// Grows by one with each change; what was sent names the version that it was sent with.
    pub version: u32,
    pub name: String,
    pub category: TemplateCategory,
    pub title: String,
    pub content: String,
    #[serde(default)]
    pub variables: Vec<TemplateVariable>,
    pub message_type: String,
    pub priority: u8,
    #[serde(default)]
    pub actions: Vec<ActionInfo>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `GET /api/v3/messages/templates`: by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateList {
    pub templates: Vec<Template>,
    pub total: u64,
}

/// A template filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    pub title: String,
    pub content: String,
    pub actions: Vec<ActionInfo>,
}

/// What is wrong with a text that cannot be taken apart.
const NAME_RULE: &str = "placeholders are {{name}} with 1 to 64 of A-Z a-z 0-9 _ and no digit first";

impl TemplateRequest {
    /// Every fault, with the path of its field.
    pub fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut unless = |good: bool, field: String, reason: &str| {
            if !good {
                faults.push(FieldError::new(field, reason));
            }
        };
        unless(
            is_line(&self.name, limits::NAME_MAX),
            "name".into(),
            "must be one line of 1 to 100 characters",
        );
        unless(
            is_line(&self.title, limits::TITLE_MAX),
            "title".into(),
            "must be one line of 1 to 200 characters",
        );
        unless(Text::parse(&self.title).is_some(), "title".into(), NAME_RULE);
        unless(Text::parse(&self.content).is_some(), "content".into(), NAME_RULE);
        unless(
            !self.content.contains(limits::is_unshowable_in_text),
            "content".into(),
            "must not contain control characters other than line breaks and tabs",
        );
        unless(
            self.content.len() <= limits::TEMPLATE_BYTES_MAX,
            "content".into(),
            "must have at most 65536 bytes",
        );
        if let Some(message_type) = &self.message_type {
            unless(
                ids::is_message_type(message_type),
                "message_type".into(),
                "must be 1 to 64 of a-z 0-9 _ - .",
            );
        }
        let priorities = limits::PRIORITY_MIN..=limits::PRIORITY_MAX;
        unless(
            self.priority.is_none_or(|priority| priorities.contains(&priority)),
            "priority".into(),
            "must be from 1 to 10",
        );
        unless(self.variables.len() <= limits::VARIABLES_MAX, "variables".into(), "must be at most 50");
        let mut names = BTreeSet::new();
        for (n, variable) in self.variables.iter().enumerate().take(limits::VARIABLES_MAX) {
            let at = |field: &str| format!("variables[{n}].{field}");
            unless(
                is_name(&variable.name),
                at("name"),
                "must be 1 to 64 of A-Z a-z 0-9 _ and no digit first",
            );
            unless(names.insert(&variable.name), at("name"), "is there twice");
            unless(
                variable.description.chars().count() <= limits::DESCRIPTION_MAX,
                at("description"),
                "must have at most 1000 characters",
            );
            if let Some(default) = variable.default.as_deref().filter(|default| !default.is_empty()) {
                let value = Value::String(default.to_owned());
                if let Err(reason) = text_of(variable.variable_type, &value) {
                    unless(false, at("default"), reason);
                }
            }
        }
        unless(self.actions.len() <= limits::ACTIONS_MAX, "actions".into(), "must be at most 10");
        for (n, action) in self.actions.iter().enumerate().take(limits::ACTIONS_MAX) {
            let at = |field: &str| format!("actions[{n}].{field}");
            unless(
                is_line(&action.text, limits::NAME_MAX),
                at("text"),
                "must be one line of 1 to 100 characters",
            );
            unless(Text::parse(&action.text).is_some(), at("text"), NAME_RULE);
            let url = Text::parse(&action.url);
            unless(url.is_some(), at("url"), NAME_RULE);
            if action.action_type == ActionType::Link {
                let is_url = url.as_ref().is_some_and(|url| match url.0.first() {
                    Some(Part::Placeholder(_)) => true,
                    // Whatever the values are, they stay within their parts of it.
                    _ => limits::is_url(&url.fill(&Values::default(), Escape::Url)),
                });
                unless(is_url, at("url"), "must be an http or https URL, or begin with a placeholder");
            } else {
                unless(
                    ids::check(&action.action).is_ok(),
                    at("action"),
                    "must be 1 to 64 of A-Z a-z 0-9 . _ - and not begin with a dot",
                );
            }
        }
        faults
    }
}

impl Template {
    /// Fills the template in. Every fault is named by `variables.<name>`, or by what the result is too long for.
    pub fn fill(&self, given: &Map<String, Value>) -> Result<Filled, Vec<FieldError>> {
        let mut values = Values::default();
        let mut faults = Vec::new();
        let mut fault = |name: &str, reason: &str| {
            if faults.len() < FAULTS_MAX {
                let name: String = name.chars().take(limits::NAME_MAX).collect();
                faults.push(FieldError::new(format!("variables.{name}"), reason));
            }
        };
        for variable in &self.variables {
            // A null is nothing given.
            match given.get(&variable.name).filter(|value| !value.is_null()) {
                Some(value) => match text_of(variable.variable_type, value) {
                    Ok(text) => values.0.push((&variable.name, text)),
                    Err(reason) => fault(&variable.name, reason),
                },
                None => match variable.default.as_deref().filter(|default| !default.is_empty()) {
                    Some(default) => values.0.push((&variable.name, Cow::Borrowed(default))),
                    None if variable.required => fault(&variable.name, "is required"),
                    None => {}
                },
            }
        }
        let texts = self.texts();
        for (name, value) in given {
            if self.variables.iter().any(|variable| variable.name == *name) {
                continue;
            }
            if !texts.iter().any(|text| text.names().any(|named| named == name)) {
                fault(name, "the template has no such variable");
            } else if !value.is_null() {
                match text_of(VariableType::String, value) {
                    Ok(text) => values.0.push((name, text)),
                    Err(reason) => fault(name, reason),
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.filled(&values)
    }

    fn texts(&self) -> Vec<Text<'_>> {
        let actions = self.actions.iter().flat_map(|action| [&action.text, &action.url]);
        [&self.title, &self.content].into_iter().chain(actions).filter_map(|text| Text::parse(text)).collect()
    }

    fn filled(&self, values: &Values<'_>) -> Result<Filled, Vec<FieldError>> {
        let mut faults = Vec::new();
        let plain =
            |text: &str| Text::parse(text).map(|text| text.fill(values, Escape::None)).unwrap_or_default();
        let title = plain(&self.title);
        for name in Text::parse(&self.title).iter().flat_map(Text::names) {
            if values.get(name).is_some_and(|value| value.contains(limits::is_unshowable)) {
                let reason = "stands in the title: must be one line without control characters";
                faults.push(FieldError::new(format!("variables.{name}"), reason));
            }
        }
        let mut actions = Vec::with_capacity(self.actions.len());
        for action in &self.actions {
            let Some(url) = Text::parse(&action.url) else { continue };
            if url.names().any(|name| values.get(name).is_none_or(str::is_empty)) {
                continue;
            }
            let filled = url.fill(values, Escape::Url);
            if !filled.is_empty() && !limits::is_url(&filled) {
                let name = url.names().next().unwrap_or_default();
                let reason = "stands in a link: must be an http or https URL of at most 2048 bytes";
                faults.push(FieldError::new(format!("variables.{name}"), reason));
                continue;
            }
            actions.push(ActionInfo { text: plain(&action.text), url: filled, ..action.clone() });
        }
        if faults.is_empty() {
            Ok(Filled { title, content: plain(&self.content), actions })
        } else {
            Err(faults)
        }
    }
}

/// Faults named in one answer.
const FAULTS_MAX: usize = 50;

/// Values by name.
#[derive(Default)]
struct Values<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Values<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    /// A value that is the beginning of a URL stands as it is; any other cannot leave its part of the URL
    /// (RFC 3986, section 2.1).
    Url,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// A text taken apart at its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text<'a>(Vec<Part<'a>>);

impl<'a> Text<'a> {
    /// `None` for a text with something between double braces that is no name.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}")?;
            let name = name.trim_matches(' ');
            if !is_name(name) {
                return None;
            }
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            parts.push(Part::Placeholder(name));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        Some(Self(parts))
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(*name),
            Part::Text(_) => None,
        })
    }

    fn fill(&self, values: &Values<'_>, escape: Escape) -> String {
        let mut filled = String::new();
        for (n, part) in self.0.iter().enumerate() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Placeholder(name) => {
                    let value = values.get(name).unwrap_or_default();
                    if escape == Escape::Url && n > 0 {
                        push_escaped(&mut filled, value);
                    } else {
                        filled.push_str(value);
                    }
                }
            }
        }
        filled
    }
}

fn push_escaped(url: &mut String, value: &str) {
    use std::fmt::Write;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// A value as the text that stands for it, or why it is none of this type.
fn text_of(variable_type: VariableType, value: &Value) -> Result<Cow<'_, str>, &'static str> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) if variable_type == VariableType::Number => Cow::Owned(number.to_string()),
        _ => {
            return Err(match variable_type {
                VariableType::String => "must be a string",
                VariableType::Number => "must be a number",
                VariableType::Date => "must be a date as a string",
                VariableType::Url => "must be a URL as a string",
            });
        }
    };
    if text.contains(limits::is_unshowable_in_text) {
        return Err("must not contain control characters other than line breaks and tabs");
    }
    let good = match variable_type {
        VariableType::String => true,
        VariableType::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        VariableType::Date => is_date(&text),
        VariableType::Url => limits::is_url(&text),
    };
    match variable_type {
        _ if good => Ok(text),
        VariableType::Number => Err("must be a number"),
        VariableType::Date => Err("must be a date: RFC 3339, YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"),
        _ => Err("must be an http or https URL of at most 2048 bytes"),
    }
}

/// The forms of a date that people and programs write; all are read as RFC 3339 once completed.
fn is_date(text: &str) -> bool {
    let completed = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{}:00Z", text.replacen(' ', "T", 1)),
        19 => format!("{}Z", text.replacen(' ', "T", 1)),
        _ => text.replacen(' ', "T", 1),
    };
    Timestamp::parse(&completed).is_some()
}

fn is_name(text: &str) -> bool {
    (1..=limits::ID_MAX).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_line(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.contains(limits::is_unshowable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(value: Value) -> Template {
        let mut whole = json!({
            "id": "t", "version": 1, "name": "T", "category": "business", "message_type": "text",
            "priority": 5, "created_by": "system",
            "created_at": "2025-01-01T00:00:00.000Z", "updated_at": "2025-01-01T00:00:00.000Z",
        });
        whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn share() -> Template {
        template(json!({
            "title": "{{sender_name}} shares",
            "content": "{{ sender_name }}: {{size}} {{when}} {{note}}",
            "variables": [
                {"name": "sender_name", "required": true},
                {"name": "size", "type": "number", "default": "1"},
                {"name": "when", "type": "date"},
            ],
            "actions": [
                {"type": "link", "text": "Open {{note}}", "url": "{{file_url}}", "style": "primary"},
                {"type": "link", "text": "Find", "url": "https://a.example/find?q={{note}}"},
                {"type": "confirm", "text": "No", "action": "decline"},
            ],
        }))
    }

    fn filled(template: &Template, given: Value) -> Result<Filled, Vec<String>> {
        let faults = |faults: Vec<FieldError>| faults.into_iter().map(|fault| fault.field).collect();
        template.fill(given.as_object().unwrap()).map_err(faults)
    }

    #[test]
    fn values_stand_where_their_names_are_and_defaults_where_none_is_given() {
        let given = json!({ "sender_name": "张三", "when": "2025-01-15 14:30:00", "file_url": "https://f.example/1" });
        let message = filled(&share(), given).unwrap();
        assert_eq!((&*message.title, &*message.content), ("张三 shares", "张三: 1 2025-01-15 14:30:00 "));
        let urls: Vec<&str> = message.actions.iter().map(|action| action.url.as_str()).collect();
        assert_eq!(urls, ["https://f.example/1", ""], "what needs a value that was not given is left out");
        let given = json!({ "sender_name": "a", "size": 2.5, "note": "x&y=/../é" });
        let message = filled(&share(), given).unwrap();
        assert_eq!(message.content, "a: 2.5  x&y=/../é");
        assert_eq!(message.actions[0].url, "https://a.example/find?q=x%26y%3D%2F..%2F%C3%A9");
    }

    #[test]
    fn values_are_data() {
        let given = json!({ "sender_name": "{{note}}", "note": "<b>{{sender_name}}</b>" });
        assert_eq!(filled(&share(), given).unwrap().content, "{{note}}: 1  <b>{{sender_name}}</b>");
        for (given, wanted) in [
            (json!({}), vec!["variables.sender_name"]),
            (json!({ "sender_name": null }), vec!["variables.sender_name"]),
            (json!({ "sender_name": 5 }), vec!["variables.sender_name"]),
            (json!({ "sender_name": "a\nb" }), vec!["variables.sender_name"]),
            (json!({ "sender_name": "a\u{202E}b" }), vec!["variables.sender_name"]),
            (
                json!({ "sender_name": "a", "size": "many", "when": "soon" }),
                vec!["variables.size", "variables.when"],
            ),
            (json!({ "sender_name": "a", "file_url": "javascript:alert(1)" }), vec!["variables.file_url"]),
            (json!({ "sender_name": "a", "file_url": ["https://a"] }), vec!["variables.file_url"]),
            (json!({ "sender_name": "a", "sendername": "b" }), vec!["variables.sendername"]),
        ] {
            assert_eq!(
                filled(&share(), given.clone()),
                Err(wanted.iter().map(|f| f.to_string()).collect()),
                "{given}"
            );
        }
    }

    #[test]
    fn a_template_that_could_never_be_filled_is_refused() {
        let request = |change: Value| {
            let mut whole = json!({ "name": "T", "category": "system", "title": "t", "content": "c" });
            whole.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let request: TemplateRequest = serde_json::from_value(whole).unwrap();
            request.faults().into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert!(request(json!({ "title": "{{a}} {{ b }}" })).is_empty());
        for (change, field) in [
            (json!({ "title": "{{a b}}" }), "title"),
            (json!({ "title": "{{1}}" }), "title"),
            (json!({ "content": "{{open" }), "content"),
            (json!({ "variables": [{ "name": "a" }, { "name": "a" }] }), "variables[1].name"),
            (
                json!({ "variables": [{ "name": "a", "type": "number", "default": "x" }] }),
                "variables[0].default",
            ),
            (
                json!({ "actions": [{ "type": "link", "text": "t", "url": "javascript:{{a}}" }] }),
                "actions[0].url",
            ),
            (json!({ "actions": [{ "type": "button", "text": "t" }] }), "actions[0].action"),
            (json!({ "priority": 11 }), "priority"),
        ] {
            assert_eq!(request(change.clone()), [field], "{change}");
        }
        let link = json!({ "actions": [{ "type": "link", "text": "t", "url": "https://a/{{ b }}" }] });
        assert!(request(link).is_empty());
    }

    #[test]
    fn dates_are_written_in_several_ways() {
        for good in ["2025-01-15", "2025-01-15 14:30", "2025-01-15 14:30:00", "2025-01-15T14:30:00+08:00"] {
            assert!(is_date(good), "{good}");
        }
        for bad in ["", "tomorrow", "2025-13-01", "2025-02-30", "15.01.2025"] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
