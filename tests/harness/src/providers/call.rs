//! A request as a provider received it, and the questions the providers put to it.

use super::answer::Answer;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// More than any request to a provider holds.
const LONGEST_BODY: usize = 1 << 20;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Call {
    /// The provider step it was for; none when no provider has such a path.
    pub step: Option<&'static str>,
    pub method: String,
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The query as it was written, without the question mark.
    pub raw_query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    pub(super) async fn of(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LONGEST_BODY).await.unwrap_or_default();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            step: None,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: pairs(&raw_query),
            raw_query,
            headers: parts.headers.iter().map(|(n, v)| (n.to_string(), text(v.as_bytes()))).collect(),
            body: text(&body),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    pub fn asked(&self, name: &str) -> Option<&str> {
        value_of(&self.query, name)
    }

    /// The body as a form; empty unless it says that it is one.
    pub fn form(&self) -> Vec<(String, String)> {
        if self.has_type("application/x-www-form-urlencoded") { pairs(&self.body) } else { Vec::new() }
    }

    /// The body as JSON; none unless it says that it is that.
    pub fn json(&self) -> Option<Value> {
        if self.has_type("application/json") { serde_json::from_str(&self.body).ok() } else { None }
    }

    /// Path and query, as they were written.
    pub(super) fn target(&self) -> String {
        if self.raw_query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.raw_query)
        }
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Name and password of `Authorization: Basic`.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        decoded.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
    }

    fn has_type(&self, wanted: &str) -> bool {
        let given = self.header("content-type").unwrap_or_default();
        given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
    }

    /// A parameter a page cannot do without. Given twice it is as wrong as not at all.
    pub(super) fn required(&self, name: &str) -> Result<&str, Answer> {
        let given: Vec<_> = self.query.iter().filter(|(known, _)| known == name).collect();
        match given[..] {
            [(_, value)] if !value.is_empty() => Ok(value),
            _ => Err(Answer::page(400, &format!("The parameter {name} must be given once"))),
        }
    }

    /// A parameter that has to have this value.
    pub(super) fn required_to_be(&self, name: &str, wanted: &str) -> Result<(), Answer> {
        if self.required(name)? == wanted {
            return Ok(());
        }
        Err(Answer::page(400, &format!("The parameter {name} is wrong")))
    }

    /// Refuses parameters under the names that other providers give them.
    pub(super) fn refused(&self, names: &[&str]) -> Result<(), Answer> {
        match names.iter().find(|name| self.asked(name).is_some()) {
            Some(name) => Err(Answer::page(400, &format!("There is no parameter {name}"))),
            None => Ok(()),
        }
    }

    /// The address to go back to. Encoded twice it is none.
    pub(super) fn redirect_uri(&self) -> Result<&str, Answer> {
        let given = self.required("redirect_uri")?;
        match reqwest::Url::parse(given) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.fragment().is_none() => Ok(given),
            _ => Err(Answer::page(400, "The parameter redirect_uri is no address of a web page")),
        }
    }

    /// A `state` as WeChat and WeCom take it: letters and digits, at most 128 of them (WeChat docs, "Wechat Login").
    pub(super) fn plain_state(&self) -> Result<(), Answer> {
        let state = self.asked("state").unwrap_or_default();
        if state.len() <= 128 && state.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(());
        }
        Err(Answer::page(400, "The parameter state holds more than letters and digits"))
    }
}

/// The pairs of a form or a query.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// The first value under this name.
pub(super) fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
