//! Coming back: what was missed comes first, in order, and nothing comes twice.

use hongyan_harness::{Heard, Setup, Socket};
use serde_json::json;

#[tokio::test]
async fn what_was_missed_comes_first_and_in_order() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let other = admin.known("ann", "other");
    let first = sender.send_to("ann", "known").await;
    let socket = ann.connect().await;
    let cursor = socket.welcome["cursor"].as_str().unwrap().to_owned();
    assert_eq!(socket.welcome["unread_count"], 1);
    socket.close().await;
    for n in 0..3 {
        sender.send_to("ann", &format!("missed {n}")).await;
    }
    other.read(&first).await;
    let mut socket = ann.connect_from(&cursor).await;
    assert_eq!(socket.welcome["unread_count"], 3);
    for n in 0..3 {
        assert_eq!(socket.message().await, format!("missed {n}"));
    }
    assert_eq!(socket.frame("status_update").await["message_id"], json!(first));
    // Where the welcome says that one stands then, one does.
    let again = ann.connect_from(socket.welcome["cursor"].as_str().unwrap()).await;
    assert_eq!(ann.sync(again.welcome["cursor"].as_str().unwrap(), 10).await["changes"], json!([]));
    assert_eq!(socket.closed().await, Some(4009), "the same device has connected again");
}

#[tokio::test]
async fn a_welcome_comes_also_with_much_that_was_missed_while_another_device_is_online() {
    const MISSED: usize = 400;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, phone, sender) =
        (admin.user("ann").await, admin.known("ann", "phone"), admin.sender("s").await);
    let cursor = ann.connect().await.welcome["cursor"].as_str().unwrap().to_owned();
    let _online = phone.connect().await;
    for n in 0..MISSED {
        sender.send_to("ann", &format!("m{n}")).await;
    }
    let mut socket = ann.connect_from(&cursor).await;
    assert_eq!(socket.welcome["unread_count"], MISSED);
    for n in 0..MISSED {
        assert_eq!(socket.message().await, format!("m{n}"));
    }
}

#[tokio::test]
async fn a_hello_that_comes_too_late_is_told_to_fetch() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let cursor = ann.connect().await.welcome["cursor"].as_str().unwrap().to_owned();
    sender.send_to("ann", "missed").await;
    let mut late = Socket::open(&format!("{}?token={}", ann.socket_url(), ann.token()), &[]).await.unwrap();
    let welcome = late.frame("welcome").await;
    assert_ne!(welcome["device_id"], "ann-1");
    late.say(json!({ "type": "hello", "data": {
        "device_id": "ann-1", "device_type": "web", "capabilities": [], "cursor": cursor,
    } }))
    .await;
    late.frame("resync").await;
}

#[tokio::test]
async fn a_cursor_of_no_use_leads_to_resync() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    for cursor in ["garbage", "h1.0000000000000001.5.0"] {
        let mut socket = ann.connect_from(cursor).await;
        socket.frame("resync").await;
        sender.send_to("ann", "live").await;
        assert_eq!(socket.message().await, "live");
    }
    // More than is worth sending over the socket.
    let known = ann.connect().await.welcome["cursor"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        sender
            .send(json!({ "title": "big", "content": "x".repeat(250_000), "recipients": ["ann"] }))
            .await
            .data();
    }
    let mut socket = ann.connect_from(&known).await;
    socket.frame("resync").await;
    assert_eq!(socket.welcome["cursor"], json!(known));
}

