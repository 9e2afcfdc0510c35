//! Backups of one's own inbox: asked for, fetched in one or many parts, listed, linked to, taken away.

mod asked;
mod body;
pub mod export;
pub mod jobs;
pub mod restore;

use super::UserGateway;
use super::envelope::Answer;
use super::extract::{Json, Query};
use super::ranges;
use crate::auth::UserCaller;
use crate::backup::{BackupError, Format, Kept, Sealed, Way};
use crate::directory::Person;
use crate::error::{Error, Result};
use crate::inbox::InboxError;
use asked::BackupQuery;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use hongyan_backup::{Compression, Kind};
use hongyan_wire::api::{Done, Success};
use hongyan_wire::backup::{BackupLink, BackupList, BackupRequest, LinkRequest};
use hongyan_wire::error::{ErrorType, Failure, FieldError};
use hongyan_wire::profile::Scope;
use hongyan_wire::{SessionId, Timestamp, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

/// From where an increment goes on after this backup.
const CURSOR: HeaderName = HeaderName::from_static("x-backup-cursor");
/// What a proxy is told of it.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A page in it is of an origin of its own, without scripts (Content Security Policy, "sandbox").
const NO_PAGE_OF_OURS: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Seconds for which a link is good when nothing is said, and at most.
const LINK_LIFE: u64 = 15 * 60;
const LINK_LIFE_MAX: u64 = 24 * 3_600;

/// Download a backup of one's own messages: one SQLite file, consistent at one moment, that any SQLite program opens; see the
/// view `inbox` in it. A `Range` goes on with the backup that `If-Range` names, and where that is gone the whole of a new one
/// comes; without `If-Range`, with the only one that the same session or token has begun in the same way and not got to its end.
#[utoipa::path(
    get, path = "/api/v3/backup/database", tag = "backup",
    params(
        BackupQuery,
        ("X-Backup-Passphrase" = Option<String>, Header, description = "12 to 1024 characters"),
        ("X-Backup-Recipient" = Option<String>, Header, description = "`age1…`"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The file; `ETag`, `X-Backup-Cursor` and `Content-Disposition` say more of it", content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for", content_type = "application/octet-stream"),
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
pub async fn database(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    method: Method,
    headers: HeaderMap,
    Query(query): Query<BackupQuery>,
) -> Result<Response> {
    gateway.hand_out(&caller, &method, &headers, query.into()).await
}

/// Download the messages alone: `type=messages` of `/api/v3/backup/database`.
#[utoipa::path(
    get, path = "/api/v3/backup/messages", tag = "backup",
    params(
        BackupQuery,
        ("X-Backup-Passphrase" = Option<String>, Header, description = "12 to 1024 characters"),
        ("X-Backup-Recipient" = Option<String>, Header, description = "`age1…`"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for", content_type = "application/octet-stream"),
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
pub async fn messages(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    method: Method,
    headers: HeaderMap,
    Query(query): Query<BackupQuery>,
) -> Result<Response> {
    if query.kind.as_deref().is_some_and(|kind| kind != Kind::Messages.as_str()) {
        return Err(Error::field("type", "must be messages here, or left out"));
    }
    let query = BackupQuery { kind: Some(Kind::Messages.as_str().into()), ..query };
    gateway.hand_out(&caller, &method, &headers, query.into()).await
}

/// List the backups of one's own that can be fetched, newest first.
#[utoipa::path(
    get, path = "/api/v3/backup", tag = "backup", security(("bearer" = [])),
    responses(
        (status = 200, description = "The backups", body = Success<BackupList>),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn list(State(gateway): State<UserGateway>, caller: UserCaller) -> Result<Answer<BackupList>> {
    let backups = gateway.backups.of(caller.id()).map(|kept| kept.shown()).collect();
    Ok(Answer::new(BackupList { backups }))
}

/// Take away a backup before its time.
#[utoipa::path(
    delete, path = "/api/v3/backup/{id}", tag = "backup", params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "It is gone", body = Success<Done>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 404, description = "None of the caller's", body = Failure),
    ),
)]
pub async fn delete(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    Path(id): Path<String>,
) -> Result<Answer<Done>> {
    let removed = tokio::task::block_in_place(|| gateway.backups.shelf().remove(caller.id(), &id));
    match removed.map_err(BackupError::Io)? {
        true => Ok(Answer::new(Done {})),
        false => Err(Error::not_found("backup")),
    }
}

/// Make a backup, or take the one that there is, and get a link to it: for download managers, which send no headers of their
/// own. Whoever has the link can fetch it until it ends.
#[utoipa::path(
    post, path = "/api/v3/backup/links", tag = "backup", request_body = LinkRequest, security(("bearer" = [])),
    params(
        ("X-Backup-Passphrase" = Option<String>, Header, description = "12 to 1024 characters, where the body has none"),
        ("X-Backup-Recipient" = Option<String>, Header, description = "`age1…`, where the body has none"),
    ),
    responses(
        (status = 200, description = "The link", body = Success<BackupLink>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 403, description = "The token may not both read and write", body = Failure),
        (status = 404, description = "There is no such backup", body = Failure),
        (status = 413, description = "It is larger than a person's backups may be together", body = Failure),
        (status = 422, description = "A field is not valid", body = Failure),
        (status = 503, description = "Many are being made, or the disk is full; see Retry-After", body = Failure),
    ),
)]
pub async fn link(
    State(gateway): State<UserGateway>,
    caller: UserCaller,
    headers: HeaderMap,
    body: Json<LinkRequest>,
) -> Result<Answer<BackupLink>> {
    // Whoever has the link reads.
    caller.require(Scope::Read)?;
    let LinkRequest { backup, make, expires_in } = body.value;
    let life = expires_in.unwrap_or(LINK_LIFE);
    if !(1..=LINK_LIFE_MAX).contains(&life) {
        return Err(Error::field("expires_in", "must be 1 to 86400 seconds"));
    }
    let kept = match (backup, make) {
        (Some(id), None) => {
            gateway.backups.get(caller.id(), &id).ok_or_else(|| Error::not_found("backup"))?
        }
        (None, make) => {
            let wanted = gateway.wanted_by(make.unwrap_or_default(), &headers)?;
            gateway.backups.make(caller.id(), wanted, |_| true).await?
        }
        (Some(_), Some(_)) => return Err(Error::field("make", "must be left out where `backup` is named")),
    };
    let now = crate::clock::now();
    // No longer than the session can be, or the token where there is none here.
    let session = caller.claims.session_id.as_ref();
    let stored = session.map(|session| gateway.directory.session(session)).transpose()?.flatten();
    let ends = stored.map_or_else(|| caller.claims.expires_at(), |session| session.expires_at);
    let until = now.plus_millis(life as i64 * 1_000).min(kept.expires_at).min(ends);
    let seconds = until.millis().div_euclid(1_000);
    let by = session.map_or("", SessionId::as_str);
    let person = gateway.directory.person(caller.id())?.ok_or(InboxError::NoUser)?;
    let signature = gateway.auth.sign_link(&gateway.signed(&kept, &person, seconds, by));
    let url = format!(
        "{}/api/v3/backup/files/{}/{}?expires={seconds}&by={by}&signature={signature}",
        gateway.public_url,
        caller.id(),
        kept.id
    );
    Ok(Answer::new(BackupLink {
        url,
        expires_at: Timestamp::from_millis(seconds * 1_000),
        backup: kept.shown(),
    }))
}

