//! Backups where there is no room for them, whose they are, and how long they last.

use super::disk::Reserve;
use super::*;
use crate::app::Core;
use crate::config::Config;
use hongyan_backup::Encryption;
use hongyan_wire::admin::UserRequest;
use hongyan_wire::backup::JobState;
use std::fs;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_gets_no_backup_and_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let (core, ann) = core_with_ann(dir.path()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_an_id_that_another_had_gets_none_of_their_backups() {
    let dir = tempfile::tempdir().unwrap();
    let (core, ann) = core_with_ann(dir.path()).await;
    let backups = backups(&core, &dir.path().join("people"), Duration::from_secs(3_600));
    let kept = backups.make(&ann, wanted(), |_| true).await.unwrap();
    assert_eq!(backups.of(&ann).count(), 1);
    // As in a server that was restored: the shelf is not cleared with the account.
    core.administration.delete_user("test", &ann).await.unwrap();
    assert_eq!(backups.of(&ann).count(), 0);
    add_ann(&core).await;
    assert_eq!((backups.of(&ann).count(), backups.get(&ann, &kept.id)), (0, None));
    let own = backups.make(&ann, wanted(), |_| true).await.unwrap();
    assert_ne!(own.id, kept.id);
    assert_eq!(backups.of(&ann).count(), 1);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_soon_gone_is_not_handed_out_as_new() {
    let dir = tempfile::tempdir().unwrap();
    let (core, ann) = core_with_ann(dir.path()).await;
    let kept_for =
        |hours: u64| backups(&core, &dir.path().join("people"), Duration::from_secs(hours * 3_600));
    let first = kept_for(1).make(&ann, wanted(), |_| true).await.unwrap();
    assert_eq!(kept_for(1).make(&ann, wanted(), |_| true).await.unwrap().id, first.id);
    // Where they are kept for a day, an hour is little.
    let second = kept_for(24).make(&ann, wanted(), |_| true).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(kept_for(24).make(&ann, wanted(), |_| true).await.unwrap().id, second.id);
    core.close().await;
}

fn wanted() -> Wanted {
    Wanted { asked: Asked::default(), since: None, encryption: Encryption::None }
}

async fn core_with_ann(dir: &Path) -> (Core, UserId) {
    let users = dir.join("users").display().to_string();
    let config = Config::load(None, [("USER_STORAGE_PATH".to_owned(), users)]).unwrap();
    let core = Core::open(&config, 4).unwrap();
    let ann = add_ann(&core).await;
    (core, ann)
}

async fn add_ann(core: &Core) -> UserId {
    let ann = UserId::new("ann").unwrap();
    let (username, name) = ("ann".to_owned(), "Ann".to_owned());
    let request = UserRequest { id: Some(ann.clone()), username, name, ..UserRequest::default() };
    core.administration.create_user("test", request).await.unwrap();
    ann
}

/// Backups on a shelf of their own, as they are after a start.
fn backups(core: &Core, people: &Path, keep: Duration) -> Backups {
    let shelf = Shelf::open(people.to_owned(), 1 << 30).unwrap();
    let (_, never) = watch::channel(false);
    Backups::new(core.inboxes.clone(), core.directory.clone(), shelf, keep, never)
}
