//! What was sent, and what became of it.

use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query, id};
use crate::http::page::{search, window};
use crate::http::receipts::RecipientQuery;
use crate::report::DeliveryFilter;
use axum::extract::{Path, State};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::receipt::{Delivery, DeliveryList, ReceiptList, Stats, StatsStep};
use hongyan_wire::{MessageId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Whose: `service:<id>`, `user:<id>` or `system`.
    sent_by: Option<String>,
    message_type: Option<String>,
    /// Sent at this moment or later.
    since: Option<Timestamp>,
    /// Sent before this moment.
    until: Option<Timestamp>,
    /// Text in the title; at most 200 characters.
    q: Option<String>,
    /// The `next` of the page before.
    before: Option<u64>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
}

/// List what was sent, the newest first, for as long as the log has it.
///
/// Where few are found among many, a page may be short, or empty, and still have a `next`.
#[utoipa::path(
    get, path = "/admin/api/v3/deliveries", tag = "deliveries", params(DeliveryQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<DeliveryList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<DeliveryQuery>,
) -> Result<Answer<DeliveryList>> {
    let (_, size) = window(None, query.size)?;
    if let Some(by) = &query.sent_by
        && !by.starts_with("service:")
        && !by.starts_with("user:")
        && by != "system"
    {
        return Err(Error::field("sent_by", "must be service:<id>, user:<id> or system"));
    }
    let filter = DeliveryFilter {
        sent_by: query.sent_by,
        message_type: query.message_type,
        announcements: false,
        since: query.since,
        until: query.until,
        q: search(query.q)?.map(|q| q.to_lowercase()),
    };
    let list =
        tokio::task::block_in_place(|| gateway.reports.deliveries(&filter, query.before, size as usize))?;
    Ok(Answer::new(list))
}

/// See what became of one message.
#[utoipa::path(
    get, path = "/admin/api/v3/deliveries/{id}", tag = "deliveries", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The message and its totals", body = Success<Delivery>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that the log still has", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
) -> Result<Answer<Delivery>> {
    let id: MessageId = id(&path, "message")?;
    Ok(Answer::new(tokio::task::block_in_place(|| gateway.reports.delivery(&id))?))
}

/// See how far one message has got with each person.
#[utoipa::path(
    get, path = "/admin/api/v3/deliveries/{id}/recipients", tag = "deliveries",
    params(("id" = String, Path), RecipientQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of people, by id", body = Success<ReceiptList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that the log still has", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn recipients(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(path): Path<String>,
    Query(query): Query<RecipientQuery>,
) -> Result<Answer<ReceiptList>> {
    let id: MessageId = id(&path, "message")?;
    Ok(Answer::new(query.page(&gateway.reports, None, &id).await?))
}

/// Which part of the series.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// 24 hours, or 30 days, before `to` when left out.
    from: Option<Timestamp>,
    /// Now when left out. Steps that it falls into are given whole.
    to: Option<Timestamp>,
    /// `hour` when left out.
    step: Option<StatsStep>,
}

/// Series for charts: what was sent, read, pressed, taken back, and who signed in.
#[utoipa::path(
    get, path = "/admin/api/v3/stats", tag = "deliveries", params(StatsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "One point a step, without a gap; at most 1,000", body = Success<Stats>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn stats(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<StatsQuery>,
) -> Result<Answer<Stats>> {
    const HOUR: i64 = 3_600_000;
    let step = query.step.unwrap_or_default();
    let to = query.to.unwrap_or_else(crate::clock::now);
    let back = match step {
        StatsStep::Hour => 23 * HOUR,
        StatsStep::Day => 29 * 24 * HOUR,
    };
    let from = query.from.unwrap_or_else(|| to.plus_millis(-back));
    Ok(Answer::new(tokio::task::block_in_place(|| gateway.reports.stats(from, to, step))?))
}
