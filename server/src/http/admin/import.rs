//! `POST /admin/api/v3/users/import`: JSON lines, taken as they arrive, in bounded memory.

use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, BODY_PATIENCE, BodyRules};
use axum::body::Body;
use axum::extract::State;
use bytes::BytesMut;
use futures_util::StreamExt;
use hongyan_wire::admin::{ImportAnswer, UserRequest};
use hongyan_wire::api::Success;
use hongyan_wire::error::{ErrorType, Failure};
use tokio::time::timeout;

/// Users put with one record.
const CHUNK: usize = 500;
/// Longest line, in bytes.
const LINE_MAX: usize = 64 * 1024;

type Line = (u64, Result<UserRequest, String>);

/// Make or change users, one JSON object a line.
///
/// A line names a user by `id` or, without one, by `username`; one who is there is changed. Good lines are
/// taken, bad ones named. Lines taken before the connection breaks stay taken: import again.
#[utoipa::path(
    post, path = "/admin/api/v3/users/import", tag = "users",
    request_body(content = String, content_type = "application/x-ndjson"), security(("bearer" = [])),
    responses(
        (status = 200, description = "What became of the lines", body = Success<ImportAnswer>),
        (status = 400, description = "The body broke off", body = Failure),
        (status = 401, description = "No or bad credentials", body = Failure),
    ),
)]
pub async fn import(
    State(gateway): State<AdminGateway>,
    caller: AdminCaller,
    body: Body,
) -> Result<Answer<ImportAnswer>> {
    let mut answer = ImportAnswer::default();
    let mut lines = Lines::default();
    let mut stream = body.into_data_stream();
    let late = |_| Error::new(ErrorType::MalformedRequest, "nothing came for 30 seconds");
    while let Some(part) = timeout(BODY_PATIENCE, stream.next()).await.map_err(late)? {
        let part = part.map_err(|_| Error::new(ErrorType::MalformedRequest, "the body broke off"))?;
        lines.feed(&part);
        while lines.ready.len() >= CHUNK {
            let chunk = lines.ready.drain(..CHUNK).collect();
            gateway.still(caller.0.claims.clone())?;
            gateway.administration.import(caller.name(), chunk, &mut answer).await?;
        }
    }
    lines.finish();
    while !lines.ready.is_empty() {
        let chunk = lines.ready.drain(..lines.ready.len().min(CHUNK)).collect();
        gateway.still(caller.0.claims.clone())?;
        gateway.administration.import(caller.name(), chunk, &mut answer).await?;
    }
    Ok(Answer::new(answer))
}

/// Cuts what arrives into lines.
#[derive(Default)]
struct Lines {
    rest: BytesMut,
    number: u64,
    /// The line that is being read is too long; what is left of it is passed over.
    skipping: bool,
    ready: Vec<Line>,
}

impl Lines {
    fn feed(&mut self, mut part: &[u8]) {
        while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = part.split_at(end);
            self.extend(line);
            self.end_line();
            part = rest.get(1..).unwrap_or_default();
        }
        self.extend(part);
    }

    fn extend(&mut self, part: &[u8]) {
        if self.rest.len() + part.len() > LINE_MAX {
            self.skipping = true;
            self.rest.clear();
        }
        if !self.skipping {
            self.rest.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        self.number += 1;
        let line = self.rest.split();
        if std::mem::take(&mut self.skipping) {
            self.ready.push((self.number, Err("the line has more than 65536 bytes".into())));
        } else if !line.trim_ascii().is_empty() {
            let parsed = crate::http::extract::parse(&line).map_err(|error| error.message);
            self.ready.push((self.number, parsed));
        }
    }

    fn finish(&mut self) {
        if !self.rest.is_empty() || self.skipping {
            self.end_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text =
            b"{\"username\":\"a\",\"name\":\"A\"}\n\n{\"username\":1}\r\n{\"username\":\"b\",\"name\":\"B\"}";
        for size in [1, 7, 1_000] {
            let mut lines = Lines::default();
            text.chunks(size).for_each(|part| lines.feed(part));
            lines.finish();
            let numbers: Vec<u64> = lines.ready.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, [1, 3, 4]);
            assert!(lines.ready[1].1.as_ref().unwrap_err().contains("username"));
            assert_eq!(lines.ready[2].1.as_ref().unwrap().username, "b");
        }
    }

    #[test]
    fn a_line_too_long_is_named_and_takes_no_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.feed(&[b'x'; 10_000]);
            assert!(lines.rest.len() <= LINE_MAX);
        }
        lines.feed(b"\n{\"username\":\"a\",\"name\":\"A\"}\n");
        assert!(lines.ready[0].1.is_err());
        assert!(lines.ready[1].1.is_ok());
    }
}
