use super::*;
use crate::log::record::{
    GroupKind, GroupPut, MembersChange, ServicePut, SessionOpened, SessionsEnded, UserPut, UserStatusChange,
};
use hongyan_wire::account::DeviceType;
use hongyan_wire::admin::{ServiceStatus, ServiceType, UserStatus};
use hongyan_wire::channel::ChannelKind;
use hongyan_wire::{DepartmentId, DeviceId, RoleId, ServiceId};
use std::sync::Arc;

fn change<T>(what: T) -> Change<T> {
    Change { actor: "admin".into(), at: Timestamp::from_millis(5), what }
}

fn put(id: &str, username: &str, roles: Option<&[&str]>) -> UserPut {
    UserPut {
        id: UserId::new(id).unwrap(),
        username: username.into(),
        name: id.into(),
        email: None,
        password_hash: None,
        department: None,
        roles: roles.map(|roles| roles.iter().map(|role| RoleId::new(role).unwrap()).collect()),
    }
}

fn role(id: &str) -> GroupKey {
    GroupKey { kind: GroupKind::Role, id: id.into() }
}

fn history() -> Vec<Logged> {
    let group = |id: &str, members: &[&str]| GroupPut {
        key: role(id),
        name: id.into(),
        description: String::new(),
        channel_kind: ChannelKind::Public,
        members: members.iter().map(|user| UserId::new(user).unwrap()).collect(),
        parent: None,
    };
    let department = |id: &str, parent: Option<&str>| {
        Record::GroupPut(Box::new(change(GroupPut {
            key: GroupKey { kind: GroupKind::Department, id: id.into() },
            parent: parent.map(SmolStr::from),
            ..group(id, &[])
        })))
    };
    let placed = |user: &str, id: &str| {
        let department = Some(DepartmentId::new(id).unwrap());
        Record::UsersPut(change(vec![UserPut { department, ..put(user, user, None) }]))
    };
    let member = |id: &str, user: &str, joined| MembersChange {
        key: role(id),
        user: UserId::new(user).unwrap(),
        joined,
    };
    let session = SessionId::new("s1").unwrap();
    let opened = SessionOpened {
        id: session.clone(),
        user: UserId::new("ann").unwrap(),
        device: DeviceId::new("d1").unwrap(),
        device_type: DeviceType::Web,
        device_name: String::new(),
        provider: "local".into(),
        kept: crate::log::record::Kept::Client,
        address: None,
        family_hash: "f".into(),
        refresh_hash: "h".into(),
        at: Timestamp::from_millis(6),
        expires_at: Timestamp::from_millis(i64::MAX),
    };
    let ended = SessionsEnded {
        user: opened.user.clone(),
        sessions: vec![session],
        at: Timestamp::from_millis(7),
        remember_until: Timestamp::from_millis(i64::MAX),
        everything: false,
    };
    let service = ServicePut {
        id: ServiceId::new("svc").unwrap(),
        name: "svc".into(),
        service_type: ServiceType::Internal,
        owner: None,
        key_prefix: "abc".into(),
        key_hash: "h".into(),
        status: ServiceStatus::Active,
        permissions: None,
        rate_limit: None,
        default_recipients: Vec::new(),
        callback_url: None,
        callback_secret: crate::log::record::Sealed(String::new()),
    };
    let records = vec![
        Record::GroupPut(Box::new(change(group("ops", &[])))),
        Record::UsersPut(change(vec![put("ann", "ann", Some(&["ops"])), put("bob", "bob", None)])),
        Record::GroupPut(Box::new(change(group("dev", &["ann", "bob", "nobody"])))),
        // A username that is taken: nothing happens, everywhere.
        Record::UsersPut(change(vec![put("cid", "ANN", None)])),
        Record::MembersChanged(change(member("ops", "bob", true))),
        Record::MembersChanged(change(member("ops", "bob", true))),
        Record::MembersChanged(change(member("dev", "ann", false))),
        Record::UsersPut(change(vec![put("ann", "anna", Some(&[]))])),
        Record::ServicePut(Box::new(change(service))),
        Record::SessionOpened(Box::new(opened)),
        Record::SessionsEnded(ended),
        Record::UserStatus(change(UserStatusChange {
            user: UserId::new("bob").unwrap(),
            status: UserStatus::Disabled,
        })),
        department("firm", None),
        department("sales", Some("firm")),
        department("north", Some("sales")),
        department("labs", Some("firm")),
        placed("bob", "north"),
        department("north", Some("labs")),
        // Above itself, under nothing that is there, with others under it: nothing happens, everywhere.
        department("firm", Some("north")),
        department("lost", Some("nowhere")),
        Record::GroupDeleted(change(GroupKey { kind: GroupKind::Department, id: "labs".into() })),
        Record::OwnersChanged(change(MembersChange {
            key: GroupKey { kind: GroupKind::Department, id: "firm".into() },
            user: UserId::new("ann").unwrap(),
            joined: true,
        })),
    ];
    let logged = |(n, record)| Logged { pos: n as Pos + 1, record: Arc::new(record) };
    records.into_iter().enumerate().map(logged).collect()
}

