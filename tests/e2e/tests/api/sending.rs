//! `POST /api/v3/messages/send`: who gets it, what is refused, and repeats.

use futures_util::future::join_all;
use hongyan_harness::{Setup, growing, later};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn recipients_are_users_names_roles_and_channels_and_each_gets_it_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob, cid) = (admin.user("ann").await, admin.user("bob").await, admin.user("cid").await);
    admin.post("users", json!({ "id": "u-4", "username": "dora", "name": "Dora" })).await.data();
    let dora = admin.known("u-4", "d");
    admin.role("ops", &["ann", "bob"]).await;
    admin.channel("news", &["bob", "cid"]).await;
    let sender = admin.sender("s").await;
    let to = |recipients: Value| json!({ "title": "t", "content": "c", "recipients": recipients });

    let sent = sender.send(to(json!(["ops", "news", "ann", "DORA", "nobody", "ann"]))).await.data();
    assert_eq!((&sent["recipients"], &sent["status"]), (&json!(4), &json!("accepted")));
    assert_eq!(sent["unknown_recipients"], json!(["nobody"]));
    for person in [&ann, &bob, &cid, &dora] {
        assert_eq!(person.list("").await["total"], 1, "{}", person.id);
    }
    assert_eq!(
        sender.send(to(json!(["nobody", "no one"]))).await.failure(422, "validation_failed"),
        ["recipients"]
    );
    let typed = |kind: &str, recipients: Value| json!({ "title": "t", "recipients": recipients, "recipient_type": kind });
    // A role is no user.
    assert_eq!(
        sender.send(typed("user", json!(["ops"]))).await.failure(422, "validation_failed"),
        ["recipients"]
    );
    assert_eq!(sender.send(typed("role", json!(["ops"]))).await.data()["recipients"], 2);
    assert_eq!(sender.send(typed("channel", json!(["news"]))).await.data()["recipients"], 2);
    let own = json!({ "title": "t", "channel_id": "news", "recipient_type": "channel" });
    assert_eq!(sender.send(own).await.data()["recipients"], 2);
    // The administrator is a user too.
    assert_eq!(sender.send(json!({ "title": "t", "recipient_type": "all" })).await.data()["recipients"], 5);
    assert_eq!(ann.list("").await["total"], 3);
    assert_eq!(cid.list("channel_id=news").await["total"], 2);
}

#[tokio::test]
async fn a_message_is_for_those_who_were_there_when_it_was_sent() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    admin.channel("news", &["ann"]).await;
    let sender = admin.sender("s").await;
    let news = |title: &str| json!({ "title": title, "recipients": ["news"] });
    sender.send(news("first")).await.data();
    let bob = admin.user("bob").await;
    admin.api.put("/admin/api/v3/channels/news/members/bob").await.data();
    sender.send(news("second")).await.data();
    admin.api.delete("/admin/api/v3/channels/news/members/ann").await.data();
    sender.send(news("third")).await.data();
    // Nobody has opened an inbox until now.
    assert_eq!(ann.titles("").await, ["second", "first"]);
    assert_eq!(bob.titles("").await, ["third", "second"]);
}

