//! How often signing in may fail: a few times from one place for one account, more often for a whole place or a whole
//! account. A name that does not exist counts as one that does, so that nothing is learnt from it.

use hashlink::LruCache;
use hongyan_wire::Timestamp;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

/// Milliseconds for which failures count.
const WINDOW: i64 = 15 * 60 * 1_000;
/// Failures within it for one account from one place.
const OF_ACCOUNT_FROM_PLACE: u32 = 10;
/// For all accounts from one place. Accounts that were signed in from there before are not held to it: whoever shares an
/// address with others is not locked out by them.
const FROM_PLACE: u32 = 100;
/// For one account from anywhere. Places from where the account was signed in before are not held to it: nobody can
/// be locked out by strangers.
const OF_ACCOUNT: u32 = 100;
/// Counts kept; those that nobody adds to go first.
const COUNTS_MAX: usize = 100_000;

/// Counts failures.
pub struct Throttle {
    counts: Mutex<LruCache<u64, Count>>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: u32,
    /// Somebody was told that there are too many.
    is_told: bool,
}

/// An attempt that counts as a failure until it is known to be none.
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    keys: [u64; 3],
}

/// Too many failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften {
    /// Until it may be tried again.
    pub seconds: u32,
    /// Nobody was told of it before: the log needs it once, however often it is tried.
    pub is_news: bool,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { counts: Mutex::new(LruCache::new(COUNTS_MAX)), hasher: RandomState::new() }
    }
}

impl Throttle {
    /// Begins an attempt to sign in. `is_known`: whether the account was signed in from this address before, asked
    /// only when it matters.
    pub fn begin(
        &self,
        account: &str,
        address: IpAddr,
        now: Timestamp,
        is_known: impl FnOnce() -> bool,
    ) -> Result<Attempt<'_>, TooOften> {
        let account = account.to_lowercase();
        let place = place(address);
        let keys = [
            self.hasher.hash_one((0, &account, place)),
            self.hasher.hash_one((1, place)),
            self.hasher.hash_one((2, &account)),
        ];
        let mut counts = self.counts.lock();
        check(&mut counts, keys[0], OF_ACCOUNT_FROM_PLACE, now)?;
        let shared = check(&mut counts, keys[1], FROM_PLACE, now);
        let shared = shared.and_then(|()| check(&mut counts, keys[2], OF_ACCOUNT, now));
        if let Err(too_often) = shared {
            drop(counts);
            if !is_known() {
                return Err(too_often);
            }
            counts = self.counts.lock();
        }
        for key in keys {
            match counts.get_mut(&key).filter(|count| now < count.since.plus_millis(WINDOW)) {
                Some(count) => count.failures = count.failures.saturating_add(1),
                None => drop(counts.insert(key, Count { since: now, failures: 1, is_told: false })),
            }
        }
        Ok(Attempt { throttle: self, keys })
    }
}

impl Attempt<'_> {
    /// It was none: it does not count.
    pub fn succeeded(self) {
        let mut counts = self.throttle.counts.lock();
        for key in self.keys {
            if let Some(count) = counts.get_mut(&key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
    }
}

fn check(counts: &mut LruCache<u64, Count>, key: u64, limit: u32, now: Timestamp) -> Result<(), TooOften> {
    let Some(count) = counts.get_mut(&key).filter(|count| count.failures >= limit) else { return Ok(()) };
    let left = count.since.plus_millis(WINDOW).millis() - now.millis();
    if left <= 0 {
        return Ok(());
    }
    let is_news = !std::mem::replace(&mut count.is_told, true);
    Err(TooOften { seconds: u32::try_from(left / 1_000 + 1).unwrap_or(u32::MAX), is_news })
}

/// From where someone comes: of IPv6 the first 56 bits, as much as one subscriber usually has (RFC 6177, section 2).
pub fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d & 0xff00, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_place_fails_a_few_times_for_one_account() {
        let throttle = Throttle::default();
        for n in 0..OF_ACCOUNT_FROM_PLACE {
            throttle.begin("ann", v4(1), at(n.into()), || false).unwrap();
        }
        let refused = throttle.begin("ANN", v4(1), at(1_000), || false).err().unwrap();
        assert_eq!(refused, TooOften { seconds: 900, is_news: true });
        let again = throttle.begin("ann", v4(1), at(1_000), || false).err().unwrap();
        assert!(!again.is_news, "said once");
        throttle.begin("ann", v4(2), at(1_000), || false).unwrap();
        throttle.begin("bob", v4(1), at(1_000), || false).unwrap();
        throttle.begin("ann", v4(1), at(WINDOW), || false).unwrap();
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let throttle = Throttle::default();
        for _ in 0..1_000 {
            throttle.begin("ann", v4(1), at(0), || false).unwrap().succeeded();
        }
    }

    #[test]
    fn strangers_cannot_lock_someone_out_of_where_they_were_before() {
        let throttle = Throttle::default();
        for n in 0..OF_ACCOUNT {
            let stranger = IpAddr::from([198, 51, 100, n as u8]);
            throttle.begin("ann", stranger, at(0), || false).unwrap();
        }
        assert!(throttle.begin("ann", v4(9), at(1), || false).is_err());
        throttle.begin("ann", v4(9), at(1), || true).unwrap();
    }

    #[test]
    fn others_behind_the_same_address_lock_nobody_out_who_was_there_before() {
        let throttle = Throttle::default();
        for n in 0..FROM_PLACE {
            throttle.begin(&format!("nobody-{n}"), v4(1), at(0), || false).unwrap();
        }
        assert!(throttle.begin("bob", v4(1), at(1), || false).is_err());
        throttle.begin("ann", v4(1), at(1), || true).unwrap();
        for _ in 1..OF_ACCOUNT_FROM_PLACE {
            throttle.begin("ann", v4(1), at(1), || true).unwrap();
        }
        assert!(throttle.begin("ann", v4(1), at(1), || true).is_err(), "but to its own count");
    }

    #[test]
    fn all_addresses_of_one_subscriber_are_one_place() {
        let of = |text: &str| place(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ff:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:102::1"));
        assert_eq!(of("::ffff:192.0.2.1"), v4(1));
    }
}
