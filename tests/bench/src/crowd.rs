//! Many sockets, and how many messages have reached them.

use crate::server::Server;
use crate::socket::Socket;
use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Sockets that are being opened at one time.
const OPENING: usize = 64;
/// How the frame of a message begins.
const MESSAGE: &[u8] = br#"{"type":"message""#;
/// How long messages may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens sockets with bare handshakes, some at a time.
pub async fn open_bare(address: SocketAddr, count: usize) -> Result<Vec<Socket>> {
    stream::iter(0..count).map(|_| Socket::open(address, "/")).buffer_unordered(OPENING).try_collect().await
}

/// Opens sockets that say one text and wait for its echo.
pub async fn open_echoing(address: SocketAddr, count: usize) -> Result<Vec<Socket>> {
    let open = |number| async move {
        let mut socket = Socket::open(address, "/").await?;
        socket.say(&hello(number, None)).await?;
        socket.hear().await?;
        anyhow::Ok(socket)
    };
    stream::iter(0..count).map(open).buffer_unordered(OPENING).try_collect().await
}

/// A user's socket that was welcomed, and the cursor that it was given.
pub struct Welcomed {
    pub socket: Socket,
    number: usize,
    cursor: String,
}

/// What each user needs to come in: prepared before anything is measured.
pub struct Arrivals(Vec<Arrival>);

struct Arrival {
    number: usize,
    path: String,
    hello: String,
}

impl Arrivals {
    /// One socket for each of these users, as on their first day.
    pub fn new(server: &Server, numbers: std::ops::Range<usize>) -> Result<Self> {
        let arrival =
            |number| Ok(Arrival { number, path: server.socket(number)?, hello: hello(number, None) });
        numbers.map(arrival).collect::<Result<_>>().map(Self)
    }

    /// The same sockets again, each with the cursor that it was given. Lets the old ones go.
    pub fn again(server: &Server, welcomed: Vec<Welcomed>) -> Result<Self> {
        let arrival = |Welcomed { number, cursor, .. }| {
            Ok(Arrival { number, path: server.socket(number)?, hello: hello(number, Some(&cursor)) })
        };
        welcomed.into_iter().map(arrival).collect::<Result<_>>().map(Self)
    }

    /// Opens all of them, some at a time; each says hello and waits for its welcome.
    pub async fn come(&self, address: SocketAddr) -> Result<Vec<Welcomed>> {
        let come = |arrival: &Arrival| {
            let Arrival { number, path, hello } = arrival;
            let (number, path, hello) = (*number, path.clone(), hello.clone());
            async move {
                let mut socket = Socket::open(address, &path).await?;
                socket.say(&hello).await?;
                let welcome: Value = serde_json::from_slice(&socket.hear().await?)?;
                let cursor = welcome["data"]["cursor"].as_str().context("no welcome")?.to_owned();
                anyhow::Ok(Welcomed { socket, number, cursor })
            }
        };
        stream::iter(&self.0).map(come).buffer_unordered(OPENING).try_collect().await
    }
}

fn hello(number: usize, cursor: Option<&str>) -> String {
    let mut data = json!({"device_id": format!("device-{number}"), "device_type": "web"});
    if let Some(cursor) = cursor {
        data["cursor"] = cursor.into();
    }
    json!({"type": "hello", "data": data}).to_string()
}

#[derive(Default)]
struct Arrived {
    count: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

/// Sockets that listen.
pub struct Crowd {
    arrived: Arc<Arrived>,
    tasks: JoinSet<()>,
}

impl Crowd {
    pub fn listen(sockets: impl IntoIterator<Item = Socket>) -> Self {
        let arrived = Arc::<Arrived>::default();
        let mut tasks = JoinSet::new();
        for mut socket in sockets {
            let arrived = arrived.clone();
            tasks.spawn(async move {
                while let Ok(text) = socket.hear().await {
                    if text.starts_with(MESSAGE) {
                        let count = arrived.count.fetch_add(1, Ordering::AcqRel) + 1;
                        if count == arrived.goal.load(Ordering::Acquire) {
                            arrived.reached.notify_one();
                        }
                    }
                }
            });
        }
        Self { arrived, tasks }
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Does something, and waits until so many messages more have reached everyone.
    pub async fn hear(&self, messages: usize, send: impl Future<Output = Result<()>>) -> Result<()> {
        let goal = self.arrived.count.load(Ordering::Acquire) + (messages * self.len()) as u64;
        self.arrived.goal.store(goal, Ordering::Release);
        send.await?;
        let reached = async {
            while self.arrived.count.load(Ordering::Acquire) < goal {
                self.arrived.reached.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.with_context(|| {
            let count = self.arrived.count.load(Ordering::Acquire);
            format!("{} of {} messages did not arrive", goal.saturating_sub(count), messages * self.len())
        })
    }
}
