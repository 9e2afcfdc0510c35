//! The bare SQL of a list and of a count on an open handle, and the answer's bytes as they are.

use super::{announce, listen};
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

/// The prepared answers, beside the databases.
pub const LIST_ANSWER: &str = "list.json";
pub const COUNT_ANSWER: &str = "count.json";

const LIST: &str = "SELECT m.pos, m.id, m.channel_id, m.title, m.content, m.message_type, m.priority, m.sender,
        m.sender_info, m.created_at, m.expire_at, m.metadata, m.attachments, m.actions, s.is_read, s.read_at, s.version
    FROM main.message m LEFT JOIN state.status s ON s.pos = m.pos ORDER BY m.pos DESC LIMIT 20";
const COUNT: &str = "SELECT channel_id, messages FROM main.total
    UNION ALL SELECT channel_id, -messages FROM state.total";

struct Shared {
    inbox: Mutex<Connection>,
    list: Bytes,
    count: Bytes,
}

pub async fn serve(folder: &Path) -> Result<()> {
    let inbox = Connection::open(folder.join("messages.db")).context("the inbox")?;
    let status = folder.join("read_status.db");
    inbox.execute("ATTACH ?1 AS state", [status.to_str().context("the folder's name")?])?;
    for schema in ["main", "state"] {
        inbox.pragma_update(Some(schema), "journal_mode", "WAL")?;
        inbox.pragma_update(Some(schema), "synchronous", "NORMAL")?;
    }
    let answer = |name| anyhow::Ok(Bytes::from(std::fs::read(folder.join(name)).context("an answer")?));
    let shared =
        Shared { inbox: Mutex::new(inbox), list: answer(LIST_ANSWER)?, count: answer(COUNT_ANSWER)? };
    let router = Router::new()
        .route("/api/v3/messages", get(list))
        .route("/api/v3/messages/unread-count", get(count))
        .with_state(Arc::new(shared));
    let listener = listen().await?;
    announce(&[&listener])?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

async fn list(State(shared): State<Arc<Shared>>) -> Response {
    answer(run(&shared.inbox, LIST), &shared.list)
}

async fn count(State(shared): State<Arc<Shared>>) -> Response {
    answer(run(&shared.inbox, COUNT), &shared.count)
}

/// Reads every column of every row; gives how many rows there were.
fn run(inbox: &Mutex<Connection>, sql: &str) -> rusqlite::Result<usize> {
    let inbox = inbox.lock();
    let mut statement = inbox.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            std::hint::black_box(row.get_ref(column)?);
        }
        read += 1;
    }
    Ok(read)
}

fn answer(read: rusqlite::Result<usize>, bytes: &Bytes) -> Response {
    match read {
        Ok(1..) => ([(header::CONTENT_TYPE, "application/json")], bytes.clone()).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
