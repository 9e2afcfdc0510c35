//! The REST calls, and the tokens that they are made with.
//!
//! What always holds: the access token is only in memory, tokens are renewed once for all calls that find them too old,
//! and by one window at a time. Should two do it in the same moment all the same, the server answers both alike.

use crate::engine::request::{Answer, Failed, Request};
use crate::platform::{Body, Call, Method, NoReply, Platform, Reply, Session};
use futures_util::lock::Mutex;
use hongyan_wire::account::{LoginRequest, RefreshRequest, TicketAnswer, TokenAnswer};
use hongyan_wire::api::{Done, MessageList, Meta, ReadRequest, Success};
use hongyan_wire::backup::{BackupJob, BackupJobList, BackupRequest};
use hongyan_wire::channel::ChannelList;
use hongyan_wire::error::{ErrorType, Failure};
use hongyan_wire::limits::SYNC_LIMIT_MAX;
use hongyan_wire::message::{Message, PressAnswer};
use hongyan_wire::profile::Profile;
use hongyan_wire::{MessageId, SessionId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};

/// Why a call has failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    #[error("the server cannot be reached")]
    Unreachable { retry_after_ms: Option<i64> },
    #[error("{0:?}")]
    Refused(ErrorType),
    /// Not an answer of this server.
    #[error("unexpected answer, status {0}")]
    Unexpected(u16),
}

impl From<NoReply> for ApiError {
    fn from(_: NoReply) -> Self {
        Self::Unreachable { retry_after_ms: None }
    }
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Unreachable { retry_after_ms } => Self::Unreachable { retry_after_ms },
            ApiError::Refused(ErrorType::Unauthenticated) => Self::Unauthenticated,
            ApiError::Refused(_) => Self::Refused,
            // A proxy's page, or half an answer: the server itself may answer another time.
            ApiError::Unexpected(_) => Self::Unreachable { retry_after_ms: None },
        }
    }
}

const JOBS: &str = "/api/v3/backup/jobs";

pub struct Api<P> {
    platform: P,
    access: RefCell<Option<String>>,
    profile: RefCell<Option<Profile>>,
    /// The session of the access token.
    session: RefCell<Option<SessionId>>,
    /// Held while tokens are renewed.
    renewing: Mutex<()>,
    /// How often someone has left: what was asked before is not theirs who come after.
    departures: Cell<u64>,
}

impl<P: Platform> Api<P> {
    pub fn new(platform: P) -> Self {
        Self {
            platform,
            access: RefCell::default(),
            profile: RefCell::default(),
            session: RefCell::default(),
            renewing: Mutex::new(()),
            departures: Cell::default(),
        }
    }

    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Goes on with the session that was left, if there is one; false when nobody is signed in.
    pub async fn resume(&self) -> bool {
        if let Some(left) = self.platform.leaving() {
            return self.come_after(&left).await;
        }
        // Not reached, the server is asked again by whoever needs it.
        self.refresh(self.access()).await != Err(Failed::Unauthenticated)
    }

    /// Goes on where somebody has signed out and the server has not heard of it: only with another session, which they, or
    /// someone else, have come back with since.
    async fn come_after(&self, left: &str) -> bool {
        match self.refresh(None).await {
            Ok(())
                if left.is_empty()
                    || self.session.borrow().as_ref().is_some_and(|id| id.as_str() == left) =>
            {
                self.leave().await;
                false
            }
            Ok(()) => {
                self.platform.keep_leaving(None);
                true
            }
            Err(Failed::Unauthenticated) => {
                self.platform.keep_leaving(None);
                false
            }
            Err(_) => {
                self.forget();
                false
            }
        }
    }

    /// Whether there may be a session to go on with.
    pub fn has_session(&self) -> bool {
        self.platform.session() != Session::None
    }

    /// Who is signed in, once the server has said so.
    pub fn profile(&self) -> Option<Profile> {
        self.profile.borrow().clone()
    }

    /// Signs in with a password, and with the second factor where it was asked for.
    pub async fn login(&self, request: LoginRequest) -> Result<(), ApiError> {
        let request = LoginRequest { cookie: self.platform.has_cookies(), ..request };
        self.sign_in("/api/v3/auth/local/login", &request).await
    }

    /// Signs in by any call that ends in tokens.
    pub async fn sign_in(&self, path: &str, request: &impl Serialize) -> Result<(), ApiError> {
        let (answer, _) = self.post(path, None, request).await?;
        // The session before is over, by the server too.
        self.platform.keep_leaving(None);
        self.keep(answer);
        Ok(())
    }

