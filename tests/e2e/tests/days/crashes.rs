//! The end of the process, asked for or not.

use futures_util::future::join_all;
use hongyan_harness::{Setup, within};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[tokio::test]
async fn a_stop_asks_sockets_to_come_back_and_keeps_what_was_acknowledged() {
    let mut server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let mut socket = ann.connect().await;
    sender.send_to("ann", "kept").await;
    assert_eq!(socket.message().await, "kept");
    server.ask_to_stop();
    assert_eq!(socket.closed().await, Some(1012));
    assert_eq!(server.ended().await, Some(0));
    let seen = ann.device.clone();
    let devices = std::fs::read_to_string(server.users().join(format!("ann/.sync/{seen}.json"))).unwrap();
    assert!(devices.contains("last_seen") && devices.contains("h1."), "{devices}");
    let _server = server.start_again().await;
    assert_eq!(ann.titles("").await, ["kept"]);
}

/// What was promised to whom.
#[derive(Default)]
struct Promised {
    sent: BTreeMap<String, BTreeSet<String>>,
    read: BTreeSet<(String, String)>,
}

#[tokio::test]
async fn killed_at_any_moment_nothing_promised_is_lost_and_nothing_is_seen_twice() {
    const ROUNDS: usize = 6;
    let mut server = Setup::default().set("INBOX_WALK_INTERVAL", "50ms").start().await;
    let admin = server.admin().await;
    let people = ["ann", "bob", "cid"];
    let mut users = Vec::new();
    for id in people {
        users.push(admin.user(id).await);
    }
    admin.role("ops", &["ann", "bob"]).await;
    let sender = admin.sender("s").await;
    let promised = Arc::new(std::sync::Mutex::new(Promised::default()));
    for round in 0..ROUNDS {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut work = Vec::new();
        for lane in 0..6 {
            let (sender, promised, stop, done) =
                (sender.clone(), promised.clone(), stop.clone(), done.clone());
            let users = users.clone();
            work.push(tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let person = &users[(lane + n) % users.len()];
                    let (recipients, meant) = match lane % 3 {
                        0 => (json!(["ops"]), vec!["ann", "bob"]),
                        1 => (json!([person.id]), vec![person.id.as_str()]),
                        _ => (json!(["cid", "ops"]), vec!["ann", "bob", "cid"]),
                    };
                    let body = json!({ "title": format!("{round}.{lane}.{n}"), "recipients": recipients });
                    let request =
                        sender.api.request(reqwest::Method::POST, "/api/v3/messages/send").json(&body);
                    let Some(reply) = hongyan_harness::Reply::try_of(request).await else { return };
                    if reply.status != 200 {
                        continue;
                    }
                    let id = reply.data()["message_id"].as_str().unwrap().to_owned();
                    let meant = meant.into_iter().map(str::to_owned).collect();
                    promised.lock().unwrap().sent.insert(id.clone(), meant);
                    done.fetch_add(1, Ordering::Relaxed);
                    if lane % 3 == 1 {
                        let path = format!("/api/v3/messages/{id}/read");
                        let request = person.api.request(reqwest::Method::POST, &path);
                        let Some(reply) = hongyan_harness::Reply::try_of(request).await else { return };
                        if reply.status == 200 {
                            promised.lock().unwrap().read.insert((person.id.clone(), id));
                        }
                    }
                }
            }));
        }
        // In the midst of it, at a different point each time.
        let busy = hongyan_harness::eventually("some work", || async {
            (done.load(Ordering::Relaxed) > 20 + round * 37).then_some(())
        });
        busy.await;
        server.kill().await;
        stop.store(true, Ordering::Relaxed);
        within("the end of the senders", join_all(work)).await;
        server = server.start_again().await;
    }
    let promised = std::mem::take(&mut *promised.lock().unwrap());
    assert!(promised.sent.len() > ROUNDS * 20);
    for person in &users {
        let mut seen: BTreeMap<String, Value> = BTreeMap::new();
        for page in 1.. {
            let list = person.list(&format!("size=100&page={page}")).await;
            let messages = list["messages"].as_array().unwrap().clone();
            for message in &messages {
                let id = message["id"].as_str().unwrap().to_owned();
                assert!(seen.insert(id, message.clone()).is_none(), "{message} twice");
            }
            if messages.is_empty() {
                assert_eq!(list["total"], seen.len());
                break;
            }
        }
        for (id, meant) in &promised.sent {
            assert_eq!(seen.contains_key(id), meant.contains(&person.id), "{id} for {}", person.id);
        }
        for (_, id) in promised.read.iter().filter(|(reader, _)| *reader == person.id) {
            assert_eq!(seen[id]["is_read"], true, "{id} was read by {}", person.id);
        }
        let unread = seen.values().filter(|message| message["is_read"] == false).count();
        assert_eq!(person.unread().await["total"], unread);
        assert_eq!(person.list("is_read=false").await["total"], unread);
    }
}
