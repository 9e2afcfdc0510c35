//! One message to many sockets, as it is usually done: a task and a bounded queue for each socket; and as
//! it can be done with less: one loop over all of them.

use super::{announce, listen, socket_config};
use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

/// Messages that may wait for one socket, and for the loop.
const QUEUE: usize = 256;

type Stream = WebSocketStream<TcpStream>;

/// A task and a queue for each socket.
pub async fn serve_with_tasks() -> Result<()> {
    type Queues = Arc<Mutex<Vec<mpsc::Sender<Message>>>>;

    async fn broadcast(State(queues): State<Queues>, body: Bytes) -> StatusCode {
        let Ok(text) = Utf8Bytes::try_from(body) else { return StatusCode::BAD_REQUEST };
        for queue in queues.lock().iter() {
            if queue.try_send(Message::Text(text.clone())).is_err() {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        StatusCode::OK
    }

    async fn serve_one(mut stream: Stream, mut queue: mpsc::Receiver<Message>) {
        loop {
            tokio::select! {
                message = queue.recv() => {
                    let Some(mut message) = message else { return };
                    loop {
                        if stream.feed(message).await.is_err() {
                            return;
                        }
                        match queue.try_recv() {
                            Ok(next) => message = next,
                            Err(_) => break,
                        }
                    }
                    if stream.flush().await.is_err() {
                        return;
                    }
                }
                heard = stream.next() => {
                    if !matches!(heard, Some(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    let queues = Queues::default();
    let router = Router::new().route("/broadcast", post(broadcast)).with_state(queues.clone());
    serve(router, move |stream| {
        let (sender, queue) = mpsc::channel(QUEUE);
        queues.lock().push(sender);
        tokio::spawn(serve_one(stream, queue));
    })
    .await
}

/// One loop over all sockets.
pub async fn serve_with_a_loop() -> Result<()> {
    type Sinks = Arc<tokio::sync::Mutex<Vec<SplitSink<Stream, Message>>>>;

    async fn broadcast(State(queue): State<mpsc::Sender<Message>>, body: Bytes) -> StatusCode {
        let Ok(text) = Utf8Bytes::try_from(body) else { return StatusCode::BAD_REQUEST };
        match queue.send(Message::Text(text)).await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    async fn run(sinks: Sinks, mut queue: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(QUEUE);
        while queue.recv_many(&mut batch, QUEUE).await > 0 {
            for sink in sinks.lock().await.iter_mut() {
                for message in &batch {
                    // A socket that is gone takes nothing; the others go on.
                    let _ = sink.feed(message.clone()).await;
                }
                let _ = sink.flush().await;
            }
            batch.clear();
        }
    }

    let sinks = Sinks::default();
    let (sender, queue) = mpsc::channel(QUEUE);
    tokio::spawn(run(sinks.clone(), queue));
    let router = Router::new().route("/broadcast", post(broadcast)).with_state(sender);
    serve(router, move |stream| {
        let (sink, mut heard) = stream.split();
        let sinks = sinks.clone();
        tokio::spawn(async move {
            sinks.lock().await.push(sink);
            while let Some(Ok(_)) = heard.next().await {}
        });
    })
    .await
}

/// Takes sockets in at one address and what is to be sent to them at another.
async fn serve(router: Router, take: impl Fn(Stream) + Clone + Send + 'static) -> Result<()> {
    let (sockets, control) = (listen().await?, listen().await?);
    announce(&[&sockets, &control])?;
    tokio::spawn(async move { accept(sockets, take).await });
    Ok(axum::serve(control, router).await?)
}

async fn accept(sockets: TcpListener, take: impl Fn(Stream) + Clone + Send + 'static) {
    while let Ok((stream, _)) = sockets.accept().await {
        let _ = stream.set_nodelay(true);
        let take = take.clone();
        tokio::spawn(async move {
            if let Ok(stream) = accept_async_with_config(stream, Some(socket_config())).await {
                take(stream);
            }
        });
    }
}
