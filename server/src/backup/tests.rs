//! Backups where there is no room for them.

use super::disk::Reserve;
use super::*;
use crate::app::Core;
use crate::config::Config;
use hongyan_backup::Encryption;
use hongyan_wire::admin::UserRequest;
use hongyan_wire::backup::JobState;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_gets_no_backup_and_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users").display().to_string();
    let config = Config::load(None, [("USER_STORAGE_PATH".to_owned(), users)]).unwrap();
    let core = Core::open(&config, 4).unwrap();
    let ann = UserId::new("ann").unwrap();
    let (username, name) = ("ann".to_owned(), "Ann".to_owned());
    let request = UserRequest { id: Some(ann.clone()), username, name, ..UserRequest::default() };
    core.administration.create_user("test", request).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let (people, jobs) = (dir.path().join("people"), dir.path().join("jobs"));
    let jobs_with = |reserve| {
        let mut shelf = Shelf::open(people.clone(), 1 << 30).unwrap();
        shelf.reserve = reserve;
        let (inboxes, directory, keep) =
            (core.inboxes.clone(), core.directory.clone(), Duration::from_secs(60));
        let backups = Arc::new(Backups::new(inboxes, directory.clone(), shelf, keep, stopping.clone()));
        let (files, journal) = (JobFiles::open(jobs.clone()).unwrap(), core.journal.clone());
        Arc::new(Jobs::new(backups, directory, journal, files, Box::new(|_, _| {}), stopping.clone()))
    };
    let wanted = || Wanted { asked: Asked::default(), since: None, encryption: Encryption::None };
    let is_full = |error: &BackupError| match error {
        BackupError::Io(error) => error.kind() == io::ErrorKind::StorageFull,
        _ => false,
    };
    let full = jobs_with(Reserve(u64::MAX));
    let refused = full.backups().make(&ann, wanted(), |_| true).await.unwrap_err();
    assert!(is_full(&refused), "{refused}");
    let refused = full.create(&ann, wanted()).unwrap_err();
    assert!(is_full(&refused), "{refused}");
    let written =
        |root| fs::read_dir(root).unwrap().flat_map(|of| fs::read_dir(of.unwrap().path()).unwrap()).count();
    assert_eq!((written(&people), written(&jobs)), (0, 0));
    assert_eq!(crate::error::Error::from(refused).error_type.status(), 503);
    let some = jobs_with(Reserve::default());
    some.backups().make(&ann, wanted(), |_| true).await.unwrap();
    assert_eq!(some.create(&ann, wanted()).unwrap().state, JobState::Waiting);
    core.close().await;
}
