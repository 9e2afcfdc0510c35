//! Who is online, by user and by group; and the one place from which live frames go out.
//!
//! A message is encoded once and the same bytes are handed to every socket of its audience. What it costs
//! grows with those who are online and meant, not with the audience.

mod couriers;
pub mod frame;
mod limits;
mod outlet;
mod presence;
mod user_seats;

pub use limits::{Limits, Refused, Seat};
pub use outlet::{Attention, Device, Duplex, Identity, Order, Outlet, PACE, QUEUE_BYTES_MAX};
pub use user_seats::{Denied, UserSeat};

use crate::directory::{Effect, Person};
use crate::log::record::{Audience, GroupKey, Record};
use crate::log::{Logged, Pos};
use bytes::Bytes;
use couriers::{Couriers, Work};
use hongyan_wire::backup::BackupJob;
use hongyan_wire::frame::{ServerFrame, SessionRevoked, StatusUpdate, close};
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use parking_lot::Mutex;
use presence::Pace;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;
use user_seats::UserSeats;

/// Parts with a lock of their own.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    /// Everyone's, side by side: what goes to all looks nobody up.
    outlets: Vec<Arc<Outlet>>,
    users: HashMap<UserId, Online>,
    groups: HashMap<GroupKey, HashSet<UserId>>,
}

/// A user who is online.
#[derive(Default)]
struct Online {
    outlets: Vec<Arc<Outlet>>,
    groups: Vec<GroupKey>,
    /// What the user was a member of once: recalls of what came through these concern them still.
    left: Vec<GroupKey>,
    /// When the list of devices is sent.
    pace: Pace,
}

/// All sockets.
pub struct Hub {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    couriers: Couriers,
    seats: Arc<UserSeats>,
}

impl Default for Hub {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new(), couriers: Couriers::default(), seats: Arc::default() }
    }
}

impl Hub {
    /// Beats that make one ping interval.
    pub const BEATS: u32 = SHARDS as u32;

    fn shard(&self, user: &UserId) -> &Mutex<Shard> {
        let index = self.hasher.hash_one(user) as usize % self.shards.len();
        &self.shards[index]
    }

    /// Takes a socket in, holding back what comes for it. `person` is asked while nothing else can
    /// change who is online, so that no change of membership is missed. The same device's older socket
    /// is closed.
    pub fn register<E>(
        self: &Arc<Self>,
        outlet: &Arc<Outlet>,
        person: impl FnOnce() -> Result<Arc<Person>, E>,
    ) -> Result<(), E> {
        let user = &outlet.identity.user;
        let (replaced, others) = {
            let mut shard = self.shard(user).lock();
            let Shard { outlets, users, groups } = &mut *shard;
            let person = person()?;
            let online = users.entry(user.clone()).or_default();
            if online.outlets.is_empty() {
                online.groups = person.groups().cloned().collect();
                let ended = person.memberships.iter().filter(|membership| membership.to.is_some());
                online.left = ended.map(|membership| membership.key.clone()).collect();
                for key in &online.groups {
                    groups.entry(key.clone()).or_default().insert(user.clone());
                }
            }
            let same = outlet
                .device()
                .and_then(|device| online.outlets.iter().position(|other| other.is_device(&device.id)));
            let replaced = same.map(|at| online.outlets.swap_remove(at));
            if let Some(replaced) = &replaced {
                forget(outlets, replaced);
            }
            online.outlets.push(outlet.clone());
            outlets.push(outlet.clone());
            (replaced, online.outlets.len() > 1)
        };
        if let Some(older) = replaced {
            older.close(None, close::REPLACED, "the same device has connected again");
        }
        // A device that is alone knows so without being told.
        if others {
            self.tell_presence(user);
        }
        Ok(())
    }

    /// Lets a socket go.
    pub fn unregister(self: &Arc<Self>, outlet: &Arc<Outlet>) {
        let user = &outlet.identity.user;
        {
            let mut shard = self.shard(user).lock();
            let Shard { outlets, users, groups } = &mut *shard;
            let Some(online) = users.get_mut(user) else { return };
            let Some(at) = online.outlets.iter().position(|other| Arc::ptr_eq(other, outlet)) else { return };
            online.outlets.swap_remove(at);
            forget(outlets, outlet);
            if online.outlets.is_empty() {
                for key in std::mem::take(&mut online.groups) {
                    leave(groups, &key, user);
                }
                users.remove(user);
                return;
            }
        }
        self.tell_presence(user);
    }

