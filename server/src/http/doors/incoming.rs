//! A request at a door: the service whose key comes with it, found before the body is read, wherever the other
//! system's programs put such a key.

use super::Loose;
use super::shallow::shallow;
use crate::auth::{Caller, secrets};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::extract;
use crate::send::Metered;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD, URL_SAFE};
use bytes::Bytes;
use hongyan_wire::error::ErrorType;
use serde_json::{Map, Value};
use smol_str::SmolStr;

/// Parameters in a query or form that are looked at.
const FIELDS_MAX: usize = 100;
/// Recipients in `?to=`.
const TO_MAX: usize = 100;

/// Where the query may hold a key.
const QUERY_KEYS: [&str; 3] = ["token", "key", "access_token"];

pub struct Incoming {
    pub caller: Caller,
    pub metered: Metered,
    /// Who gets it, if the query says so.
    pub to: Vec<SmolStr>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Paths of what was left out of the body because it is nested too deep.
    pub dropped: Vec<String>,
}

/// A request that could not be taken in; each door says so in its own words.
pub type Taken = Result<Incoming, Error>;

impl FromRequest<UserGateway> for Incoming {
    type Rejection = Error;

    async fn from_request(request: Request, gateway: &UserGateway) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: Vec<(String, String)> =
            form_urlencoded::parse(query).into_owned().take(FIELDS_MAX).collect();
        let key = key(&mut parts, &query).await;
        let key = key.ok_or_else(|| Error::unauthenticated("the service's key is missing"))?;
        let caller = gateway.auth.service(&key).map(Caller::Service)?;
        let metered = gateway.meters.begin(&caller)?;
        let body = extract::body(Request::from_parts(parts.clone(), body), gateway.body_max).await?;
        let to = query.iter().filter(|(name, _)| name == "to").flat_map(|(_, value)| value.split(','));
        let to = to.map(str::trim).filter(|one| !one.is_empty()).take(TO_MAX).map(SmolStr::from).collect();
        Ok(Self { caller, metered, to, query, headers: parts.headers, body, dropped: Vec::new() })
    }
}

impl Incoming {
    /// The body as JSON, without what is nested too deep.
    pub fn json(&mut self) -> Result<Value> {
        let body = self.body.clone();
        self.parsed(&body).map_err(|error| {
            Error::new(ErrorType::MalformedRequest, format!("the body is not valid JSON: {error}"))
        })
    }

    /// JSON that is somewhere in the request, without what is nested too deep.
    pub fn parsed(&mut self, json: &[u8]) -> serde_json::Result<Value> {
        let read = shallow(json);
        let value = read.parse()?;
        self.dropped.extend(read.cuts);
        Ok(value)
    }

    /// The body as an object: JSON, or a form whose fields are texts.
    pub async fn fields(&mut self) -> Result<Value> {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("multipart/form-data") {
            return self.multipart().await;
        }
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let fields = form_urlencoded::parse(&self.body).into_owned().take(FIELDS_MAX);
            return Ok(Value::Object(fields.map(|(name, value)| (name, Value::String(value))).collect()));
        }
        self.json()
    }

    async fn multipart(&self) -> Result<Value> {
        let bad = |error: &dyn std::fmt::Display| {
            Error::new(ErrorType::MalformedRequest, format!("the form cannot be read: {error}"))
        };
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.headers_mut() = self.headers.clone();
        // The body is here already, within its bound.
        DefaultBodyLimit::disable().apply(&mut request);
        let mut form = Multipart::from_request(request, &()).await.map_err(|error| bad(&error))?;
        let mut fields = Map::new();
        while let Some(field) = form.next_field().await.map_err(|error| bad(&error))? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.text().await.map_err(|error| bad(&error))?;
            if fields.len() < FIELDS_MAX {
                fields.insert(name, Value::String(value));
            }
        }
        Ok(Value::Object(fields))
    }

    /// A parameter: of the headers, under any of its names, else of the query, else of a JSON body.
    pub fn parameter(&self, names: &[&str], body: Loose<'_>) -> Option<String> {
        let header = |name: &&str| {
            let with_x = || self.headers.get(format!("x-{name}"));
            let value = self.headers.get(*name).or_else(with_x)?;
            Some(unencoded(value.as_bytes()))
        };
        let query = |name: &&str| {
            let is_it = |given: &str| {
                given.eq_ignore_ascii_case(name)
                    || given.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"))
                        && given[2..].eq_ignore_ascii_case(name)
            };
            self.query.iter().find(|(given, _)| is_it(given)).map(|(_, value)| value.clone())
        };
        let found = names.iter().find_map(header).or_else(|| names.iter().find_map(query));
        found.or_else(|| names.first().and_then(|name| body.get(name).some()))
    }
}

