//! Accepts connections and serves them with a router, until told to stop.

use super::connection::{Connection, Patience};
use crate::auth::Visitor;
use crate::config::Config;
use crate::hub::Limits;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use ipnet::IpNet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};

/// Largest head of a request, in bytes; also what is read ahead of a body.
const HEAD_MAX: usize = 64 * 1024;
/// Connections beside those that become sockets.
pub const CONNECTIONS_BESIDE: usize = 2_048;
/// Of these, from one address.
const BESIDE_OF_ONE_ADDRESS: usize = 512;
/// How long what was sent may stay unacknowledged.
const UNTAKEN_MAX: Duration = Duration::from_secs(60);
/// Connections that the system may hold until they are accepted. After a restart all clients come back at once; the
/// system lowers this to its own bound.
const BACKLOG: u32 = 16_384;
/// A bound of the system below this loses connections of a large server.
const SYSTEM_BACKLOG_MIN: u32 = 4_096;
/// The system's bound (Linux, `listen(2)`).
const SYSTEM_BACKLOG: &str = "/proc/sys/net/core/somaxconn";
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
    pub proxies: Arc<[IpNet]>,
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

/// Listens at an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts again finds its port free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Warns when the system holds fewer connections than come back at once after a restart.
pub fn warn_of_short_backlog() {
    let bound = std::fs::read_to_string(SYSTEM_BACKLOG).unwrap_or_default();
    if let Some(bound) = short_backlog(&bound) {
        tracing::warn!(
            bound,
            "net.core.somaxconn is below {SYSTEM_BACKLOG_MIN}: when many clients connect at once, some wait for seconds; `sysctl -w net.core.somaxconn={SYSTEM_BACKLOG_MIN}` raises it"
        );
    }
}

fn short_backlog(bound: &str) -> Option<u32> {
    bound.trim().parse().ok().filter(|bound| *bound < SYSTEM_BACKLOG_MIN)
}

/// Serves until `stop`, then finishes the requests that are under way.
pub async fn run(listener: TcpListener, router: Router, stop: watch::Receiver<bool>, room: Room) {
    serve(listener, router, stop, room, Patience::default()).await;
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
    room: Room,
    patience: Patience,
) {
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
        let place = match proxies.iter().any(|network| network.contains(&address)) {
            true => None,
            false => match addresses.take(Visitor { address }.place()) {
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
        let connection = Connection::new(stream);
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(connection.head_timer(patience))
            .header_read_timeout(patience.head)
            .max_buf_size(HEAD_MAX)
            .serve_connection(connection, service)
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A gateway with this patience, until the sender is dropped.
    async fn gateway(patience: Patience) -> (SocketAddr, watch::Sender<bool>) {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let room = Room { connections: 100, per_address: 100, proxies: Arc::new([]) };
        let router = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(serve(listener, router, stopped, room, patience));
        (address, stop)
    }

    async fn connect(address: SocketAddr, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// Waits for the answer, then sends more.
    async fn then(stream: &mut TcpStream, bytes: &str) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Waits for the end, and gives how long it took.
    async fn ended(mut stream: TcpStream) -> Duration {
        let began = std::time::Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        began.elapsed()
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[tokio::test]
    async fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
        let patience = Patience { head: Duration::from_millis(300), idle: Duration::from_secs(3) };
        let (address, _stop) = gateway(patience).await;
        let fresh = connect(address, "GET / HT").await;
        let mut halfway = connect(address, REQUEST).await;
        then(&mut halfway, "GET / HT").await;
        let mut idle = connect(address, REQUEST).await;
        then(&mut idle, "").await;
        let (fresh, halfway, idle) = tokio::join!(ended(fresh), ended(halfway), ended(idle));
        assert!(fresh < idle && halfway < idle, "{fresh:?}, {halfway:?}, {idle:?}");
        assert!(idle > Duration::from_secs(2), "{idle:?}");
    }

    #[test]
    fn idle_connections_outlive_those_of_proxies() {
        let patience = Patience::default();
        assert!(patience.idle > Duration::from_secs(75));
        assert_eq!(patience.head, Duration::from_secs(30));
    }

    #[test]
    fn a_short_backlog_is_noticed() {
        assert_eq!(short_backlog("128\n"), Some(128));
        assert_eq!(short_backlog("4096\n"), None);
        assert_eq!(short_backlog(""), None);
    }
}
