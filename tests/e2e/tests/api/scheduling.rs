//! Messages that wait for their time.

use hongyan_harness::{Reply, Server, Setup, eventually, growing, later};
use hongyan_wire::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SCHEDULED: &str = "/api/v3/messages/scheduled";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// So much time passes for all that is scheduled, while the server does not run.
fn pass(server: &Server, time: Duration) {
    let millis = i64::try_from(time.as_millis()).unwrap();
    let directory = server.users().with_file_name("system").join("directory.db");
    let directory = rusqlite::Connection::open(directory).unwrap();
    let mut statement = directory.prepare("SELECT id, body FROM schedule").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (id, body) in rows.collect::<rusqlite::Result<Vec<(String, String)>>>().unwrap() {
        let mut body: Value = serde_json::from_str(&body).unwrap();
        for moment in ["/due", "/posted/message/expire_at"] {
            if let Some(Value::String(at)) = body.pointer_mut(moment) {
                *at = Timestamp::parse(at).unwrap().plus_millis(-millis).to_string();
            }
        }
        directory
            .execute(
                "UPDATE schedule SET due = due - ?1, body = ?2 WHERE id = ?3",
                (millis, body.to_string(), id),
            )
            .unwrap();
    }
}

#[tokio::test]
async fn a_scheduled_message_comes_at_its_time_once_and_also_after_a_restart() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let at = |title: &str, after: Duration| json!({ "title": title, "recipients": ["ann"], "scheduled_at": later(after) });
    let soon = at("soon", HOUR);
    let answer = sender.send_once("k", &soon).await.data();
    assert_eq!((&answer["status"], &answer["scheduled_at"]), (&json!("scheduled"), &soon["scheduled_at"]));
    assert_eq!(sender.send_once("k", &soon).await.data(), answer, "a repeat schedules nothing more");
    sender.send(at("in two hours", 2 * HOUR)).await.data();
    sender.send(at("in a day", DAY)).await.data();
    let mut over = at("over", 30 * MINUTE);
    over["expire_at"] = json!(later(31 * MINUTE));
    sender.send(over).await.data();
    assert_eq!(ann.list("").await["total"], 0);
    let listed = sender.api.get(SCHEDULED).await.data();
    let titles: Vec<&Value> =
        listed["messages"].as_array().unwrap().iter().map(|m| &m["message"]["title"]).collect();
    assert_eq!(titles, ["over", "soon", "in two hours", "in a day"]);
    // Due while nobody is there.
    let mut server = server;
    server.kill().await;
    pass(&server, 3 * HOUR);
    let _server = server.start_again().await;
    eventually("what was due", || async { (ann.list("").await["total"] == 2).then_some(()) }).await;
    let messages = ann.list("").await;
    let titles: Vec<&Value> = messages["messages"].as_array().unwrap().iter().map(|m| &m["title"]).collect();
    assert_eq!(titles, ["in two hours", "soon"]);
    assert_eq!(messages["messages"][1]["id"], answer["message_id"]);
    assert_eq!(sender.api.get(SCHEDULED).await.data()["total"], 1);
}

#[tokio::test]
async fn it_arrives_live_and_not_before_its_time() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let mut socket = ann.connect().await;
    growing("a message that has to wait", 700, async |millis| {
        let due = later(Duration::from_millis(millis));
        let message = json!({ "title": "t", "recipients": ["ann"], "scheduled_at": due });
        let answer = sender.send(message).await.data();
        let message = socket.frame("message").await;
        assert_eq!(message["id"], answer["message_id"]);
        let parsed = |text: &str| Timestamp::parse(text).unwrap();
        let sent = parsed(message["created_at"].as_str().unwrap());
        assert!(sent >= parsed(&due), "sent at {sent}, to be sent at {due}");
        // What asks for a time that is over is sent at once.
        (answer["status"] == "scheduled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_message_is_changed_or_taken_back_by_who_scheduled_it() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let (sender, other) = (admin.sender("s").await, admin.sender("other").await);
    let body = |title: &str, after: Duration| json!({ "title": title, "recipients": ["ann"], "scheduled_at": later(after) });
    let id = |answer: Value| answer["message_id"].as_str().unwrap().to_owned();
    let first = id(sender.send(body("first", HOUR)).await.data());
    let second = id(sender.send(body("second", HOUR)).await.data());
    let path = |id: &str| format!("{SCHEDULED}/{id}");
    other.api.get(&path(&first)).await.failure(404, "not_found");
    other.api.delete(&path(&first)).await.failure(404, "not_found");
    assert_eq!(other.api.get(SCHEDULED).await.data()["total"], 0);
    let put = |body: Value| Reply::of(sender.api.request(Method::PUT, &path(&first)).json(&body));
    let now = json!({ "title": "now", "recipients": ["ann"] });
    assert_eq!(put(now).await.failure(422, "validation_failed"), ["scheduled_at"]);
    let changed = growing("a time that is not over when it is asked for", 300, async |millis| {
        let reply = put(body("changed", Duration::from_millis(millis))).await;
        (reply.status != 422).then_some(reply)
    });
    assert_eq!(id(changed.await.data()), first);
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
        scheduled["scheduled_at"] = json!(later(HOUR));
        sender.send(scheduled).await.data();
    }
    sender.send(message("second")).await.data();
    assert_eq!(ann.titles("").await, ["second"]);
    let mut server = server;
    server.stop().await;
    pass(&server, HOUR);
    let _server = server.start_again().await;
    let waiting = || async { (sender.api.get(SCHEDULED).await.data()["total"] == 0).then_some(()) };
    eventually("both", waiting).await;
    assert_eq!(ann.list("").await["total"], 1);
}