    /// Follows what was committed: `batch` is in order, and so are the `effects` that its records have on
    /// those who are connected. Messages go to everyone online who is meant at their place.
    pub fn follow(&self, batch: &[Logged], effects: Vec<(Pos, Effect)>, now: Timestamp) {
        let mut effects = effects.into_iter().peekable();
        let mut touched = Vec::new();
        for logged in batch {
            while let Some((_, effect)) = effects.next_if(|(pos, _)| *pos <= logged.pos) {
                self.change(effect);
            }
            let meant = self.meant(&logged.record, now);
            if meant.is_empty() {
                continue;
            }
            let (order, Some(frame)) = (Order::Message(logged.pos), live_frame(logged)) else { continue };
            if batch.len() == 1 {
                // Nothing follows that could go along: straight onto the streams.
                self.couriers.each(meant, &Work::Post(order, frame));
            } else {
                touched.extend(meant.into_iter().filter(|outlet| outlet.offer(order, &frame)));
            }
        }
        // One write a socket for the whole batch.
        self.couriers.each(touched, &Work::Flush);
    }

    /// The sockets of those whom a record says something; nobody's for most.
    fn meant(&self, record: &Record, now: Timestamp) -> Vec<Arc<Outlet>> {
        match record {
            Record::Message(posted) if posted.message.expire_at.is_none_or(|at| at > now) => {
                self.audience(&posted.audience)
            }
            Record::Recalled(recalled) => {
                let mut meant = self.audience(&recalled.audience);
                if !recalled.audience.groups.is_empty() {
                    meant.extend(self.former(&recalled.audience.groups));
                }
                meant
            }
            Record::Pressed(made) => self.audience(&made.audience),
            _ => Vec::new(),
        }
    }

    /// The sockets of an audience. One may be there more than once.
    fn audience(&self, audience: &Audience) -> Vec<Arc<Outlet>> {
        let Audience { everyone, users, groups } = audience;
        let mut meant = Vec::new();
        if *everyone {
            for shard in &self.shards {
                meant.extend_from_slice(&shard.lock().outlets);
            }
            // In the order in which they came: so they lie in the system's memory too.
            meant.sort_by_cached_key(|outlet| outlet.number());
            return meant;
        }
        for user in users {
            if let Some(online) = self.shard(user).lock().users.get(user) {
                meant.extend_from_slice(&online.outlets);
            }
        }
        for key in groups {
            for shard in &self.shards {
                let shard = shard.lock();
                let members = shard.groups.get(key).into_iter().flatten();
                let online = members.filter_map(|user| shard.users.get(user));
                meant.extend(online.flat_map(|online| &online.outlets).cloned());
            }
        }
        meant
    }