#[tokio::test]
async fn the_whole_request_is_shown_to_the_reader() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    admin.channel("files", &[]).await;
    let sender = admin.sender("drive").await;
    let body = json!({
        "channel_id": "files", "title": "标题 <b>", "content": "one\ntwo {{x}}", "message_type": "file_share",
        "recipients": ["ann"], "recipient_type": "user", "on_behalf_of": "bob", "priority": 9,
        "metadata": { "k": [1, { "deep": true }] },
        "attachments": [{ "type": "file", "name": "a.pdf", "url": "https://d.example/a.pdf", "size": 12, "mime_type": "application/pdf", "thumbnail": "" }],
        "actions": [
            { "type": "link", "text": "Open", "url": "https://d.example/a", "style": "primary" },
            { "type": "confirm", "text": "Decline", "action": "decline" },
        ],
    });
    let id = sender.send(body.clone()).await.data()["message_id"].as_str().unwrap().to_owned();
    let message = ann.api.get(&format!("/api/v3/messages/{id}")).await.data();
    for field in ["channel_id", "title", "content", "message_type", "priority", "metadata", "attachments"] {
        assert_eq!(message[field], body[field], "{field}");
    }
    assert_eq!(message["sender"], "bob");
    assert_eq!(message["sender_info"]["type"], "user");
    assert_eq!(message["sender_info"]["service_id"], sender.id);
    assert_eq!(message["actions"][1]["style"], "secondary");
    assert_eq!((&message["is_read"], &message["version"]), (&json!(false), &json!(0)));
    // Another person's message does not exist for bob.
    bob.api.get(&format!("/api/v3/messages/{id}")).await.failure(404, "not_found");
    let plain = sender.send_to("ann", "plain").await;
    let message = ann.api.get(&format!("/api/v3/messages/{plain}")).await.data();
    assert_eq!((&message["sender"], &message["priority"]), (&json!(sender.id), &json!(5)));
    assert_eq!(message["message_type"], "text");
}

#[tokio::test]
async fn every_field_that_is_not_valid_is_named_and_nothing_is_sent() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let action = |fields: Value| json!({ "actions": [fields] });
    let attachment = |fields: Value| json!({ "attachments": [fields] });
    let cases = [
        (json!({ "title": "" }), "title"),
        (json!({ "title": "   " }), "title"),
        (json!({ "title": "x".repeat(201) }), "title"),
        (json!({ "title": "two\nlines" }), "title"),
        (json!({ "title": "invoice\u{202e}fdp.exe" }), "title"),
        (json!({ "title": "two\u{2028}lines" }), "title"),
        (json!({ "content": "a\u{0}b" }), "content"),
        (json!({ "content": "turned \u{202e}round" }), "content"),
        (json!({ "content": "\u{1b}[31m" }), "content"),
        (json!({ "message_type": "Bad Type" }), "message_type"),
        (json!({ "priority": 0 }), "priority"),
        (json!({ "priority": 11 }), "priority"),
        (json!({ "priority": -1 }), "priority"),
        (json!({ "priority": 300 }), "priority"),
        (json!({ "recipients": [] }), "recipients"),
        (json!({ "recipients": [""] }), "recipients[0]"),
        (json!({ "recipients": ["ann"], "recipient_type": "all" }), "recipients"),
        (json!({ "recipient_type": "everybody" }), "recipient_type"),
        (json!({ "channel_id": "../etc" }), "channel_id"),
        (json!({ "channel_id": "missing" }), "channel_id"),
        (json!({ "on_behalf_of": "missing" }), "on_behalf_of"),
        (json!({ "expire_at": "2001-01-01T00:00:00Z" }), "expire_at"),
        (json!({ "expire_at": "tomorrow" }), "expire_at"),
        (json!({ "sender": { "avatar": "javascript:alert(1)" } }), "sender.avatar"),
        (json!({ "sender": { "type": "robot" } }), "sender.type"),
        (json!({ "sender": { "id": "a\u{200b}b" } }), "sender.id"),
        (json!({ "variables": { "a": 1 } }), "variables"),
        (
            attachment(json!({ "type": "file", "name": "n", "url": "javascript:alert(1)" })),
            "attachments[0].url",
        ),
        (attachment(json!({ "type": "file", "name": "", "url": "https://a" })), "attachments[0].name"),
        (attachment(json!({ "type": "virus", "name": "n", "url": "https://a" })), "attachments[0].type"),
        (attachment(json!({ "name": "n", "url": "https://a" })), "attachments[0].type"),
        (action(json!({ "type": "link", "text": "t", "url": "JAVASCRIPT:alert(1)" })), "actions[0].url"),
        (action(json!({ "type": "link", "text": "t", "url": "data:text/html,x" })), "actions[0].url"),
        (action(json!({ "type": "button", "text": "t" })), "actions[0].action"),
        (action(json!({ "type": "link", "text": "", "url": "https://a" })), "actions[0].text"),
        (json!({ "recipient": ["ann"] }), "recipient"),
    ];
    for (change, field) in cases {
        let mut body = json!({ "title": "t", "content": "c", "recipients": ["ann"] });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        assert_eq!(sender.send(body).await.failure(422, "validation_failed"), [field], "{change}");
    }
    let many = json!({ "title": "", "priority": 99, "recipients": [], "message_type": "?" });
    let named = sender.send(many).await.failure(422, "validation_failed");
    assert_eq!(named, ["title", "message_type", "priority", "recipients"]);
    assert_eq!(ann.list("").await["total"], 0);
}

