//! Putting a backup back into one's own inbox.

use super::asked::{PASSPHRASE, given};
use super::body::{Arriving, Held};
use crate::auth::UserCaller;
use crate::backup::Incoming;
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{BODY_PATIENCE, BodyRules, Query};
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hongyan_backup::Identity;
use hongyan_wire::api::Success;
use hongyan_wire::backup::{RestoreAnswer, RestoreFault};
use hongyan_wire::error::{ErrorType, Failure, FieldError};
use serde::Deserialize;
use std::fmt::Display;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::timeout;
use utoipa::IntoParams;

/// The key of an encrypted backup, `AGE-SECRET-KEY-1…`: it is used and forgotten.
const IDENTITY: HeaderName = HeaderName::from_static("x-backup-identity");
/// How long a backup may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(2 * 3_600);
/// Longest passphrase or key in a form, in bytes.
const KEY_MAX: usize = 4_096;
/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;

/// Into what it is put.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RestoreQuery {
    /// `merge`: what is missing is added. `empty`: refused unless the inbox has no messages. `merge` when left out.
    into: Option<String>,
}

/// Put a backup back: a full one, or one and its increments, packed or not, as the body or as a form with a file each. What is
/// missing is added, under the ids that it had; of two read states the later one counts; what was taken back or has expired
/// stays away. Then every device of the person begins anew by itself. It takes someone who has signed in within ten minutes.
#[utoipa::path(
    post, path = "/api/v3/backup/restore", tag = "backup",
    params(
        RestoreQuery,
        ("X-Backup-Passphrase" = Option<String>, Header, description = "Of an encrypted backup"),
        ("X-Backup-Identity" = Option<String>, Header, description = "Of an encrypted backup: `AGE-SECRET-KEY-1…`"),
    ),
    request_body(
        content(
            (Vec<u8> = "application/octet-stream"),
            (Vec<u8> = "multipart/form-data"),
        ),
        description = "One backup; or a form with a full one and increments, in any order, and `passphrase` or `identity` beside them",
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is there, for good", body = Success<RestoreAnswer>),
        (status = 400, description = "The body broke off, or fewer than 8 KiB a second came of it", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "`recent_sign_in_required`", body = Failure),
        (status = 409, description = "`into=empty`, and the inbox has messages", body = Failure),
        (status = 413, description = "It is larger than a person's backups may be together, or sixteen times that once it is unpacked; or it has more than 400 files, 32 of them encrypted to a passphrase", body = Failure),
        (status = 422, description = "It is no backup, damaged, newer, of another person, locked, or does not join (`details[].code` says which, in a word): nothing was changed", body = Failure),
        (status = 429, description = "One is being put back already", body = Failure),
        (status = 503, description = "Many are being put back, a set of the whole server is being made (what has arrived waits for it), or the disk is full; see Retry-After", body = Failure),
    ),
)]
pub async fn restore(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Query(query): Query<RestoreQuery>,
    request: Request,
) -> Result<Answer<RestoreAnswer>> {
    gateway.auth.require_recent(&caller)?;
    let into_empty = match query.into.as_deref() {
        None | Some("merge") => false,
        Some("empty") => true,
        Some(_) => return Err(Error::field("into", "must be merge or empty")),
    };
    let mut keys = Keys::of(request.headers())?;
    let mut incoming = tokio::task::block_in_place(|| gateway.backups.receive(caller.id()))?;
    let arriving = arrive(request, &mut incoming, &mut keys);
    let late = |_| broken("it took more than two hours");
    let arrived = timeout(ARRIVAL_MAX, arriving).await.map_err(late).and_then(|arrived| arrived);
    // It may have taken its time.
    let taken = arrived.and_then(|()| gateway.still(caller.claims.clone())).and_then(|()| keys.identity());
    let identity = match taken {
        Ok(identity) => identity,
        Err(error) => {
            tokio::task::spawn_blocking(move || incoming.give_up()).await.map_err(Error::internal)?;
            return Err(error);
        }
    };
    let (hub, user) = (gateway.hub.clone(), caller.id().clone());
    let tell = move || hub.tell_updates(&user, None, &[], false);
    let (asked, claims) = (gateway.clone(), caller.claims.clone());
    let is_meant = move || asked.still(claims).is_ok();
    let done = incoming.restore(identity, into_empty, gateway.message_bytes, is_meant, tell).await?;
    let crate::inbox::Restoring { restored, known, gone, states } = done;
    Ok(Answer::new(RestoreAnswer { restored, known, gone, states }))
}