/// A header's value in which words may be encoded, as mail does it (RFC 2047); bytes that are no UTF-8 are replaced.
fn unencoded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut plain = String::new();
    let mut rest = text.as_ref();
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, after)) = encoded_word(word) else {
            plain.push_str(before);
            plain.push_str("=?");
            rest = &word[2..];
            continue;
        };
        // White space between two encoded words is none.
        if !(before.trim().is_empty() && start > 0 && !plain.is_empty()) {
            plain.push_str(before);
        }
        plain.push_str(&decoded);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// The first encoded word of a text that begins with one, and what follows it.
fn encoded_word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, rest) = rest.split_once('?')?;
    let after = rest.strip_prefix('=')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let bytes = match encoding {
        "b" | "B" => LENIENT.decode(content).ok()?,
        "q" | "Q" => quoted(content)?,
        _ => return None,
    };
    Some((String::from_utf8(bytes).ok()?, after))
}

fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(plain)
}

/// Base64 with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// The key, wherever it is: the first that looks like one of ours, else the first that is there at all. A proxy may have
/// added credentials of its own.
async fn key(parts: &mut Parts, query: &[(String, String)]) -> Option<String> {
    let path = RawPathParams::from_request_parts(parts, &()).await.ok();
    let in_path = path.iter().flatten().find(|(name, _)| *name == "key").map(|(_, value)| value.to_owned());
    let in_query = |name: &str| query.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let encoded = in_query("auth").and_then(|encoded| {
        let decoded = LENIENT.decode(&encoded).or_else(|_| URL_SAFE.decode(&encoded)).ok()?;
        of_authorization(std::str::from_utf8(&decoded).ok()?)
    });
    let mut given: Vec<String> = in_path
        .into_iter()
        .chain(QUERY_KEYS.iter().filter_map(|name| in_query(name)))
        .chain(header("x-gotify-key").map(str::to_owned))
        .chain(header("authorization").and_then(of_authorization))
        .chain(encoded)
        .chain(in_query("auth"))
        .collect();
    let ours = given.iter().position(|key| secrets::key_prefix(key).is_some()).unwrap_or(0);
    (ours < given.len()).then(|| given.swap_remove(ours))
}

/// A key as `Bearer`, `Service`, or either half of `Basic`.
fn of_authorization(text: &str) -> Option<String> {
    let (scheme, secret) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(secret.trim().to_owned());
    }
    let decoded = String::from_utf8(STANDARD.decode(secret.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(if password.is_empty() || password == "x" { user } else { password }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read() {
        assert_eq!(unencoded(b"plain =? text"), "plain =? text");
        assert_eq!(unencoded("a =?UTF-8?B?6ZuB?= b".as_bytes()), "a 雁 b");
        assert_eq!(unencoded("=?utf-8?q?=E9=9B=81_x?= =?UTF-8?B?6ZuB?=".as_bytes()), "雁 x雁");
        assert_eq!(unencoded("雁".as_bytes()), "雁");
    }

    #[test]
    fn a_key_is_found_in_either_half_of_basic() {
        let basic = |text: &str| of_authorization(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(basic("anyone:key").as_deref(), Some("key"));
        assert_eq!(basic("key:").as_deref(), Some("key"));
        assert_eq!(of_authorization("Bearer key").as_deref(), Some("key"));
        assert_eq!(of_authorization("nonsense"), None);
    }
}
