//! What handlers take: who calls, a valid body, a valid query. Each failure names the field.

use super::origin::Origins;
use super::serve::Peer;
use super::{AdminGateway, UserGateway};
use crate::auth::jwt::Claims;
use crate::auth::{Caller, UserCaller, Visitor};
use crate::error::{Error, Result};
use crate::send::{Metered, Purpose, RepeatKey};
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use hongyan_wire::error::{ErrorType, FieldError};
use hongyan_wire::limits::{BATCH_MAX, DEPTH_RULE, IDEMPOTENCY_KEY_MAX};
use hongyan_wire::profile::Scope;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// What `Authorization` holds.
enum Credentials<'a> {
    Bearer(&'a str),
    Service(&'a str),
}

fn credentials(headers: &HeaderMap) -> Result<Credentials<'_>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let header = all.next();
    let header = header.ok_or_else(|| Error::unauthenticated("the Authorization header is missing"))?;
    if all.next().is_some() {
        // A proxy may have looked at the other.
        return Err(Error::unauthenticated("there are two Authorization headers; send one"));
    }
    let unsupported = || Error::unauthenticated("Authorization must be `Bearer <token>` or `Service <key>`");
    let (scheme, secret) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unsupported)?;
    // Schemes are compared without regard to case (RFC 9110, section 11.1).
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Credentials::Bearer(secret.trim()))
    } else if scheme.eq_ignore_ascii_case("service") {
        Ok(Credentials::Service(secret.trim()))
    } else {
        Err(unsupported())
    }
}

/// Who was let in before the body was there, beside the request.
#[derive(Clone)]
struct LetIn(Arc<Claims>);

/// The user who calls, whatever their token allows.
fn user(parts: &mut Parts, gateway: &UserGateway) -> Result<UserCaller> {
    match credentials(&parts.headers)? {
        Credentials::Bearer(token) => {
            let caller = gateway.auth.user(token)?;
            parts.extensions.insert(LetIn(caller.claims.clone()));
            Ok(caller)
        }
        Credentials::Service(_) => {
            Err(Error::new(ErrorType::PermissionDenied, "this is for people; with a service's key one sends"))
        }
    }
}

/// What a request takes of a person's token: to look takes `read`, all else `write`.
fn scope(method: &Method) -> Scope {
    if matches!(*method, Method::GET | Method::HEAD) { Scope::Read } else { Scope::Write }
}

impl FromRequestParts<UserGateway> for UserCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let caller = user(parts, gateway)?;
        caller.require(scope(&parts.method))?;
        Ok(caller)
    }
}

impl OptionalFromRequestParts<UserGateway> for UserCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Option<Self>> {
        // A script's token ends itself so, whatever it allows.
        parts.headers.contains_key(header::AUTHORIZATION).then(|| user(parts, gateway)).transpose()
    }
}

/// A user whose token allows to read, by whatever method they call.
pub struct Listener(pub UserCaller);

impl FromRequestParts<UserGateway> for Listener {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let caller = user(parts, gateway)?;
        caller.require(Scope::Read)?;
        Ok(Self(caller))
    }
}

/// A user in a session of their own, and no script with a token of theirs.
pub struct Holder(pub UserCaller);

impl FromRequestParts<UserGateway> for Holder {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let caller = user(parts, gateway)?;
        caller.require_session()?;
        if scope(&parts.method) == Scope::Write {
            gateway.meters.change(&caller)?;
        }
        Ok(Self(caller))
    }
}

/// From where a request comes.
fn visitor(parts: &Parts, origins: &Origins) -> Result<Visitor> {
    let peer = parts.extensions.get::<Peer>().ok_or_else(|| Error::internal("a request from nowhere"))?;
    Ok(Visitor { address: origins.address(&parts.headers, *peer) })
}

impl FromRequestParts<UserGateway> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        visitor(parts, &gateway.origins)
    }
}

/// Someone who has yet to show who they are, and does not come too often from one place.
pub struct Stranger(pub Visitor);

impl FromRequestParts<UserGateway> for Stranger {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let visitor = visitor(parts, &gateway.origins)?;
        gateway.meters.stranger(Purpose::SigningIn, visitor)?;
        Ok(Self(visitor))
    }
}

impl FromRequestParts<AdminGateway> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &AdminGateway) -> Result<Self> {
        visitor(parts, &gateway.origins)
    }
}

impl FromRequestParts<UserGateway> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let caller = anyone(parts, gateway)?;
        if let Caller::User(user) = &caller {
            user.require(scope(&parts.method))?;
        }
        Ok(caller)
    }
}

