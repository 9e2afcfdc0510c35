//! Backups in the background: asked for, looked at, given up. How they get on comes over the socket.

use crate::auth::UserCaller;
use crate::backup::BackupError;
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hongyan_wire::api::{Done, Success};
use hongyan_wire::backup::{BackupJob, BackupJobList, BackupRequest};
use hongyan_wire::error::Failure;
use hongyan_wire::profile::Scope;

/// Have a backup made in the background, also if it takes long, and however often the server is restarted meanwhile. The socket
/// tells how it gets on with frames `{"type":"backup_job","data":…}` that hold the job: at each change of its state, and while it
/// is made at most twice a second. A passphrase is never kept: with one, a job fails when the server is restarted.
#[utoipa::path(
    post, path = "/api/v3/backup/jobs", tag = "backup", request_body = BackupRequest, security(("bearer" = [])),
    params(
        ("X-Backup-Passphrase" = Option<String>, Header, description = "12 to 1024 characters, where the body has none"),
        ("X-Backup-Recipient" = Option<String>, Header, description = "`age1…`, where the body has none"),
    ),
    responses(
        (status = 202, description = "The job", body = Success<BackupJob>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The token may not both read and write", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
        (status = 429, description = "Four of the caller's have not ended yet; see Retry-After", body = Failure),
        (status = 503, description = "Many are being made, or the disk is full; see Retry-After", body = Failure),
    ),
)]
pub async fn create(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    headers: HeaderMap,
    body: Json<BackupRequest>,
) -> Result<Response> {
    // What it leads to is read.
    caller.require(Scope::Read)?;
    let wanted = gateway.wanted_by(body.value, &headers)?;
    let job = tokio::task::block_in_place(|| gateway.jobs.create(caller.id(), wanted))?;
    Ok(Answer::new(job).accepted())
}

/// List the backups of one's own in the background, newest first: those that wait or are made, and those that have ended, at
/// most 32, as long as backups are kept.
#[utoipa::path(
    get, path = "/api/v3/backup/jobs", tag = "backup", security(("bearer" = [])),
    responses(
        (status = 200, description = "The jobs", body = Success<BackupJobList>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn list(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<BackupJobList>> {
    Ok(Answer::new(BackupJobList { jobs: gateway.jobs.of(caller.id()) }))
}

/// Look at one.
#[utoipa::path(
    get, path = "/api/v3/backup/jobs/{id}", tag = "backup", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "The job", body = Success<BackupJob>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's", body = Failure),
    ),
)]
pub async fn get(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(id): Path<String>,
) -> Result<Answer<BackupJob>> {
    gateway.jobs.get(caller.id(), &id).map(Answer::new).ok_or_else(|| Error::not_found("job"))
}

/// Cancel one that waits or is being made, which leaves no file; or take one that has ended off the list. A backup that was made
/// stays.
#[utoipa::path(
    delete, path = "/api/v3/backup/jobs/{id}", tag = "backup", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is cancelled, or off the list", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(id): Path<String>,
) -> Result<Answer<Done>> {
    let removed = tokio::task::block_in_place(|| gateway.jobs.remove(caller.id(), &id));
    match removed.map_err(BackupError::Io)? {
        true => Ok(Answer::new(Done {})),
        false => Err(Error::not_found("job")),
    }
}