    /// The sockets of those who were in one of these groups once.
    fn former(&self, groups: &[GroupKey]) -> Vec<Arc<Outlet>> {
        let mut former = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let online =
                shard.users.values().filter(|online| online.left.iter().any(|key| groups.contains(key)));
            former.extend(online.flat_map(|online| &online.outlets).cloned());
        }
        former
    }

    fn change(&self, effect: Effect) {
        match effect {
            Effect::Joined(user, key) => {
                let mut shard = self.shard(&user).lock();
                let Shard { users, groups, .. } = &mut *shard;
                if let Some(online) = users.get_mut(&user)
                    && !online.groups.contains(&key)
                {
                    online.groups.push(key.clone());
                    groups.entry(key).or_default().insert(user);
                }
            }
            Effect::Left(user, key) => {
                let mut shard = self.shard(&user).lock();
                let Shard { users, groups, .. } = &mut *shard;
                if let Some(online) = users.get_mut(&user) {
                    online.groups.retain(|held| *held != key);
                    leave(groups, &key, &user);
                    online.left.push(key);
                }
            }
            Effect::Deleted(user) => self.end(&user, "deleted", |_| true),
            Effect::GroupDeleted(key) => {
                for shard in &self.shards {
                    let mut shard = shard.lock();
                    let Shard { users, groups, .. } = &mut *shard;
                    for user in groups.remove(&key).into_iter().flatten() {
                        if let Some(online) = users.get_mut(&user) {
                            online.groups.retain(|held| *held != key);
                            online.left.push(key.clone());
                        }
                    }
                }
            }
            Effect::Disabled(user) => self.end(&user, "disabled", |_| true),
            Effect::AllEnded(user) => self.end(&user, "revoked", |_| true),
            Effect::SessionsEnded(user, sessions) => {
                let ended = |session: Option<&SessionId>| session.is_some_and(|s| sessions.contains(s));
                self.end(&user, "revoked", |outlet| ended(outlet.identity.session.as_ref()));
            }
        }
    }

    fn end(&self, user: &UserId, reason: &str, which: impl Fn(&Outlet) -> bool) {
        for outlet in self.outlets(user).iter().filter(|outlet| which(outlet)) {
            self.sign_out(outlet, reason);
        }
    }

    /// Tells a user's devices of the user's own changes, all but the one that made them. `complete` is
    /// false when there are more than are listed: then the devices fetch them.
    pub fn tell_updates(
        &self,
        user: &UserId,
        but: Option<&DeviceId>,
        updates: &[hongyan_wire::frame::StatusUpdate],
        complete: bool,
    ) {
        let outlets = self.outlets(user);
        let others: Vec<_> =
            outlets.iter().filter(|outlet| !but.is_some_and(|but| outlet.is_device(but))).collect();
        if others.is_empty() {
            return;
        }
        if complete {
            for update in updates {
                let order = Order::Status(update.version);
                if let Some(frame) = frame::encode(&ServerFrame::StatusUpdate(update.clone())) {
                    for outlet in &others {
                        outlet.offer(order, &frame);
                    }
                }
            }
        } else {
            for outlet in &others {
                outlet.offer(Order::None, &frame::RESYNC);
            }
        }
        for outlet in others {
            outlet.flush();
        }
    }

    /// Tells a user's devices how one of the user's own backups in the background stands.
    pub fn tell_job(&self, user: &UserId, job: BackupJob) {
        let outlets = self.outlets(user);
        if !outlets.is_empty()
            && let Some(frame) = frame::encode(&ServerFrame::BackupJob(job))
        {
            outlets.iter().for_each(|outlet| outlet.send(&frame));
        }
    }

    /// One of the [`Self::BEATS`] beats of an interval: pings a part of all sockets, so that ten thousand are
    /// not pinged at one instant, and closes those that were silent for two intervals or whose token has ended.
    pub fn beat(&self, beat: usize, interval_millis: i64, now: Timestamp) {
        for (index, shard) in self.shards.iter().enumerate() {
            let outlets = shard.lock().outlets.clone();
            for outlet in outlets {
                outlet.kill_if_stuck(now);
                if outlet.identity.expires_at <= now {
                    self.sign_out(&outlet, "expired");
                } else if outlet.heard_at().plus_millis(2 * interval_millis) < now {
                    outlet.close(None, close::POLICY, "silent for two intervals");
                } else if index == beat % SHARDS {
                    outlet.send(&frame::PING);
                }
            }
        }
    }

    /// Asks every client to come back later: the server is stopping.
    pub fn restart(&self) {
        for shard in &self.shards {
            let outlets = shard.lock().outlets.clone();
            for outlet in outlets {
                outlet.close(None, close::RESTART, "the server is restarting");
            }
        }
    }

    /// Ends one socket whose session is over.
    pub fn sign_out(&self, outlet: &Outlet, reason: &str) {
        let revoked = ServerFrame::SessionRevoked(SessionRevoked { reason: reason.into() });
        outlet.close(frame::encode(&revoked).as_ref(), close::SIGNED_OUT, reason);
    }

    /// Takes a place for one more socket of a user, before its client has said anything.
    pub fn admit(&self, user: &UserId) -> Result<UserSeat, Denied> {
        self.seats.take(user, Instant::now())
    }

    /// How far the devices have got that are online and belong to those whom an audience names, now or once. One
    /// person may be there more than once.
    pub fn reached(&self, audience: &Audience) -> Vec<(UserId, Pos)> {
        let mut meant = self.audience(audience);
        if !audience.groups.is_empty() {
            meant.extend(self.former(&audience.groups));
        }
        meant.iter().map(|outlet| (outlet.identity.user.clone(), outlet.last_pos())).collect()
    }

    /// How many people are online, and with how many devices.
    pub fn online(&self) -> (u64, u64) {
        let mut online = (0, 0);
        for shard in &self.shards {
            let shard = shard.lock();
            online.0 += shard.users.len() as u64;
            online.1 += shard.outlets.len() as u64;
        }
        online
    }

    fn outlets(&self, user: &UserId) -> Vec<Arc<Outlet>> {
        self.shard(user).lock().users.get(user).map(|online| online.outlets.clone()).unwrap_or_default()
    }
}

/// What a record says to everyone who is meant, if it says anything.
fn live_frame(logged: &Logged) -> Option<Bytes> {
    let frame = match &*logged.record {
        Record::Message(posted) => {
            let mut message = posted.message.clone();
            message.pos = logged.pos;
            ServerFrame::Message(message)
        }
        Record::Recalled(recalled) => {
            let (id, by) = (recalled.id.clone(), recalled.replaced_by.clone());
            ServerFrame::StatusUpdate(StatusUpdate::recalled(id, logged.pos, recalled.at, by))
        }
        Record::Pressed(made) => ServerFrame::StatusUpdate(StatusUpdate::pressed(
            made.id.clone(),
            logged.pos,
            made.pressed.clone(),
        )),
        _ => return None,
    };
    frame::encode(&frame)
}

fn forget(outlets: &mut Vec<Arc<Outlet>>, outlet: &Arc<Outlet>) {
    if let Some(at) = outlets.iter().position(|other| Arc::ptr_eq(other, outlet)) {
        outlets.swap_remove(at);
    }
}

fn leave(groups: &mut HashMap<GroupKey, HashSet<UserId>>, key: &GroupKey, user: &UserId) {
    if let Some(members) = groups.get_mut(key) {
        members.remove(user);
        if members.is_empty() {
            groups.remove(key);
        }
    }
}
