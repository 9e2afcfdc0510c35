//! Waiting for conditions, with a bound.

use std::future::Future;
use std::time::Duration;

/// After this a condition is taken never to come. Long, because machines are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between looks at something that gives no signal.
const LOOK: Duration = Duration::from_millis(20);
/// Between looks at something that is gone again soon.
const CLOSE_LOOK: Duration = Duration::from_millis(1);
/// How often something is tried with double the size: the last is 128 times the first.
const TRIES: u32 = 8;

/// The answer, if it comes in time.
pub async fn within<T>(what: &str, answer: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// Looks until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, looking).await
}

/// Looks all the time until it is so, for what may be over in a moment.
pub async fn the_moment(what: &str, mut is_now: impl FnMut() -> bool) {
    let looking = async {
        while !is_now() {
            tokio::time::sleep(CLOSE_LOOK).await;
        }
    };
    within(what, looking).await;
}

/// Tries with ever more, be it work or time, until a test was where it wants to be. `None` says that this machine was too
/// fast or too slow for it; whatever is wrong is not tried again but fails.
pub async fn growing<T>(what: &str, first: u64, mut attempt: impl AsyncFnMut(u64) -> Option<T>) -> T {
    for size in (0..TRIES).map(|n| first << n) {
        if let Some(met) = attempt(size).await {
            return met;
        }
        println!("{what}: not with {size}");
    }
    panic!("{what} was never met, {TRIES} times from {first} on");
}
