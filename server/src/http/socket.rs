//! `GET /ws`: from a request to a socket (RFC 6455, section 4.2).

use super::UserGateway;
use super::extract::{Listener, Query};
use super::serve::Peer;
use crate::error::{Error, Result};
use crate::hub::Refused;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::error::{ErrorType, Failure};
use hongyan_wire::profile::Scope;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use utoipa::IntoParams;

/// Sockets of one user: each is told of each other's coming, presence and going.
const SOCKETS_PER_USER_MAX: usize = 64;

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
/// says `welcome`, then what was missed, then everything live. Close codes: 1012 come back later, 4001
/// signed out, 4009 replaced by the same device.
#[utoipa::path(
    get, path = "/ws", tag = "socket", params(SocketQuery), security(("bearer" = []), ()),
    responses(
        (status = 101, description = "A WebSocket from here on"),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The page's origin is not allowed", body = Failure),
        (status = 422, description = "No WebSocket handshake", body = Failure),
        (status = 503, description = "Too many sockets; see Retry-After", body = Failure),
    ),
)]
pub async fn open(
    State(gateway): State<UserGateway>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<SocketQuery>,
    request: Request,
) -> Result<Response> {
    let accept = accept_key(request.headers())?;
    if !gateway.origins.allows_socket(request.headers()) {
        return Err(Error::new(ErrorType::PermissionDenied, "this origin is not among CORS_ALLOWED_ORIGINS"));
    }
    let address = gateway.origins.address(request.headers(), peer);
    let seat = gateway.limits.take(address).map_err(|refused| {
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
    if gateway.hub.sockets_of(caller.id()) >= SOCKETS_PER_USER_MAX {
        return Err(Error {
            retry_after: Some(30),
            ..Error::overloaded("all sockets of this user are taken")
        });
    }
    let mut request = Request::from_parts(parts, body);
    let upgrade = hyper::upgrade::on(&mut request);
    let sockets = gateway.sockets.clone();
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Some((stream, leftover)) = taken(upgraded) else { return };
        sockets.serve(stream, leftover, caller, seat).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The connection, and what was read of it beyond the request: copied, so that the read buffer ends here and
/// is not kept for as long as the socket lives.
fn taken(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    // The gateway's own listener serves plain TCP streams and nothing else.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
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
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| Error::field("Sec-WebSocket-Key", "is missing"))?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Error::internal)
}
