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
