//! The clock, read only at the edges: what is decided by it stands in a record.

use hongyan_wire::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
