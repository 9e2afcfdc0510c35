//! How many sockets there may be: in all, and from one address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Total,
    Address,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The limits and what is taken of them.
pub struct Limits {
    total: usize,
    per_address: usize,
    taken: Mutex<Taken>,
    emptied: Notify,
}

/// A place that is given back when it is dropped.
pub struct Seat {
    limits: Arc<Limits>,
    address: IpAddr,
}

impl Limits {
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { total, per_address, taken: Mutex::default(), emptied: Notify::new() })
    }

    /// Takes a place for one socket.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Refused> {
        let mut taken = self.taken.lock();
        if taken.total >= self.total {
            return Err(Refused::Total);
        }
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.per_address {
            return Err(Refused::Address);
        }
        taken.total += 1;
        taken.by_address.insert(address, here + 1);
        Ok(Seat { limits: self.clone(), address })
    }

    /// Waits until no socket is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Sockets open now.
    pub fn open(&self) -> usize {
        self.taken.lock().total
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.limits.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        if taken.total == 0 {
            self.limits.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = Limits::new(3, 2);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = limits.take(a).unwrap();
        let _second = limits.take(a).unwrap();
        assert_eq!(limits.take(a).err(), Some(Refused::Address));
        let _third = limits.take(b).unwrap();
        assert_eq!(limits.take(b).err(), Some(Refused::Total));
        drop(first);
        assert!(limits.take(a).is_ok());
        assert_eq!(limits.open(), 2);
    }
}
