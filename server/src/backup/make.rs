//! Making one backup: the plain file, told otherwise where that is asked for, packed, put on the shelf.

use super::shelf::{Kept, Shelf};
use super::{Asked, BUFFER, BackupError, Sealed, Wanted};
use crate::directory::Person;
use crate::inbox::Snapshot;
use hongyan_backup::{Compression, Kind};
use hongyan_wire::{Timestamp, UserId};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// What is written on the way, each gone when the next is whole.
const PLAIN: &str = "plain";
const TOLD: &str = "told";
const PACKED: &str = "packed";

/// One that is to be made.
pub(super) struct Making<'a> {
    pub shelf: &'a Shelf,
    pub person: &'a Person,
    pub wanted: &'a Wanted,
    /// For how long it is kept, in milliseconds.
    pub keep: i64,
}

impl Making<'_> {
    /// Makes it. `go_on` is asked now and then with the part that is done, from 0 to 1: whether to. What is written, told
    /// and packed are about as many bytes each, and count alike.
    ///
    /// # Errors
    /// What the inbox or the disk says, that it is too large, that the disk has no room for it, and that it was given up. Then nothing is left of it.
    pub(super) fn make(
        &self,
        snapshot: Snapshot,
        go_on: &dyn Fn(f64) -> bool,
    ) -> Result<Arc<Kept>, BackupError> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let made =
            self.make_as(&id, snapshot, go_on).map_err(|error| match (error, self.shelf.look_for_room(0)) {
                (BackupError::Backup(hongyan_backup::Error::Cancelled), Err(full)) => full.into(),
                (error, _) => error,
            });
        if made.is_err() {
            // What cannot be cleared away now is at the next start.
            for part in [PLAIN, TOLD, PACKED] {
                let _ = self.shelf.partial(&self.person.id, &id, part);
            }
        }
        made
    }

    fn make_as(
        &self,
        id: &str,
        snapshot: Snapshot,
        go_on: &dyn Fn(f64) -> bool,
    ) -> Result<Arc<Kept>, BackupError> {
        let (user, asked) = (&self.person.id, &self.wanted.asked);
        let compression = asked.compression;
        let is_packed = compression != Compression::None || asked.sealed != Sealed::None;
        let told = asked.format.export(|| self.person.name.clone());
        let steps = 1.0 + f64::from(u8::from(told.is_some())) + f64::from(u8::from(is_packed));
        let step = |n: f64, part: f64| {
            // Others write meanwhile, and a page may be larger than what it tells.
            self.shelf.look_for_room(0).is_ok() && go_on((n + part.clamp(0.0, 1.0)) / steps)
        };
        if !step(0.0, 0.0) {
            return Err(hongyan_backup::Error::Cancelled.into());
        }
        // How much has changed is known once it is written.
        let most = if asked.kind == Kind::Incremental { 0 } else { snapshot.size()? };
        self.shelf.look_for_room(most)?;
        let mut whole = self.shelf.partial(user, id, PLAIN)?;
        let about = snapshot.write(asked.kind, self.wanted.since, &whole, &mut |part| step(0.0, part))?;
        // What is pinned is let go of as soon as it is copied.
        let stamp = snapshot.stamp;
        drop(snapshot);
        let mut done = 1.0;
        if let Some(format) = told {
            self.shelf.look_for_room(whole.metadata()?.len())?;
            let to = self.shelf.partial(user, id, TOLD)?;
            let mut file = File::create_new(&to)?;
            hongyan_backup::export(&whole, &format, &mut file, &mut |part| step(done, part))?;
            fs::remove_file(&whole)?;
            (whole, done) = (to, done + 1.0);
        }
        if is_packed {
            self.shelf.look_for_room(whole.metadata()?.len())?;
            let to = self.shelf.partial(user, id, PACKED)?;
            self.pack(&whole, &to, compression, &mut |part| step(done, part))?;
            fs::remove_file(&whole)?;
            whole = to;
        }
        let made_at = Timestamp::from_millis(about.made_at);
        let kept = Kept {
            id: id.to_owned(),
            user: user.clone(),
            owner: self.person.created_pos,
            name: name(user, asked, made_at),
            size: whole.metadata()?.len(),
            about,
            asked: asked.clone(),
            stamp,
            made_at,
            expires_at: made_at.plus_millis(self.keep),
        };
        self.shelf.keep(&whole, kept)
    }

    fn pack(
        &self,
        from: &Path,
        to: &Path,
        compression: Compression,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<(), BackupError> {
        let mut from = File::open(from)?;
        let size = from.metadata()?.len().max(1) as f64;
        let mut to = BufWriter::with_capacity(BUFFER, File::create_new(to)?);
        let encryption = &self.wanted.encryption;
        hongyan_backup::pack(&mut from, &mut to, compression, encryption, &mut |read| {
            go_on(read as f64 / size)
        })?;
        Ok(to.flush()?)
    }
}

/// `hongyan-ann-full-20260115T103000Z.db.gz.age`, `hongyan-ann-export-20260115T103000Z.jsonl.gz`
fn name(user: &UserId, asked: &Asked, made_at: Timestamp) -> String {
    let at: String = made_at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let at = at.split('.').next().unwrap_or_default();
    let what = match asked.format {
        super::Format::Database => asked.kind.as_str(),
        super::Format::Jsonl | super::Format::Html(_) => "export",
    };
    let suffix = asked.format.suffix();
    let packed = asked.compression.suffix();
    let sealed = if asked.sealed == Sealed::None { "" } else { ".age" };
    format!("hongyan-{user}-{what}-{at}Z{suffix}{packed}{sealed}")
}
