//! What waits in memory until somebody comes back with its key: for minutes, up to a number, and only so much of it from one
//! place, so that no stranger can push out what others wait for.

use super::throttle::place;
use hashlink::LinkedHashMap;
use hongyan_wire::Timestamp;
use parking_lot::Mutex;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::net::IpAddr;

/// Things of one kind at one time; the oldest go first.
const WAITING_MAX: usize = 50_000;
/// Of these, from one place.
const WAITING_OF_ONE_PLACE: usize = 200;
/// And where half of all are taken: whoever has many places does not get the other half.
const WAITING_OF_ONE_PLACE_WHEN_FULL: usize = 20;

/// Too much was begun from one place and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins were begun from here and not finished; try again in ten minutes")]
pub struct TooMany;

/// Things that wait, by their keys.
pub struct Pending<T>(Mutex<Waiting<T>>);

struct Waiting<T> {
    things: LinkedHashMap<SmolStr, Thing<T>>,
    of_place: HashMap<IpAddr, usize>,
}

struct Thing<T> {
    value: T,
    place: IpAddr,
    until: Timestamp,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { things: LinkedHashMap::new(), of_place: HashMap::new() }))
    }
}

impl<T> Pending<T> {
    /// Keeps something for somebody at this address. All of one kind wait equally long, so that the oldest end first.
    pub fn keep(
        &self,
        key: SmolStr,
        value: T,
        address: IpAddr,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let place = place(address);
        let mut waiting = self.0.lock();
        waiting.make_room(now);
        let is_filling = waiting.things.len() >= WAITING_MAX / 2;
        let most = if is_filling { WAITING_OF_ONE_PLACE_WHEN_FULL } else { WAITING_OF_ONE_PLACE };
        let held = waiting.of_place.entry(place).or_default();
        if *held >= most {
            return Err(TooMany);
        }
        *held += 1;
        waiting.things.insert(key, Thing { value, place, until });
        Ok(())
    }

    /// Looks at what waits under a key.
    pub fn look<R>(&self, key: &str, now: Timestamp, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.lock().things.get(key).filter(|thing| thing.until > now).map(|thing| look(&thing.value))
    }

    /// Takes what waits under a key, for the first who comes.
    pub fn take(&self, key: &str, now: Timestamp) -> Option<T> {
        self.0.lock().remove(key).filter(|thing| thing.until > now).map(|thing| thing.value)
    }
}

impl<T> Waiting<T> {
    fn make_room(&mut self, now: Timestamp) {
        while let Some((key, oldest)) = self.things.front() {
            if oldest.until > now && self.things.len() < WAITING_MAX {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &str) -> Option<Thing<T>> {
        let thing = self.things.remove(key)?;
        if let Some(held) = self.of_place.get_mut(&thing.place) {
            *held -= 1;
            if *held == 0 {
                self.of_place.remove(&thing.place);
            }
        }
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn keep(pending: &Pending<u32>, key: u32, address: &str) -> Result<(), TooMany> {
        pending.keep(smol_str::format_smolstr!("{key}"), key, address.parse().unwrap(), at(100), at(0))
    }

    #[test]
    fn what_waits_is_taken_once_and_in_time() {
        let pending = Pending::default();
        keep(&pending, 1, "192.0.2.1").unwrap();
        keep(&pending, 2, "192.0.2.1").unwrap();
        assert_eq!(pending.look("1", at(99), |value| *value), Some(1));
        assert_eq!(pending.take("1", at(99)), Some(1));
        assert_eq!(pending.take("1", at(99)), None, "it was taken");
        assert_eq!(pending.look("2", at(100), |value| *value), None, "it is too late");
        assert_eq!(pending.take("2", at(100)), None);
    }

    #[test]
    fn nobody_fills_all_from_one_place() {
        let pending = Pending::default();
        let mut stranger = 0;
        while keep(&pending, stranger, "2001:db8::1").is_ok() {
            stranger += 1;
            assert!(stranger <= WAITING_MAX as u32);
        }
        assert_eq!(keep(&pending, 90_000, "2001:db8::ffff"), Err(TooMany), "the same subscriber");
        keep(&pending, 90_001, "192.0.2.1").unwrap();
        assert_eq!(pending.take("0", at(1)), Some(0));
        keep(&pending, 90_002, "2001:db8::1").unwrap();
    }

    #[test]
    fn who_has_many_places_does_not_push_others_out() {
        let pending = Pending::default();
        keep(&pending, 1_000_000, "192.0.2.1").unwrap();
        let mut key = 0;
        // A whole /48.
        for place in 0..256 {
            for _ in 0..WAITING_OF_ONE_PLACE {
                let _ = keep(&pending, key, &format!("2001:db8:0:{:x}::1", place << 8));
                key += 1;
            }
        }
        assert_eq!(pending.take("1000000", at(1)), Some(1_000_000));
        keep(&pending, 1_000_001, "192.0.2.2").unwrap();
    }
}
