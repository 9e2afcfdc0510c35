//! What is known of backups in the background: a person's jobs in the order in which they were asked for. No clock, no disk.
//!
//! What always holds: a job that has ended never changes any more, its part that is done never shrinks, and nobody has more
//! jobs than may be.

use crate::backup::{Asked, BackupError};
use hongyan_wire::backup::{JobError, JobState};
use hongyan_wire::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Jobs of one person that have not ended.
pub const UNFINISHED_OF_ONE_MAX: usize = 4;
/// Of everyone together.
pub const UNFINISHED_MAX: usize = 64;
/// Jobs of one person that are remembered; of those that have ended the oldest go first.
pub const REMEMBERED_MAX: usize = 32;
/// Between two words about how far one has got.
const TOLD_EVERY: Duration = Duration::from_millis(500);
/// What it has got further meanwhile, at least.
const TOLD_STEP: f64 = 0.01;

/// A backup in the background, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Sorts by time.
    pub id: String,
    pub user: UserId,
    pub asked: Asked,
    pub state: JobState,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The id of the backup that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// From 0 to 1.
    #[serde(skip)]
    pub progress: f64,
    /// When its owner was told last, and how far it had got then.
    #[serde(skip)]
    told: Option<(Instant, f64)>,
}

impl Job {
    pub fn new(id: String, user: UserId, asked: Asked, created_at: Timestamp) -> Self {
        Self {
            id,
            user,
            asked,
            state: JobState::Waiting,
            created_at,
            ended_at: None,
            backup: None,
            error: None,
            progress: 0.0,
            told: None,
        }
    }

    /// Whether something is being made for it, or was.
    pub fn has_begun(&self) -> bool {
        self.told.is_some()
    }
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With this backup.
    Done(String),
    Failed(JobError),
    Cancelled,
}

/// What follows from a job having got further.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nobody wants it any more.
    GiveUp,
    Quiet,
    /// Its owner is to be told.
    Tell(Box<Job>),
}

/// All jobs.
#[derive(Debug, Default)]
pub struct Book {
    /// Each person's, the oldest first.
    jobs: BTreeMap<UserId, Vec<Job>>,
}

impl Book {
    /// Takes in what was written down. What had not ended waits again.
    pub fn restore(&mut self, mut jobs: Vec<Job>) {
        jobs.sort_by(|one, other| one.id.cmp(&other.id));
        for mut job in jobs {
            if job.state.is_ended() {
                job.progress = f64::from(u8::from(job.state == JobState::Done));
            } else {
                job.state = JobState::Waiting;
            }
            self.jobs.entry(job.user.clone()).or_default().push(job);
        }
    }

    /// Whether a person may have one more.
    ///
    /// # Errors
    /// That they have too many that have not ended, or everyone together.
    pub fn has_room(&self, user: &UserId) -> Result<(), BackupError> {
        if self.unfinished().filter(|job| job.user == *user).count() >= UNFINISHED_OF_ONE_MAX {
            return Err(BackupError::TooMany(UNFINISHED_OF_ONE_MAX));
        }
        if self.unfinished().count() >= UNFINISHED_MAX { Err(BackupError::Busy) } else { Ok(()) }
    }

    /// Takes in a new one; gives those that are forgotten for it.
    pub fn add(&mut self, job: Job) -> Vec<Job> {
        let own = self.jobs.entry(job.user.clone()).or_default();
        own.push(job);
        let mut surplus = own.len().saturating_sub(REMEMBERED_MAX);
        let is_surplus = |job: &mut Job| {
            let goes = surplus > 0 && job.state.is_ended();
            surplus -= usize::from(goes);
            goes
        };
        own.extract_if(.., is_surplus).collect()
    }

    /// A person's, the newest first.
    pub fn of(&self, user: &UserId) -> impl Iterator<Item = &Job> {
        self.jobs.get(user).into_iter().flatten().rev()
    }

    pub fn get(&self, user: &UserId, id: &str) -> Option<&Job> {
        self.of(user).find(|job| job.id == id)
    }

    /// Those that have not ended, in no order.
    pub fn unfinished(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().flatten().filter(|job| !job.state.is_ended())
    }

    /// Whose jobs there are.
    pub fn people(&self) -> Vec<UserId> {
        self.jobs.keys().cloned().collect()
    }

    /// Notes that a job has begun, or has got as far as `part`, from 0 to 1.
    pub fn advance(&mut self, user: &UserId, id: &str, part: f64, now: Instant) -> Step {
        let Some(job) = self.find(user, id).filter(|job| !job.state.is_ended()) else { return Step::GiveUp };
        job.progress = job.progress.max(part.clamp(0.0, 1.0));
        let is_new = std::mem::replace(&mut job.state, JobState::Running) == JobState::Waiting;
        let is_due = job.told.is_none_or(|(at, told)| {
            now.saturating_duration_since(at) >= TOLD_EVERY && job.progress - told >= TOLD_STEP
        });
        if !is_new && !is_due {
            return Step::Quiet;
        }
        job.told = Some((now, job.progress));
        Step::Tell(Box::new(job.clone()))
    }

    /// Ends a job; gives it as it is then. `None` where there is none, or it has ended already.
    pub fn end(&mut self, user: &UserId, id: &str, end: End, at: Timestamp) -> Option<Job> {
        let job = self.find(user, id).filter(|job| !job.state.is_ended())?;
        job.ended_at = Some(at);
        match end {
            End::Done(backup) => {
                (job.state, job.progress, job.backup) = (JobState::Done, 1.0, Some(backup));
            }
            End::Failed(error) => (job.state, job.error) = (JobState::Failed, Some(error)),
            End::Cancelled => job.state = JobState::Cancelled,
        }
        Some(job.clone())
    }

