//! Putting a backup into an inbox. Like everything it is a record of the log first: it names the file, which lies beside
//! the inboxes until this one has taken it in durably, and the places of messages that come from another log.
//!
//! What always holds: a message is in an inbox once, known by its id; one that was taken back or has expired does not come
//! back; of two states of a message the later one counts. So putting the same backup in again changes nothing.

mod check;
mod put;

pub(super) use put::{Restore, place_of};

use super::{Inbox, InboxError, Inboxes};
use crate::directory::Person;
use crate::log::record::{Record, Restored};
use crate::log::{Appended, Entry, LogError, Pos};
use hongyan_backup::{About, GoOn};
use hongyan_wire::{MessageId, Timestamp, UserId};
use put::{is_over, of_file, recalled, state_of};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records appended with one flush: those who send meanwhile wait for no more than that.
const PLACES_STEP: usize = 500;
/// Messages looked for in the log at once.
const LOOK_STEP: usize = 500;

/// A whole backup of a person, in a file of its own.
pub struct Prepared {
    /// Its name in [`Inboxes::restores_of`], without `.db`.
    pub file: String,
    pub about: About,
    /// Whether it is still to be looked through: a look may be long.
    pub go_on: GoOn,
    /// Whether it is still to be put back, asked once before it is for good: whoever brought it may be signed out.
    pub is_meant: Box<dyn FnOnce() -> bool + Send>,
}

/// What became of a backup that was put into an inbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restoring {
    /// Messages that were put back.
    pub restored: u64,
    /// Messages that are there already.
    pub known: u64,
    /// Messages that were taken back by their senders, or have expired.
    pub gone: u64,
    /// States that were taken over.
    pub states: u64,
}

/// A message's place and id, as a backup has them.
type Placed = (Pos, String);

/// What a backup comes to in an inbox as it is.
#[derive(Default)]
struct Comparison {
    comes_to: Restoring,
    /// Messages that are there, and may expire before the record is applied.
    may_go: u64,
    /// Messages that were taken back, though the inbox does not know it.
    recalled: Vec<MessageId>,
}

impl Inboxes {
    /// Where a person's backups lie while they are put into the inbox.
    pub fn restores_of(&self, user: &UserId) -> PathBuf {
        self.folders.restores_of(user)
    }

