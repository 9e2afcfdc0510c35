//! Who may send what to whom: one cell of the table after the other; and what becomes of services and keys.

use hongyan_harness::{Admin, Reply, Sender, Setup, within};
use reqwest::Method;
use serde_json::{Value, json};

/// A service of a type, with permissions of its own or those of its type, that may send.
async fn service(admin: &Admin, kind: &str, permissions: Option<Value>) -> Sender {
    let mut body = json!({ "name": kind, "type": kind });
    if let Some(permissions) = permissions {
        body["permissions"] = permissions;
    }
    let made = admin.post("services", body).await.data();
    if kind == "external" {
        let id = made["id"].as_str().unwrap();
        admin.post(&format!("services/{id}/approve"), json!({})).await.data();
    }
    admin.sender_with(&made)
}

/// What a reply comes to: `ok`, or the permission that is missing.
fn outcome(reply: &Reply) -> String {
    if reply.json()["code"] == 200 {
        return "ok".into();
    }
    reply.failure(403, "permission_denied");
    let message = reply.json()["message"].as_str().unwrap().to_owned();
    message.trim_start_matches("the permission ").trim_end_matches(" is missing").to_owned()
}

fn to(audience: &str) -> Value {
    match audience {
        "all" => json!({ "title": "t", "recipient_type": "all" }),
        "channel" => json!({ "title": "t", "recipients": ["news"], "recipient_type": "channel" }),
        "role" => json!({ "title": "t", "recipients": ["ops"] }),
        "department" => json!({ "title": "t", "recipients": ["north"], "recipient_type": "department" }),
        "user" => json!({ "title": "t", "recipients": ["ann"] }),
        "for another" => json!({ "title": "t", "recipients": ["ann"], "on_behalf_of": "bob" }),
        "system" => json!({ "recipients": ["ann"], "template_id": "system_alert", "variables": {
            "alert_type": "a", "alert_message": "b", "affected_scope": "c" } }),
        "system by another template" => json!({ "recipients": ["ann"], "template_id": "file_share",
            "message_type": "system_alert", "variables": { "sender_name": "a", "file_name": "b",
            "file_size": "1", "share_time": "2025-01-15" } }),
        "system type" => json!({ "title": "t", "recipients": ["ann"], "message_type": "system_notice" }),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_cell_of_the_table_of_tiers() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    admin.user("bob").await;
    admin.role("ops", &["bob"]).await;
    admin.channel("news", &["bob"]).await;
    admin.post("departments", json!({ "id": "sales", "name": "Sales" })).await.data();
    let north = json!({ "id": "north", "name": "Sales, north", "parent_id": "sales" });
    admin.post("departments", north).await.data();
    let columns = ["user", "channel", "role", "department", "all", "for another", "system", "system type"];
    let (channel, role, all) = ("send:channel:news", "send:role:ops", "send:all");
    let dep = "send:department:north";
    let (behalf, system) = ("send:on_behalf_of", "category:system");
    let scoped = json!(["send:role:ops", "type:system_notice", "send:user"]);
    for (kind, permissions, row) in [
        ("system", None, ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
        ("internal", None, ["ok", "ok", "ok", "ok", "ok", "ok", system, system]),
        ("external", None, ["ok", channel, role, dep, all, behalf, system, system]),
        (
            "internal",
            Some(json!([])),
            ["send:user", channel, role, dep, all, behalf, "send:user", "send:user"],
        ),
        (
            "internal",
            Some(json!(["send:department:sales"])),
            ["send:user", channel, role, "ok", all, behalf, "send:user", "send:user"],
        ),
        (
            "external",
            Some(json!(["send:channel"])),
            ["send:user", "ok", role, dep, all, behalf, "send:user", "send:user"],
        ),
        (
            "external",
            Some(scoped),
            [
                "category:business",
                "category:business",
                "category:business",
                "category:business",
                "category:business",
                behalf,
                system,
                "ok",
            ],
        ),
    ] {
        let sender = service(&admin, kind, permissions.clone()).await;
        for (column, wanted) in columns.iter().zip(row) {
            let reply = sender.send(to(column)).await;
            assert_eq!(outcome(&reply), wanted, "{kind} {permissions:?} to {column}");
        }
    }
    // Shown as a person or as the system, by a name in the request.
    let external = service(&admin, "external", None).await;
    for (shown_as, wanted) in [("user", behalf), ("system", system), ("service", "ok")] {
        let body = json!({ "title": "t", "recipients": ["ann"], "sender": { "type": shown_as, "id": "bob", "name": "Bob" } });
        assert_eq!(outcome(&external.send(body).await), wanted, "shown as {shown_as}");
    }
    let internal = service(&admin, "internal", None).await;
    assert_eq!(outcome(&internal.send(to("system by another template")).await), system);
    // People: in their own name, to listed people; administrators to anyone.
    let own = |body: Value| {
        let api = ann.api.clone();
        async move { api.post("/api/v3/messages/send", &body).await }
    };
    let sender = json!({ "title": "t", "recipients": ["bob"], "sender": { "name": "someone else" } });
    assert_eq!(outcome(&own(sender).await), behalf);
    for (column, wanted) in columns.iter().zip(["ok", channel, role, dep, all, behalf, "ok", "ok"]) {
        assert_eq!(outcome(&own(to(column)).await), wanted, "a user to {column}");
    }
    // Who looks after a channel, or a department above.
    admin.api.put("/admin/api/v3/channels/news/owners/ann").await.data();
    admin.api.put("/admin/api/v3/departments/sales/admins/ann").await.data();
    for (column, wanted) in columns.iter().zip(["ok", "ok", role, "ok", all, behalf, "ok", "ok"]) {
        assert_eq!(outcome(&own(to(column)).await), wanted, "one who looks after things to {column}");
    }
    admin.api.delete("/admin/api/v3/channels/news/owners/ann").await.data();
    admin.api.delete("/admin/api/v3/departments/sales/admins/ann").await.data();
    for (column, wanted) in [("channel", channel), ("department", dep)] {
        assert_eq!(outcome(&own(to(column)).await), wanted, "one who does so no more to {column}");
    }
    admin.api.put("/admin/api/v3/roles/admin/members/ann").await.data();
    for (column, wanted) in columns.iter().zip(["ok", "ok", "ok", "ok", "ok", behalf, "ok", "ok"]) {
        assert_eq!(outcome(&own(to(column)).await), wanted, "an administrator to {column}");
    }
}

#[tokio::test]
async fn an_external_service_waits_for_approval_and_changes_take_effect_at_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let made = admin.post("services", json!({ "name": "ext", "type": "external" })).await.data();
    assert_eq!(made["status"], "pending");
    let (sender, path) = (admin.sender_with(&made), format!("services/{}", made["id"].as_str().unwrap()));
    let refused = sender.send(to("user")).await;
    refused.failure(401, "unauthenticated");
    assert!(refused.json()["message"].as_str().unwrap().contains("approved"));
    admin.post(&format!("{path}/resume"), json!({})).await.failure(422, "validation_failed");
    assert_eq!(admin.post(&format!("{path}/approve"), json!({})).await.data()["status"], "active");
    sender.send(to("user")).await.data();
    let put =
        |body: Value| Reply::of(admin.api.request(Method::PUT, &format!("/admin/api/v3/{path}")).json(&body));
    let changed = put(json!({ "permissions": ["send:all"] })).await.data();
    assert_eq!((&changed["permissions"], &changed["name"]), (&json!(["send:all"]), &json!("ext")));
    assert_eq!(outcome(&sender.send(to("user")).await), "send:user");
    sender.send(to("all")).await.data();
    assert_eq!(
        put(json!({ "permissions": ["send:nobody"] })).await.failure(422, "validation_failed"),
        ["permissions[0]"]
    );
    let none = json!({ "rate_limit": { "per_minute": 0 } });
    assert_eq!(put(none).await.failure(422, "validation_failed"), ["rate_limit.per_minute"]);
    admin.api.delete(&format!("/admin/api/v3/{path}")).await.data();
    sender.send(to("all")).await.failure(401, "unauthenticated");
    admin.get(&path).await.failure(404, "not_found");
}

#[tokio::test]
async fn a_key_is_replaced_with_an_overlap() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let made = admin.post("services", json!({ "name": "s", "type": "internal" })).await.data();
    let (first, path) =
        (admin.sender_with(&made), format!("services/{}/rotate-key", made["id"].as_str().unwrap()));
    let second = admin.sender_with(&admin.post(&path, json!({})).await.data());
    for sender in [&first, &second] {
        sender.send(to("user")).await.data();
    }
    let shown = admin.get(&format!("services/{}", first.id)).await.data();
    let ends: Vec<bool> =
        shown["keys"].as_array().unwrap().iter().map(|key| key["ends_at"].is_string()).collect();
    assert_eq!(ends.iter().filter(|ends| **ends).count(), 1);
    assert!(shown.get("api_key").is_none());
    let third = admin.sender_with(&admin.post(&path, json!({ "overlap_seconds": 0 })).await.data());
    for sender in [&first, &second] {
        sender.send(to("user")).await.failure(401, "unauthenticated");
    }
    third.send(to("user")).await.data();
    let long = admin.post(&path, json!({ "overlap_seconds": 9_000_000 })).await;
    assert_eq!(long.failure(422, "validation_failed"), ["overlap_seconds"]);
    // What ended stays ended.
    let _server = server.start_again().await;
    first.send(to("user")).await.failure(401, "unauthenticated");
    third.send(to("user")).await.data();
}