fn anyone(parts: &mut Parts, gateway: &UserGateway) -> Result<Caller> {
    match credentials(&parts.headers)? {
        Credentials::Bearer(_) => user(parts, gateway).map(Caller::User),
        Credentials::Service(key) => gateway.auth.service(key).map(Caller::Service),
    }
}

/// Whoever calls to send, within their limits; known before the body is read.
pub struct Sending {
    pub caller: Caller,
    pub metered: Metered,
}

impl FromRequestParts<UserGateway> for Sending {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &UserGateway) -> Result<Self> {
        let caller = anyone(parts, gateway)?;
        if let Caller::User(user) = &caller
            && !user.scopes.allows(Scope::SendSelf)
        {
            user.require(Scope::Write)?;
        }
        let metered = gateway.meters.begin(&caller)?;
        Ok(Self { caller, metered })
    }
}

/// An administrator who calls.
pub struct AdminCaller(pub UserCaller);

impl AdminCaller {
    /// For the audit log.
    pub fn name(&self) -> &str {
        self.0.id().as_str()
    }
}

impl FromRequestParts<AdminGateway> for AdminCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &AdminGateway) -> Result<Self> {
        match credentials(&parts.headers)? {
            Credentials::Bearer(token) => {
                let caller = gateway.auth.admin(token)?;
                parts.extensions.insert(LetIn(caller.claims.clone()));
                Ok(AdminCaller(caller))
            }
            Credentials::Service(_) => Err(Error::forbidden("admin")),
        }
    }
}

/// The caller's `Idempotency-Key`, if there is one.
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// How a repeat of a request with this body is known.
    pub fn of(self, body: &[u8]) -> Option<RepeatKey> {
        Some(RepeatKey { key: self.0?, fingerprint: Sha256::digest(body).into() })
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(key) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_MAX);
        let wrong = || Error::field("Idempotency-Key", "must be 1 to 255 visible ASCII characters");
        Ok(Self(Some(key.ok_or_else(wrong)?.to_owned())))
    }
}

/// How long a client may take to send a body, or the next part of one that is read as it arrives.
pub const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Largest body from someone who has not shown who they are, in bytes.
const STRANGER_BODY_MAX: usize = 16 * 1024;

/// A small JSON body from someone who has not shown yet who they are.
pub struct StrangerJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for StrangerJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(Self(json(request, STRANGER_BODY_MAX).await?.value))
    }
}

/// What bodies are held to.
pub trait BodyRules {
    /// How large a JSON body may be, in bytes.
    fn body_max(&self) -> usize;

    /// Whether whoever was let in still is. A body may take its time, and their session end meanwhile.
    fn still(&self, claims: Arc<Claims>) -> Result<()>;
}

/// A JSON body, and its bytes.
pub struct Json<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<S: BodyRules + Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let let_in = request.extensions().get::<LetIn>().cloned();
        let json = json(request, state.body_max()).await?;
        let_in.map_or(Ok(()), |LetIn(claims)| state.still(claims))?;
        Ok(json)
    }
}

/// The items of a batch, each as it stands in the body: one that is bad spoils no other.
pub struct BatchJson {
    pub items: Vec<Box<RawValue>>,
}

/// Largest batch, in bytes.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

impl<S: BodyRules + Send + Sync> FromRequest<S> for BatchJson {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let let_in = request.extensions().get::<LetIn>().cloned();
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Batch {
            messages: Vec<Box<RawValue>>,
        }
        let Batch { messages } = json(request, BATCH_BYTES_MAX).await?.value;
        let_in.map_or(Ok(()), |LetIn(claims)| state.still(claims))?;
        if !(1..=BATCH_MAX).contains(&messages.len()) {
            return Err(Error::field("messages", "must be 1 to 1000"));
        }
        Ok(Self { items: messages })
    }
}

async fn json<T: DeserializeOwned>(request: Request, max: usize) -> Result<Json<T>> {
    if !is_json(request.headers()) {
        let message = "the Content-Type must be application/json";
        return Err(Error::new(ErrorType::UnsupportedMediaType, message));
    }
    let bytes = body(request, max).await?;
    let value = parse(&bytes)?;
    Ok(Json { value, bytes })
}

/// A small JSON body from someone who has not shown who they are, or none.
pub struct OptionalStrangerJson<T>(pub T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalStrangerJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(Self(optional(request, STRANGER_BODY_MAX).await?))
    }
}

/// A JSON body that may be left out.
pub struct OptionalJson<T>(pub T);

impl<S: BodyRules + Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let let_in = request.extensions().get::<LetIn>().cloned();
        let value = optional(request, state.body_max()).await?;
        let_in.map_or(Ok(()), |LetIn(claims)| state.still(claims))?;
        Ok(Self(value))
    }
}

