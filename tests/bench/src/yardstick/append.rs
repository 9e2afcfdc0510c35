//! A bare append file with group commit behind a handler: what a durable send cannot do without.

use super::{announce, listen};
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

const WAITING_MAX: usize = 4_096;

struct Shared {
    record: Bytes,
    answer: Bytes,
    appends: mpsc::Sender<(Bytes, oneshot::Sender<bool>)>,
}

pub async fn serve(file: &Path, bytes: usize, answer: usize) -> Result<()> {
    let file = File::options().create(true).append(true).open(file).context("the append file")?;
    let (appends, waiting) = mpsc::channel(WAITING_MAX);
    std::thread::Builder::new().name("writer".into()).spawn(move || write(file, waiting))?;
    let filled = |length| Bytes::from(vec![b'x'; length]);
    let shared = Shared { record: filled(bytes), answer: filled(answer), appends };
    let router = Router::new().route("/api/v3/messages/send", post(send)).with_state(Arc::new(shared));
    let listener = listen().await?;
    announce(&[&listener])?;
    Ok(axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))),
        router,
    )
    .await?)
}

async fn send(State(shared): State<Arc<Shared>>, _body: Bytes) -> impl IntoResponse {
    let (reply, written) = oneshot::channel();
    let sent = shared.appends.send((shared.record.clone(), reply)).await;
    if sent.is_ok() && written.await == Ok(true) {
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], shared.answer.clone())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], Bytes::new())
    }
}

/// Takes all that wait: one write, one flush, then the answers.
fn write(mut file: File, mut waiting: mpsc::Receiver<(Bytes, oneshot::Sender<bool>)>) {
    let mut taken = Vec::new();
    let mut bytes = Vec::new();
    while waiting.blocking_recv_many(&mut taken, WAITING_MAX) > 0 {
        bytes.clear();
        for (record, _) in &taken {
            bytes.extend_from_slice(record);
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data()).is_ok();
        for (_, reply) in taken.drain(..) {
            let _ = reply.send(written);
        }
    }
}
