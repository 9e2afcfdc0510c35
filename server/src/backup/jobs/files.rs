//! Jobs on the disk: a folder a person, a file a job, written under another name first, so that each is whole or not there.

use super::book::Job;
use crate::backup::disk::{self, remove, remove_dir};
use hongyan_wire::UserId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const JSON: &str = "json";
/// What is written and not whole yet.
const PARTIAL: &str = "partial";

/// Where jobs lie.
pub struct JobFiles {
    root: PathBuf,
}

impl JobFiles {
    /// Reads what lies there, and clears away what is no whole job. The folder is made when it is not there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(root: PathBuf) -> io::Result<(Self, Vec<Job>)> {
        let mut jobs = Vec::new();
        for (user, folder) in disk::people(&root)? {
            let files: Vec<PathBuf> =
                fs::read_dir(&folder)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
            for path in files {
                match read(&path).filter(|job| job.user == user) {
                    Some(job) => jobs.push(job),
                    None if path.is_dir() => fs::remove_dir_all(&path)?,
                    None => fs::remove_file(&path)?,
                }
            }
        }
        Ok((Self { root }, jobs))
    }

    /// Writes a job as it is now; it is on the disk afterwards.
    pub fn write(&self, job: &Job) -> io::Result<()> {
        let path = self.path(job);
        let partial = path.with_extension(PARTIAL);
        let folder = self.root.join(job.user.as_str());
        fs::create_dir_all(&folder)?;
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec(job)?)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(folder)?.sync_all()
    }

    /// Takes one away, if it is there.
    pub fn remove(&self, job: &Job) -> io::Result<()> {
        remove(&self.path(job))
    }

    /// Takes away all of a person's.
    pub fn remove_all(&self, user: &UserId) -> io::Result<()> {
        remove_dir(&self.root.join(user.as_str()))
    }

    fn path(&self, job: &Job) -> PathBuf {
        self.root.join(job.user.as_str()).join(format!("{}.{JSON}", job.id))
    }
}

fn read(path: &Path) -> Option<Job> {
    let is_one = path.extension().is_some_and(|kind| kind == JSON);
    let job: Job =
        is_one.then(|| fs::read(path).ok()).flatten().and_then(|json| serde_json::from_slice(&json).ok())?;
    path.file_stem().is_some_and(|id| id == job.id.as_str()).then_some(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::Asked;
    use hongyan_wire::Timestamp;

    #[test]
    fn what_was_written_is_read_and_what_was_cut_off_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("jobs");
        let (files, jobs) = JobFiles::open(root.clone()).unwrap();
        assert!(jobs.is_empty());
        let ann = UserId::new("ann").unwrap();
        let job = |id: &str| Job::new(id.into(), ann.clone(), Asked::default(), Timestamp::from_millis(1));
        files.write(&job("1")).unwrap();
        files.write(&job("2")).unwrap();
        files.write(&job("2")).unwrap();
        fs::write(root.join("ann/3.partial"), b"{").unwrap();
        fs::write(root.join("ann/4.json"), b"{").unwrap();
        fs::write(root.join("ann/5.json"), serde_json::to_vec(&job("6")).unwrap()).unwrap();
        // Of somebody else: it hinders nobody, and stays.
        fs::write(root.join("notes"), b"x").unwrap();
        fs::create_dir(root.join("bob")).unwrap();
        fs::write(root.join("bob/1.json"), serde_json::to_vec(&job("1")).unwrap()).unwrap();
        let (files, mut jobs) = JobFiles::open(root.clone()).unwrap();
        jobs.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(jobs, [job("1"), job("2")]);
        assert_eq!(fs::read_dir(root.join("ann")).unwrap().count(), 2);
        assert!(root.join("notes").is_file());
        files.remove(&job("1")).unwrap();
        files.remove(&job("1")).unwrap();
        assert_eq!(JobFiles::open(root.clone()).unwrap().1.len(), 1);
        files.remove_all(&ann).unwrap();
        assert!(!root.join("ann").exists());
    }
}