fn broken(reason: impl Display) -> Error {
    Error::new(ErrorType::MalformedRequest, format!("the body cannot be read: {reason}"))
}

/// The same, for what a reader says: the first cause of it.
fn unread(error: impl std::error::Error + 'static) -> Error {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(before) = cause.source() {
        cause = before;
    }
    broken(cause)
}

/// What may open it.
#[derive(Default)]
struct Keys {
    passphrase: Option<String>,
    identity: Option<String>,
}

impl Keys {
    fn of(headers: &HeaderMap) -> Result<Self> {
        Ok(Self { passphrase: given(headers, &PASSPHRASE)?, identity: given(headers, &IDENTITY)? })
    }

    fn identity(self) -> Result<Identity> {
        match (self.passphrase, self.identity) {
            (None, None) => Ok(Identity::None),
            (Some(passphrase), None) => Ok(Identity::of_passphrase(&passphrase)),
            (None, Some(key)) => {
                // As age-keygen writes it, with lines about it.
                let mut lines = key.lines().map(str::trim);
                let key = lines.find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
                Identity::of_key(key).ok_or_else(|| {
                    let wrong = FieldError::new("identity", "must be an AGE-SECRET-KEY-1…");
                    Error::invalid(vec![FieldError { code: Some(RestoreFault::WrongKey), ..wrong }])
                })
            }
            (Some(_), Some(_)) => {
                Err(Error::field("identity", "must be left out where a passphrase is given"))
            }
        }
    }
}

/// Takes in the body: each file of a form, and what opens them, or all of it as one.
async fn arrive(request: Request, incoming: &mut Incoming, keys: &mut Keys) -> Result<()> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"));
    if !is_form {
        let body = Arriving::whole(request.into_body().into_data_stream());
        return take(body, incoming, &Held::default()).await;
    }
    let held = Held::default();
    let mut request =
        request.map(|body| Body::from_stream(Arriving::form(body.into_data_stream(), held.clone())));
    // What arrives is counted as it does.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(unread)?;
    let late = |_| broken("nothing came for 30 seconds");
    while let Some(part) = timeout(BODY_PATIENCE, form.next_field()).await.map_err(late)?.map_err(unread)? {
        let name = part.name().unwrap_or_default().to_owned();
        let key = match name.as_str() {
            "passphrase" => &mut keys.passphrase,
            "identity" => &mut keys.identity,
            _ if part.file_name().is_some() => {
                take(part, incoming, &held).await?;
                continue;
            }
            _ => return Err(Error::field(name, "must be a file, passphrase or identity")),
        };
        if key.is_some() {
            return Err(Error::field(name, "is given already"));
        }
        *key = Some(short_text(part, &name, &held).await?);
    }
    Ok(())
}

async fn short_text(mut part: Field<'_>, name: &str, held: &Held) -> Result<String> {
    let mut bytes = Vec::new();
    let late = |_| broken("nothing came for 30 seconds");
    while let Some(more) = timeout(BODY_PATIENCE, part.chunk()).await.map_err(late)?.map_err(unread)? {
        held.given(more.len());
        bytes.extend_from_slice(&more);
        if bytes.len() > KEY_MAX {
            return Err(Error::field(name, "must have at most 4096 bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::field(name, "must be text in UTF-8"))
}

async fn take<E: std::error::Error + 'static>(
    parts: impl Stream<Item = Result<Bytes, E>>,
    incoming: &mut Incoming,
    held: &Held,
) -> Result<()> {
    let mut parts = std::pin::pin!(parts);
    let file = tokio::task::block_in_place(|| incoming.file())?;
    let mut file = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
    let failed = |error| Error::from(crate::backup::BackupError::Io(error));
    let late = |_| broken("nothing came for 30 seconds");
    while let Some(part) = timeout(BODY_PATIENCE, parts.next()).await.map_err(late)? {
        let part = part.map_err(unread)?;
        held.given(part.len());
        incoming.arrived(part.len())?;
        file.write_all(&part).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}