    /// Forgets one.
    pub fn remove(&mut self, user: &UserId, id: &str) {
        if let Some(own) = self.jobs.get_mut(user) {
            own.retain(|job| job.id != id);
            if own.is_empty() {
                self.jobs.remove(user);
            }
        }
    }

    /// Forgets all of a person's.
    pub fn forget(&mut self, user: &UserId) {
        self.jobs.remove(user);
    }

    /// Forgets those that ended at this moment or before; gives them.
    pub fn sweep(&mut self, until: Timestamp) -> Vec<Job> {
        let mut over = Vec::new();
        self.jobs.retain(|_, own| {
            over.extend(own.extract_if(.., |job| job.ended_at.is_some_and(|at| at <= until)));
            !own.is_empty()
        });
        over
    }

    fn find(&mut self, user: &UserId, id: &str) -> Option<&mut Job> {
        self.jobs.get_mut(user)?.iter_mut().find(|job| job.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    fn job(user: &str, n: usize) -> Job {
        let user = UserId::new(user).unwrap();
        Job::new(format!("{n:04}"), user, Asked::default(), Timestamp::from_millis(n as i64))
    }

    fn ids(book: &Book) -> Vec<String> {
        book.of(&ann()).map(|job| job.id.clone()).collect()
    }

    #[test]
    fn its_owner_is_told_of_each_state_and_of_what_is_new_twice_a_second() {
        let mut book = Book::default();
        book.add(job("ann", 1));
        let began = Instant::now();
        let mut told = Vec::new();
        for (millis, part) in [
            (0, 0.0),
            (10, 0.2),
            (499, 0.3),
            (500, 0.3),
            (600, 0.5),
            (1_200, 0.301),
            (1_300, 0.509),
            (1_400, 0.51),
            (9_000, 0.6),
        ] {
            match book.advance(&ann(), "0001", part, began + Duration::from_millis(millis)) {
                Step::Tell(job) => told.push((millis, job.state, job.progress)),
                Step::Quiet => {}
                Step::GiveUp => panic!("nobody has given it up"),
            }
        }
        let running = JobState::Running;
        assert_eq!(
            told,
            [(0, running, 0.0), (500, running, 0.3), (1_200, running, 0.5), (9_000, running, 0.6)]
        );
        let at = Timestamp::from_millis(5);
        let ended = book.end(&ann(), "0001", End::Done("b".into()), at).unwrap();
        assert_eq!((ended.state, ended.progress, ended.backup.as_deref()), (JobState::Done, 1.0, Some("b")));
        // What has ended stays as it is.
        assert_eq!(book.end(&ann(), "0001", End::Cancelled, at), None);
        assert_eq!(book.advance(&ann(), "0001", 0.1, began), Step::GiveUp);
        assert_eq!(book.advance(&ann(), "none", 0.1, began), Step::GiveUp);
        assert_eq!(book.get(&ann(), "0001"), Some(&ended));
    }

    #[test]
    fn there_are_so_many_of_one_of_all_and_that_are_remembered() {
        let mut book = Book::default();
        for n in 0..UNFINISHED_OF_ONE_MAX {
            book.has_room(&ann()).unwrap();
            book.add(job("ann", n));
        }
        assert!(matches!(book.has_room(&ann()), Err(BackupError::TooMany(_))));
        for n in 0..UNFINISHED_MAX - UNFINISHED_OF_ONE_MAX {
            let user = format!("u{n}");
            book.has_room(&UserId::new(&user).unwrap()).unwrap();
            book.add(job(&user, n));
        }
        assert!(matches!(book.has_room(&UserId::new("bob").unwrap()), Err(BackupError::Busy)));
        // The first of Ann's goes on; all others end.
        for n in 1..100 {
            if n >= UNFINISHED_OF_ONE_MAX {
                let gone = book.add(job("ann", n));
                assert_eq!(gone.len(), usize::from(n >= REMEMBERED_MAX), "{n}");
                assert!(gone.iter().all(|job| job.state.is_ended()));
            }
            book.end(&ann(), &format!("{n:04}"), End::Cancelled, Timestamp::from_millis(n as i64)).unwrap();
        }
        let left = ids(&book);
        assert_eq!((left.len(), left[0].as_str(), left[31].as_str()), (REMEMBERED_MAX, "0099", "0000"));
        assert_eq!(book.sweep(Timestamp::from_millis(98)).len(), 30);
        assert_eq!(ids(&book), ["0099", "0000"]);
        book.remove(&ann(), "0099");
        assert_eq!(ids(&book), ["0000"]);
        book.forget(&ann());
        assert!(ids(&book).is_empty() && !book.people().contains(&ann()));
    }

    #[test]
    fn what_had_not_ended_waits_again() {
        let mut book = Book::default();
        let running = Job { state: JobState::Running, progress: 0.5, ..job("ann", 2) };
        let done = Job { state: JobState::Done, backup: Some("b".into()), ..job("ann", 1) };
        let kept = [running, done].map(|job| serde_json::to_vec(&job).unwrap());
        book.restore(kept.iter().map(|kept| serde_json::from_slice(kept).unwrap()).collect());
        let states: Vec<_> = book.of(&ann()).map(|job| (job.id.as_str(), job.state, job.progress)).collect();
        assert_eq!(states, [("0002", JobState::Waiting, 0.0), ("0001", JobState::Done, 1.0)]);
    }
}