/// A client of someone else's: it cannot read a cursor, so it keeps the first one with the highest position and
/// version that it has received since.
#[tokio::test]
async fn a_foreign_client_that_resumes_gets_nothing_it_knows() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, desk, sender) = (admin.user("ann").await, admin.known("ann", "desk"), admin.sender("s").await);
    let mut socket = ann.connect().await;
    let cursor = socket.welcome["cursor"].clone();
    let (mut pos, mut version) = (None, None);
    let resumed = |pos: Option<u64>, version: Option<u64>| json!({ "device_id": "ann-1", "device_type": "mobile", "cursor": cursor, "pos": pos, "version": version });
    for round in 0..3 {
        let id = sender.send_to("ann", &format!("live {round}")).await;
        let message = socket.frame("message").await;
        assert_eq!(message["title"], json!(format!("live {round}")));
        pos = message["pos"].as_u64();
        desk.read(&id).await;
        version = socket.frame("status_update").await["version"].as_u64();
        socket.close().await;

        let missed = sender.send_to("ann", &format!("missed {round}")).await;
        desk.read(&missed).await;
        socket = ann.open().await;
        socket.say(json!({ "type": "hello", "data": resumed(pos, version) })).await;
        socket.frame("welcome").await;
        let message = socket.frame("message").await;
        assert_eq!(message["title"], json!(format!("missed {round}")));
        pos = message["pos"].as_u64();
        let update = socket.frame("status_update").await;
        assert_eq!(update["message_id"], json!(missed));
        version = update["version"].as_u64();
    }
    // By REST the same.
    let (pos, version) = (pos.unwrap(), version.unwrap());
    let known = cursor.as_str().unwrap();
    let path = format!("/api/v3/sync?cursor={known}&pos={pos}&version={version}");
    sender.send_to("ann", "last").await;
    let changes = ann.api.get(&path).await.data()["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 1, "{changes}");
    assert_eq!(changes[0]["data"]["title"], "last");
    assert_eq!(ann.sync(known, 100).await["changes"].as_array().unwrap().len(), 7 + 6);
}

#[tokio::test]
async fn what_was_received_counts_only_with_a_cursor() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    for (query, field) in [("pos=1", "pos"), ("version=1", "version"), ("cursor=&pos=1", "pos")] {
        let reply = ann.api.get(&format!("/api/v3/sync?{query}")).await;
        assert_eq!(reply.failure(422, "validation_failed"), [field]);
    }
    // More than there is was received from another server.
    let cursor = ann.sync("", 10).await["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let path = format!("/api/v3/sync?cursor={cursor}&pos=1000000");
    assert_eq!(ann.api.get(&path).await.data()["reset"], true);
    let mut socket = ann.open().await;
    let hello = json!({ "device_id": "d", "cursor": cursor, "version": 1_000_000 });
    socket.say(json!({ "type": "hello", "data": hello })).await;
    socket.frame("welcome").await;
    socket.frame("resync").await;
}

#[tokio::test]
async fn reconnecting_in_the_midst_of_a_flood_loses_and_repeats_nothing() {
    const MESSAGES: usize = 400;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let mut cursor = ann.connect().await.welcome["cursor"].as_str().unwrap().to_owned();
    let flood = tokio::spawn(async move {
        for n in 0..MESSAGES {
            sender.send_to("ann", &format!("m{n}")).await;
        }
    });
    let mut heard: Vec<(u64, String)> = Vec::new();
    while heard.len() < MESSAGES {
        let mut socket = ann.connect_from(&cursor).await;
        // Some of what comes, then it breaks off without a word.
        for _ in 0..17 {
            if heard.len() == MESSAGES {
                break;
            }
            if let Heard::Frame(frame) = socket.next().await
                && frame["type"] == "message"
            {
                let (pos, title) =
                    (frame["data"]["pos"].as_u64().unwrap(), frame["data"]["title"].as_str().unwrap());
                heard.push((pos, title.to_owned()));
                // The client moves its cursor on with what it has.
                let parts: Vec<&str> = cursor.split('.').collect();
                cursor = format!("{}.{}.{pos}.{}", parts[0], parts[1], parts[3]);
            }
        }
    }
    flood.await.unwrap();
    let titles: Vec<String> = heard.iter().map(|(_, title)| title.clone()).collect();
    assert_eq!(titles, (0..MESSAGES).map(|n| format!("m{n}")).collect::<Vec<_>>());
    assert!(heard.windows(2).all(|pair| pair[0].0 < pair[1].0));
}
