//! HTTP as a program sees it: status, headers, JSON.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Calls over HTTP. Connections are not kept: a test that ends a server must not meet half a connection of before.
pub fn http_client() -> reqwest::Client {
    // Built together with the server, the client speaks TLS and wants to know by whose cryptography. Whoever was first
    // has set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// The same, but it follows no redirect.
pub(crate) fn bare_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.pool_max_idle_per_host(0).build().unwrap()
}

/// One gateway, called with one set of credentials.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    authorization: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    pub fn new(base: &str) -> Self {
        Self { client: http_client(), base: base.to_owned(), authorization: None }
    }

    /// The same gateway with these credentials.
    pub fn with(&self, authorization: &str) -> Self {
        Self { authorization: Some(authorization.to_owned()), ..self.clone() }
    }

    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// A request to be completed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::DELETE, path)).await
    }

    pub async fn put(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::PUT, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_text(path, body.to_string()).await
    }

    /// Posts whatever text as JSON.
    pub async fn post_text(&self, path: &str, body: impl Into<String>) -> Reply {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        Reply::of(request.body(body.into())).await
    }
}

impl Reply {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.unwrap()
    }

    /// The answer, or none when the connection fails.
    pub async fn try_of(request: RequestBuilder) -> Option<Self> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Self { status, headers, text: response.text().await.ok()? })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// What a success holds.
    #[track_caller]
    pub fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        let mut json = self.json();
        assert_eq!((&json["code"], &json["message"]), (&200.into(), &"success".into()));
        assert!(json["meta"].is_object());
        json["data"].take()
    }

    /// Checks that it is a failure of this kind, in the envelope, and gives the fields that are named.
    #[track_caller]
    pub fn failure(&self, status: u16, error_type: &str) -> Vec<String> {
        assert_eq!(self.status, status, "{}", self.text);
        let json = self.json();
        assert_eq!(json["code"], status, "{}", self.text);
        assert_eq!(json["error"]["type"], error_type, "{}", self.text);
        assert!(!json["message"].as_str().unwrap().is_empty());
        assert_eq!(json["meta"]["request_id"].as_str().unwrap(), self.header("x-request-id").unwrap());
        let details = json["error"]["details"].as_array().cloned().unwrap_or_default();
        details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
