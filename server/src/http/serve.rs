//! Accepts connections and serves them with a router, until told to stop.

use crate::config::Config;
use crate::hub::Limits;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How long a connection may be idle, or take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes; also what is read ahead of a body.
const HEAD_MAX: usize = 64 * 1024;
/// Connections beside those that become sockets.
pub const CONNECTIONS_BESIDE: usize = 2_048;
/// Of these, from one address.
const BESIDE_OF_ONE_ADDRESS: usize = 512;
/// How long what was sent may stay unacknowledged.
const UNTAKEN_MAX: Duration = Duration::from_secs(60);
/// Pause after an accept that failed, as when all files are in use.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Who connected, before any proxy is considered.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// How many connections a gateway takes.
#[derive(Debug, Clone)]
pub struct Room {
    /// In all.
    pub connections: usize,
    /// From one address.
    pub per_address: usize,
    /// These stand for many clients: they are not held to the number of one address.
    pub proxies: Arc<[IpAddr]>,
}

impl Room {
    /// Room for that many sockets, and for what comes beside them.
    pub fn beside_sockets(config: &Config) -> Self {
        Self {
            connections: config.sockets_max + CONNECTIONS_BESIDE,
            per_address: config.sockets_per_address + BESIDE_OF_ONE_ADDRESS,
            proxies: config.trusted_proxies.clone().into(),
        }
    }

    /// Room for administrators, who have no sockets.
    pub fn without_sockets(config: &Config) -> Self {
        Self {
            connections: CONNECTIONS_BESIDE,
            per_address: BESIDE_OF_ONE_ADDRESS,
            proxies: config.trusted_proxies.clone().into(),
        }
    }
}

/// Serves until `stop`, then finishes the requests that are under way.
pub async fn run(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>, room: Room) {
    let connections_max = room.connections;
    let addresses = Limits::new(usize::MAX, room.per_address);
    let proxies = room.proxies;
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            () = told(&mut stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, seat)) = accepted else { continue };
        let address = peer.ip().to_canonical();
        let place = match proxies.contains(&address) {
            true => None,
            false => match addresses.take(address) {
                Ok(place) => Some(place),
                Err(_) => {
                    tracing::debug!(target: "hongyan::access", %peer, "a connection too many from its address");
                    continue;
                }
            },
        };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let answer = super::envelope::answer(router.clone(), request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(target: "hongyan::access", %peer, %error, "a connection ended early");
            }
            drop((seat, place));
        });
    }
    drop(listener);
    // Every connection gives its seat back when it has ended.
    let _ = room.acquire_many(u32::try_from(connections_max).unwrap_or(u32::MAX)).await;
}

/// Waits until the server stops.
async fn told(stop: &mut watch::Receiver<bool>) {
    // An end of the channel is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let seat = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Small frames are to go out at once.
            let _ = stream.set_nodelay(true);
            // A client that takes nothing for so long is gone (RFC 5482): neither an answer nor a socket is kept for it.
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNTAKEN_MAX.as_millis() as u32);
            Some((stream, peer, seat))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_RETRY).await;
            None
        }
    }
}
