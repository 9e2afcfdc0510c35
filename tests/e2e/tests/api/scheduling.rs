//! Messages that wait for their time.

use hongyan_harness::{Reply, Setup, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SCHEDULED: &str = "/api/v3/messages/scheduled";

/// So many milliseconds from now.
fn later(millis: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(millis);
    let at = i64::try_from(since.as_millis()).unwrap();
    hongyan_wire::Timestamp::from_millis(at).to_string()
}

#[tokio::test]
async fn a_scheduled_message_comes_at_its_time_once_and_also_after_a_restart() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let at = |title: &str, millis: u64| json!({ "title": title, "recipients": ["ann"], "scheduled_at": later(millis) });
    let soon = at("soon", 1_500);
    let answer = sender.send_once("k", &soon).await.data();
    assert_eq!((&answer["status"], &answer["scheduled_at"]), (&json!("scheduled"), &soon["scheduled_at"]));
    assert_eq!(sender.send_once("k", &soon).await.data(), answer, "a repeat schedules nothing more");
    let down = at("while it was down", 2_000);
    sender.send(down.clone()).await.data();
    sender.send(at("in an hour", 3_600_000)).await.data();
    let over = json!({ "title": "over", "recipients": ["ann"], "scheduled_at": later(1_000), "expire_at": later(1_001) });
    sender.send(over).await.data();
    assert_eq!(ann.list("").await["total"], 0);
    let listed = sender.api.get(SCHEDULED).await.data();
    let titles: Vec<&Value> =
        listed["messages"].as_array().unwrap().iter().map(|m| &m["message"]["title"]).collect();
    assert_eq!(titles, ["over", "soon", "while it was down", "in an hour"]);
    // Due while nobody is there.
    let mut server = server;
    server.kill().await;
    let due = down["scheduled_at"].as_str().unwrap();
    eventually("its time", || async { (later(0).as_str() > due).then_some(()) }).await;
    let _server = server.start_again().await;
    eventually("what was due", || async { (ann.list("").await["total"] == 2).then_some(()) }).await;
    let messages = ann.list("").await;
    let titles: Vec<&Value> = messages["messages"].as_array().unwrap().iter().map(|m| &m["title"]).collect();
    assert_eq!(titles, ["while it was down", "soon"]);
    assert_eq!(messages["messages"][1]["id"], answer["message_id"]);
    assert_eq!(sender.api.get(SCHEDULED).await.data()["total"], 1);
}

#[tokio::test]
async fn it_arrives_live_within_a_second_of_its_time() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let mut socket = ann.connect().await;
    let due = later(700);
    sender.send(json!({ "title": "t", "recipients": ["ann"], "scheduled_at": due })).await.data();
    let message = socket.frame("message").await;
    let millis = |text: &str| hongyan_wire::Timestamp::parse(text).unwrap().millis();
    let late = millis(message["created_at"].as_str().unwrap()) - millis(&due);
    assert!((0..1_000).contains(&late), "{late} ms after its time");
}

#[tokio::test]
async fn a_scheduled_message_is_changed_or_taken_back_by_who_scheduled_it() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let (sender, other) = (admin.sender("s").await, admin.sender("other").await);
    let body = |title: &str, millis: u64| json!({ "title": title, "recipients": ["ann"], "scheduled_at": later(millis) });
    let id = |answer: Value| answer["message_id"].as_str().unwrap().to_owned();
    let first = id(sender.send(body("first", 3_600_000)).await.data());
    let second = id(sender.send(body("second", 3_600_000)).await.data());
    let path = |id: &str| format!("{SCHEDULED}/{id}");
    other.api.get(&path(&first)).await.failure(404, "not_found");
    other.api.delete(&path(&first)).await.failure(404, "not_found");
    assert_eq!(other.api.get(SCHEDULED).await.data()["total"], 0);
    let put = |body: Value| Reply::of(sender.api.request(Method::PUT, &path(&first)).json(&body));
    let now = json!({ "title": "now", "recipients": ["ann"] });
    assert_eq!(put(now).await.failure(422, "validation_failed"), ["scheduled_at"]);
    assert_eq!(id(put(body("changed", 300)).await.data()), first);
    sender.api.delete(&path(&second)).await.data();
    sender.api.delete(&path(&second)).await.failure(404, "not_found");
    eventually("the changed one", || async { (ann.list("").await["total"] == 1).then_some(()) }).await;
    assert_eq!(ann.titles("").await, ["changed"]);
    sender.api.delete(&path(&first)).await.failure(404, "not_found");
    let far = json!({ "title": "t", "recipients": ["ann"], "scheduled_at": "2999-01-01T00:00:00Z" });
    assert_eq!(sender.send(far).await.failure(422, "validation_failed"), ["scheduled_at"]);
}

#[tokio::test]
async fn a_scheduled_message_takes_the_place_of_what_is_last_in_its_thread_when_its_time_comes() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let message = |title: &str| json!({ "title": title, "recipients": ["ann"], "thread_key": "t" });
    sender.send(message("first")).await.data();
    for title in ["late", "latest"] {
        let mut scheduled = message(title);
        scheduled["scheduled_at"] = json!(later(700));
        sender.send(scheduled).await.data();
    }
    sender.send(message("second")).await.data();
    assert_eq!(ann.titles("").await, ["second"]);
    let waiting = || async { (sender.api.get(SCHEDULED).await.data()["total"] == 0).then_some(()) };
    eventually("both", waiting).await;
    assert_eq!(ann.list("").await["total"], 1);
}