#[test]
fn whatever_an_import_names_more_than_once_can_be_applied() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(&dir.path().join("directory.db")).unwrap();
    let sets: [&[&str]; 4] = [&["ops"], &["dev"], &["ops", "dev"], &[]];
    let mut records = vec![Record::GroupPut(Box::new(change(GroupPut {
        key: role("ops"),
        name: "ops".into(),
        description: String::new(),
        channel_kind: ChannelKind::Public,
        members: Vec::new(),
        parent: None,
    })))];
    // Every order of three lines about one user, as one record each.
    for (a, b, c) in (0..64).map(|n| (n % 4, n / 4 % 4, n / 16)) {
        records.push(Record::UsersPut(change(vec![
            put("ann", "ann", Some(sets[a])),
            put("ann", "ann", Some(sets[b])),
            put("ann", "ann", Some(sets[c])),
        ])));
        let pos = records.len() as Pos;
        let batch = [Logged { pos, record: Arc::new(records.pop().unwrap()) }];
        records.push((*batch[0].record).clone());
        directory.apply(&batch).unwrap();
        let mut wanted: Vec<&str> = sets[c].to_vec();
        wanted.sort_unstable();
        let mut held: Vec<String> = directory
            .person(&UserId::new("ann").unwrap())
            .unwrap()
            .unwrap()
            .roles()
            .iter()
            .map(ToString::to_string)
            .collect();
        held.sort_unstable();
        assert_eq!(held, wanted, "{a} {b} {c}");
    }
}

/// Every row of every table.
fn dump(directory: &Directory) -> Vec<String> {
    let writer = directory.writer.lock();
    let tables = [
        "meta",
        "user",
        "groups",
        "membership",
        "owner",
        "service",
        "press",
        "recalled",
        "callback",
        "template",
        "template_version",
        "schedule",
        "thread",
        "session",
        "revoked",
        "audit",
    ];
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = writer.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| {
            (0..columns)
                .map(|n| row.get::<_, rusqlite::types::Value>(n))
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.extend(read.unwrap().map(|row| format!("{table} {:?}", row.unwrap())));
    }
    rows
}

#[test]
fn the_same_records_give_the_same_directory_however_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Directory::open(&dir.path().join(name)).unwrap();
    let (whole, single, again) = (open("whole"), open("single"), open("again"));
    let history = history();
    whole.apply(&history).unwrap();
    for logged in &history {
        single.apply(std::slice::from_ref(logged)).unwrap();
    }
    for end in [3, 7, 5, history.len()] {
        again.apply(&history[..end]).unwrap();
    }
    assert_eq!(dump(&whole), dump(&single));
    assert_eq!(dump(&whole), dump(&again));
    drop(whole);
    let reopened = open("whole");
    assert_eq!(dump(&reopened), dump(&single));
    assert!(reopened.is_revoked(&SessionId::new("s1").unwrap()).unwrap());
}

#[test]
fn what_is_cached_is_never_older_than_what_was_applied() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(&dir.path().join("directory.db")).unwrap();
    let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
    for logged in history() {
        directory.apply(&[logged]).unwrap();
        // Fills the caches between all changes.
        for id in [&ann, &bob] {
            let _ = directory.person(id).unwrap();
        }
        let _ = (directory.user_named("ann").unwrap(), directory.group(&role("ops")).unwrap());
    }
    assert_eq!(directory.person(&ann).unwrap().unwrap().username, "anna");
    assert_eq!(directory.user_named("ann").unwrap(), None);
    assert_eq!(directory.user_named("Anna").unwrap().as_deref(), Some(&ann));
    assert!(directory.person(&bob).unwrap().unwrap().disabled);
    assert_eq!(directory.group(&role("ops")).unwrap().unwrap().member_count, 1);
    assert_eq!(directory.user_count(), 2);
}

#[test]
fn whoever_is_in_a_department_is_in_those_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(&dir.path().join("directory.db")).unwrap();
    let bob = UserId::new("bob").unwrap();
    let departments = || -> Vec<String> {
        let person = directory.person(&bob).unwrap().unwrap();
        person.groups().filter(|k| k.kind == GroupKind::Department).map(|k| k.id.to_string()).collect()
    };
    let count = |id: &str| {
        let key = GroupKey { kind: GroupKind::Department, id: id.into() };
        directory.group(&key).unwrap().map(|group| group.member_count)
    };
    directory.apply(&history()).unwrap();
    assert_eq!(departments(), ["firm", "labs", "north"]);
    assert_eq!(
        [count("firm"), count("sales"), count("labs"), count("lost")],
        [Some(1), Some(0), Some(1), None]
    );
    let end = history().len() as Pos;
    let apply =
        |n: Pos, record| directory.apply(&[Logged { pos: end + n, record: Arc::new(record) }]).unwrap();
    // Who was in a department that is deleted is in the one above.
    apply(1, Record::GroupDeleted(change(GroupKey { kind: GroupKind::Department, id: "north".into() })));
    assert_eq!(departments(), ["firm", "labs"]);
    assert_eq!(directory.person(&bob).unwrap().unwrap().department.as_ref().unwrap().as_str(), "labs");
    let gone = MembersChange {
        key: GroupKey { kind: GroupKind::Department, id: "labs".into() },
        user: bob.clone(),
        joined: false,
    };
    apply(2, Record::MembersChanged(change(gone)));
    assert!(departments().is_empty());
    assert_eq!([count("firm"), count("labs")], [Some(0), Some(0)]);
}
