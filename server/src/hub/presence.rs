//! Which of a user's devices are online: sent to all of them on change, at most once a second for each user.
//!
//! The list has an entry for each device and goes to each device, so it is the one frame whose cost grows with
//! the square of a user's sockets. Changes within the second are sent together at its end.

use super::{Hub, frame};
use hongyan_wire::UserId;
use hongyan_wire::frame::{Presence, PresentDevice, ServerFrame};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two lists to one user.
const PAUSE: Duration = Duration::from_secs(1);

/// When a list was last sent to a user, and whether another one is due.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sent_at: Option<Instant>,
    is_due: bool,
}

/// What a change of presence leads to.
#[derive(Debug, PartialEq, Eq)]
enum Tell {
    Now,
    /// At this moment, together with what changes until then.
    Later(Instant),
    /// With a list that is due already.
    Already,
}

impl Pace {
    fn changed(&mut self, now: Instant) -> Tell {
        if self.is_due {
            return Tell::Already;
        }
        match self.sent_at.map(|at| at + PAUSE).filter(|next| *next > now) {
            Some(next) => {
                self.is_due = true;
                Tell::Later(next)
            }
            None => {
                self.sent_at = Some(now);
                Tell::Now
            }
        }
    }

    /// Whether the list that was due is still wanted; it counts as sent.
    fn is_still_due(&mut self, now: Instant) -> bool {
        if self.is_due {
            self.sent_at = Some(now);
        }
        std::mem::take(&mut self.is_due)
    }
}

impl Hub {
    /// Tells a user's devices which of them are online, now or within a second.
    pub fn tell_presence(self: &Arc<Self>, user: &UserId) {
        let tell = self.paced(user, |pace| pace.changed(Instant::now()));
        match tell {
            Some(Tell::Now) => self.send_presence(user),
            Some(Tell::Later(at)) => {
                let (hub, user) = (self.clone(), user.clone());
                tokio::spawn(async move {
                    tokio::time::sleep_until(at.into()).await;
                    if hub.paced(&user, |pace| pace.is_still_due(Instant::now())) == Some(true) {
                        hub.send_presence(&user);
                    }
                });
            }
            // Nobody is there any more, or a list is on its way.
            Some(Tell::Already) | None => {}
        }
    }

    fn paced<T>(&self, user: &UserId, with: impl FnOnce(&mut Pace) -> T) -> Option<T> {
        self.shard(user).lock().users.get_mut(user).map(|online| with(&mut online.pace))
    }

    fn send_presence(&self, user: &UserId) {
        let outlets = self.outlets(user);
        let devices = outlets.iter().filter_map(|outlet| {
            let device = outlet.device()?.clone();
            Some(PresentDevice {
                device_id: device.id,
                device_type: device.device_type,
                device_name: device.name,
                state: outlet.presence(),
            })
        });
        let presence = ServerFrame::Presence(Presence { devices: devices.collect() });
        if let Some(frame) = frame::encode(&presence) {
            for outlet in outlets {
                outlet.send(&frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_within_a_second_are_sent_once_at_its_end() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.changed(start), Tell::Now);
        assert_eq!(pace.changed(after(10)), Tell::Later(after(1_000)));
        assert_eq!(pace.changed(after(20)), Tell::Already);
        assert!(pace.is_still_due(after(1_000)));
        assert!(!pace.is_still_due(after(1_001)), "it was sent");
        assert_eq!(pace.changed(after(1_500)), Tell::Later(after(2_000)));
        assert!(pace.is_still_due(after(2_000)));
        assert_eq!(pace.changed(after(3_000)), Tell::Now);
    }
}
