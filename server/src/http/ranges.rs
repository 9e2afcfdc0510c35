//! A file as it is fetched in one or in many parts: HEAD, Range, If-Range, ETag (RFC 9110, sections 13 and 14).

use crate::error::{Error, Result};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::io::SeekFrom;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Read and sent at once.
const CHUNK: usize = 256 * 1024;

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// From this byte on, so many.
    Some(u64, u64),
    /// None that it has.
    Unsatisfiable,
}

/// From which byte on a request goes on with something: where it asks for a part that does not begin at the beginning.
pub fn goes_on(method: &Method, headers: &HeaderMap) -> Option<u64> {
    match part(headers, u64::MAX) {
        Part::Some(from @ 1.., _) if *method == Method::GET => Some(from),
        Part::Unsatisfiable if *method == Method::GET => Some(u64::MAX),
        _ => None,
    }
}

/// The entity tags that a request names, in a condition or for a part.
pub fn named_tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines =
        [header::IF_RANGE, header::IF_MATCH].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Answers with a file of this size and entity tag, or with the part of it that is asked for. `sent` is called when all that
/// was still to come of it has been given out, and not for a part between others.
///
/// # Errors
/// What the disk says before the first byte; after it the answer breaks off, and its length tells.
pub async fn serve(
    method: &Method,
    asked: &HeaderMap,
    mut file: File,
    size: u64,
    etag: &str,
    described: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    sent: impl FnOnce() + Send + 'static,
) -> Result<Response> {
    let tag = HeaderValue::from_str(etag).map_err(Error::internal)?;
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let names = |line: &str, weak: bool| {
        line.split(',')
            .map(str::trim)
            .any(|one| one == "*" || one == etag || weak && one.strip_prefix("W/") == Some(etag))
    };
    // Parts are of what GET gives (RFC 9110, section 14.2).
    let mut part = if *method == Method::GET { part(asked, size) } else { Part::Whole };
    // A part of something else is of no use: then the whole.
    if asked.get(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        part = Part::Whole;
    }
    let status = match part {
        _ if asked.contains_key(header::IF_MATCH)
            && !text(header::IF_MATCH).is_some_and(|line| names(line, false)) =>
        {
            StatusCode::PRECONDITION_FAILED
        }
        _ if text(header::IF_NONE_MATCH).is_some_and(|line| names(line, true)) => StatusCode::NOT_MODIFIED,
        Part::Whole => StatusCode::OK,
        Part::Some(..) => StatusCode::PARTIAL_CONTENT,
        Part::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
    };
    let (start, length) = match (status, part) {
        (StatusCode::PARTIAL_CONTENT, Part::Some(start, length)) => (start, length),
        (StatusCode::OK, _) => (0, size),
        _ => (0, 0),
    };
    let body = if *method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        file.seek(SeekFrom::Start(start)).await.map_err(Error::internal)?;
        let is_rest = text(header::RANGE).is_none_or(|range| range.trim().ends_with('-'));
        let sent: Option<Sent> = if is_rest { Some(Box::new(sent)) } else { None };
        Body::from_stream(futures_util::stream::try_unfold((file, length, sent), next))
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.extend(described);
    headers.insert(header::ETAG, tag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let range = match status {
        StatusCode::PARTIAL_CONTENT => Some(format!("bytes {start}-{}/{size}", start + length - 1)),
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{size}")),
        _ => None,
    };
    if let Some(range) = range {
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).map_err(Error::internal)?);
    }
    if status.is_success() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.extensions_mut().insert(super::envelope::OwnWords);
    Ok(response)
}

/// Called once all of it was given out.
type Sent = Box<dyn FnOnce() + Send>;
/// What is left of a file, in bytes.
type Left = (File, u64, Option<Sent>);

async fn next((mut file, left, mut sent): Left) -> std::io::Result<Option<(Bytes, Left)>> {
    if left == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
    let read = file.read(&mut chunk).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    chunk.truncate(read);
    let left = left - read as u64;
    if let Some(sent) = sent.take_if(|_| left == 0) {
        sent();
    }
    Ok(Some((chunk.into(), (file, left, sent))))
}

/// One range is given; who asks for several, or in words that are not understood, gets the whole (RFC 9110, section 14.2).
fn part(asked: &HeaderMap, size: u64) -> Part {
    let range = asked.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some(spec) = range.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Part::Whole;
    };
    // Numbers beyond 64 bits are beyond the end too.
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(0) => Part::Unsatisfiable,
            Some(_) if size == 0 => Part::Unsatisfiable,
            Some(count) => Part::Some(size - count.min(size), count.min(size)),
            None => Part::Whole,
        },
        (first, last) => {
            let Some(first) = number(first) else { return Part::Whole };
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match last {
                None => Part::Whole,
                Some(last) if last < first => Part::Whole,
                Some(_) if first >= size => Part::Unsatisfiable,
                Some(last) => Part::Some(first, last.min(size - 1) - first + 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_the_standard_says() {
        let of = |text: &str, size| {
            part(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(text).unwrap())]), size)
        };
        for (text, expected) in [
            ("bytes=0-", Part::Some(0, 1_000)),
            ("bytes=0-0", Part::Some(0, 1)),
            ("bytes=10-19", Part::Some(10, 10)),
            ("bytes=990-2000", Part::Some(990, 10)),
            ("bytes=-1", Part::Some(999, 1)),
            ("bytes=-5000", Part::Some(0, 1_000)),
            ("bytes=999-", Part::Some(999, 1)),
            ("bytes=1000-", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=0-99999999999999999999999", Part::Some(0, 1_000)),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("items=0-1", Part::Whole),
        ] {
            assert_eq!(of(text, 1_000), expected, "{text}");
        }
        assert_eq!(of("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(of("bytes=-1", 0), Part::Unsatisfiable);
        assert_eq!(part(&HeaderMap::new(), 5), Part::Whole);
    }

    #[test]
    fn who_has_the_beginning_already_goes_on() {
        for (method, range, expected) in [
            (Method::GET, "bytes=1-", Some(1)),
            (Method::GET, "bytes=5000-5009", Some(5_000)),
            (Method::GET, "bytes=-1", Some(u64::MAX - 1)),
            (Method::GET, "bytes=99999999999999999999999-", Some(u64::MAX)),
            (Method::GET, "bytes=0-", None),
            (Method::GET, "bytes=00-9", None),
            // Not understood: then the whole.
            (Method::GET, "bytes=0-1,3-4", None),
            (Method::GET, "items=5-", None),
            (Method::HEAD, "bytes=1-", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
            assert_eq!(goes_on(&method, &headers), expected, "{method} {range}");
        }
        assert_eq!(goes_on(&Method::GET, &HeaderMap::new()), None);
    }
}
