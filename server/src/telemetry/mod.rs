//! What the server says about itself. Four logs, told apart by their target: `hongyan::access`,
//! `hongyan::error`, `hongyan::security`, and everything else is business. No secret is given to them, and none gets through (`redact`).

mod redact;

use redact::Redacting;
use tracing_subscriber::EnvFilter;

/// Begins logging to standard error. `filter` is a level or a list such as `info,hyper=warn`; `known` are secrets that must
/// not be written whoever logs them.
pub fn init(filter: &str, known: Vec<String>) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("LOG_LEVEL: {e}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Redacting { known: known.into() })
        .with_ansi(false)
        .try_init()
        .map_err(|e| format!("LOG_LEVEL: {e}"))
}
