//! One moment of an inbox, pinned while it goes on being used: what backups are made of.

use super::file::{Inbox, READ_STATUS};
use super::{DeviceSeen, InboxError, Inboxes};
use crate::log::Pos;
use hongyan_backup::{About, Device, Kind, Since, Source};
use hongyan_wire::{Timestamp, UserId};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// What tells one state of an inbox from another: an inbox with the same stamp has the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The log's number: places mean something only within one.
    #[serde(default)]
    epoch: u64,
    last_message: Pos,
    version: u64,
    /// What has expired changes neither of the others.
    messages: u64,
}

impl Stamp {
    /// The number of the log within which it means something.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// An inbox at one moment. As long as it lives, the inbox's files keep what it shows.
pub struct Snapshot {
    conn: Connection,
    user: UserId,
    epoch: u64,
    pos: Pos,
    version: u64,
    restored: Pos,
    now: Timestamp,
    devices: Vec<DeviceSeen>,
    pub stamp: Stamp,
}

impl Inboxes {
    /// Pins the moment at which this is called. Who reads or writes the inbox waits only for that.
    pub async fn snapshot(self: &Arc<Self>, user: &UserId) -> Result<Snapshot, InboxError> {
        let (this, owner) = (self.clone(), user.clone());
        self.access(user, move |inbox| {
            let devices = this.devices.of(&this.folders, &owner);
            inbox.pin(owner, this.journal.log().epoch(), this.clock.now(), devices)
        })
        .await
    }

    /// What an inbox has now.
    pub async fn stamp(self: &Arc<Self>, user: &UserId) -> Result<Stamp, InboxError> {
        let epoch = self.journal.log().epoch();
        self.read(user, move |inbox| Ok(inbox.stamp(epoch))).await
    }
}

impl Inbox {
    pub(super) fn stamp(&self, epoch: u64) -> Stamp {
        let messages = self.counts.values().map(|count| count.total).sum();
        Stamp { epoch, last_message: self.last_message(), version: self.version(), messages }
    }

    pub(super) fn pin(
        &mut self,
        user: UserId,
        epoch: u64,
        now: Timestamp,
        devices: Vec<DeviceSeen>,
    ) -> Result<Snapshot, InboxError> {
        // At this very moment: what expired before is in no backup of it.
        self.expire(now)?;
        let messages = self.conn.path().map(Path::new).ok_or(InboxError::NoUser)?;
        let read_status = messages.with_file_name(READ_STATUS);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(messages, flags)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        let path = read_status.to_str().ok_or_else(|| InboxError::Path(read_status.clone()))?;
        conn.execute("ATTACH ?1 AS state", [path])?;
        // Nobody writes to either meanwhile: both are pinned at the same moment by the first look at each.
        conn.execute_batch("BEGIN")?;
        for schema in ["main", "state"] {
            let sql = format!("SELECT value FROM {schema}.meta WHERE key = 'applied'");
            conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        }
        Ok(Snapshot {
            conn,
            user,
            epoch,
            pos: self.seen(),
            version: self.version(),
            restored: self.restored,
            now,
            devices,
            stamp: self.stamp(epoch),
        })
    }
}

impl Snapshot {
    /// Bytes of the two databases at this moment: no backup of it has more before it is told otherwise or packed.
    ///
    /// # Errors
    /// What the databases say.
    pub fn size(&self) -> Result<u64, InboxError> {
        let mut bytes = 0;
        for schema in ["main", "state"] {
            let value = |name| self.conn.pragma_query_value(Some(schema), name, |row| row.get::<_, i64>(0));
            bytes += value("page_count")? * value("page_size")?;
        }
        Ok(bytes.max(0) as u64)
    }

    /// Writes a backup to a file that is not there yet. `go_on` is asked now and then with the part that is done. Blocks on
    /// storage.
    ///
    /// # Errors
    /// See [`hongyan_backup::write`].
    pub fn write(
        &self,
        kind: Kind,
        since: Option<Since>,
        path: &Path,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> hongyan_backup::Result<About> {
        let device = |seen: &DeviceSeen| Device {
            id: seen.device_id.to_string(),
            device_type: seen.device_type.as_str().to_owned(),
            name: seen.device_name.clone(),
            cursor: seen.cursor.clone(),
            last_seen: seen.last_seen.to_string(),
        };
        let devices: Vec<Device> = self.devices.iter().map(device).collect();
        let source = Source {
            conn: &self.conn,
            user: self.user.as_str(),
            epoch: self.epoch,
            pos: self.pos,
            version: self.version,
            restored: self.restored,
            now: self.now.millis(),
            devices: &devices,
        };
        hongyan_backup::write(&source, kind, since, path, go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::history::{History, Step, ann, rows, steps};
    use crate::log::record::{Marked, Record};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_full_backup_and_its_increments_are_the_inbox_row_for_row(steps in steps()) {
            let mut history = History::new();
            for step in steps {
                history.step(step);
            }
            history.check();
        }
    }

    #[test]
    fn a_snapshot_is_one_moment_however_long_it_is_kept() {
        let mut history = History::new();
        for _ in 0..3 {
            history.step(Step::Send(None));
        }
        let now = history.at();
        let snapshot = history.inbox.pin(ann(), 7, now, Vec::new()).unwrap();
        for _ in 0..100 {
            history.step(Step::Send(None));
            let places = vec![history.pos];
            let now = history.at();
            history.take(Record::Marked(Marked {
                user: ann(),
                places,
                is_read: true,
                device: None,
                at: now,
            }));
        }
        history.inbox.make_durable().unwrap();
        let path = history.dir.path().join(".kept.db");
        let about = snapshot.write(Kind::Full, None, &path, &mut |_| true).unwrap();
        assert_eq!((about.messages, about.states, about.pos), (3, 0, 3));
        let (kept, read) = hongyan_backup::open(&path).unwrap();
        assert_eq!((rows(&kept, "message").len(), read), (3, about));
    }
}