#[tokio::test]
async fn a_limit_is_told_and_kept_and_others_do_not_feel_it() {
    let server = Setup::default().set("SEND_RATE_USER", "3").start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let limited = json!({ "name": "limited", "type": "internal", "rate_limit": { "per_minute": 5 } });
    let limited = admin.sender_with(&admin.post("services", limited).await.data());
    for left in (0..5).rev() {
        let sent = limited.send(to("user")).await;
        sent.data();
        assert_eq!(
            (sent.header("ratelimit-limit"), sent.header("ratelimit-remaining")),
            (Some("5"), Some(&*left.to_string()))
        );
    }
    let refused = limited.send(to("user")).await;
    refused.failure(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    // A person has a limit of their own, others none.
    for _ in 0..3 {
        ann.api.post("/api/v3/messages/send", &to("user")).await.data();
    }
    ann.api.post("/api/v3/messages/send", &to("user")).await.failure(429, "rate_limited");
    let free = admin.sender("free").await;
    let sent = free.send(to("user")).await;
    sent.data();
    assert_eq!(sent.header("ratelimit-limit"), None);
    // Of a batch as many are sent as are left.
    let batch =
        admin.post("services", json!({ "name": "b", "type": "internal", "rate_limit": { "per_minute": 3 } }));
    let batch = admin.sender_with(&batch.await.data());
    let messages = json!({ "messages": vec![to("user"); 5] });
    let answer = batch.api.post("/api/v3/messages/send-batch", &messages).await.data();
    assert_eq!(
        (&answer["sent"], &answer["results"][3]["error"]["type"]),
        (&json!(3), &json!("rate_limited"))
    );
}

#[tokio::test]
async fn a_flood_by_one_slows_no_other() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    admin.user("bob").await;
    let limited = json!({ "name": "limited", "type": "internal", "rate_limit": { "per_minute": 60 } });
    let limited = admin.sender_with(&admin.post("services", limited).await.data());
    let (unlimited, quiet) = (admin.sender("unlimited").await, admin.sender("quiet").await);
    let message = |to: &str| json!({ "title": "t", "recipients": [to] });
    // Two floods, one of which is held back, for as long as a third service sends what it has to say.
    let flood = |sender: &Sender| {
        let (sender, body) = (sender.clone(), message("ann"));
        tokio::spawn(async move {
            loop {
                let sends = (0..50).map(|_| sender.send(body.clone()));
                for reply in futures_util::future::join_all(sends).await {
                    assert!(matches!(reply.status, 200 | 429 | 503), "{reply:?}");
                }
            }
        })
    };
    let floods = [flood(&limited), flood(&unlimited)];
    for _ in 0..40 {
        let sent = within("a send beside two floods", quiet.send(message("bob"))).await;
        sent.data();
    }
    for flood in floods {
        assert!(!flood.is_finished(), "a flood was answered otherwise than it should");
        flood.abort();
    }
    let bob = admin.known("bob", "d");
    assert_eq!(bob.list("").await["total"], 40);
    let ann = admin.known("ann", "d");
    assert!(ann.list("").await["total"].as_u64().unwrap() > 60, "the other flood went on");
}
