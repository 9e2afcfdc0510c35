//! Tickets: a socket may be opened once with one, within 30 seconds, so that a browser need not put a
//! token into a URL.

use super::jwt::Claims;
use super::secrets::{self, NoRandomness};
use hongyan_wire::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Milliseconds for which a ticket is good.
pub const TICKET_LIFE: i64 = 30_000;
/// Tickets out at one time; the oldest go first.
const TICKETS_MAX: usize = 100_000;

/// Tickets that were given and not yet used.
#[derive(Default)]
pub struct Tickets {
    open: Mutex<HashMap<String, (Timestamp, Claims)>>,
}

impl Tickets {
    /// Gives a ticket for the bearer of a token.
    pub fn give(&self, claims: Claims, now: Timestamp) -> Result<String, NoRandomness> {
        let ticket = secrets::random::<24>()?;
        let mut open = self.open.lock();
        if open.len() >= TICKETS_MAX {
            open.retain(|_, (until, _)| *until > now);
        }
        if open.len() >= TICKETS_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone())
        {
            open.remove(&oldest);
        }
        open.insert(ticket.clone(), (now.plus_millis(TICKET_LIFE), claims));
        Ok(ticket)
    }

    /// Takes a ticket: it is good once.
    pub fn take(&self, ticket: &str, now: Timestamp) -> Option<Claims> {
        let (until, claims) = self.open.lock().remove(ticket)?;
        (until > now).then_some(claims)
    }
}
