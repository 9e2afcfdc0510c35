//! What is live: messages, states, presence, pings.

use hongyan_harness::{Heard, Setup, Socket};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_message_reaches_every_device_and_what_is_read_on_one_is_read_on_the_others() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (phone, desk) = (admin.user("ann").await, admin.known("ann", "desk"));
    let bob = admin.user("bob").await;
    admin.role("ops", &["ann"]).await;
    let sender = admin.sender("s").await;
    let (mut at_phone, mut at_desk, mut at_bob) =
        (phone.connect().await, desk.connect().await, bob.connect().await);
    assert_eq!(at_phone.welcome["unread_count"], 0);
    let id = sender.send_to("ann", "one").await;
    let frame = at_phone.frame("message").await;
    let listed = phone.list("").await["messages"][0].clone();
    assert_eq!(frame, listed, "a frame is what the list shows");
    assert_eq!(at_desk.message().await, "one");
    // In two ways, and once all the same.
    sender.send(json!({ "title": "two", "recipients": ["ops", "ann"] })).await.data();
    sender.send(json!({ "title": "three", "recipient_type": "all" })).await.data();
    for socket in [&mut at_phone, &mut at_desk] {
        assert_eq!((socket.message().await, socket.message().await), ("two".into(), "three".into()));
    }
    assert_eq!(at_bob.message().await, "three");
    phone.read(&id).await;
    let update = at_desk.frame("status_update").await;
    assert_eq!((&update["message_id"], &update["status"]), (&json!(id), &json!("read")));
    assert_eq!((&update["version"], &update["device_id"]), (&json!(1), &json!(phone.device)));
    desk.read_batch(json!({ "all": true })).await.data();
    // The device that asked is told nothing of its own change: the next it hears is the other's.
    assert_eq!(at_phone.frame("status_update").await["version"], 2);
    assert_eq!(at_phone.frame("status_update").await["version"], 3);
}

#[tokio::test]
async fn who_joins_or_leaves_while_connected_is_meant_from_then_on() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    admin.channel("news", &[]).await;
    let sender = admin.sender("s").await;
    let mut socket = ann.connect().await;
    let news = |title: &str| json!({ "title": title, "recipients": ["news"] });
    sender.send(news("before")).await.data();
    admin.api.put("/admin/api/v3/channels/news/members/ann").await.data();
    sender.send(news("within")).await.data();
    admin.api.delete("/admin/api/v3/channels/news/members/ann").await.data();
    sender.send(news("after")).await.data();
    sender.send_to("ann", "own").await;
    assert_eq!((socket.message().await, socket.message().await), ("within".into(), "own".into()));
}

#[tokio::test]
async fn devices_know_of_each_other() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (phone, desk) = (admin.user("ann").await, admin.known("ann", "desk"));
    let mut at_phone = phone.connect().await;
    let at_desk = desk.connect().await;
    let ids = |presence: &serde_json::Value| {
        let devices = presence["devices"].as_array().unwrap();
        let mut ids: Vec<String> =
            devices.iter().map(|d| format!("{} {}", d["device_id"], d["state"])).collect();
        ids.sort();
        ids.join(", ").replace('"', "")
    };
    assert_eq!(ids(&at_phone.frame("presence").await), "ann-1 active, desk active");
    let mut at_desk = at_desk;
    at_desk.say(json!({ "type": "presence", "data": { "state": "idle" } })).await;
    assert_eq!(ids(&at_phone.frame("presence").await), "ann-1 active, desk idle");
    at_desk.close().await;
    assert_eq!(ids(&at_phone.frame("presence").await), "ann-1 active");
}

#[tokio::test]
async fn presence_is_sent_once_a_second() {
    const CHANGES: usize = 90;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (phone, desk) = (admin.user("ann").await, admin.known("ann", "desk"));
    let mut at_phone = phone.connect().await;
    let mut at_desk = desk.connect().await;
    let began = std::time::Instant::now();
    for n in 0..CHANGES {
        let state = if n % 2 == 0 { "idle" } else { "active" };
        at_desk.say(json!({ "type": "presence", "data": { "state": state } })).await;
    }
    at_desk.say(json!({ "type": "presence", "data": { "state": "idle" } })).await;
    let mut lists = 0;
    loop {
        let presence = at_phone.frame("presence").await;
        lists += 1;
        let devices = presence["devices"].as_array().unwrap();
        if devices.iter().any(|device| device["device_id"] == "desk" && device["state"] == "idle") {
            break;
        }
    }
    // The first within the second that the connecting itself was told in.
    let seconds = began.elapsed().as_secs() as usize;
    assert!(lists <= seconds + 2, "{lists} lists in {seconds} s");
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered_and_unknown_frames_passed_over() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let mut socket = ann.connect().await;
    socket.say(json!({ "type": "dance", "data": { "wild": true } })).await;
    for ping in [
        json!({ "type": "ping" }),
        json!({ "type": "ping", "data": null }),
        json!({ "type": "ping", "data": {} }),
        json!({ "type": "ping", "data": { "sent_at": "2026-01-02T03:04:05Z" }, "id": 7 }),
    ] {
        socket.say(ping).await;
        socket.frame("pong").await;
    }
    socket.send(Message::Ping(b"x".to_vec().into())).await;
    assert_eq!(socket.next().await, Heard::Pong);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_an_unnamed_device_and_gets_messages() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let url = format!("{}?token={}", ann.socket_url(), ann.token());
    let mut silent = Socket::open(&url, &[]).await.unwrap();
    let welcome = silent.frame("welcome").await;
    assert!(welcome["device_id"].as_str().unwrap().starts_with("unnamed-"));
    sender.send_to("ann", "hello").await;
    assert_eq!(silent.message().await, "hello");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_to_fetch_and_delays_nobody() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (slow, quick) = (admin.user("ann").await, admin.user("bob").await);
    let sender = admin.sender("s").await;
    let (mut at_slow, mut at_quick) = (slow.connect().await, quick.connect().await);
    let heavy = "x".repeat(200_000);
    // Far more than a socket's buffers and queue hold, while only one of the two reads.
    for n in 0..60 {
        let body = json!({ "title": format!("m{n}"), "content": heavy, "recipients": ["ann", "bob"] });
        sender.send(body).await.data();
        assert_eq!(at_quick.message().await, format!("m{n}"));
        // It is there, however long this takes.
        at_slow.say(json!({ "type": "pong" })).await;
    }
    let cursor = at_slow.welcome["cursor"].as_str().unwrap().to_owned();
    let mut told = false;
    let mut last = String::new();
    while last != "m59" {
        match at_slow.next().await {
            Heard::Frame(frame) if frame["type"] == "resync" => told = true,
            Heard::Frame(frame) if frame["type"] == "message" => {
                last = frame["data"]["title"].as_str().unwrap().into()
            }
            Heard::Frame(_) | Heard::Pong => {}
            Heard::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    assert!(told, "it was never told that something is missing");
    assert_eq!(slow.sync(&cursor, 100).await["changes"].as_array().unwrap().len(), 60);
}
