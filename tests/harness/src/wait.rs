//! Waiting for conditions, with a bound.

use std::future::Future;
use std::time::Duration;

/// After this a condition is taken never to come. Long, because machines are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at something that gives no signal.
const LOOK: Duration = Duration::from_millis(20);

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
