//! An answer before it is sent, so that a fault can still change it.

use axum::body::Body;
use axum::response::Response;
use serde_json::Value;

/// What a provider answers: `Ok` when it went on, `Err` when it refused. Both are sent the same way.
pub(super) type Outcome = Result<Answer, Answer>;

#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// A page for the eyes of a person.
    pub(super) fn page(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(super) fn redirect(location: &str) -> Self {
        Self { status: 302, headers: vec![("location", location.to_owned())], body: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same body under a name that is not its own.
    pub(super) fn mislabelled(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "content-type");
        self.with("content-type", "text/html; charset=utf-8")
    }

    pub(super) fn into_response(self) -> Response {
        let response = Response::builder().status(self.status);
        let response =
            self.headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        response.body(Body::from(self.body)).unwrap()
    }
}
