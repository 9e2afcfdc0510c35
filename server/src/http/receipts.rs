//! What became of a message: for its sender.

use super::UserGateway;
use super::envelope::Answer;
use super::extract::{Query, id};
use super::page::window;
use crate::auth::Caller;
use crate::error::Result;
use crate::report::Reports;
use crate::send::permit;
use axum::extract::{Path, State};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::receipt::{ReceiptList, Receipts};
use hongyan_wire::{MessageId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

/// See how far a message has got.
///
/// To how many it went, how many have got and read it, what was pressed. For its sender and administrators, for as
/// long as the log has it.
#[utoipa::path(
    get, path = "/api/v3/messages/{id}/receipts", tag = "sending", params(("id" = String, Path)),
    security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The totals of this moment", body = Success<Receipts>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's that the log still has", body = Failure),
    ),
)]
pub async fn receipts(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Answer<Receipts>> {
    let id: MessageId = id(&path, "message")?;
    let receipts = tokio::task::block_in_place(|| gateway.reports.receipts(&caller, &id))?;
    Ok(Answer::new(receipts))
}

/// Which recipients.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecipientQuery {
    /// The `next` of the page before.
    after: Option<UserId>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
}

impl RecipientQuery {
    /// One page of those whom a message was for. Without a caller anyone's message.
    pub async fn page(
        self,
        reports: &Reports,
        caller: Option<&Caller>,
        id: &MessageId,
    ) -> Result<ReceiptList> {
        let (_, size) = window(None, self.size)?;
        reports.recipients(caller, id, self.after.as_ref(), size as usize).await
    }
}

/// See how far a message has got with each person.
///
/// Takes the permission `receipts:recipients`, or an administrator.
#[utoipa::path(
    get, path = "/api/v3/messages/{id}/receipts/recipients", tag = "sending",
    params(("id" = String, Path), RecipientQuery), security(("service" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "A page of people, by id", body = Success<ReceiptList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The permission is missing", body = Failure),
        (status = 404, description = "None of the caller's that the log still has", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn recipients(
    State(gateway): State<UserGateway>,
    caller: Caller,
    Path(path): Path<String>,
    Query(query): Query<RecipientQuery>,
) -> Result<Answer<ReceiptList>> {
    let id: MessageId = id(&path, "message")?;
    permit::recipients(&caller)?;
    Ok(Answer::new(query.page(&gateway.reports, Some(&caller), &id).await?))
}