/// What makes a link good.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Seconds since 1970.
    expires: i64,
    /// The session in which the link was made: it ends with that.
    by: String,
    signature: String,
}

/// Fetch a backup by a link of `/api/v3/backup/links`. It may be kept by caches until the link ends.
#[utoipa::path(
    get, path = "/api/v3/backup/files/{user}/{id}", tag = "backup",
    params(("user" = String, Path), ("id" = String, Path), FileQuery), security(),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for", content_type = "application/octet-stream"),
        (status = 304, description = "It is the one that is known"),
        (status = 404, description = "The link is none, has ended, or the backup is gone", body = Failure),
        (status = 412, description = "It is not the one that `If-Match` names"),
        (status = 416, description = "It has no such part"),
    ),
)]
pub async fn file(
    State(gateway): State<UserGateway>,
    method: Method,
    headers: HeaderMap,
    Path((user, id)): Path<(String, String)>,
    Query(query): Query<FileQuery>,
) -> Result<Response> {
    let gone = || Error::not_found("file, or the link to it has ended");
    let user = UserId::new(&user).map_err(|_| gone())?;
    let kept = gateway.backups.get(&user, &id).ok_or_else(gone)?;
    let left = query.expires.saturating_sub(crate::clock::now().millis().div_euclid(1_000));
    let person = gateway.directory.person(&user)?.filter(|person| !person.disabled).ok_or_else(gone)?;
    let is_ended = match SessionId::new(&query.by) {
        Ok(session) => gateway.directory.is_revoked(&session)?,
        Err(_) => false,
    };
    let signed = gateway.signed(&kept, &person, query.expires, &query.by);
    if left <= 0 || is_ended || !gateway.auth.is_link(&signed, &query.signature) {
        return Err(gone());
    }
    let cache = format!("public, max-age={left}, immutable, no-transform");
    gateway.serve_kept(&kept, &method, &headers, None, &cache, || {}).await
}

