//! Which users may open another socket: how many each may have, how often they may be opened, and who waits
//! because their sockets broke the protocol again and again.
//!
//! A socket counts from the moment it is accepted, before its client has said anything.

use hongyan_wire::UserId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most sockets of one user: a change of presence is sent to each of them.
const SOCKETS_MAX: usize = 64;
/// Sockets that a user may open in a row; after these, one each [`OPEN_EVERY`].
const OPENS_IN_A_ROW: u32 = 128;
const OPEN_EVERY: Duration = Duration::from_millis(500);
/// Violations without consequence: whoever writes a client makes some.
const VIOLATIONS_FREE: u32 = 16;
/// Violations beyond these change nothing: the wait is at [`WAIT_MAX`].
const VIOLATIONS_MAX: u32 = VIOLATIONS_FREE + 9;
/// The longest wait after a violation. It begins with two seconds and doubles.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The time without a violation after which one is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(300);
/// Users that are remembered before the first look for those that need not be.
const SWEEP_FROM: usize = 1_024;

/// Why a user may not open a socket now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// As many are open as may be.
    Full,
    /// Too many were opened in a short time; one may be opened after this.
    TooOften(Duration),
    /// The user's sockets broke the protocol again and again; one may be opened after this.
    Violations(Duration),
}

struct Account {
    open: usize,
    /// When the sockets opened so far would have been opened at the steady rate (generic cell rate algorithm).
    paced_until: Instant,
    violations: u32,
    violated_at: Instant,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { open: 0, paced_until: now, violations: 0, violated_at: now }
    }

    fn violations(&self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.violated_at).as_secs() / FORGET_AFTER.as_secs();
        self.violations.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    fn violated(&mut self, now: Instant) {
        self.violations = (self.violations(now) + 1).min(VIOLATIONS_MAX);
        self.violated_at = now;
    }

    fn open(&mut self, now: Instant) -> Result<(), Denied> {
        let counted = self.violations.saturating_sub(VIOLATIONS_FREE);
        if counted > 0 {
            let wait = Duration::from_secs(1 << counted).min(WAIT_MAX);
            let left = (self.violated_at + wait).saturating_duration_since(now);
            if !left.is_zero() {
                return Err(Denied::Violations(left));
            }
        }
        if self.open >= SOCKETS_MAX {
            return Err(Denied::Full);
        }
        let ahead = self.paced_until.saturating_duration_since(now);
        let most = OPEN_EVERY * (OPENS_IN_A_ROW - 1);
        if ahead > most {
            return Err(Denied::TooOften(ahead - most));
        }
        self.paced_until = self.paced_until.max(now) + OPEN_EVERY;
        self.open += 1;
        Ok(())
    }

    fn is_blank(&self, now: Instant) -> bool {
        self.open == 0 && self.paced_until <= now && self.violations(now) == 0
    }
}

#[derive(Default)]
struct Accounts {
    users: HashMap<UserId, Account>,
    /// Users that are remembered when it is next looked for blank ones.
    sweep_at: usize,
}

/// The accounts of all users that have sockets, or had some lately.
#[derive(Default)]
pub struct UserSeats(Mutex<Accounts>);

/// One socket's place among its user's; given back when it is dropped.
pub struct UserSeat {
    seats: Arc<UserSeats>,
    user: UserId,
}

impl UserSeats {
    /// Takes a place for one more socket of a user.
    pub fn take(self: &Arc<Self>, user: &UserId, now: Instant) -> Result<UserSeat, Denied> {
        let mut accounts = self.0.lock();
        let Accounts { users, sweep_at } = &mut *accounts;
        if users.len() >= (*sweep_at).max(SWEEP_FROM) {
            users.retain(|_, account| !account.is_blank(now));
            *sweep_at = users.len() * 2;
        }
        users.entry(user.clone()).or_insert_with(|| Account::new(now)).open(now)?;
        Ok(UserSeat { seats: self.clone(), user: user.clone() })
    }
}

impl UserSeat {
    /// Notes that the socket was closed for what its client sent.
    pub fn violated(&self, now: Instant) {
        if let Some(account) = self.seats.0.lock().users.get_mut(&self.user) {
            account.violated(now);
        }
    }
}

impl Drop for UserSeat {
    fn drop(&mut self) {
        let mut accounts = self.seats.0.lock();
        if let Some(account) = accounts.users.get_mut(&self.user) {
            account.open = account.open.saturating_sub(1);
            if account.is_blank(Instant::now()) {
                accounts.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    #[test]
    fn a_user_has_at_most_64_sockets() {
        let (seats, now) = (Arc::new(UserSeats::default()), Instant::now());
        let mut taken: Vec<_> = (0..64).map(|_| seats.take(&ann(), now).ok()).collect();
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(seats.take(&ann(), now).err(), Some(Denied::Full));
        assert!(seats.take(&UserId::new("bob").unwrap(), now).is_ok());
        taken.pop();
        assert!(seats.take(&ann(), now).is_ok());
    }

    #[test]
    fn sockets_opened_in_a_row_are_bounded() {
        let (seats, now) = (Arc::new(UserSeats::default()), Instant::now());
        for _ in 0..128 {
            drop(seats.take(&ann(), now).ok().unwrap());
        }
        assert_eq!(seats.take(&ann(), now).err(), Some(Denied::TooOften(Duration::from_millis(500))));
        assert!(seats.take(&ann(), now + Duration::from_millis(500)).is_ok());
    }

    #[test]
    fn repeated_violations_cost_a_growing_wait_and_are_forgotten() {
        let (seats, mut now) = (Arc::new(UserSeats::default()), Instant::now());
        let held = seats.take(&ann(), now).ok().unwrap();
        for _ in 0..VIOLATIONS_FREE {
            held.violated(now);
        }
        assert!(seats.take(&ann(), now).is_ok(), "the first ones cost nothing");
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            held.violated(now);
            let wait = Duration::from_secs(seconds);
            assert_eq!(seats.take(&ann(), now).err(), Some(Denied::Violations(wait)));
            now += wait;
            assert!(seats.take(&ann(), now).is_ok());
        }
        now += FORGET_AFTER * VIOLATIONS_MAX;
        held.violated(now);
        assert!(seats.take(&ann(), now).is_ok());
    }

    #[test]
    fn users_without_sockets_are_not_remembered() {
        let (seats, now) = (Arc::new(UserSeats::default()), Instant::now());
        for n in 0..5_000 {
            let user = UserId::new(&format!("user-{n}")).unwrap();
            drop(seats.take(&user, now + OPEN_EVERY * n).ok());
        }
        assert!(seats.0.lock().users.len() <= 2 * SWEEP_FROM, "{}", seats.0.lock().users.len());
    }
}
