//! The server as this program sees it: requests, tried again while that may help.

use crate::settings::Settings;
use anyhow::{Context, Result};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure as Refusal;
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

/// For how long one try may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Waits between tries, unless the server names another.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// Longest wait that a server may ask for, in seconds.
const WAIT_MAX: u64 = 30;
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 8 * 1024 * 1024;

/// Why nothing was done.
pub enum Failure {
    /// The command line or the settings.
    Usage(anyhow::Error),
    /// The server said no, and will again.
    Refused(String),
    /// It may be different later.
    Later(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            // EX_TEMPFAIL of sysexits.h.
            Self::Later(_) => 75,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => write!(f, "{error:#}"),
            Self::Refused(reason) | Self::Later(reason) => f.write_str(reason),
        }
    }
}

/// A server's user gateway.
pub struct Gateway {
    client: Client,
    url: String,
    authorization: header::HeaderValue,
}

impl Gateway {
    pub fn new(settings: &Settings) -> Result<Self> {
        // Whoever is first decides; nobody else is there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        // A small container may have no certificates, and need none for plain http.
        let client = client().build().or_else(|_| client().tls_certs_only([]).build())?;
        let parsed =
            reqwest::Url::parse(&settings.url).with_context(|| format!("--url: {}", settings.url))?;
        anyhow::ensure!(
            matches!(parsed.scheme(), "http" | "https") && parsed.has_host(),
            "--url: must be http:// or https:// with a host"
        );
        let mut authorization = header::HeaderValue::try_from(format!("Service {}", settings.key))?;
        authorization.set_sensitive(true);
        Ok(Self { client, url: settings.url.clone(), authorization })
    }

    /// Gets something; the answer's data, and all of it as text.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String), Failure> {
        self.ask(|| self.request(Method::GET, path)).await
    }

    /// Posts something. With a key, which makes it safe, it is tried again when no answer came.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<(T, String), Failure> {
        self.ask(|| {
            let request = self.request(Method::POST, path).json(body);
            match idempotency_key {
                Some(key) => request.header("idempotency-key", key),
                None => request,
            }
        })
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.header(header::AUTHORIZATION, self.authorization.clone())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(T, String), Failure> {
        let mut waits = WAITS.into_iter();
        loop {
            let (reason, asked) = match self.try_once(&request).await {
                Ok(done) => return done,
                Err(later) => later,
            };
            let Some(wait) = waits.next() else { return Err(Failure::Later(reason)) };
            tokio::time::sleep(asked.unwrap_or(wait)).await;
        }
    }

    /// One try; an error is what was wrong, and how long to wait before the next if the server says so.
    async fn try_once<T: DeserializeOwned>(
        &self,
        request: &impl Fn() -> RequestBuilder,
    ) -> Result<Result<(T, String), Failure>, (String, Option<Duration>)> {
        let unreached = |error: reqwest::Error| (format!("{}: {}", self.url, plainly(&error)), None);
        let mut response = request().send().await.map_err(unreached)?;
        let status = response.status();
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds <= WAIT_MAX);
        let asked = asked.map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreached)? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_MAX {
                return Ok(Err(Failure::Refused(format!("{}: the answer is too large", self.url))));
            }
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK {
            let foreign = || Failure::Refused(format!("{}: this is no answer of Hongyan's", self.url));
            let success: Result<Success<T>, _> = serde_json::from_str(&text);
            return Ok(success.map(|success| (success.data, text)).map_err(|_| foreign()));
        }
        let reason = match serde_json::from_str::<Refusal>(&text) {
            Ok(refusal) => in_words(&refusal),
            Err(_) => format!("{}: status {status}", self.url),
        };
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err((reason, asked));
        }
        Ok(Err(Failure::Refused(reason)))
    }
}

fn in_words(refusal: &Refusal) -> String {
    match refusal.error.details.as_slice() {
        [] | [_] => refusal.message.clone(),
        many => {
            let faults: Vec<String> =
                many.iter().map(|fault| format!("{}: {}", fault.field, fault.reason)).collect();
            faults.join("; ")
        }
    }
}

/// What was wrong at the root, without the address, which is said already.
fn plainly(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "no answer in time".into() } else { cause.to_string() }
}
