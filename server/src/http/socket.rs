//! `GET /ws`: from a request to a socket (RFC 6455, section 4.2).

use super::UserGateway;
use super::connection::Connection;
use super::extract::{Listener, Query};
use super::serve::Peer;
use crate::auth::Visitor;
use crate::error::{Error, Result};
use crate::hub::{Denied, Refused};
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hongyan_wire::error::{ErrorType, Failure, FieldError};
use hongyan_wire::profile::Scope;
use hyper::upgrade::Upgraded;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use utoipa::IntoParams;

/// Length of the key of a handshake.
const KEY_BYTES: usize = 16;

/// Credentials of a client that cannot set headers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SocketQuery {
    /// From `POST /api/v3/auth/ws-ticket`; used up by this.
    ticket: Option<String>,
    /// An access token, but no personal one; a ticket keeps it out of URLs.
    token: Option<String>,
}

/// Open the socket.
///
/// Text frames `{"type","data"}`. The client says `hello` first, with its cursor if it has one; the server
/// says `welcome`, then what was missed, then everything live. An invalid `hello` is answered with an `error`
/// frame that names the field, then closed with 1008. Close codes: 1012 come back later, 4001 signed out, 4009
/// replaced by the same device. `docs/protocol.md` describes the protocol for client authors.
#[utoipa::path(
    get, path = "/ws", tag = "socket", params(SocketQuery), security(("bearer" = []), ()),
    responses(
        (status = 101, description = "A WebSocket from here on"),
        (status = 400, description = "`Sec-WebSocket-Key` is missing or invalid", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The page's origin is not allowed", body = Failure),
        (status = 422, description = "No WebSocket handshake", body = Failure),
        (status = 429, description = "Sockets opened too often, or closed with 1008 again and again; see Retry-After", body = Failure),
        (status = 503, description = "Too many sockets; see Retry-After", body = Failure),
    ),
)]
pub async fn open(
    State(gateway): State<UserGateway>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<SocketQuery>,
    request: Request,
) -> Result<Response> {
    if request.method() != Method::GET || request.version() < Version::HTTP_11 {
        return Err(Error::field("Upgrade", "needs GET and HTTP/1.1"));
    }
    let accept = accept_key(request.headers())?;
    if !gateway.origins.allows_socket(request.headers()) {
        return Err(Error::new(ErrorType::PermissionDenied, "this origin is not among CORS_ALLOWED_ORIGINS"));
    }
    let address = gateway.origins.address(request.headers(), peer);
    let seat = gateway.limits.take(Visitor { address }.place()).map_err(|refused| {
        let message = match refused {
            Refused::Total => "all sockets are taken",
            Refused::Address => "all sockets of this address are taken",
        };
        Error { retry_after: Some(30), ..Error::overloaded(message) }
    })?;
    let (mut parts, body) = request.into_parts();
    let caller = match (&query.ticket, &query.token) {
        (Some(ticket), _) => gateway.auth.by_ticket(ticket)?,
        // One that is good for months has no place in an address, which proxies log.
        (None, Some(token)) if crate::auth::secrets::personal_prefix(token).is_some() => {
            let message = "a personal token goes into the Authorization header, or is changed for a ticket";
            return Err(Error::unauthenticated(message));
        }
        (None, Some(token)) => gateway.auth.user(token)?,
        (None, None) => Listener::from_request_parts(&mut parts, &gateway).await?.0,
    };
    caller.require(Scope::Read)?;
    let user_seat = gateway.hub.admit(caller.id()).map_err(denied)?;
    let mut request = Request::from_parts(parts, body);
    let upgrade = hyper::upgrade::on(&mut request);
    let sockets = gateway.sockets.clone();
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Some((stream, leftover)) = taken(upgraded) else { return };
        sockets.serve(stream, leftover, caller, (seat, user_seat)).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn denied(denied: Denied) -> Error {
    let seconds = |wait: Duration| u32::try_from(wait.as_millis().div_ceil(1_000)).ok();
    match denied {
        Denied::Full => {
            Error { retry_after: Some(30), ..Error::overloaded("all sockets of this user are taken") }
        }
        Denied::TooOften(wait) => {
            Error { retry_after: seconds(wait), ..Error::rate_limited("this user opens sockets too often") }
        }
        Denied::Violations(wait) => Error {
            retry_after: seconds(wait),
            ..Error::rate_limited("this user's sockets broke the protocol repeatedly; correct the client")
        },
    }
}

/// The connection, and what was read of it beyond the request: copied, so that the read buffer ends here and
/// is not kept for as long as the socket lives.
fn taken(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    // The gateway's own listener serves plain TCP streams and nothing else.
    let parts = upgraded.downcast::<Connection>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn accept_key(headers: &HeaderMap) -> Result<HeaderValue> {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|text| text.split(',')).any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Error::field("Upgrade", "this path speaks WebSocket only"));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Error::field("Sec-WebSocket-Version", "must be 13"));
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(bad_key("must be given once"));
    };
    // RFC 6455, section 4.2.1: the base64 of 16 bytes.
    if !STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES) {
        return Err(bad_key("must be the base64 of 16 bytes"));
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Error::internal)
}

fn bad_key(reason: &str) -> Error {
    let details = vec![FieldError::new("Sec-WebSocket-Key", reason)];
    Error { details, ..Error::new(ErrorType::MalformedRequest, format!("Sec-WebSocket-Key: {reason}")) }
}
