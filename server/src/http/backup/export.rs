//! One's own messages, told for people and for other programs.

use super::asked::ExportQuery;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::extract::Query;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use hongyan_wire::backup::BackupRequest;
use hongyan_wire::error::Failure;

/// Download one's own messages in a form for people or for other programs: `html` is one page that needs nothing else, `jsonl`
/// has a message a line as `/api/v3/messages` has it. Parts and repeats are as for `/api/v3/backup/database`.
#[utoipa::path(
    get, path = "/api/v3/backup/export", tag = "backup",
    params(
        ExportQuery,
        ("X-Backup-Passphrase" = Option<String>, Header, description = "12 to 1024 characters"),
        ("X-Backup-Recipient" = Option<String>, Header, description = "`age1…`"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The file, always as an attachment; `application/octet-stream` when it is packed", content_type = "application/x-ndjson"),
        (status = 206, description = "The part that was asked for", content_type = "application/x-ndjson"),
        (status = 304, description = "It is the one that is known"),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 409, description = "A part without `If-Range`, and what it would go on with is gone or not known: name it, or begin anew", body = Failure),
        (status = 412, description = "It is not the one that `If-Match` names"),
        (status = 413, description = "It is larger than a person's backups may be together", body = Failure),
        (status = 416, description = "It has no such part"),
        (status = 422, description = "A parameter is not valid", body = Failure),
        (status = 503, description = "Many are being made, or the disk is full; see Retry-After", body = Failure),
    ),
)]
pub async fn export(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    method: Method,
    headers: HeaderMap,
    Query(query): Query<ExportQuery>,
) -> Result<Response> {
    let request = BackupRequest::from(query);
    if !matches!(request.format.as_deref(), Some("jsonl" | "html")) {
        return Err(Error::field("format", "must be jsonl or html"));
    }
    gateway.hand_out(&caller, &method, &headers, request).await
}