    /// Puts a backup into a person's inbox: the answer comes when it is there for good. `into_empty` refuses where the
    /// inbox has messages. `tell` is called once something has changed, before the person's next change. Goes on to its end
    /// also when nobody waits for it any more. What lies in [`Self::restores_of`] is gone then.
    ///
    /// # Errors
    /// [`InboxError::NotEmpty`], [`InboxError::Backup`] for what is wrong in the file, and what the log and the storage say.
    pub async fn restore(
        self: &Arc<Self>,
        user: &UserId,
        prepared: Prepared,
        into_empty: bool,
        message_bytes: usize,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<Restoring, InboxError> {
        let (this, user) = (self.clone(), user.clone());
        let restoring = tokio::spawn(async move {
            let path = this.restores_of(&user).join(format!("{}.db", prepared.file));
            let done = this.restore_to_the_end(&user, prepared, &path, into_empty, message_bytes, tell).await;
            if done.is_err() && path.exists() {
                // Unless the record is in the log: then the next start goes on with it.
                let is_named = matches!(done, Err(Unfinished::Named(_)));
                if !is_named {
                    forget_file(path).await;
                }
            }
            done.map_err(Unfinished::into_error)
        });
        restoring
            .await
            .map_err(|ended| if ended.is_panic() { InboxError::Panicked } else { InboxError::Stopping })?
    }

    async fn restore_to_the_end(
        self: &Arc<Self>,
        user: &UserId,
        prepared: Prepared,
        path: &Path,
        into_empty: bool,
        message_bytes: usize,
        tell: impl FnOnce(),
    ) -> Result<Restoring, Unfinished> {
        // A set of the whole server has the record with the inbox that took it in, or neither.
        let _no_set = self.copies.no_set().await;
        // Long, and nobody's business but the file's.
        let (checked, pos, go_on) = (path.to_owned(), prepared.about.pos, prepared.go_on.clone());
        let check =
            move || check::check(&hongyan_backup::reopen_while(&checked, &go_on)?, pos, message_bytes);
        tokio::task::spawn_blocking(check).await.map_err(|_| InboxError::Stopping)??;
        let _one_at_a_time = self.marks.turn(user).await;
        if !(prepared.is_meant)() {
            return Err(InboxError::Ended.into());
        }
        let (file, about) = (prepared.file, prepared.about);
        let (record, comes_to) = self.decide_restore(user, file, about, path, into_empty).await?;
        if let Some(record) = record {
            self.folders.faults.at("a backup is to be put back").map_err(InboxError::from)?;
            match self.journal.append(Record::Restored(Box::new(record))).await {
                Ok(_) => {}
                // It may be there.
                Err(error @ LogError::Closed) => return Err(Unfinished::Named(error.into())),
                Err(error) => return Err(Unfinished::Undone(error.into())),
            }
            // Whatever comes now: it is what the devices find when they look.
            let finished = self.finish_restore(user).await;
            tell();
            finished.map_err(Unfinished::Named)?;
        } else {
            // One that was cut off before may have been taken in by this look.
            self.finish_restore(user).await?;
        }
        Ok(comes_to)
    }

    /// What putting a backup in comes to, and the record for it; none where nothing would change.
    async fn decide_restore(
        self: &Arc<Self>,
        user: &UserId,
        file: String,
        about: About,
        path: &Path,
        into_empty: bool,
    ) -> Result<(Option<Restored>, Restoring), InboxError> {
        let at = self.clock.now();
        let log = self.journal.log().clone();
        let mut is_ours = about.epoch == log.epoch() && about.pos <= log.head();
        let (this, path, owner) = (self.clone(), path.to_owned(), user.clone());
        let compared = self.access(user, move |inbox| {
            if into_empty && inbox.counts.values().any(|count| count.total > 0) {
                return Err(InboxError::NotEmpty);
            }
            let person = this.directory.person(&owner)?.ok_or(InboxError::NoUser)?;
            let file = hongyan_backup::reopen(&path)?;
            let is_recalled = |id: &MessageId| Ok(this.directory.is_recalled(id)?);
            let comparison = inbox.compare(&file, at, &is_recalled, &mut |missing| {
                is_ours = is_ours && this.had_places(&person, missing)?;
                Ok(())
            })?;
            if comparison.comes_to.restored + comparison.comes_to.states > 0 {
                // The log is to name nothing that a power failure could take.
                this.folders.sync()?;
            }
            Ok((comparison, is_ours))
        });
        let (Comparison { comes_to, may_go, recalled }, is_ours) = compared.await?;
        if comes_to.restored + comes_to.states == 0 {
            return Ok((None, comes_to));
        }
        let places = if is_ours { Vec::new() } else { self.places(comes_to.restored + may_go).await? };
        let (user, states) = (user.clone(), about.states);
        let record = Restored { user, file: file.into(), is_ours, places, recalled, states, at };
        Ok((Some(record), comes_to))
    }

    /// Takes in what the log has, makes it durable, and lets go of the files.
    async fn finish_restore(self: &Arc<Self>, user: &UserId) -> Result<(), InboxError> {
        let this = self.clone();
        // With the folder's own name, which may be as new as what is in it.
        self.access(user, move |_| this.folders.sync()).await?;
        self.folders.faults.at("a backup is put back")?;
        self.forget_restores(user).await
    }

    /// Goes on with what was being put back when the server ended.
    pub async fn finish_restores(self: &Arc<Self>) -> Result<(), InboxError> {
        for user in self.folders.restoring()? {
            match self.finish_restore(&user).await {
                Ok(()) => {}
                Err(InboxError::NoUser) => self.forget_restores(&user).await?,
                // Its file stays, and the next start tries again.
                Err(error) => {
                    tracing::error!(target: "hongyan::error", %user, %error, "a backup is not put back yet");
                }
            }
        }
        Ok(())
    }

    async fn forget_restores(&self, user: &UserId) -> Result<(), InboxError> {
        let folder = self.restores_of(user);
        let forgotten = tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await;
        match forgotten.map_err(|_| InboxError::Stopping)? {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether a person had these messages at these places, as far as the log still tells: a file that says so may have
    /// been made by anyone.
    fn had_places(&self, person: &Person, messages: &[Placed]) -> Result<bool, InboxError> {
        let places: Vec<Pos> = messages.iter().map(|(pos, _)| *pos).collect();
        let found = self.journal.log().read_at(&places)?;
        Ok(found.iter().all(|logged| {
            let Record::Message(posted) = &*logged.record else { return false };
            let is_it = |(pos, id): &Placed| *pos == logged.pos && *id == posted.message.id.as_str();
            person.is_meant(&posted.audience, logged.pos) && messages.iter().any(is_it)
        }))
    }

    /// Takes places in the log for messages that have none in it, and gives them as ranges.
    async fn places(&self, count: u64) -> Result<Vec<(Pos, u64)>, InboxError> {
        let mut ranges: Vec<(Pos, u64)> = Vec::new();
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        while left > 0 {
            let step = left.min(PLACES_STEP);
            let entries = std::iter::repeat_with(|| Entry::from(Record::Place)).take(step).collect();
            for appended in self.journal.append_all(entries).await {
                let Appended::Written(pos) = appended? else { continue };
                match ranges.last_mut() {
                    Some((first, count)) if *first + *count == pos => *count += 1,
                    _ => ranges.push((pos, 1)),
                }
            }
            left -= step;
        }
        Ok(ranges)
    }
}

impl Inbox {
    /// What putting a backup in comes to. `missing` is given the places and ids of messages that are not there,
    /// `is_recalled` is asked whether they were taken back.
    fn compare(
        &self,
        file: &rusqlite::Connection,
        at: Timestamp,
        is_recalled: &dyn Fn(&MessageId) -> Result<bool, InboxError>,
        missing: &mut dyn FnMut(&[Placed]) -> Result<(), InboxError>,
    ) -> Result<Comparison, InboxError> {
        let mut comparison = Comparison::default();
        let (mut gone, mut waiting) = (recalled(&self.conn)?, Vec::new());
        let sql = "SELECT id, expire_at, pos FROM message ORDER BY pos";
        let mut statement = file.prepare(sql).map_err(of_file)?;
        let mut rows = statement.query([]).map_err(of_file)?;
        while let Some(row) = rows.next().map_err(of_file)? {
            let id: String = row.get(0).map_err(of_file)?;
            let expire_at: Option<i64> = row.get(1).map_err(of_file)?;
            if place_of(&self.conn, &id)?.is_some() {
                comparison.comes_to.known += 1;
                comparison.may_go += u64::from(expire_at.is_some());
                continue;
            }
            if let Ok(id) = MessageId::new(&id)
                && !gone.contains(id.as_str())
                && is_recalled(&id)?
            {
                gone.insert(id.to_string());
                comparison.recalled.push(id);
            }
            if is_over(expire_at, at) || gone.contains(&id) {
                comparison.comes_to.gone += 1;
                continue;
            }
            comparison.comes_to.restored += 1;
            waiting.push((row.get::<_, i64>(2).map_err(of_file)? as Pos, id));
            if waiting.len() == LOOK_STEP {
                missing(&waiting)?;
                waiting.clear();
            }
        }
        missing(&waiting)?;
        let sql = "SELECT s.message_id, s.changed_at, m.expire_at FROM status s JOIN message m USING(pos)";
        let mut statement = file.prepare(sql).map_err(of_file)?;
        let mut rows = statement.query([]).map_err(of_file)?;
        while let Some(row) = rows.next().map_err(of_file)? {
            let id: String = row.get(0).map_err(of_file)?;
            let changed_at: i64 = row.get(1).map_err(of_file)?;
            let is_later = match place_of(&self.conn, &id)? {
                Some((place, _)) => {
                    state_of(&self.conn, place)?.is_none_or(|(_, before)| before < changed_at)
                }
                None => !is_over(row.get(2).map_err(of_file)?, at) && !gone.contains(&id),
            };
            comparison.comes_to.states += u64::from(is_later);
        }
        Ok(comparison)
    }
}

/// Why a restore has not come to its end.
enum Unfinished {
    /// Nothing has changed, nor will.
    Undone(InboxError),
    /// The log has it: whoever opens the inbox takes it in.
    Named(InboxError),
}

impl Unfinished {
    fn into_error(self) -> InboxError {
        match self {
            Self::Undone(error) => error,
            Self::Named(error) => InboxError::Unfinished(Box::new(error)),
        }
    }
}

impl<E: Into<InboxError>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Undone(error.into())
    }
}

/// What cannot be cleared away now is at the next start.
async fn forget_file(path: PathBuf) {
    let _ = tokio::task::spawn_blocking(move || {
        let _ = fs::remove_file(&path);
        path.parent().map(fs::remove_dir)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::history::{History, ann, rows, steps};
    use hongyan_backup::Kind;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    type Rows = Vec<Vec<Value>>;

    /// A backup of a history, joined, where the inbox looks for it.
    struct Brought {
        about: About,
        messages: Rows,
        states: Rows,
        file: PathBuf,
    }

    fn bring(history: &mut History) -> Option<Brought> {
        let file = history.full.clone()?;
        let about = hongyan_backup::apply(&file, &history.increments).unwrap();
        let (conn, _) = hongyan_backup::open(&file).unwrap();
        check::check(&conn, about.pos, 262_144).unwrap();
        Some(Brought { about, messages: rows(&conn, "message"), states: rows(&conn, "status"), file })
    }

    fn put(history: &mut History, brought: &Brought, is_ours: bool, places: Vec<(Pos, u64)>) {
        history.inbox.restores = brought.file.parent().unwrap().to_owned();
        let record = Restored {
            user: ann(),
            file: brought.file.file_stem().unwrap().to_str().unwrap().into(),
            is_ours,
            places,
            recalled: Vec::new(),
            states: brought.about.states,
            at: history.at(),
        };
        history.take(Record::Restored(Box::new(record)));
    }

    /// Rows without what differs from one inbox to the other.
    fn without(rows: &Rows, columns: &[usize]) -> Rows {
        let keep = |row: &Vec<Value>| {
            row.iter()
                .enumerate()
                .filter(|(n, _)| !columns.contains(n))
                .map(|(_, value)| value.clone())
                .collect()
        };
        rows.iter().map(keep).collect()
    }

    /// What the inbox keeps count of is what it has.
    fn check_counts(history: &mut History) {
        let counted: i64 = history
            .inbox
            .conn
            .query_row(
                "SELECT count(*) FROM main.message m LEFT JOIN state.status s ON s.pos = m.pos WHERE s.is_read IS NOT 1",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(history.inbox.unread_total() as i64, counted);
        let (version, restored) = (history.inbox.version, history.inbox.restored);
        history.inbox.load().unwrap();
        assert_eq!((history.inbox.unread_total() as i64, history.inbox.version), (counted, version));
        assert_eq!(history.inbox.restored, restored);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_backup_fills_an_empty_inbox_and_changes_nothing_in_its_own(before in steps(), after in steps()) {
            let mut history = History::new();
            before.into_iter().for_each(|step| history.step(step));
            history.back_up(Kind::Full, None);
            after.into_iter().for_each(|step| history.step(step));
            let Some(brought) = bring(&mut history) else { return Ok(()) };

            // Into an empty one of the same log, where as much has expired.
            let mut empty = History::new();
            empty.now = brought.about.made_at;
            empty.pos = brought.about.pos;
            let fresh = empty.inbox.epoch();
            put(&mut empty, &brought, true, Vec::new());
            assert_eq!(rows(&empty.inbox.conn, "main.message"), brought.messages);
            const VERSION: &[usize] = &[5];
            assert_eq!(without(&rows(&empty.inbox.conn, "state.status"), VERSION), without(&brought.states, VERSION));
            assert_ne!(empty.inbox.epoch(), fresh, "devices begin anew");
            check_counts(&mut empty);
            let once = rows(&empty.inbox.conn, "state.status");
            put(&mut empty, &brought, true, Vec::new());
            assert_eq!(rows(&empty.inbox.conn, "main.message"), brought.messages);
            assert_eq!(rows(&empty.inbox.conn, "state.status"), once);

            // Into its own, which has gone on: nothing that was taken back or has expired comes back, and no state goes back.
            let now = history.at();
            history.inbox.expire(now).unwrap();
            let kept = (rows(&history.inbox.conn, "main.message"), rows(&history.inbox.conn, "state.status"));
            let is_remembered = history.now - brought.about.made_at < hongyan_backup::AMENDED_LIFE;
            put(&mut history, &brought, true, Vec::new());
            if is_remembered {
                assert_eq!(rows(&history.inbox.conn, "main.message"), kept.0);
                assert_eq!(rows(&history.inbox.conn, "state.status"), kept.1);
            }
            check_counts(&mut history);
        }

        #[test]
        fn messages_of_another_server_come_once_and_in_their_order(theirs in steps(), ours in steps()) {
            let mut other = History::new();
            other.name = "other".into();
            theirs.into_iter().for_each(|step| other.step(step));
            other.back_up(Kind::Full, None);
            let Some(brought) = bring(&mut other) else { return Ok(()) };
            let mut history = History::new();
            ours.into_iter().for_each(|step| history.step(step));
            history.now = history.now.min(brought.about.made_at);
            let now = history.at();
            history.inbox.expire(now).unwrap();
            let before = rows(&history.inbox.conn, "main.message");
            let (first, count) = (history.pos + 1, brought.messages.len() as u64);
            // Others' records lie between.
            let places = vec![(first + 3, count.min(2)), (first + 10, count.saturating_sub(2))];
            history.pos += 20 + count;
            for _ in 0..2 {
                put(&mut history, &brought, false, places.clone());
                let all = rows(&history.inbox.conn, "main.message");
                assert_eq!(&all[..before.len()], &before[..]);
                assert_eq!(without(&all[before.len()..].to_vec(), &[0]), without(&brought.messages, &[0]));
                check_counts(&mut history);
            }
        }
    }
}
