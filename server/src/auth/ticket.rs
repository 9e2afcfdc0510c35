//! Tickets: a socket may be opened once with one, within 30 seconds, so that a browser need not put a
//! token into a URL.

use super::jwt::Claims;
use super::secrets::{self, NoRandomness};
use hongyan_wire::Timestamp;
use parking_lot::Mutex;
use smol_str::SmolStr;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Milliseconds for which a ticket is good.
pub const TICKET_LIFE: i64 = 30_000;
/// Tickets out at one time; the oldest go first.
const TICKETS_MAX: usize = 100_000;
/// Unused tickets of one user.
const TICKETS_OF_ONE_MAX: usize = 64;

/// Why no ticket is given.
#[derive(Debug, thiserror::Error)]
pub enum NoTicket {
    #[error("64 tickets of this user wait to be used; each is good for 30 seconds")]
    TooMany,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Tickets that were given and not yet used.
#[derive(Default)]
pub struct Tickets(Mutex<Open>);

#[derive(Default)]
struct Open {
    claims: HashMap<String, (Timestamp, Arc<Claims>)>,
    /// All of them, and some that are used, in the order in which they end.
    order: VecDeque<(Timestamp, String)>,
    /// How many each subject has.
    held: HashMap<SmolStr, usize>,
}

impl Tickets {
    /// Gives a ticket for the bearer of a token.
    pub fn give(&self, claims: Arc<Claims>, now: Timestamp) -> Result<String, NoTicket> {
        let ticket = secrets::random::<24>()?;
        let mut open = self.0.lock();
        while open.order.front().is_some_and(|(until, _)| *until <= now) || open.order.len() >= TICKETS_MAX {
            if let Some((_, ended)) = open.order.pop_front() {
                open.remove(&ended);
            }
        }
        let held = open.held.entry(claims.sub.clone()).or_default();
        if *held >= TICKETS_OF_ONE_MAX {
            return Err(NoTicket::TooMany);
        }
        *held += 1;
        let until = now.plus_millis(TICKET_LIFE);
        open.order.push_back((until, ticket.clone()));
        open.claims.insert(ticket.clone(), (until, claims));
        Ok(ticket)
    }

    /// Takes a ticket: it is good once.
    pub fn take(&self, ticket: &str, now: Timestamp) -> Option<Arc<Claims>> {
        let (until, claims) = self.0.lock().remove(ticket)?;
        (until > now).then_some(claims)
    }
}

impl Open {
    fn remove(&mut self, ticket: &str) -> Option<(Timestamp, Arc<Claims>)> {
        let removed = self.claims.remove(ticket)?;
        if let Some(held) = self.held.get_mut(&removed.1.sub) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&removed.1.sub);
            }
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(user: &str) -> Arc<Claims> {
        let claims = serde_json::json!({
            "iss": "x", "sub": user, "aud": "x", "exp": 0, "iat": 0, "jti": "x", "username": user,
            "provider": "local", "scope": [],
        });
        Arc::new(serde_json::from_value(claims).unwrap())
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_while_and_nobody_takes_all() {
        let tickets = Tickets::default();
        let at = Timestamp::from_millis;
        let ticket = tickets.give(claims("ann"), at(0)).unwrap();
        assert_eq!(tickets.take(&ticket, at(1)).unwrap().sub, "ann");
        assert!(tickets.take(&ticket, at(1)).is_none(), "it was used");
        let late = tickets.give(claims("ann"), at(0)).unwrap();
        assert!(tickets.take(&late, at(TICKET_LIFE)).is_none(), "it has ended");
        for _ in 0..TICKETS_OF_ONE_MAX {
            tickets.give(claims("ann"), at(0)).unwrap();
        }
        assert!(matches!(tickets.give(claims("ann"), at(0)), Err(NoTicket::TooMany)));
        tickets.give(claims("bob"), at(0)).unwrap();
        tickets.give(claims("ann"), at(TICKET_LIFE)).unwrap();
    }
}
