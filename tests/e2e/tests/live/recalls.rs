//! Messages taken back, and messages that take the place of earlier ones.

use hongyan_harness::Setup;
use serde_json::{Value, json};

#[tokio::test]
async fn a_recalled_message_goes_from_every_device_and_from_the_count() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender, other) = (admin.user("ann").await, admin.sender("s").await, admin.sender("o").await);
    let away = admin.known("ann", "away");
    let cursor = away.connect().await.welcome["cursor"].as_str().unwrap().to_owned();
    let mut socket = ann.connect().await;
    let id = sender.send_to("ann", "wrong").await;
    assert_eq!(socket.message().await, "wrong");
    let read = sender.send_to("ann", "read").await;
    assert_eq!(socket.message().await, "read");
    ann.read(&read).await;
    let recall = |id: &str| format!("/api/v3/messages/{id}/recall");
    other.api.post(&recall(&id), &json!({})).await.failure(404, "not_found");
    ann.api.post(&recall(&id), &json!({})).await.failure(404, "not_found");
    for id in [&id, &read, &id] {
        assert_eq!(sender.api.post(&recall(id), &json!({})).await.data()["recalled"], true);
    }
    let update = socket.frame("status_update").await;
    assert_eq!((&update["status"], &update["message_id"]), (&json!("recalled"), &json!(id)));
    let list = ann.list("").await;
    assert_eq!((&list["total"], &list["unread_count"]), (&json!(0), &json!(0)));
    ann.mark(&id, json!({})).await.failure(404, "not_found");
    // Who was away hears of it too, and sees neither.
    let changes = away.sync(&cursor, 10).await;
    let told: Vec<&Value> =
        changes["changes"].as_array().unwrap().iter().map(|c| &c["data"]["status"]).collect();
    assert_eq!(told, ["recalled", "recalled"]);
    // An administrator takes back what others sent.
    let third = sender.send_to("ann", "third").await;
    admin.api.put("/admin/api/v3/roles/admin/members/ann").await.data();
    ann.api.post(&recall(&third), &json!({})).await.data();
    assert_eq!(ann.list("").await["total"], 0);
    let _server = server.start_again().await;
    assert_eq!(ann.list("").await["total"], 0);
}

#[tokio::test]
async fn who_has_left_the_group_since_loses_the_message_too() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob, sender) = (admin.user("ann").await, admin.user("bob").await, admin.sender("s").await);
    admin.channel("news", &["ann"]).await;
    let sent = sender.send(json!({ "title": "t", "recipients": ["news"] })).await.data();
    assert_eq!(ann.list("").await["total"], 1);
    admin.api.delete("/admin/api/v3/channels/news/members/ann").await.data();
    admin.api.put("/admin/api/v3/channels/news/members/bob").await.data();
    let path = format!("/api/v3/messages/{}/recall", sent["message_id"].as_str().unwrap());
    let mut socket = ann.connect().await;
    sender.api.post(&path, &json!({})).await.data();
    assert_eq!(socket.frame("status_update").await["status"], "recalled");
    assert_eq!(ann.list("").await["total"], 0);
    assert_eq!(bob.list("").await["total"], 0);
    assert_eq!(bob.sync("", 10).await["changes"], json!([]), "what one never had is not told of");
}

#[tokio::test]
async fn the_last_message_of_a_thread_is_the_one_that_is_seen() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender, other) = (admin.user("ann").await, admin.sender("s").await, admin.sender("o").await);
    let mut socket = ann.connect().await;
    let alert = |title: &str| json!({ "title": title, "recipients": ["ann"], "thread_key": "disk-1" });
    let first = sender.send_once("k1", &alert("disk full")).await.data();
    assert_eq!(socket.message().await, "disk full");
    ann.read(first["message_id"].as_str().unwrap()).await;
    let second = sender.send_once("k2", &alert("disk fine")).await.data();
    assert_eq!(
        sender.send_once("k2", &alert("disk fine")).await.data(),
        second,
        "a repeat replaces nothing more"
    );
    let gone = socket.frame("status_update").await;
    assert_eq!((&gone["message_id"], &gone["replaced_by"]), (&first["message_id"], &second["message_id"]));
    let shown = socket.frame("message").await;
    assert_eq!((&shown["replaces"], &shown["thread_key"]), (&first["message_id"], &json!("disk-1")));
    // Another sender's thread of the same name is another one.
    other.send(alert("not the same")).await.data();
    assert_eq!(ann.titles("").await, ["not the same", "disk fine"]);
    assert_eq!(ann.list("").await["unread_count"], 2);
    // By id; only one's own.
    let replace = |id: &Value| json!({ "title": "by id", "recipients": ["ann"], "replaces": id });
    let foreign = other.send(replace(&second["message_id"])).await;
    assert_eq!(foreign.failure(422, "validation_failed"), ["replaces"]);
    sender.send(replace(&second["message_id"])).await.data();
    assert_eq!(ann.titles("").await, ["by id", "not the same"]);
    // In one batch, at once and one after the other.
    let batch = json!({ "messages": [alert("one"), alert("two"), { "title": "plain", "recipients": ["ann"] }, alert("three")] });
    assert_eq!(sender.api.post("/api/v3/messages/send-batch", &batch).await.data()["sent"], 4);
    assert_eq!(ann.titles("").await, ["three", "plain", "by id", "not the same"]);
    let many = futures_util::future::join_all((0..20).map(|n| sender.send(alert(&format!("at once {n}")))));
    many.await;
    assert_eq!(ann.list("").await["total"], 4);
}
