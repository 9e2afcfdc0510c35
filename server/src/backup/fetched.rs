//! What sessions and tokens have begun to fetch: what a part that names nothing is of.
//!
//! What always holds: where it could be of two that are remembered, it is of none. A client that goes on says from which
//! byte on, and nothing else; bytes of another backup would make one file of two, and nobody would notice.

use super::Asked;
use hashlink::LruCache;
use hongyan_wire::{Timestamp, UserId};
use parking_lot::Mutex;

/// In how many ways things are fetched that are remembered, over all people: some 10 MB.
const WAYS_MAX: usize = 10_000;
/// Of one, the last: as many as are kept of a person.
const OF_ONE_MAX: usize = 32;
/// For how long, in milliseconds: a part may lie there for some days before somebody goes on with it.
const REMEMBERED: i64 = 7 * 86_400_000;
/// What may be on its way when a connection breaks, in bytes: it was sent, and has not arrived. More than Linux lets two
/// sockets hold (tcp(7), `tcp_wmem` and `tcp_rmem`: 4 and 32 MiB at most where nothing else is set).
const ON_ITS_WAY: u64 = 64 * 1024 * 1024;

/// One way to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Way {
    pub user: UserId,
    /// The session or token.
    pub by: String,
    /// What comes to lie there, which is not packed where that is only on the way.
    pub file: Asked,
}

/// A backup that was begun.
struct Begun {
    id: String,
    /// Of the file as it comes to lie there; `None` where it is packed on the way only.
    size: Option<u64>,
    at: Timestamp,
    /// How often it was begun and was not sent to its end.
    open: u32,
}

impl Begun {
    /// Whether there are so many bytes of it.
    fn has(&self, from: u64) -> bool {
        self.size.is_none_or(|size| from <= size)
    }

    /// Whether somebody may have this many bytes of it and lack the rest.
    fn may_lack(&self, from: u64) -> bool {
        let is_near = self.size.is_none_or(|size| size.saturating_sub(from) <= ON_ITS_WAY);
        self.has(from) && (self.open > 0 || is_near)
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
    /// Notes that one is being fetched from its beginning on. `size`: of the file as it comes to lie there, where that is
    /// known.
    pub fn begun(&self, way: &Way, id: &str, size: Option<u64>, now: Timestamp) {
        let mut ways = self.0.lock();
        if !ways.contains_key(way) {
            ways.insert(way.clone(), Vec::new());
        }
        let Some(begun) = ways.get_mut(way) else { return };
        begun.retain(|one| now.millis() - one.at.millis() < REMEMBERED);
        if let Some(again) = begun.iter_mut().find(|one| one.id == id && one.size == size) {
            again.at = now;
            again.open = again.open.saturating_add(1);
            return;
        }
        if begun.len() == OF_ONE_MAX {
            let whole = begun.iter().position(|one| one.open == 0);
            begun.remove(whole.unwrap_or_default());
        }
        begun.push(Begun { id: id.to_owned(), size, at: now, open: 1 });
    }

    /// Notes that one was sent to its end, from its beginning or from where it had broken off.
    pub fn sent(&self, way: &Way, id: &str, size: Option<u64>) {
        if let Some(begun) = self.0.lock().get_mut(way) {
            let same = begun.iter_mut().filter(|one| one.id == id && one.size == size);
            same.for_each(|one| one.open = one.open.saturating_sub(1));
        }
    }

    /// The only one of which somebody may have the bytes before `from` and lack the rest.
    pub fn only(&self, way: &Way, from: u64, now: Timestamp) -> Option<String> {
        let mut ways = self.0.lock();
        let begun = ways.get(way)?.iter().filter(|one| now.millis() - one.at.millis() < REMEMBERED);
        let begun: Vec<&Begun> = begun.collect();
        let only =
            |mut some: Vec<&Begun>| if some.len() == 1 { some.pop().map(|one| one.id.clone()) } else { None };
        // Where there is but one, it is that, also where it is not known how far it has got.
        if begun.len() == 1 {
            return only(begun.into_iter().filter(|one| one.has(from)).collect());
        }
        only(begun.into_iter().filter(|one| one.may_lack(from)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10 * ON_ITS_WAY;

    fn way(by: &str) -> Way {
        Way { user: UserId::new("ann").unwrap(), by: by.into(), file: Asked::default() }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn a_part_is_of_the_only_one_that_it_can_be_of() {
        let (fetched, way) = (Fetched::default(), way("token"));
        let begin = |id, millis| fetched.begun(&way, id, Some(SIZE), at(millis));
        let only = |from, millis| fetched.only(&way, from, at(millis));
        assert_eq!(only(5, 0), None);
        begin("1", 0);
        assert_eq!((only(5, 1).as_deref(), only(SIZE, 1).as_deref()), (Some("1"), Some("1")));
        assert_eq!(only(SIZE + 1, 1), None);
        // Behind who gathers all of it, as a proxy may, it was sent and has not arrived.
        fetched.sent(&way, "1", Some(SIZE));
        assert_eq!(only(5, 1).as_deref(), Some("1"));
        // Of two, one that was sent lacks at most its end.
        begin("2", 2);
        assert_eq!((only(5, 3).as_deref(), only(SIZE - 1, 3)), (Some("2"), None));
        // Of two that broke off it could be either.
        begin("3", 3);
        assert_eq!(only(5, 4), None);
        fetched.sent(&way, "2", Some(SIZE));
        assert_eq!(only(5, 5).as_deref(), Some("3"));
        // Begun twice and sent once, one of both still lacks something.
        begin("2", 6);
        begin("2", 7);
        fetched.sent(&way, "2", Some(SIZE));
        assert_eq!(only(5, 8), None);
        assert_eq!(only(5, 3 + REMEMBERED).as_deref(), Some("2"));
        assert_eq!(only(5, 7 + REMEMBERED), None);
    }

    #[test]
    fn how_far_one_has_got_that_is_packed_on_the_way_is_not_known() {
        let (fetched, way) = (Fetched::default(), way("token"));
        fetched.begun(&way, "1", None, at(0));
        fetched.sent(&way, "1", None);
        assert_eq!(fetched.only(&way, SIZE, at(1)).as_deref(), Some("1"));
        fetched.begun(&way, "2", Some(SIZE), at(1));
        assert_eq!(fetched.only(&way, 5, at(2)), None);
    }

    #[test]
    fn others_are_others_and_only_the_last_of_one_are_remembered() {
        let fetched = Fetched::default();
        for n in 0..40 {
            fetched.begun(&way("one"), &n.to_string(), Some(SIZE), at(n));
            if n > 0 {
                fetched.sent(&way("one"), &n.to_string(), Some(SIZE));
            }
        }
        assert_eq!(fetched.0.lock().get(&way("one")).unwrap().len(), OF_ONE_MAX);
        assert_eq!(
            fetched.only(&way("one"), 5, at(50)).as_deref(),
            Some("0"),
            "what broke off stays longest"
        );
        assert_eq!(fetched.only(&way("other"), 5, at(50)), None);
    }
}