#[tokio::test]
async fn a_repeat_under_the_same_key_sends_nothing_more_even_after_a_restart() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let other = admin.sender("other").await;
    let body = json!({ "title": "once", "recipients": ["ann", "nobody"] });
    let repeats = join_all((0..20).map(|_| sender.send_once("key", &body))).await;
    let first = repeats[0].data();
    assert!(repeats.iter().all(|reply| reply.data() == first));
    assert_eq!(first["unknown_recipients"], json!(["nobody"]));
    let changed = json!({ "title": "twice", "recipients": ["ann"] });
    sender.send_once("key", &changed).await.failure(409, "idempotency_conflict");
    let server = server.start_again().await;
    assert_eq!(sender.send_once("key", &body).await.data(), first);
    // Another service's key is another key.
    assert_ne!(other.send_once("key", &body).await.data()["message_id"], first["message_id"]);
    assert_eq!(ann.list("").await["total"], 2);
    let too_long = "k".repeat(256);
    assert_eq!(
        sender.send_once(&too_long, &body).await.failure(422, "validation_failed"),
        ["Idempotency-Key"]
    );
    drop(server);
}

#[tokio::test]
async fn people_send_to_people_in_their_own_name() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    admin.role("ops", &["ann"]).await;
    let send = async |body: Value| ann.api.post("/api/v3/messages/send", &body).await;
    send(json!({ "title": "hi", "recipients": ["bob"], "recipient_type": "user" })).await.data();
    let got = bob.list("").await["messages"][0].clone();
    assert_eq!((&got["sender"], &got["sender_info"]["type"]), (&json!("ann"), &json!("user")));
    for body in [
        json!({ "title": "t", "recipients": ["ops"], "recipient_type": "role" }),
        json!({ "title": "t", "recipient_type": "all" }),
        json!({ "title": "t", "recipients": ["bob"], "recipient_type": "user", "on_behalf_of": "bob" }),
        json!({ "title": "t", "recipients": ["bob"], "recipient_type": "user", "sender": { "name": "The boss" } }),
    ] {
        let reply = send(body).await;
        reply.failure(403, "permission_denied");
        assert!(reply.json()["message"].as_str().unwrap().contains("send:"));
    }
    admin.api.put("/admin/api/v3/roles/admin/members/ann").await.data();
    send(json!({ "title": "to all", "recipient_type": "all" })).await.data();
    assert_eq!(bob.list("").await["total"], 2);
}

#[tokio::test]
async fn what_has_expired_is_neither_listed_nor_counted() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    sender.send_to("ann", "lasting").await;
    let id = growing("a life that is long enough to be seen", 1_500, async |millis| {
        let soon = later(Duration::from_millis(millis));
        let brief = json!({ "title": "brief", "recipients": ["ann"], "expire_at": soon });
        let sent = sender.send(brief).await;
        let (titles, id) = (ann.titles("").await, sent.json()["data"]["message_id"].clone());
        let read = ann.mark(id.as_str().unwrap_or("none"), json!({})).await;
        if later(Duration::ZERO) >= soon {
            return None;
        }
        sent.data();
        read.data();
        assert_eq!(titles, ["brief", "lasting"]);
        id.as_str().map(str::to_owned)
    })
    .await;
    hongyan_harness::eventually("the end of the brief one", || async {
        (ann.list("").await["total"] == 1).then_some(())
    })
    .await;
    assert_eq!(ann.titles("").await, ["lasting"]);
    assert_eq!(ann.unread().await["total"], 1);
    ann.api.get(&format!("/api/v3/messages/{id}")).await.failure(404, "not_found");
}
