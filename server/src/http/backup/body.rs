//! A body that may be large, as it arrives: not too slowly, and of a form no more at once than its parser can hold.

use bytes::Bytes;
use futures_util::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes a second that must come on the whole: who is slower keeps a place from others.
const RATE_MIN: u64 = 8 * 1024;
/// From when on that is looked at.
const GRACE: Duration = Duration::from_secs(60);
/// Bytes of a form that are in no file or text yet: what comes at once, and the heads of all its parts many times over.
const HELD_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a form that its parser has, and that belong to nothing yet.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Held {
    /// So many were given out as what a part holds.
    pub fn given(&self, bytes: usize) {
        let less = |held: usize| Some(held.saturating_sub(bytes));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// The body.
pub(super) struct Arriving<S> {
    body: S,
    began: Instant,
    bytes: u64,
    /// Of a form.
    held: Option<Held>,
    /// Whether something was given since it last was not.
    gave: bool,
}

impl<S> Arriving<S> {
    /// A body that is taken as it is.
    pub fn whole(body: S) -> Self {
        Self { body, began: Instant::now(), bytes: 0, held: None, gave: false }
    }

    /// One of which a parser makes parts: what these hold is to be told to `held`.
    pub fn form(body: S, held: Held) -> Self {
        Self { held: Some(held), ..Self::whole(body) }
    }
}

impl<S, E> Stream for Arriving<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The parser gathers as long as there is something before it looks at it.
        if self.held.is_some() && std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(part) = ready!(Pin::new(&mut self.body).poll_next(cx)) else { return Poll::Ready(None) };
        let part = part.map_err(io::Error::other)?;
        self.bytes += part.len() as u64;
        if is_too_slow(self.bytes, self.began.elapsed()) {
            let error = "it comes too slowly: fewer than 8192 bytes a second";
            return Poll::Ready(Some(Err(io::Error::other(error))));
        }
        if let Some(Held(held)) = &self.held {
            let held = held.fetch_add(part.len(), Ordering::Relaxed) + part.len();
            if held > HELD_MAX {
                let error = "too much of it is in no part of the form";
                return Poll::Ready(Some(Err(io::Error::other(error))));
            }
        }
        self.gave = true;
        Poll::Ready(Some(Ok(part)))
    }
}

fn is_too_slow(bytes: u64, took: Duration) -> bool {
    took > GRACE && bytes < RATE_MIN.saturating_mul(took.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::extract::{FromRequest, Multipart, Request};
    use futures_util::stream;

    const PART: usize = 64 * 1024;

    fn form(parts: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static, held: Held) -> Request {
        let request = Request::builder().header("content-type", "multipart/form-data; boundary=b");
        request.body(Body::from_stream(Arriving::form(parts, held))).unwrap()
    }

    /// A beginning, then so many bytes, then an end.
    fn parts(
        first: &'static str,
        bytes: usize,
        last: &'static str,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
        let middle = std::iter::repeat_n(Bytes::from_static(&[b'A'; PART]), bytes / PART);
        let (first, last) = (Bytes::from_static(first.as_bytes()), Bytes::from_static(last.as_bytes()));
        stream::iter([first].into_iter().chain(middle).chain([last]).map(Ok))
    }

    #[tokio::test]
    async fn a_file_may_have_any_size_and_what_is_in_no_part_may_not() {
        let (held, size) = (Held::default(), 4 * HELD_MAX);
        let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
        let mut request = form(parts(head, size, "\r\n--b--\r\n"), held.clone());
        axum::extract::DefaultBodyLimit::disable().apply(&mut request);
        let mut read = Multipart::from_request(request, &()).await.unwrap();
        let mut file = read.next_field().await.unwrap().unwrap();
        let mut found = 0;
        while let Some(part) = file.chunk().await.unwrap() {
            held.given(part.len());
            found += part.len();
        }
        assert_eq!(found, size);
        drop(file);
        assert!(read.next_field().await.unwrap().is_none());
        // Before the first part; in the head of one.
        let (open, close) = (
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f",
            "\"\r\n\r\nx\r\n--b--\r\n",
        );
        for (first, last) in [("xx", "\r\n--b--\r\n"), (open, close)] {
            let mut request = form(parts(first, size, last), Held::default());
            axum::extract::DefaultBodyLimit::disable().apply(&mut request);
            let mut read = Multipart::from_request(request, &()).await.unwrap();
            assert!(read.next_field().await.is_err(), "{first}");
        }
    }

    #[test]
    fn who_is_too_slow_is_not_waited_for() {
        for (bytes, seconds, expected) in [
            (1, 60, false),
            (1, 61, true),
            (61 * RATE_MIN - 1, 61, true),
            (61 * RATE_MIN, 61, false),
            (7_200 * RATE_MIN - 1, 7_200, true),
            (u64::MAX, 7_200, false),
        ] {
            assert_eq!(is_too_slow(bytes, Duration::from_secs(seconds)), expected, "{bytes} in {seconds} s");
        }
    }
}