impl UserGateway {
    /// What a link's signature is of: it ends with all of a person's tokens, and where the server is restored.
    fn signed(&self, kept: &Kept, person: &Person, expires: i64, by: &str) -> String {
        let (epoch, since) = (self.journal.log().epoch(), person.tokens_since.millis());
        format!("backup\n{epoch}\n{}\n{}\n{since}\n{expires}\n{by}", kept.user, kept.id)
    }

    async fn hand_out(
        &self,
        caller: &UserCaller,
        method: &Method,
        headers: &HeaderMap,
        request: BackupRequest,
    ) -> Result<Response> {
        let (wanted, coding) = self.wanted(request, headers)?;
        let user = caller.id();
        // A token that others sign may name neither: then nothing tells it from another.
        let by = caller.claims.session_id.as_ref().map_or(&*caller.claims.jti, SessionId::as_str);
        // Who goes on fetching gets the rest of what they have begun with, whatever has come into the inbox since.
        let named = ranges::named_tags(headers).find_map(|tag| self.backups.get(user, tag.trim_matches('"')));
        let goes_on = ranges::goes_on(method, headers);
        let mut file = wanted.asked.clone();
        if coding.is_some() {
            file.compression = Compression::None;
        }
        let way = (!by.is_empty()).then(|| Way { user: user.clone(), by: by.to_owned(), file });
        let kept = match named.filter(|kept| kept.asked == wanted.asked) {
            Some(kept) => kept,
            // Of another, even the whole of it: there are clients that leave out of that what they have, and make one file
            // of two.
            None if let Some(from) = goes_on
                && !headers.contains_key(header::IF_RANGE) =>
            {
                let begun = way.as_ref().and_then(|way| self.backups.to_go_on(way, from));
                begun.filter(|kept| kept.asked == wanted.asked).ok_or_else(not_begun)?
            }
            None => self.backups.make(user, wanted, |_| true).await?,
        };
        const CACHE: &str = "private, no-cache, no-transform";
        let (backups, of, begun) = (self.backups.clone(), kept.clone(), way.clone());
        let sent = move || begun.iter().for_each(|way| backups.sent(way, &of));
        let answer = self.serve_kept(&kept, method, headers, coding, CACHE, sent).await?;
        if let Some(way) = way
            && *method == Method::GET
            && (answer.status() == StatusCode::OK || goes_on.is_none() && answer.status().is_success())
        {
            self.backups.begun(&way, &kept);
        }
        Ok(answer)
    }

    async fn serve_kept(
        &self,
        kept: &Kept,
        method: &Method,
        headers: &HeaderMap,
        coding: Option<&'static str>,
        cache: &str,
        sent: impl FnOnce() + Send + 'static,
    ) -> Result<Response> {
        let file = match tokio::fs::File::open(self.backups.shelf().path(kept)).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::not_found("backup"));
            }
            Err(error) => return Err(BackupError::Io(error).into()),
        };
        // Within a coding it is the file that was coded.
        let name = match coding.and_then(|_| kept.name.rsplit_once('.')) {
            Some((plain, _)) => plain,
            None => kept.name.as_str(),
        };
        let value = |text: String| HeaderValue::from_str(&text).map_err(Error::internal);
        let format = kept.asked.format;
        let is_plain = kept.asked.sealed == Sealed::None
            && (kept.asked.compression == Compression::None || coding.is_some());
        let media_type = if is_plain { format.media_type() } else { Format::Database.media_type() };
        let mut described = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (header::CONTENT_DISPOSITION, value(format!("attachment; filename=\"{name}\""))?),
            (header::CACHE_CONTROL, value(cache.to_owned())?),
            (header::VARY, HeaderValue::from_static("Accept-Encoding, Accept-Language")),
            // Should a browser show it all the same: it is nobody's, runs nothing and fetches nothing.
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE_OF_OURS)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            // How far it has got is known only where no proxy gathers it (nginx, "proxy_buffering").
            (BUFFERING, HeaderValue::from_static("no")),
            (CURSOR, value(kept.cursor())?),
        ];
        described.extend(coding.map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding))));
        ranges::serve(method, headers, file, kept.size, &kept.etag(), described, sent).await
    }
}

/// For who asks for the rest of what is not known.
fn not_begun() -> Error {
    let reason = "needs If-Range with the ETag (the id in quotes) of what you have a part of: that is gone, or it could be another; or begin anew";
    Error {
        details: vec![FieldError::new("Range", reason)],
        ..Error::new(ErrorType::VersionConflict, "the backup that this would go on with is not known")
    }
}