async fn optional<T: DeserializeOwned + Default>(request: Request, max: usize) -> Result<T> {
    let json = is_json(request.headers());
    let bytes = body(request, max).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    if !json {
        let message = "the Content-Type must be application/json";
        return Err(Error::new(ErrorType::UnsupportedMediaType, message));
    }
    parse(&bytes)
}

/// A whole body of at most so many bytes, if it comes in time.
pub async fn body(request: Request, max: usize) -> Result<Bytes> {
    let too_large = || Error::new(ErrorType::TooLarge, format!("the body must have at most {max} bytes"));
    if request.body().size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let read = axum::body::to_bytes(request.into_body(), max);
    let in_time = tokio::time::timeout(BODY_PATIENCE, read).await;
    let took_long = || Error::new(ErrorType::MalformedRequest, "the body did not come within 30 seconds");
    in_time.map_err(|_| took_long())?.map_err(|error| {
        let limit = error.into_inner().is::<http_body_util::LengthLimitError>();
        if limit {
            too_large()
        } else {
            Error::new(ErrorType::MalformedRequest, "the body could not be read to its end")
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
}

/// Reads JSON; only when that fails it is read again to find out where.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // Every body of ours is an object; serde would take a list of the fields in order for one.
    if bytes.trim_ascii_start().starts_with(b"[")
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    {
        let (field, reason) = ("body", "invalid type: sequence, expected an object");
        let details = vec![FieldError::new(field, reason)];
        return Err(Error {
            details,
            ..Error::new(ErrorType::MalformedRequest, format!("{field}: {reason}"))
        });
    }
    serde_json::from_slice(bytes).map_err(|first| {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(error) => located(error.path().to_string(), error.inner()),
            // Only what follows the value was wrong.
            Ok(_) => located(String::new(), &first),
        }
    })
}

/// How serde_json says that a value has more levels than it reads.
const TOO_DEEP: &str = "recursion limit exceeded";

fn located(path: String, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    // serde_json adds the place; the field says more.
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    if error.is_eof() && error.line() == 1 && error.column() == 0 {
        return Error::new(ErrorType::MalformedRequest, "the body is empty; it must be JSON");
    }
    if text.starts_with(TOO_DEEP) {
        // The path has all levels; its first part is the field.
        let field = path.split(['.', '[']).next().filter(|first| !first.is_empty());
        return Error::field(field.unwrap_or("body"), DEPTH_RULE);
    }
    if !error.is_data() {
        return Error::new(ErrorType::MalformedRequest, format!("the body is no valid JSON: {text}"));
    }
    let field = field_of(path, reason);
    let words = in_words(reason);
    if reason.starts_with("invalid type") {
        let message = format!("{field}: {words}");
        let details = vec![FieldError::new(field, words)];
        return Error { details, ..Error::new(ErrorType::MalformedRequest, message) };
    }
    Error::field(field, words)
}

/// What serde says of a value, in words for callers: they know JSON, not our types.
fn in_words(reason: &str) -> String {
    if reason.starts_with("missing field") {
        return "is missing".to_owned();
    }
    if let Some(rest) = reason.strip_prefix("unknown field ") {
        let known = rest.split_once(", expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").replace('`', "");
        return format!("is not known here; known are {known}");
    }
    if reason.starts_with("duplicate field") {
        return "is there twice".to_owned();
    }
    if let Some((_, known)) =
        reason.strip_prefix("unknown variant ").and_then(|r| r.split_once(", expected "))
    {
        return format!("must be {}", known.replace('`', ""));
    }
    let Some((found, expected)) = reason.split_once(", expected ") else { return reason.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    let found = found.replace("sequence", "a list").replace("map", "an object");
    format!("{found}, expected {expected}")
}

/// The field that is meant: for a missing or unknown one serde names it in the reason only.
fn field_of(path: String, reason: &str) -> String {
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| reason.strip_prefix(start)?.split('`').next());
    let path = if path == "." { String::new() } else { path };
    match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path.ends_with(name) => path,
        Some(name) => format!("{path}.{name}"),
        None if path.is_empty() => "body".to_owned(),
        None => path,
    }
}

/// The query string.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded(query));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let reason = error.inner().to_string();
            let field = field_of(error.path().to_string(), &reason);
            // What the standard library says of numbers and flags, in words for callers.
            let reason = match reason.as_str() {
                "invalid digit found in string" | "cannot parse integer from empty string" => {
                    "must be a whole number"
                }
                "number too large to fit in target type" => "is too large",
                "provided string was not `true` or `false`" => "must be true or false",
                other => other,
            };
            Error::field(field, reason)
        })
    }
}

fn form_urlencoded(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// A path's last part as an id; what is no id names nothing.
pub fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| Error::not_found(what))
}