    /// Forgets the session here, at once; what is left to do is to tell the server.
    pub fn leave(&self) -> impl Future<Output = ()> + '_ {
        let (bearer, session) = (self.access(), self.platform.session());
        if session == Session::Cookie {
            // No script can take the cookie away.
            let id = self.session.borrow();
            self.platform.keep_leaving(Some(id.as_ref().map_or("", SessionId::as_str)));
        }
        self.forget();
        async move {
            if bearer.is_some() || session == Session::Cookie {
                self.tell_left(bearer).await;
            }
        }
    }

    /// Tells the server that somebody has signed out. Not heard, it is told before anyone goes on here.
    async fn tell_left(&self, bearer: Option<String>) {
        let (path, body) = ("/api/v3/auth/logout".to_owned(), Some(Body::Json("{}".to_owned())));
        let told = self.platform.call(Call { method: Method::Post, path, bearer, body }).await;
        // 401: it is over already.
        if told.is_ok_and(|reply| matches!(reply.status, 200 | 401)) {
            self.platform.keep_leaving(None);
        }
    }

    /// Forgets the session here; the server is told by someone else.
    pub fn forget(&self) {
        self.departures.set(self.departures.get().wrapping_add(1));
        self.platform.keep_session(&Session::None);
        self.access.borrow_mut().take();
        self.profile.borrow_mut().take();
        self.session.borrow_mut().take();
    }

    /// Calls without saying who calls.
    pub async fn call_open<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        Ok(self.exchange(method, path, None, body).await?.0)
    }

    /// Calls for the person, with a newer token where the one at hand is too old or there is none yet.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        let access = self.access();
        let first = match access.clone() {
            Some(access) => self.exchange(method, path, Some(access), body.clone()).await,
            None => Err(ApiError::Refused(ErrorType::Unauthenticated)),
        };
        match first {
            Err(ApiError::Refused(ErrorType::Unauthenticated)) => {
                let _ = self.refresh(access).await;
                Ok(self.exchange(method, path, Some(self.access_or_fail()?), body).await?.0)
            }
            got => Ok(got?.0),
        }
    }

    pub async fn channels(&self) -> Result<ChannelList, ApiError> {
        Ok(self.get("/api/v3/channels").await?.0)
    }

    /// Calls for the person with the token at hand: where a wrong password is refused as a bad token is.
    pub async fn call_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        Ok(self.exchange(method, path, Some(self.access_or_fail()?), body).await?.0)
    }

    /// One page of the list, by its query.
    pub async fn list(&self, query: &str) -> Result<MessageList, ApiError> {
        self.call(Method::Get, &format!("/api/v3/messages?{query}"), None).await
    }

    /// Has a backup made in the background.
    pub async fn create_job(&self, request: &BackupRequest) -> Result<BackupJob, ApiError> {
        self.call(Method::Post, JOBS, Some(json(request)?)).await
    }

    /// The person's backups in the background, newest first.
    pub async fn jobs(&self) -> Result<BackupJobList, ApiError> {
        self.call(Method::Get, JOBS, None).await
    }

    /// One of them.
    pub async fn job(&self, id: &str) -> Result<BackupJob, ApiError> {
        self.call(Method::Get, &format!("{JOBS}/{id}"), None).await
    }

    /// Cancels what waits or is being made, and takes away what has ended.
    pub async fn cancel_job(&self, id: &str) -> Result<Done, ApiError> {
        self.call(Method::Delete, &format!("{JOBS}/{id}"), None).await
    }

    /// One message.
    pub async fn message(&self, id: &MessageId) -> Result<Message, ApiError> {
        self.call(Method::Get, &format!("/api/v3/messages/{id}"), None).await
    }

    /// Presses an action of a message; gives what counts now, which may be another answer.
    pub async fn press(&self, id: &MessageId, action: &str) -> Result<PressAnswer, ApiError> {
        let path = format!("/api/v3/messages/{id}/actions/{action}");
        Ok(self.post(&path, self.access(), &serde_json::json!({})).await?.0)
    }

    /// Does what the engine asks for.
    pub async fn perform(&self, request: Request) -> Result<Answer, Failed> {
        Ok(match request {
            Request::Page { page, size } => {
                let (list, meta) = self.get(&format!("/api/v3/messages?page={page}&size={size}")).await?;
                Answer::Page { list, cursor: meta.cursor }
            }
            Request::Sync { cursor } => Answer::Sync(
                self.get(&format!("/api/v3/sync?cursor={cursor}&limit={SYNC_LIMIT_MAX}")).await?.0,
            ),
            Request::Mark { id, is_read } => {
                let body = ReadRequest { is_read: Some(is_read), if_version: None };
                Answer::Marked(
                    self.post(&format!("/api/v3/messages/{id}/read"), self.access(), &body).await?.0,
                )
            }
            Request::MarkMany(body) => {
                Answer::MarkedMany(self.post("/api/v3/messages/read-batch", self.access(), &body).await?.0)
            }
            Request::UnreadCount => {
                let (counts, meta) = self.get("/api/v3/messages/unread-count").await?;
                Answer::UnreadCount { counts, cursor: meta.cursor }
            }
            Request::Ticket => {
                let answer: (TicketAnswer, Meta) = self
                    .exchange(Method::Post, "/api/v3/auth/ws-ticket", Some(self.access_or_fail()?), None)
                    .await?;
                Answer::Ticket(answer.0.ticket)
            }
            Request::Refresh => {
                self.refresh(self.access()).await?;
                Answer::Refreshed
            }
        })
    }

    /// New tokens, for the session that is there now, in place of the one that was refused; if another call has not
    /// brought them meanwhile.
    async fn refresh(&self, refused: Option<String>) -> Result<(), Failed> {
        let _renewing = self.renewing.lock().await;
        if self.access().is_some_and(|access| refused != Some(access)) {
            return Ok(());
        }
        self.platform.alone(self.refresh_alone()).await
    }

    async fn refresh_alone(&self) -> Result<(), Failed> {
        let refresh_token = match self.platform.session() {
            Session::None => None,
            Session::Cookie => Some(None),
            Session::Token(token) => Some(Some(token)),
        };
        let Some(refresh_token) = refresh_token else {
            self.forget();
            return Err(Failed::Unauthenticated);
        };
        let request = RefreshRequest { refresh_token };
        let departures = self.departures.get();
        match self.post::<TokenAnswer>("/api/v3/auth/refresh", None, &request).await {
            // Somebody has signed out meanwhile.
            Ok(_) if self.departures.get() != departures => Err(Failed::Unauthenticated),
            Ok((answer, _)) => {
                let before = self.profile.borrow().as_ref().map(|profile| profile.id.clone());
                let same = before.is_none_or(|before: UserId| before == answer.user.id);
                self.keep(answer);
                // Another person has signed in, in another window: nothing here is theirs.
                if same { Ok(()) } else { Err(Failed::Unauthenticated) }
            }
            Err(ApiError::Refused(_)) => {
                self.forget();
                Err(Failed::Unauthenticated)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&self, answer: TokenAnswer) {
        self.platform.keep_session(&answer.refresh_token.map_or(Session::Cookie, Session::Token));
        *self.access.borrow_mut() = Some(answer.access_token);
        *self.session.borrow_mut() = Some(answer.session_id);
        *self.profile.borrow_mut() = Some(answer.user);
    }

    /// The person has changed what is said of them.
    pub fn keep_profile(&self, profile: Profile) {
        *self.profile.borrow_mut() = Some(profile);
    }

    /// The token at hand, for what does not go over [`Self::call`].
    pub fn bearer(&self) -> Option<String> {
        self.access()
    }

    fn access(&self) -> Option<String> {
        self.access.borrow().clone()
    }

    fn access_or_fail(&self) -> Result<String, ApiError> {
        // The engine answers this with a refresh, which is how a kept session goes on.
        self.access().ok_or(ApiError::Refused(ErrorType::Unauthenticated))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Meta), ApiError> {
        self.exchange(Method::Get, path, Some(self.access_or_fail()?), None).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        bearer: Option<String>,
        body: &impl Serialize,
    ) -> Result<(T, Meta), ApiError> {
        self.exchange(Method::Post, path, bearer, Some(json(body)?)).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        bearer: Option<String>,
        body: Option<Body>,
    ) -> Result<(T, Meta), ApiError> {
        let reply = self.platform.call(Call { method, path: path.into(), bearer, body }).await?;
        understand(&reply)
    }
}

/// A body of JSON.
pub fn json(body: &impl Serialize) -> Result<Body, ApiError> {
    serde_json::to_string(body).map(Body::Json).map_err(|_| ApiError::Unexpected(0))
}

/// What a reply says.
pub fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, ApiError> {
    Ok(understand(reply)?.0)
}

fn understand<T: DeserializeOwned>(reply: &Reply) -> Result<(T, Meta), ApiError> {
    if (200..300).contains(&reply.status) {
        let success: Success<T> =
            serde_json::from_str(&reply.body).map_err(|_| ApiError::Unexpected(reply.status))?;
        return Ok((success.data, success.meta));
    }
    let error = serde_json::from_str::<Failure>(&reply.body).map(|failure| failure.error.error_type);
    match (error, reply.status) {
        // Too often, or not just now: the same again may go well.
        (_, 429 | 500..) => Err(ApiError::Unreachable { retry_after_ms: reply.retry_after_ms }),
        (Ok(error), _) => Err(ApiError::Refused(error)),
        (Err(_), 401) => Err(ApiError::Refused(ErrorType::Unauthenticated)),
        (Err(_), status) => Err(ApiError::Unexpected(status)),
    }
}
