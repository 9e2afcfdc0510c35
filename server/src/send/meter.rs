//! How often each caller calls: the limit of each, and a bound on what one may have under way, so that a flood
//! by one never slows another. Each node counts for itself.

use crate::auth::{Caller, UserCaller, Visitor};
use crate::config::Rates;
use crate::error::{Error, Rate};
use hongyan_wire::admin::ServiceType;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

/// Parts with a lock of their own.
const SHARDS: usize = 16;
/// Requests of one caller that may be under way: a quarter of what may wait for the log.
const UNDER_WAY_MAX: u32 = 1_024;
/// Changes a minute that one person may make of their own account.
const CHANGES_PER_MINUTE: u32 = 120;
const MINUTE: u64 = 60_000_000;
/// Meters of a part below which nothing is swept.
const SWEEP_LEAST: usize = 1_024;

/// What a stranger comes for: too much of the one keeps nobody from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Shows a refresh token.
    Renewing,
    /// Begins or ends a sign-in.
    SigningIn,
}

/// What is known of a caller who sends.
#[derive(Default)]
struct Meter {
    /// The generic cell rate algorithm's theoretical arrival time (ITU-T I.371, annex A): when all that was taken
    /// will have been earned, in microseconds since the start.
    earned_at: u64,
    under_way: u32,
}

/// All meters. A caller who has nothing under way and has earned everything has none.
pub struct Meters {
    rates: Rates,
    start: Instant,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

/// Those of a part. What has nothing to remember is swept out when there are twice as many as after the last sweep.
#[derive(Default)]
struct Shard {
    meters: HashMap<u64, Meter>,
    sweep_at: usize,
}

impl Shard {
    fn sweep(&mut self, now: u64) {
        if self.meters.len() >= self.sweep_at.max(SWEEP_LEAST) {
            self.meters.retain(|_, meter| meter.under_way > 0 || meter.earned_at > now);
            self.sweep_at = self.meters.len() * 2;
        }
    }
}

/// A caller's request that is under way.
pub struct Metered {
    meters: Arc<Meters>,
    key: u64,
    per_minute: Option<u32>,
    /// How things stand after what was taken; `None` for those who have no limit.
    pub rate: Option<Rate>,
}

impl Meters {
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
        }
    }

    /// Begins a request that sends one message. Fails when its caller sends too often, or has too much under way.
    pub fn begin(self: &Arc<Self>, caller: &Caller) -> Result<Metered, Error> {
        let (key, per_minute) = match caller {
            Caller::User(user) => (self.hasher.hash_one(("user", user.id())), Some(self.rates.user)),
            Caller::Service(known) => {
                let service = &known.service;
                let usual = (service.service_type == ServiceType::External).then_some(self.rates.external);
                let limit = service.rate_limit.map(|limit| limit.per_minute).or(usual);
                (self.hasher.hash_one(("service", &service.id)), limit)
            }
        };
        self.begin_for(key, per_minute, "you send too often")
    }

    /// Counts one change that a person makes of their own account. Fails when they make too many from one session: whoever
    /// has stolen one keeps its owner from ending it in no other.
    pub fn change(self: &Arc<Self>, caller: &UserCaller) -> Result<(), Error> {
        let key = self.hasher.hash_one(("account", caller.id(), &caller.claims.session_id));
        self.begin_for(key, Some(CHANGES_PER_MINUTE), "you change your account too often").map(drop)
    }

    /// Counts one request of someone who has yet to show who they are. Fails when too many for the same purpose come from
    /// the same place.
    pub fn stranger(self: &Arc<Self>, purpose: Purpose, visitor: Visitor) -> Result<(), Error> {
        let key = self.hasher.hash_one((purpose, visitor.place()));
        self.begin_for(key, Some(self.rates.strangers), "too many sign-ins come from your address").map(drop)
    }

    fn begin_for(
        self: &Arc<Self>,
        key: u64,
        per_minute: Option<u32>,
        refusal: &str,
    ) -> Result<Metered, Error> {
        {
            let now = self.now();
            let mut shard = self.shard(key).lock();
            shard.sweep(now);
            let meter = shard.meters.entry(key).or_default();
            if meter.under_way >= UNDER_WAY_MAX {
                return Err(Error::overloaded("1024 of your requests are under way; wait for their answers"));
            }
            meter.under_way += 1;
        }
        let mut metered = Metered { meters: self.clone(), key, per_minute, rate: None };
        match metered.take(1) {
            1 => Ok(metered),
            _ => Err(Error { rate: metered.rate.take(), ..Error::rate_limited(refusal) }),
        }
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        &self.shards[key as usize % SHARDS]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Metered {
    /// Whether the caller has a limit at all.
    pub fn is_limited(&self) -> bool {
        self.per_minute.is_some()
    }

    /// Takes so many messages, or as many as there are; gives how many.
    pub fn take(&mut self, wanted: u32) -> u32 {
        let Some(per_minute) = self.per_minute.map(|rate| rate.max(1)) else { return wanted };
        let each = (MINUTE / u64::from(per_minute)).max(1);
        let now = self.meters.now();
        let mut shard = self.meters.shard(self.key).lock();
        let meter = shard.meters.entry(self.key).or_default();
        let earned_at = meter.earned_at.max(now);
        let left = (now + MINUTE).saturating_sub(earned_at) / each;
        let taken = wanted.min(u32::try_from(left).unwrap_or(u32::MAX));
        meter.earned_at = earned_at + u64::from(taken) * each;
        let remaining = u32::try_from(left).unwrap_or(u32::MAX) - taken;
        // Until one more is there, if there is none; else until all are.
        let wait = match remaining {
            0 => (meter.earned_at + each).saturating_sub(now + MINUTE),
            _ => meter.earned_at - now,
        };
        let reset = u32::try_from(wait.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        self.rate = Some(Rate { limit: per_minute, remaining, reset });
        taken
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let mut shard = self.meters.shard(self.key).lock();
        if let Some(meter) = shard.meters.get_mut(&self.key) {
            meter.under_way = meter.under_way.saturating_sub(1);
            if meter.under_way == 0 && (meter.earned_at == 0 || meter.earned_at <= self.meters.now()) {
                shard.meters.remove(&self.key);
            }
        }
    }
}
