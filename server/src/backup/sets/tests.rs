//! Sets of a server that goes on meanwhile, that is cut off, and that has lost something.

use super::*;
use crate::app::Core;
use crate::config::Config;
use crate::inbox::history::posted;
use crate::inbox::{Filter, MarkRequest, Prepared};
use crate::log::record::{self, Audience, SessionOpened};
use crate::log::{Appended, Pos};
use hongyan_backup::{Kind, always};
use hongyan_wire::account::DeviceType;
use hongyan_wire::admin::UserRequest;
use hongyan_wire::api::MessageList;
use hongyan_wire::{DeviceId, MessageId, SessionId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

const HANDLES: usize = 4;

/// By place: to whom, and which.
type Sent = BTreeMap<Pos, (Option<UserId>, MessageId)>;

struct Place {
    dir: TempDir,
    core: Core,
}

fn config(root: &Path) -> Config {
    let path = root.join("users").display().to_string();
    Config::load(None, [("USER_STORAGE_PATH".to_owned(), path)]).unwrap()
}

fn user(n: usize) -> UserId {
    UserId::new(&format!("u{n}")).unwrap()
}

impl Place {
    async fn new(people: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let core = Core::open(&config(dir.path()), HANDLES).unwrap();
        let place = Self { dir, core };
        for n in 0..people {
            place.add(&user(n)).await;
        }
        place
    }

    async fn add(&self, id: &UserId) {
        let (name, username) = (id.to_string(), id.to_string());
        let request = UserRequest { id: Some(id.clone()), username, name, ..UserRequest::default() };
        self.core.administration.create_user("test", request).await.unwrap();
    }

    /// The server's sets, with these faults, and as many kept as are made.
    fn sets(&self, faults: Faults) -> Sets {
        let plan = Plan { every: None, most: 100, keep: Duration::from_secs(3_600) };
        Sets {
            root: self.core.sets.root.clone(),
            plan,
            parts: self.core.sets.parts.clone(),
            asked: Mutex::default(),
            wake: Notify::new(),
            verifying: Arc::default(),
            stop: self.core.sets.stop.clone(),
            reserve: Reserve::default(),
            faults,
        }
    }

    fn root(&self) -> PathBuf {
        self.core.sets.root.clone()
    }

    /// What lies in the folder of all sets.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Sends to one, or to everyone; gives the message's place and id.
async fn send(journal: &Journal, to: Option<UserId>) -> (Pos, MessageId) {
    let id = MessageId::new(&format!("msg-{}", uuid::Uuid::now_v7().simple())).unwrap();
    let audience =
        Audience { everyone: to.is_none(), users: to.into_iter().collect(), ..Audience::default() };
    let posted = posted(id.as_str(), clock::now(), None, audience);
    match journal.append(Record::Message(Box::new(posted))).await.unwrap() {
        Appended::Written(pos) => (pos, id),
        Appended::Repeated(_) => panic!("nothing is repeated"),
    }
}

/// A server restored from a set, and what the drill finds.
async fn restored(set: &Path) -> (TempDir, Core, Proof) {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    config.make_folders().unwrap();
    let manifest = build(set, &config.user_storage, &config.system_storage, &always()).unwrap();
    let core = Core::open(&config, HANDLES).unwrap();
    let proof =
        prove(set, &manifest, &core.inboxes, &core.directory, &core.journal, dir.path(), &always()).await;
    let proof = proof.unwrap();
    (dir, core, proof)
}

/// Ids of a person's messages, and of those that are read.
async fn seen(core: &Core, user: &UserId) -> (BTreeSet<MessageId>, BTreeSet<MessageId>) {
    let list = core.inboxes.access(user, |inbox| {
        let page = inbox.page(&Filter::default(), 1, u32::MAX)?.written(serde_json::to_vec)?;
        Ok(serde_json::from_slice::<MessageList>(&page).unwrap())
    });
    let list = list.await.unwrap();
    let read =
        list.messages.iter().filter(|message| message.is_read).map(|message| message.id.clone()).collect();
    let all: BTreeSet<MessageId> = list.messages.iter().map(|message| message.id.clone()).collect();
    assert_eq!((all.len() as u64, all.len()), (list.total, list.messages.len()), "nothing is there twice");
    (all, read)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_one_moment_however_much_goes_on_meanwhile() {
    const PEOPLE: usize = 24;
    let place = Place::new(PEOPLE).await;
    let stop = Arc::new(AtomicBool::new(false));
    let sent: Arc<Mutex<Sent>> = Arc::default();
    let (pos, id) = send(&place.core.journal, None).await;
    sent.lock().insert(pos, (None, id));
    let mut work = Vec::new();
    for lane in 0..3usize {
        let (journal, inboxes) = (place.core.journal.clone(), place.core.inboxes.clone());
        let (stop, sent) = (stop.clone(), sent.clone());
        work.push(tokio::spawn(async move {
            let mut n = lane * 7;
            while !stop.load(Ordering::Relaxed) {
                n += 5;
                let to = (n % 11 != 0).then(|| user(n % PEOPLE));
                let (pos, id) = send(&journal, to.clone()).await;
                sent.lock().insert(pos, (to.clone(), id.clone()));
                if let Some(to) = to.filter(|_| n % 3 == 0) {
                    let request = MarkRequest::One { id, is_read: true, if_version: None };
                    inboxes.mark(&to, None, request, |_| {}).await.unwrap();
                }
            }
        }));
    }
    // The log lets go of everything it may.
    let (inboxes, stopping) = (place.core.inboxes.clone(), stop.clone());
    work.push(tokio::task::spawn_blocking(move || {
        while !stopping.load(Ordering::Relaxed) {
            inboxes.walk(Timestamp::from_millis(i64::MAX), &|| false).unwrap();
        }
    }));
    // However fast the machine is, something is sent in the midst.
    let (journal, noted, handle) =
        (place.core.journal.clone(), sent.clone(), tokio::runtime::Handle::current());
    let sets = place.sets(Faults::watched(move |step| {
        if step == "the inboxes are copied" {
            let (pos, id) = handle.block_on(send(&journal, Some(user(0))));
            noted.lock().insert(pos, (Some(user(0)), id));
        }
        true
    }));
    let mut made = Vec::new();
    for round in 0..3 {
        if round == 1 {
            place.add(&UserId::new("late").unwrap()).await;
        }
        made.push(sets.make("test").await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    futures_util::future::join_all(work).await.into_iter().for_each(|ended| ended.unwrap());
    let sent = sent.lock().clone();
    for manifest in made {
        assert!(manifest.head > manifest.start, "something went on");
        let (_dir, core, proof) = restored(&place.root().join(&manifest.id)).await;
        assert_eq!(proof.faults, Vec::<String>::new());
        assert!(proof.inboxes >= PEOPLE as u64, "{}", proof.inboxes);
        for n in 0..PEOPLE {
            let (messages, _) = seen(&core, &user(n)).await;
            let meant = sent.range(..=manifest.head).map(|(_, sent)| sent);
            let meant = meant.filter(|(to, _)| to.as_ref().is_none_or(|to| *to == user(n)));
            let meant: BTreeSet<MessageId> = meant.map(|(_, id)| id.clone()).collect();
            assert_eq!(messages, meant, "u{n}");
        }
        core.close().await;
    }
    // At the end nothing more happens: then all of it is there, what was read among it.
    let last = sets.make("test").await.unwrap();
    let (_dir, core, proof) = restored(&place.root().join(&last.id)).await;
    assert_eq!(proof.faults, Vec::<String>::new());
    for n in 0..PEOPLE {
        assert_eq!(seen(&core, &user(n)).await, seen(&place.core, &user(n)).await, "u{n}");
    }
    core.close().await;
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_making_that_is_cut_off_anywhere_leaves_no_set_and_the_next_one_is_good() {
    let place = Place::new(3).await;
    for n in 0..3 {
        send(&place.core.journal, Some(user(n))).await;
    }
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = steps.clone();
    let counting = Faults::watched(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let first = place.sets(counting).make("test").await.unwrap();
    let steps = steps.load(Ordering::Relaxed);
    assert!(steps >= 7, "{steps}");
    for cut in 0..steps {
        let passed = AtomicUsize::new(0);
        let fuse = Faults::watched(move |_| passed.fetch_add(1, Ordering::Relaxed) < cut);
        let sets = place.sets(fuse);
        assert!(matches!(sets.make("test").await, Err(SetError::Stopping)), "{cut}");
        assert_eq!(place.names(), [first.id.as_str()], "{cut}");
        assert_eq!(sets.making(), None);
    }
    // As a process that ended would leave it.
    let half = folder::partial(&place.root(), "20260115T103000Z");
    folder::make_dir(&half).unwrap();
    fs::write(half.join("plain"), b"half").unwrap();
    let next = place.sets(Faults::default()).make("test").await.unwrap();
    let mut names = place.names();
    names.sort();
    assert_eq!(names, [first.id, next.id.clone()]);
    assert_eq!(
        verify(&place.root().join(next.id), &place.root(), &hongyan_backup::always()).unwrap(),
        Vec::<String>::new()
    );
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_shared_unless_it_has_decayed() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new(2).await;
    for n in 0..2 {
        send(&place.core.journal, Some(user(n))).await;
    }
    let sets = place.sets(Faults::default());
    let file = |id: &str, n: usize| place.root().join(id).join(format!("inboxes/u{n}.db.zst"));
    let inode = |id: &str, n| file(id, n).metadata().unwrap().ino();
    let first = sets.make("test").await.unwrap();
    send(&place.core.journal, Some(user(1))).await;
    let second = sets.make("test").await.unwrap();
    assert_eq!(inode(&first.id, 0), inode(&second.id, 0));
    assert_ne!(inode(&first.id, 1), inode(&second.id, 1));
    let path = file(&second.id, 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[50] ^= 1;
    fs::write(&path, bytes).unwrap();
    let third = sets.make("test").await.unwrap();
    assert_ne!(inode(&second.id, 0), inode(&third.id, 0));
    let problems =
        |id: &str| verify(&place.root().join(id), &place.root(), &hongyan_backup::always()).unwrap();
    assert_eq!(problems(&third.id), Vec::<String>::new());
    assert_eq!(problems(&second.id), ["inboxes/u0.db.zst: it is damaged: its sum is another"]);
    // To be rid of the older ones takes nothing from it.
    for id in [&first.id, &second.id] {
        sets.remove("test", id).await.unwrap();
    }
    let (_dir, core, proof) = restored(&place.root().join(&third.id)).await;
    assert_eq!((proof.faults, proof.messages, proof.unread), (Vec::new(), 3, 3));
    core.close().await;
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_inbox_is_left_out_and_named_and_the_others_are_there() {
    let place = Place::new(3).await;
    for n in 0..3 {
        send(&place.core.journal, Some(user(n))).await;
    }
    let sets = place.sets(Faults::default());
    let good = sets.make("test").await.unwrap();
    send(&place.core.journal, Some(user(1))).await;
    let broken = place.dir.path().join("users/u1/messages.db");
    let mut bytes = fs::read(&broken).unwrap();
    bytes[..100].fill(0xff);
    fs::write(&broken, bytes).unwrap();
    let made = sets.make("test").await.unwrap();
    let left: Vec<&str> = made.left_out.iter().map(|left| left.user.as_str()).collect();
    assert_eq!((left, made.people, made.inboxes.len()), (vec!["u1"], 3, 2));
    assert!(!sets.get(&made.id).unwrap().complete);
    // What is restored by default is the newest that has everyone.
    assert_eq!(find(&place.root(), None).unwrap(), place.root().join(&good.id));
    let (_dir, core, proof) = restored(&place.root().join(&made.id)).await;
    assert_eq!((proof.faults, proof.inboxes), (Vec::new(), 2));
    core.close().await;
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_deleted_while_a_set_was_made_is_not_in_it() {
    let place = Place::new(3).await;
    for n in 0..3 {
        send(&place.core.journal, Some(user(n))).await;
    }
    // Once all inboxes are copied, one is deleted, and another comes under the same id.
    let (administration, handle) = (place.core.administration.clone(), tokio::runtime::Handle::current());
    let faults = Faults::watched(move |step| {
        if step == "the inboxes are copied" {
            handle.block_on(async {
                let request = UserRequest {
                    id: Some(user(1)),
                    username: "u1".into(),
                    name: "Another".into(),
                    ..UserRequest::default()
                };
                administration.delete_user("test", &user(1)).await.unwrap();
                administration.create_user("test", request).await.unwrap();
            });
        }
        true
    });
    let made = place.sets(faults).make("test").await.unwrap();
    let users: Vec<&str> = made.inboxes.iter().map(|inbox| inbox.user.as_str()).collect();
    assert_eq!(users, ["u0", "u2"]);
    let (_dir, core, proof) = restored(&place.root().join(&made.id)).await;
    assert_eq!(proof.faults, Vec::<String>::new());
    assert!(seen(&core, &user(1)).await.0.is_empty());
    assert_eq!(seen(&core, &user(2)).await.0.len(), 1);
    core.close().await;
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_keeps_no_set_from_being_made_and_from_being_the_newest() {
    let place = Place::new(1).await;
    let sets = Sets {
        plan: Plan { every: Some(Duration::from_secs(86_400)), most: 1, keep: Duration::from_secs(3_600) },
        ..place.sets(Faults::default())
    };
    let now = clock::now();
    assert!(sets.due(now).await.unwrap() > now, "not before those have come who wait for the server");
    let made = sets.make("test").await.unwrap();
    assert!(sets.due(now).await.unwrap() >= after(made.made_at, Duration::from_secs(86_400)));
    // As it were had the clock been years ahead.
    let (ahead, of) = ("20990101T000000Z", made.made_at.to_string());
    fs::rename(place.root().join(&made.id), place.root().join(ahead)).unwrap();
    let path = place.root().join(ahead).join(manifest::NAME);
    let told = fs::read_to_string(&path).unwrap();
    assert_eq!((told.matches(&of).count(), told.matches(&made.id).count()), (1, 1), "{told}");
    let told = told.replace(&of, "2099-01-01T00:00:00.000Z").replace(&made.id, ahead);
    fs::write(&path, told).unwrap();
    assert!(sets.due(now).await.unwrap() <= clock::now());
    let next = sets.make("test").await.unwrap();
    assert_eq!(find(&place.root(), None).unwrap(), place.root().join(&next.id));
    assert_eq!(place.names(), [next.id.as_str()], "the one of before was one too many");
    assert!(sets.due(now).await.unwrap() > clock::now());
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_has_unpacked_that_was_cut_off_goes_with_the_next_start() {
    let place = Place::new(1).await;
    place.core.close().await;
    let config = config(place.dir.path());
    let left = [&config.user_storage, &config.system_storage].map(|root| root.join(".restoring"));
    for left in &left {
        fs::create_dir(left).unwrap();
        fs::write(left.join("u0"), b"x").unwrap();
    }
    let core = Core::open(&config, HANDLES).unwrap();
    assert!(!left.iter().any(|left| left.exists()));
    core.close().await;
}

/// Signs someone in.
async fn open_session(journal: &Journal) -> SessionId {
    let new_id = || uuid::Uuid::now_v7().to_string();
    let id = SessionId::new(&new_id()).unwrap();
    let opened = SessionOpened {
        id: id.clone(),
        user: user(0),
        device: DeviceId::new(&new_id()).unwrap(),
        device_type: DeviceType::Web,
        device_name: String::new(),
        provider: "local".into(),
        kept: record::Kept::Client,
        address: None,
        family_hash: new_id().into(),
        refresh_hash: new_id().into(),
        at: clock::now(),
        expires_at: clock::now().plus_millis(3_600_000),
    };
    journal.append_applied(Record::SessionOpened(Box::new(opened))).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_a_restore_has_lost_are_refused_and_none_that_are_known() {
    let place = Place::new(1).await;
    let before = open_session(&place.core.journal).await;
    let (journal, handle) = (place.core.journal.clone(), tokio::runtime::Handle::current());
    let meanwhile: Arc<Mutex<Option<SessionId>>> = Arc::default();
    let opened = meanwhile.clone();
    let faults = Faults::watched(move |step| {
        if step == "the inboxes are copied" {
            *opened.lock() = Some(handle.block_on(open_session(&journal)));
        }
        true
    });
    let made = place.sets(faults).make("test").await.unwrap();
    let meanwhile = meanwhile.lock().take().unwrap();
    let after = open_session(&place.core.journal).await;
    let (dir, mut core, _) = restored(&place.root().join(&made.id)).await;
    let refused = |core: &Core, id: &SessionId| core.directory.is_revoked(id).unwrap();
    assert_eq!([&before, &meanwhile, &after].map(|id| refused(&core, id)), [false, false, true]);
    let since = open_session(&core.journal).await;
    assert!(!refused(&core, &since));
    core.close().await;
    // Restored once more, from a set of now, while the clock was a day ahead.
    let (config, now) = (config(dir.path()), clock::now());
    let directory = config.system_storage.join(manifest::DIRECTORY);
    crate::directory::restored(&directory, now, now.plus_millis(86_400_000)).unwrap();
    core = Core::open(&config, HANDLES).unwrap();
    let new = open_session(&core.journal).await;
    let all = [&before, &meanwhile, &after, &since, &new].map(|id| refused(&core, id));
    assert_eq!(all, [false, false, true, false, false]);
    core.close().await;
    place.core.close().await;
}

/// What is left to the log is not taken by sets, and the next is made once there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_gets_no_set_and_says_so() {
    let place = Place::new(1).await;
    send(&place.core.journal, Some(user(0))).await;
    let began = Arc::new(AtomicUsize::new(0));
    let counted = began.clone();
    let counting = Faults::watched(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let mut sets = Sets { reserve: Reserve(u64::MAX), ..place.sets(counting) };
    let Err(SetError::Io(error)) = sets.make("test").await else { panic!("there is no room") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(sets.failed().unwrap().contains("are left to the log"), "{:?}", sets.failed());
    assert_eq!((began.load(Ordering::Relaxed), place.names()), (0, Vec::new()), "nothing was begun");
    sets.reserve = Reserve::default();
    let made = sets.make("test").await.unwrap();
    assert_eq!((place.names(), sets.failed()), (vec![made.id], None));
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_many_goes_whether_or_not_one_can_be_made() {
    let place = Place::new(1).await;
    let sets = place.sets(Faults::default());
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(sets.make("test").await.unwrap().id);
    }
    let kept = |most| Plan { every: None, most, keep: Duration::from_secs(3_600) };
    let full = Sets { plan: kept(3), reserve: Reserve(u64::MAX), ..place.sets(Faults::default()) };
    full.make("test").await.unwrap_err();
    let mut names = place.names();
    names.sort_by_key(|name| made.iter().position(|id| id == name));
    assert_eq!(names, made[1..]);
    // Where none is made by itself.
    let idle = Arc::new(Sets { plan: kept(1), ..place.sets(Faults::default()) });
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(idle.run(stopping));
    let gone = async {
        while place.names() != made[3..] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    stop.send_replace(true);
    running.await.unwrap();
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_was_lost_is_told_until_it_is_somebody_elses() {
    let place = Place::new(3).await;
    for n in 0..2 {
        send(&place.core.journal, Some(user(n))).await;
    }
    let sets = place.sets(Faults::default());
    let good = sets.make("test").await.unwrap();
    assert_eq!(
        (good.left_out.len(), good.inboxes.len()),
        (0, 2),
        "who never got anything has nothing to lose"
    );
    fs::remove_dir_all(place.dir.path().join("users/u1")).unwrap();
    for without in [None, None, Some(&good.id)] {
        if let Some(id) = without {
            sets.remove("test", id).await.unwrap();
        }
        let made = sets.make("test").await.unwrap();
        let left: Vec<&str> = made.left_out.iter().map(|left| left.user.as_str()).collect();
        assert_eq!((left, made.people, made.inboxes.len()), (vec!["u1"], 3, 1));
        assert!(made.left_out[0].reason.contains("is gone"), "{:?}", made.left_out);
        assert!(!sets.get(&made.id).unwrap().complete);
    }
    place.core.administration.delete_user("test", &user(1)).await.unwrap();
    place.add(&user(1)).await;
    let made = sets.make("test").await.unwrap();
    assert_eq!((made.left_out.len(), made.people), (0, 3));
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_be_deleted_while_a_database_is_copied_keeps_nobody_else_waiting() {
    let place = Place::new(1).await;
    send(&place.core.journal, Some(user(0))).await;
    let copying = place.core.inboxes.databases_turn().await;
    let administration = place.core.administration.clone();
    let mut deleting = tokio::spawn(async move { administration.delete_user("test", &user(0)).await });
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut deleting).await.is_err(), "it waits");
    let added = tokio::time::timeout(Duration::from_secs(30), async { place.add(&user(1)).await });
    added.await.unwrap();
    // Not by half either: what is copied now has all of them.
    assert!(place.core.directory.person(&user(0)).unwrap().is_some());
    drop(copying);
    deleting.await.unwrap().unwrap();
    assert!(place.core.directory.person(&user(0)).unwrap().is_none());
    place.core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_waits_for_the_set_and_for_nobody_who_was_signed_out_since() {
    let place = Place::new(1).await;
    send(&place.core.journal, Some(user(0))).await;
    let inboxes = place.core.inboxes.clone();
    let prepared = async |name: &str, is_meant: bool| {
        let folder = inboxes.restores_of(&user(0));
        fs::create_dir_all(&folder).unwrap();
        let snapshot = inboxes.snapshot(&user(0)).await.unwrap();
        let path = folder.join(name).with_extension("db");
        let about = snapshot.write(Kind::Full, None, &path, &mut |_| true).unwrap();
        let (go_on, is_meant) = (hongyan_backup::always(), Box::new(move || is_meant));
        Prepared { file: name.into(), about, go_on, is_meant }
    };
    let brought = prepared("meant", true).await;
    let set = inboxes.without_restores().await;
    let restoring = inboxes.clone();
    let mut restoring =
        tokio::spawn(async move { restoring.restore(&user(0), brought, false, 262_144, || ()).await });
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut restoring).await.is_err(), "it waits");
    drop(set);
    assert_eq!(restoring.await.unwrap().unwrap().known, 1);
    let brought = prepared("another", false).await;
    let refused = inboxes.restore(&user(0), brought, false, 262_144, || ()).await;
    assert!(matches!(refused, Err(InboxError::Ended)), "{refused:?}");
    assert!(!inboxes.restores_of(&user(0)).exists(), "nothing is left of it");
    drop(inboxes);
    place.core.close().await;
}

/// A set with the record of a restored backup and an inbox of before would have lost the backup.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_put_back_while_a_set_is_made_and_all_is_afterwards() {
    let place = Place::new(1).await;
    let inboxes = place.core.inboxes.clone();
    let refused = Arc::new(AtomicUsize::new(0));
    let (asked, counted) = (inboxes.clone(), refused.clone());
    let asking = Faults::watched(move |_| {
        let is_refused = matches!(asked.may_restore(), Err(InboxError::Copying));
        counted.fetch_add(usize::from(is_refused), Ordering::Relaxed);
        true
    });
    assert!(inboxes.may_restore().is_ok());
    place.sets(asking).make("test").await.unwrap();
    assert!(refused.load(Ordering::Relaxed) >= 3, "at every step");
    assert!(inboxes.may_restore().is_ok());
    drop(inboxes);
    place.core.close().await;
}
