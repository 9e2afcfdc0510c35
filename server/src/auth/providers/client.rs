//! How providers are called: the addresses of the settings and no other, no redirects, no proxy of the environment, in
//! bounded time, with answers of bounded size. No error says what stands in an address: some providers want secrets there.

use super::{Fault, Result};
use crate::config::ConfigError;
use futures_util::StreamExt;
use reqwest::{Certificate, RequestBuilder, Url};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// How long a provider may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// Calls one provider.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

/// An answer, good or not.
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub bytes: Vec<u8>,
    /// Seconds for which it may be kept, where the provider says so.
    pub max_age: Option<u64>,
}

impl Client {
    /// With the system's certificates, and one more where a provider has its own.
    pub fn new(certificate: Option<Certificate>) -> Result<Self, ConfigError> {
        // Whoever was first has set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("Hongyan/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(PATIENCE)
                .timeout(PATIENCE)
                .pool_max_idle_per_host(2)
        };
        let built = match certificate {
            Some(certificate) => builder().tls_certs_merge([certificate]).build(),
            None => builder().build(),
        };
        // A small container may have no certificates, and providers that need none.
        let built = built.or_else(|_| builder().tls_certs_only([]).build());
        let wrong = |error: reqwest::Error| ConfigError::new("providers", &error.without_url().to_string());
        Ok(Self(built.map_err(wrong)?))
    }

    pub fn get(&self, url: &str) -> RequestBuilder {
        self.0.get(url)
    }

    pub fn post(&self, url: &str) -> RequestBuilder {
        self.0.post(url)
    }
}

/// Sends a request and takes the whole answer.
pub async fn send(request: RequestBuilder) -> Result<Answer> {
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    if (300..400).contains(&status) {
        return Err(Fault::Wrong("it redirects where it should answer".into()));
    }
    let header = |name| {
        let value =
            response.headers().get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let content_type = header("content-type");
    let max_age = header("cache-control")
        .split(',')
        .find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok());
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(unreachable)?);
        if bytes.len() > ANSWER_MAX {
            return Err(Fault::Wrong("the answer is larger than 1 MiB".into()));
        }
    }
    Ok(Answer { status, content_type, bytes, max_age })
}

/// Sends a request and takes JSON, whatever type the answer says it has: some say `text/plain`.
pub async fn json(request: RequestBuilder) -> Result<(u16, Value)> {
    let answer = send(request).await?;
    Ok((answer.status, answer.json()?))
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        let wrong = || match self.status {
            200..=299 => Fault::Wrong("the answer is no JSON object".into()),
            status @ 500.. => Fault::Unreachable(format!("status {status}")),
            status => Fault::Wrong(format!("status {status}")),
        };
        // A mark of the byte order is no JSON.
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        serde_json::from_slice(bytes)
            .ok()
            .filter(|value| matches!(value, Value::Object(_) | Value::Array(_)))
            .ok_or_else(wrong)
    }
}

fn unreachable(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    if error.is_timeout() {
        return Fault::Unreachable("no answer within 10 seconds".into());
    }
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Fault::Unreachable(innermost.to_string())
}

/// An address of the settings: `https`, or `http` within this machine or where it is allowed. As it is written: a
/// slash at its end may be a part of it.
pub fn address(setting: &str, text: &str, allow_http: bool) -> Result<String, ConfigError> {
    let wrong = |reason: &str| ConfigError::new(setting, &format!("`{text}` {reason}"));
    let url = Url::parse(text).map_err(|_| wrong("is no URL such as https://id.example.com"))?;
    let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_inside = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_inside => {}
        _ => return Err(wrong("must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("must have no name, password or fragment in it"));
    }
    Ok(text.to_owned())
}
