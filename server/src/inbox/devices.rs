//! `.sync/`: for each device, how far it has got and when it was last seen. Kept in memory and written
//! from time to time, so that ten thousand reconnects write nothing.

use super::Folders;
use hongyan_wire::account::DeviceType;
use hongyan_wire::{DeviceId, Timestamp, UserId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Devices noted but not yet written; beyond it the oldest news is good enough.
const NOTED_MAX: usize = 200_000;

/// Devices remembered of one person; those not seen for longest go first.
const DEVICES_MAX: usize = 100;

/// One device of a person, as written to `.sync/{device_id}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSeen {
    pub device_id: DeviceId,
    pub device_type: DeviceType,
    pub device_name: String,
    /// How far the device had got.
    pub cursor: String,
    pub last_seen: Timestamp,
}

/// What has been noted and not yet written.
#[derive(Default)]
pub struct Devices {
    noted: Mutex<HashMap<(UserId, DeviceId), DeviceSeen>>,
}

impl Devices {
    /// Notes where a device stands.
    pub fn note(&self, user: &UserId, seen: DeviceSeen) {
        let mut noted = self.noted.lock();
        let key = (user.clone(), seen.device_id.clone());
        if noted.len() < NOTED_MAX || noted.contains_key(&key) {
            noted.insert(key, seen);
        }
    }

    /// Where a person's devices stand, by their ids. Blocks on storage.
    pub(super) fn of(&self, folders: &Folders, user: &UserId) -> Vec<DeviceSeen> {
        let mut devices = BTreeMap::new();
        // Without the folder there are those in memory.
        let files = std::fs::read_dir(folders.of(user).join(".sync")).into_iter().flatten().flatten();
        for path in files.map(|file| file.path()) {
            if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(json) = std::fs::read(&path)
                && let Ok(seen) = serde_json::from_slice::<DeviceSeen>(&json)
            {
                devices.insert(seen.device_id.clone(), seen);
            }
        }
        let noted = self.noted.lock();
        let own = noted.iter().filter(|((owner, _), _)| owner == user);
        devices.extend(own.map(|((_, device), seen)| (device.clone(), seen.clone())));
        devices.into_values().collect()
    }

    /// Writes what was noted into the folders of those who have one. Blocks on storage.
    pub(super) fn write(&self, folders: &Folders) {
        let noted = std::mem::take(&mut *self.noted.lock());
        for ((user, device), seen) in noted {
            let sync = folders.of(&user).join(".sync");
            if !sync.is_dir() {
                continue;
            }
            let path = sync.join(format!("{device}.json"));
            let written = serde_json::to_vec(&seen)
                .map_err(std::io::Error::from)
                .and_then(|json| std::fs::write(path.with_extension("new"), json))
                .and_then(|()| std::fs::rename(path.with_extension("new"), &path))
                .and_then(|()| prune(&sync));
            if let Err(error) = written {
                tracing::warn!(%user, %device, %error, "where a device stands could not be written");
            }
        }
    }
}

/// Every browser window is a device of its own: forgets those not seen for longest.
fn prune(sync: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(sync)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    if files.len() <= DEVICES_MAX {
        return Ok(());
    }
    files.sort_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    for path in files.iter().take(files.len() - DEVICES_MAX) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
