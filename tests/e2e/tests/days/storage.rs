//! Files: damaged, looked into by others, and a disk that takes no more.

use hongyan_harness::{Setup, eventually};
use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

#[tokio::test]
async fn anyone_may_look_into_an_inbox_while_the_server_runs() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let id = sender.send_to("ann", "first").await;
    ann.read(&id).await;
    let folder = server.users().join("ann");
    let messages = Connection::open(folder.join("messages.db")).unwrap();
    let title = |conn: &Connection| {
        conn.query_row("SELECT title FROM message ORDER BY pos DESC", [], |r| r.get::<_, String>(0))
    };
    assert_eq!(title(&messages).unwrap(), "first");
    let states = Connection::open(folder.join("read_status.db")).unwrap();
    let read: (String, bool) = states
        .query_row("SELECT message_id, is_read FROM status", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    assert_eq!(read, (id, true));
    // While someone looks, the server goes on.
    sender.send_to("ann", "second").await;
    assert_eq!(ann.titles("").await, ["second", "first"]);
    assert_eq!(title(&messages).unwrap(), "second");
}

#[tokio::test]
async fn the_walker_fills_the_inboxes_of_those_who_never_come() {
    let server = Setup::default().set("INBOX_WALK_INTERVAL", "50ms").start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let sender = admin.sender("s").await;
    sender.send(json!({ "title": "to all", "recipient_type": "all" })).await.data();
    let file = server.users().join("ann/messages.db");
    eventually("the message in the file", || async {
        let conn = Connection::open_with_flags(&file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        conn.query_row("SELECT 1 FROM message WHERE title = 'to all'", [], |_| Ok(())).ok()
    })
    .await;
}

#[tokio::test]
async fn a_damaged_inbox_is_its_owners_trouble_alone_and_is_made_good_when_it_is_back() {
    let mut server = Setup::default().set("INBOX_WALK_INTERVAL", "50ms").start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let sender = admin.sender("s").await;
    sender.send(json!({ "title": "before", "recipients": ["ann", "bob"] })).await.data();
    assert_eq!(ann.titles("").await, ["before"]);
    assert_eq!(server.stop().await, Some(0));
    let file = server.users().join("ann/messages.db");
    for rest in ["messages.db-wal", "messages.db-shm"] {
        // A checkpoint first: the damage is to be in the database itself.
        if rest == "messages.db-wal" {
            Connection::open(&file)
                .unwrap()
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        }
        let _ = std::fs::remove_file(server.users().join("ann").join(rest));
    }
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[..2_048].fill(0xAB);
    std::fs::write(&file, &bad).unwrap();

    let mut server = server.start_again().await;
    ann.api.get("/api/v3/messages").await.failure(500, "inbox_damaged");
    sender.send(json!({ "title": "meanwhile", "recipients": ["ann", "bob"] })).await.data();
    assert_eq!(bob.titles("").await, ["meanwhile", "before"]);
    eventually("a line in the error log", || async {
        let named = |line: &str| line.contains("hongyan::error") && line.contains("user=ann");
        server.stderr().lines().any(named).then_some(())
    })
    .await;
    // The walker goes on for everyone else, and remembers where this one was left.
    let behind = server.users().join(".behind/ann");
    eventually("the mark of the walker", || async { behind.exists().then_some(()) }).await;
    assert_eq!(server.stop().await, Some(0));
    std::fs::write(&file, &good).unwrap();
    let _server = server.start_again().await;
    assert_eq!(ann.titles("").await, ["meanwhile", "before"]);
    assert!(!behind.exists());
}

#[tokio::test]
async fn a_lost_file_is_not_replaced_by_an_empty_one() {
    let mut server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    sender.send_to("ann", "t").await;
    ann.list("").await;
    assert_eq!(server.stop().await, Some(0));
    std::fs::remove_file(server.users().join("ann/read_status.db")).unwrap();
    let _server = server.start_again().await;
    ann.api.get("/api/v3/messages").await.failure(500, "inbox_damaged");
}

#[tokio::test]
async fn a_full_disk_is_said_and_when_there_is_room_service_goes_on() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let before = sender.send_to("ann", "before").await;
    ann.list("").await;
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let limit_files = |bytes: Option<u64>| {
        let old = prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None });
        assert!(old.is_ok(), "{old:?}");
    };
    // No file may grow beyond what the log has now: to the server that is a disk that is full.
    limit_files(Some(4_096));
    let body = json!({ "title": "refused", "recipients": ["ann"] });
    let refused = sender.send(body.clone()).await;
    refused.failure(503, "storage_unavailable");
    assert!(refused.header("retry-after").is_some());
    ann.mark(&before, json!({})).await.failure(503, "storage_unavailable");
    // What is there can be read all the same.
    assert_eq!(ann.titles("").await, ["before"]);
    limit_files(None);
    sender.send_to("ann", "after").await;
    assert_eq!(ann.titles("").await, ["after", "before"]);
    ann.read(&before).await;
    assert!(server.stderr().contains("hongyan::error"));
}
