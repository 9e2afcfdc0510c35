//! Backups of the whole server.

use super::meta;
use crate::directory::Window;
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, Query};
use crate::http::page::window;
use axum::extract::{Path, State};
use axum::response::Response;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::error::Failure;
use hongyan_wire::sets::{BackupSet, BackupSetList, MakingAnswer, VerifyAnswer};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of backups.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SetQuery {
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
}

/// List the backups of the whole server, newest first, and say whether one is being made.
#[utoipa::path(
    get, path = "/admin/api/v3/backups", tag = "backups", params(SetQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page", body = Success<BackupSetList>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
    ),
)]
pub async fn list(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Query(query): Query<SetQuery>,
) -> Result<Answer<BackupSetList>> {
    let (page, size) = window(query.page, query.size)?;
    let window = Window { page, size, q: None };
    let all = tokio::task::block_in_place(|| gateway.sets.list())?;
    let total = all.len() as u64;
    let before = (page as usize - 1).saturating_mul(size as usize);
    let backups = all.into_iter().skip(before).take(size as usize).collect();
    let (making, failed) = (gateway.sets.making(), gateway.sets.failed());
    Ok(Answer { meta: meta(&window, total), data: BackupSetList { backups, total, making, failed } })
}

/// Make a backup of the whole server now. It is there under its id once it is made.
#[utoipa::path(
    post, path = "/admin/api/v3/backups", tag = "backups", security(("bearer" = [])),
    responses(
        (status = 202, description = "It is being made", body = Success<MakingAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "One is being made already", body = Failure),
    ),
)]
pub async fn create(State(gateway): State<AdminGateway>, caller: AdminCaller) -> Result<Response> {
    let id = tokio::task::block_in_place(|| gateway.sets.ask(caller.name()))?;
    Ok(Answer::new(MakingAnswer { id, state: "making".into() }).accepted())
}

/// See one backup of the whole server.
#[utoipa::path(
    get, path = "/admin/api/v3/backups/{id}", tag = "backups", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "What is in it", body = Success<BackupSet>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that is made", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(id): Path<String>,
) -> Result<Answer<BackupSet>> {
    Ok(Answer::new(tokio::task::block_in_place(|| gateway.sets.get(&id))?))
}

/// Look through every file of a backup. It takes as long as reading and unpacking all of it.
#[utoipa::path(
    post, path = "/admin/api/v3/backups/{id}/verify", tag = "backups", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Whether it is whole, and all that is wrong with it", body = Success<VerifyAnswer>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that is made", body = Failure),
        (status = 503, description = "Another one is being looked through", body = Failure),
    ),
)]
pub async fn verify(
    State(gateway): State<AdminGateway>,
    _caller: AdminCaller,
    Path(id): Path<String>,
) -> Result<Answer<VerifyAnswer>> {
    match gateway.sets.verify(&id).await? {
        Some(problems) => Ok(Answer::new(VerifyAnswer { ok: problems.is_empty(), problems })),
        None => Err(Error::overloaded("another backup is being looked through")),
    }
}

/// Delete a backup.
#[utoipa::path(
    delete, path = "/admin/api/v3/backups/{id}", tag = "backups", params(("id" = String, Path)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None that is made", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    Path(id): Path<String>,
) -> Result<Answer<Done>> {
    gateway.sets.remove(caller.name(), &id).await?;
    Ok(Answer::new(Done {}))
}
