//! Who there is: users, roles, channels, services, sessions, and what administrators did.
//!
//! Derived from the log by [`Directory::apply`] and from nothing else. Kept in `directory.db`, with its
//! own watermark in the same transactions; what requests need is cached, so that the hot path reads no
//! database. A cached value is never older than what has been applied.

mod accounts;
mod apply;
mod audit;
mod callbacks;
mod departments;
mod groups;
mod people;
mod presses;
mod recipients;
mod schedule;
mod services;
mod sessions;
mod store;
mod templates;
mod threads;
mod tokens;

pub use accounts::{StoredIdentity, StoredPasskey};
pub use apply::Effect;
pub use audit::AuditFilter;
pub use callbacks::{DueCallback, Room};
pub use departments::DEPTH_MAX as DEPARTMENT_DEPTH_MAX;
pub use groups::Group;
pub use people::{Membership, Person};
pub use services::{KnownService, tier};
pub use sessions::StoredSession;
pub use store::{Directory, DirectoryError, SCHEMA_VERSION, restored};
pub use tokens::KnownToken;

/// One page of a list: the rows, and how many there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Counted from 1.
    pub page: u32,
    pub size: u32,
    /// Text to be found in ids and names.
    pub q: Option<String>,
}

impl Window {
    fn limit(&self) -> i64 {
        i64::from(self.size)
    }

    fn offset(&self) -> i64 {
        i64::from(self.page.saturating_sub(1)) * i64::from(self.size)
    }

    /// The search as a pattern for `LIKE … ESCAPE '\'`; everything when there is none.
    fn pattern(&self) -> String {
        like(self.q.as_deref().unwrap_or_default())
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that finds `text` anywhere, taking its signs literally.
pub fn like(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
