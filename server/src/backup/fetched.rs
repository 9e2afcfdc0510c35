//! What sessions and tokens have begun to fetch: what a part that names nothing is of.
//!
//! What always holds: where it could be of two, it is of none. A client that goes on says from which byte on, and nothing
//! else; bytes of another backup would make one file of two, and nobody would notice.

use super::{Asked, Kept};
use hashlink::LruCache;
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;

/// In how many ways things are fetched that are remembered, over all people: 20 MB.
const WAYS_MAX: usize = 10_000;
/// Of one, the last.
const OF_ONE_MAX: usize = 8;
/// For how long, in milliseconds: a part may lie there for some days before somebody goes on with it.
const REMEMBERED: i64 = 7 * 86_400_000;
/// What may be on its way when a connection breaks, in bytes: it was sent, and has not arrived. Twice what Linux lets two
/// sockets hold (tcp(7), `tcp_wmem` and `tcp_rmem`).
const ON_ITS_WAY: u64 = 16 * 1024 * 1024;

/// One way to fetch: by whom, with which session or token, as what file.
type Way = (UserId, String, Asked);

/// A backup that was begun.
struct Begun {
    id: String,
    size: u64,
    at: Timestamp,
    /// It was sent to its end.
    is_sent: bool,
}

impl Begun {
    /// Whether somebody may have this many bytes of it and lack the rest.
    fn may_lack(&self, from: u64) -> bool {
        from <= self.size && (!self.is_sent || self.size - from <= ON_ITS_WAY)
    }
}

/// All that are remembered. After a restart there are none.
pub(super) struct Fetched(Mutex<LruCache<Way, Vec<Begun>>>);

impl Default for Fetched {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(WAYS_MAX)))
    }
}

impl Fetched {
    /// Notes that one is being fetched from its beginning on.
    pub fn begun(&self, way: Way, kept: &Kept, now: Timestamp) {
        let mut ways = self.0.lock();
        if !ways.contains_key(&way) {
            ways.insert(way.clone(), Vec::new());
        }
        let Some(begun) = ways.get_mut(&way) else { return };
        begun.retain(|one| one.id != kept.id && now.millis() - one.at.millis() < REMEMBERED);
        if begun.len() == OF_ONE_MAX {
            begun.remove(0);
        }
        begun.push(Begun { id: kept.id.clone(), size: kept.size, at: now, is_sent: false });
    }

    /// Notes that one was sent to its end.
    pub fn sent(&self, way: &Way, id: &str) {
        if let Some(begun) = self.0.lock().get_mut(way) {
            begun.iter_mut().filter(|one| one.id == id).for_each(|one| one.is_sent = true);
        }
    }

    /// The only one of which somebody may have the bytes before `from` and lack the rest. One that ends there serves as well:
    /// nothing of it is missing.
    pub fn only(&self, way: &Way, from: u64, now: Timestamp) -> Option<String> {
        let mut ways = self.0.lock();
        let begun = ways.get(way)?.iter().filter(|one| now.millis() - one.at.millis() < REMEMBERED);
        let mut may_be = begun.filter(|one| one.may_lack(from));
        let first = may_be.next()?;
        match may_be.next() {
            None => Some(first.id.clone()),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10 * ON_ITS_WAY;

    fn way() -> Way {
        (UserId::new("ann").unwrap(), "token".into(), Asked::default())
    }

    #[test]
    fn a_part_is_of_the_only_one_that_it_can_be_of() {
        let (fetched, way) = (Fetched::default(), way());
        let at = |millis| Timestamp::from_millis(1_800_000_000_000 + millis);
        let begin = |id: &str, size, millis| {
            fetched.begun(way.clone(), &crate::backup::shelf::tests::kept(id, size, 0), at(millis));
        };
        let only = |from, millis| fetched.only(&way, from, at(millis));
        assert_eq!(only(5, 0), None);
        begin("1", SIZE, 0);
        assert_eq!(
            (only(5, 1).as_deref(), only(SIZE, 1).as_deref(), only(SIZE + 1, 1)),
            (Some("1"), Some("1"), None)
        );
        // One that was sent lacks at most its end.
        fetched.sent(&way, "1");
        assert_eq!((only(5, 1), only(SIZE - 1, 1).as_deref()), (None, Some("1")));
        begin("2", SIZE, 2);
        assert_eq!((only(5, 3).as_deref(), only(SIZE - 1, 3)), (Some("2"), None));
        // Of two that broke off it could be either.
        begin("3", SIZE, 3);
        assert_eq!(only(5, 4), None);
        // Begun again it is still one.
        fetched.sent(&way, "2");
        begin("3", SIZE, 5);
        assert_eq!(only(5, 6).as_deref(), Some("3"));
        assert_eq!(only(5, 5 + REMEMBERED), None);
        // Others are others.
        let other = (way.0.clone(), "another".to_owned(), way.2.clone());
        assert_eq!(fetched.only(&other, 5, at(6)), None);
    }

    #[test]
    fn only_the_last_few_are_remembered() {
        let (fetched, way) = (Fetched::default(), way());
        let now = Timestamp::from_millis(1_800_000_000_000);
        for n in 0..20 {
            fetched.begun(way.clone(), &crate::backup::shelf::tests::kept(&n.to_string(), SIZE, 0), now);
        }
        assert_eq!(fetched.0.lock().get(&way).unwrap().len(), OF_ONE_MAX);
    }
}
