//! The shape that every answer has: request id, envelope, errors; and a panic that stays one request's.

use super::doors;
use crate::error::{Error, Rate};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hongyan_wire::api::{Meta, Success};
use hongyan_wire::error::{ErrorBody, ErrorType, Failure, FailureMeta, FieldError};
use serde::Serialize;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use tower::ServiceExt;

/// Who may embed an answer (Fetch standard, "Cross-Origin-Resource-Policy").
pub const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What every answer says to browsers, where its handler says nothing else: it is for this page and this moment, it is no
/// page, and nobody frames it.
const USUAL: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken over from a caller or proxy.
const REQUEST_ID_MAX: usize = 64;

/// Beside an answer that says in the words of another system what went wrong: it goes out as it is.
#[derive(Debug, Clone, Copy)]
pub struct OwnWords;

/// A good answer.
pub struct Answer<T> {
    pub data: T,
    pub meta: Meta,
}

impl<T> Answer<T> {
    pub fn new(data: T) -> Self {
        Self { data, meta: Meta::default() }
    }
}

impl<T: Serialize> Answer<T> {
    /// As the answer to what was taken and is done later.
    pub fn accepted(self) -> Response {
        let status = StatusCode::ACCEPTED;
        (status, self.encode_as(status).map_err(Error::internal)).into_response()
    }

    /// The answer's body.
    pub fn encode(self) -> serde_json::Result<Encoded> {
        self.encode_as(StatusCode::OK)
    }

    fn encode_as(self, status: StatusCode) -> serde_json::Result<Encoded> {
        let code = status.as_u16();
        let success = Success { code, message: "success".into(), data: self.data, meta: self.meta };
        serde_json::to_vec(&success).map(Encoded)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        self.encode().map_err(Error::internal).into_response()
    }
}

impl<T> Answer<T> {
    /// Says how the caller's limit stands.
    pub fn metered(self, rate: Option<Rate>) -> WithRate<Self> {
        WithRate { answer: self, rate }
    }
}

/// An answer that says how the caller's limit stands.
pub struct WithRate<A> {
    answer: A,
    rate: Option<Rate>,
}

impl<A: IntoResponse> IntoResponse for WithRate<A> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Some(rate) = self.rate {
            rate.write(response.headers_mut());
        }
        response
    }
}

/// A good answer's body as it goes out.
pub struct Encoded(Vec<u8>);

impl IntoResponse for Encoded {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}

/// Answers a request with a router's handlers. Gives it an id, turns failures into the envelope, and panics
/// into failures.
pub async fn answer(router: Router, request: Request) -> Response {
    let id = request_id(&request);
    // Only the path: queries may hold tokens.
    let access = tracing::enabled!(target: "hongyan::access", tracing::Level::DEBUG)
        .then(|| (Instant::now(), request.method().clone(), doors::without_key(request.uri().path())));
    let result = match host(&request) {
        Ok(()) => AssertUnwindSafe(router.oneshot(request)).catch_unwind().await,
        Err(error) => Ok(Ok(error.into_response())),
    };
    let mut response = match result {
        Ok(Ok(response)) => response,
        Err(_) => Error::internal("a panic; see the lines before").into_response(),
    };
    if let Some(error) = failure(&mut response) {
        let status = response.status().as_u16();
        if matches!(error.error_type, ErrorType::Internal | ErrorType::StorageUnavailable) {
            // The cause stands in the lines before; with this a person's report finds them.
            tracing::error!(target: "hongyan::error", request_id = id, message = error.message, "answered with a fault");
        }
        let body = Failure {
            code: status,
            message: error.message,
            error: ErrorBody { error_type: error.error_type, details: error.details, current: error.current },
            meta: FailureMeta { request_id: id.clone() },
        };
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(serde_json::to_vec(&body).unwrap_or_default());
    }
    let headers = response.headers_mut();
    for (name, value) in USUAL {
        headers.entry(name).or_insert(value);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some((began, method, path)) = access {
        tracing::debug!(
            target: "hongyan::access", %method, path, status = response.status().as_u16(),
            micros = began.elapsed().as_micros() as u64, request_id = id,
        );
    }
    response
}

/// What went wrong: our own error, or one of the framework's put into our words.
fn failure(response: &mut Response) -> Option<Error> {
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        return Some(error);
    }
    if response.extensions().get::<OwnWords>().is_some() {
        return None;
    }
    let error = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Error::new(
            ErrorType::MethodNotAllowed,
            "this path does not take this method; see the Allow header",
        ),
        StatusCode::NOT_FOUND => Error::not_found("path"),
        StatusCode::PAYLOAD_TOO_LARGE => Error::new(ErrorType::TooLarge, "the body is too large"),
        // The framework's own words, as for a path that is no UTF-8.
        status if status.is_client_error() => {
            Error::new(ErrorType::MalformedRequest, "the request's path or query cannot be read")
        }
        status if status.is_server_error() => Error::internal("an answer without a reason"),
        _ => return None,
    };
    Some(error)
}

/// Refuses a request without one valid `Host` (RFC 9112, section 3.2): a proxy and this server could take it for
/// different hosts.
fn host(request: &Request) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let reason = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, _) => "is missing",
        (Some(_), Some(_)) => "must be given once",
        // Empty where the target has no authority (RFC 9110, section 7.2).
        (Some(host), None) if host.is_empty() => return Ok(()),
        (Some(host), None) => {
            match host.as_bytes().contains(&b'@') || Authority::try_from(host.as_bytes()).is_err() {
                true => "must be a host, or a host and a port",
                false => return Ok(()),
            }
        }
    };
    let details = vec![FieldError::new("Host", reason)];
    Err(Error { details, ..Error::new(ErrorType::MalformedRequest, format!("Host: {reason}")) })
}

fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.into()
        }
        _ => uuid::Uuid::now_v7().simple().to_string(),
    }
}
