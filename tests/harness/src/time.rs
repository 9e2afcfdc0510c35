//! Moments.

use hongyan_wire::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment so long from now, as it is written in requests.
pub fn later(after: Duration) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + after;
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).to_string()
}
