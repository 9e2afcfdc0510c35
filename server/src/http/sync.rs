//! `GET /api/v3/sync`.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::Query;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use axum::extract::State;
use hongyan_wire::api::{Success, SyncAnswer};
use hongyan_wire::cursor::Cursor;
use hongyan_wire::error::Failure;
use hongyan_wire::limits::{SYNC_LIMIT_DEFAULT, SYNC_LIMIT_MAX};
use serde::Deserialize;
use utoipa::IntoParams;

/// Positions and versions are SQLite integers.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// From where, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SyncQuery {
    /// Empty or left out: from the beginning.
    #[serde(default)]
    cursor: String,
    /// The highest `pos` received over the socket since the cursor; only allowed with `cursor`.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_806_i64)]
    pos: Option<u64>,
    /// The highest `version` received over the socket since the cursor; only allowed with `cursor`.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_806_i64)]
    version: Option<u64>,
    /// 1 to 500; 100 when left out.
    limit: Option<u32>,
}

/// Get the changes after a cursor, in order.
#[utoipa::path(
    get, path = "/api/v3/sync", tag = "reading", params(SyncQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "The changes, and where to go on", body = Success<SyncAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn sync(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Query(query): Query<SyncQuery>,
) -> Result<Answer<SyncAnswer>> {
    let limit = query.limit.unwrap_or(SYNC_LIMIT_DEFAULT);
    if !(1..=SYNC_LIMIT_MAX).contains(&limit) {
        return Err(Error::field("limit", "must be from 1 to 500"));
    }
    let Some(from) = start(&query)? else { return Ok(Answer::new(reset())) };
    let read = gateway.inboxes.access(caller.id(), move |inbox| {
        let epoch = inbox.epoch();
        let from = from.unwrap_or(Cursor { epoch, pos: 0, version: 0 });
        let changes = inbox.knows(from).then(|| inbox.changes(from.pos, from.version, limit as usize));
        Ok(changes.transpose()?.map(|changes| (epoch, changes)))
    });
    let read = read.await?;
    if let Some((_, changes)) = &read {
        gateway.reports.ledger.reached(caller.id(), changes.pos);
    }
    let answer = match read {
        Some((epoch, changes)) => SyncAnswer {
            changes: changes.changes,
            next_cursor: Cursor { epoch, pos: changes.pos, version: changes.version }.to_string(),
            has_more: changes.has_more,
            server_time: crate::clock::now(),
            reset: false,
        },
        None => reset(),
    };
    Ok(Answer::new(answer))
}

/// Where the changes begin: `None` when the cursor is not one of a server like this, `Some(None)` at the beginning.
fn start(query: &SyncQuery) -> Result<Option<Option<Cursor>>> {
    for (name, value) in [("pos", query.pos), ("version", query.version)] {
        match value {
            Some(_) if query.cursor.is_empty() => {
                return Err(Error::field(name, "is only allowed with `cursor`"));
            }
            Some(NUMBER_MAX..) => return Err(Error::field(name, format!("must be less than {NUMBER_MAX}"))),
            Some(_) | None => {}
        }
    }
    if query.cursor.is_empty() {
        return Ok(Some(None));
    }
    let cursor = query.cursor.parse::<Cursor>().ok();
    Ok(cursor.map(|cursor| Some(cursor.advanced(query.pos, query.version))))
}

/// The cursor is of no use: start over with an empty one.
fn reset() -> SyncAnswer {
    SyncAnswer {
        changes: Vec::new(),
        next_cursor: String::new(),
        has_more: true,
        server_time: crate::clock::now(),
        reset: true,
    }
}
