//! What became of what was sent: for its sender, person by person, in lists, in series.

use hongyan_harness::{Sender, Setup, eventually, growing, later};
use serde_json::{Value, json};
use std::time::Duration;

async fn receipts(sender: &Sender, message: &str) -> Value {
    sender.api.get(&format!("/api/v3/messages/{message}/receipts")).await.data()
}

/// Recipients, delivered, read.
async fn totals(sender: &Sender, message: &str) -> (u64, u64, u64) {
    let receipts = receipts(sender, message).await;
    let count = |name: &str| receipts[name].as_u64().unwrap();
    (count("recipients"), count("delivered"), count("read"))
}

#[tokio::test]
async fn a_sender_sees_how_far_a_message_has_got() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob, cid) = (admin.user("ann").await, admin.user("bob").await, admin.user("cid").await);
    admin.role("ops", &["bob", "cid"]).await;
    let sender = admin.sender("ci").await;
    let mut online = ann.connect().await;
    let question = json!({
        "title": "t", "recipients": ["ops", "ann"],
        "actions": [{ "type": "button", "text": "Go", "action": "go" }],
    });
    let id = sender.send(question).await.data()["message_id"].as_str().unwrap().to_owned();
    online.frame("message").await;
    let first = receipts(&sender, &id).await;
    assert_eq!(first["message_id"], id);
    assert_eq!(
        (&first["state"], &first["pressed"], &first["replaced_by"]),
        (&json!("sent"), &json!([]), &Value::Null)
    );
    assert_eq!(totals(&sender, &id).await, (3, 1, 0), "only who is online has got it");
    bob.list("").await;
    assert_eq!(totals(&sender, &id).await, (3, 2, 0));
    bob.read(&id).await;
    bob.read(&id).await;
    cid.read(&id).await;
    assert_eq!(totals(&sender, &id).await, (3, 3, 2), "who has read it has got it");
    bob.mark(&id, json!({ "is_read": false })).await.data();
    assert_eq!(totals(&sender, &id).await, (3, 3, 1));
    ann.api.post(&format!("/api/v3/messages/{id}/actions/go"), &json!({})).await.data();
    assert_eq!(receipts(&sender, &id).await["pressed"], json!([{ "action": "go", "count": 1 }]));
    // Who left the role stays among those it was for; who comes later is not.
    admin.api.delete("/admin/api/v3/roles/ops/members/cid").await.data();
    admin.user("eve").await.list("").await;
    admin.api.put("/admin/api/v3/roles/ops/members/eve").await.data();
    assert_eq!(totals(&sender, &id).await, (3, 3, 1));
    let people = format!("/api/v3/messages/{id}/receipts/recipients");
    let page = sender.api.get(&format!("{people}?size=2")).await.data();
    let [first, second] = page["recipients"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!(
        (&first["user_id"], &first["delivered"], &first["read_at"]),
        (&json!("ann"), &json!(true), &Value::Null)
    );
    assert_eq!((&first["pressed"]["action"], &first["name"]), (&json!("go"), &json!("ann")));
    assert_eq!((&second["user_id"], &second["pressed"]), (&json!("bob"), &Value::Null));
    assert_eq!(page["next"], "bob");
    let page = sender.api.get(&format!("{people}?size=2&after=bob")).await.data();
    let [last] = page["recipients"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!((&last["user_id"], &page["next"]), (&json!("cid"), &Value::Null));
    assert!(last["read_at"].is_string(), "{last}");
    assert_eq!(sender.api.get(&format!("{people}?size=0")).await.failure(422, "validation_failed"), ["size"]);
    assert_eq!(
        sender.api.get(&format!("{people}?after=..")).await.failure(422, "validation_failed"),
        ["after"]
    );
    // The counts outlive the server, also one that was killed.
    let mut server = server;
    server.kill().await;
    let server = server.start_again().await;
    let admin = server.admin().await;
    let sender = Sender { api: server.user().with(sender.api.authorization().unwrap()), id: sender.id };
    assert_eq!(totals(&sender, &id).await, (3, 3, 1));
    // Who is deleted is told of no more.
    admin.api.delete("/admin/api/v3/users/bob").await.data();
    let page = sender.api.get(&people).await.data();
    let ids: Vec<&str> =
        page["recipients"].as_array().unwrap().iter().map(|one| one["user_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["ann", "cid"]);
    sender.api.post(&format!("/api/v3/messages/{id}/recall"), &json!({})).await.data();
    assert_eq!(receipts(&sender, &id).await["state"], "recalled");
}

#[tokio::test]
async fn a_message_to_all_is_counted_for_those_who_were_there() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let sender = admin.sender("ci").await;
    let to_all = json!({ "title": "t", "recipient_type": "all", "thread_key": "one" });
    let id = sender.send(to_all.clone()).await.data()["message_id"].as_str().unwrap().to_owned();
    assert_eq!(totals(&sender, &id).await, (3, 0, 0));
    admin.user("late").await.list("").await;
    assert_eq!(totals(&sender, &id).await, (3, 0, 0));
    ann.sync("", 10).await;
    let socket = bob.connect().await;
    drop(socket);
    eventually("both have got it", || async { (totals(&sender, &id).await == (3, 2, 0)).then_some(()) })
        .await;
    let second = sender.send(to_all).await.data()["message_id"].as_str().unwrap().to_owned();
    let replaced = receipts(&sender, &id).await;
    assert_eq!((&replaced["state"], &replaced["replaced_by"]), (&json!("replaced"), &json!(second)));
    assert_eq!(totals(&sender, &second).await, (4, 0, 0));
    let soon = growing("an end that is not over when it is asked for", 1, async |seconds| {
        let expire_at = later(Duration::from_secs(seconds));
        let sent = sender.send(json!({ "title": "t", "recipients": ["ann"], "expire_at": expire_at })).await;
        (sent.status != 422).then(|| sent.data())
    });
    let soon = soon.await;
    let soon = soon["message_id"].as_str().unwrap();
    eventually("it is over", || async {
        (receipts(&sender, soon).await["state"] == "expired").then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_its_sender_and_administrators_see_what_became_of_a_message() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let (sender, other) = (admin.sender("ci").await, admin.sender("other").await);
    let id = sender.send_to("ann", "t").await;
    let (whole, people) =
        (format!("/api/v3/messages/{id}/receipts"), format!("/api/v3/messages/{id}/receipts/recipients"));
    for path in [&whole, &people] {
        other.api.get(path).await.failure(404, "not_found");
        server.user().get(path).await.failure(401, "unauthenticated");
    }
    ann.api.get(&whole).await.failure(404, "not_found");
    let own = json!({ "title": "t", "recipients": ["bob"], "recipient_type": "user" });
    let own =
        ann.api.post("/api/v3/messages/send", &own).await.data()["message_id"].as_str().unwrap().to_owned();
    bob.read(&own).await;
    assert_eq!(ann.api.get(&format!("/api/v3/messages/{own}/receipts")).await.data()["read"], 1);
    let refused = ann.api.get(&format!("/api/v3/messages/{own}/receipts/recipients")).await;
    refused.failure(403, "permission_denied");
    assert!(refused.text.contains("receipts:recipients"), "{}", refused.text);
    let without = json!({ "name": "x", "type": "internal", "permissions": ["send:user"] });
    let without = admin.sender_with(&admin.post("services", without).await.data());
    let theirs = without.send_to("ann", "t").await;
    without.api.get(&format!("/api/v3/messages/{theirs}/receipts")).await.data();
    let refused = without.api.get(&format!("/api/v3/messages/{theirs}/receipts/recipients")).await;
    refused.failure(403, "permission_denied");
    sender.api.get("/api/v3/messages/none/receipts").await.failure(404, "not_found");
    let everyones = admin.get(&format!("deliveries/{id}/recipients")).await.data();
    assert_eq!(everyones["recipients"][0]["user_id"], "ann");
    admin.get("deliveries/none").await.failure(404, "not_found");
}

#[tokio::test]
async fn administrators_see_what_was_sent_and_how_much_of_it() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    admin.channel("news", &["ann"]).await;
    let sender = admin.sender("ci").await;
    for n in 0..5 {
        sender.send_to("ann", &format!("build {n}")).await;
    }
    let deploy =
        json!({ "title": "Deploy", "recipients": ["news"], "message_type": "deploy", "priority": 8 });
    let deploy = sender.send(deploy).await.data()["message_id"].as_str().unwrap().to_owned();
    let own = json!({ "title": "hello", "recipients": ["ann"], "recipient_type": "user" });
    ann.api.post("/api/v3/messages/send", &own).await.data();
    let titles = |list: &Value| -> Vec<String> {
        list["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["title"].as_str().unwrap().into())
            .collect()
    };
    let all = admin.get("deliveries").await.data();
    assert_eq!(titles(&all), ["hello", "Deploy", "build 4", "build 3", "build 2", "build 1", "build 0"]);
    assert_eq!(all["next"], Value::Null);
    let first = admin.get("deliveries?size=3").await.data();
    assert_eq!(titles(&first), ["hello", "Deploy", "build 4"]);
    let second = admin.get(&format!("deliveries?size=3&before={}", first["next"])).await.data();
    assert_eq!(titles(&second), ["build 3", "build 2", "build 1"]);
    let by = format!("deliveries?sent_by=service:{}&q=BUILD", sender.id);
    assert_eq!(titles(&admin.get(&by).await.data()).len(), 5);
    assert_eq!(titles(&admin.get("deliveries?sent_by=user:ann").await.data()), ["hello"]);
    assert_eq!(titles(&admin.get("deliveries?message_type=deploy").await.data()), ["Deploy"]);
    let since = all["deliveries"][1]["created_at"].as_str().unwrap();
    assert_eq!(
        titles(&admin.get(&format!("deliveries?since={since}&message_type=deploy")).await.data()),
        ["Deploy"]
    );
    assert!(
        titles(&admin.get(&format!("deliveries?until={since}&message_type=deploy")).await.data()).is_empty()
    );
    ann.read(&deploy).await;
    let one = admin.get(&format!("deliveries/{deploy}")).await.data();
    assert_eq!(
        (&one["recipients"], &one["read"], &one["to"]["channels"], &one["sent_by"], &one["priority"]),
        (&json!(1), &json!(1), &json!(["news"]), &json!(format!("service:{}", sender.id)), &json!(8))
    );
    for (query, field) in
        [("sent_by=ann", "sent_by"), ("size=101", "size"), ("since=today", "since"), ("what=1", "what")]
    {
        let refused = admin.get(&format!("deliveries?{query}")).await;
        assert_eq!(refused.failure(422, "validation_failed"), [field], "{query}");
    }
    server.admin_gateway().get("/admin/api/v3/deliveries").await.failure(401, "unauthenticated");

    let stats = admin.get("stats").await.data();
    let points = stats["points"].as_array().unwrap();
    assert_eq!((points.len(), &stats["step"]), (24, &json!("hour")));
    let sum = |stats: &Value, what: &str| -> u64 {
        stats["points"].as_array().unwrap().iter().map(|point| point[what].as_u64().unwrap()).sum()
    };
    assert_eq!((sum(&stats, "messages"), sum(&stats, "recipients"), sum(&stats, "reads")), (7, 7, 1));
    assert_eq!((&stats["now"]["users"], &stats["now"]["online_users"]), (&json!(2), &json!(0)));
    let days = admin.get("stats?step=day").await.data();
    assert_eq!((days["points"].as_array().unwrap().len(), sum(&days, "messages")), (30, 7));
    let old = admin.get("stats?from=2020-01-01T00:30:00Z&to=2020-01-01T03:00:00Z").await.data();
    let at: Vec<&str> =
        old["points"].as_array().unwrap().iter().map(|point| point["at"].as_str().unwrap()).collect();
    assert_eq!(at, ["2020-01-01T00:00:00.000Z", "2020-01-01T01:00:00.000Z", "2020-01-01T02:00:00.000Z"]);
    assert_eq!(sum(&old, "messages"), 0);
    for query in ["from=2020-01-01T00:00:00Z", "from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z"] {
        let refused = admin.get(&format!("stats?{query}")).await;
        assert_eq!(refused.failure(422, "validation_failed"), ["from"], "{query}");
    }
}

#[tokio::test]
async fn announcements_are_listed_changed_and_taken_back() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    admin.sender("ci").await.send(json!({ "title": "by a service", "recipient_type": "all" })).await.data();
    let announce = async |body: Value| {
        admin.post("announcements", body).await.data()["message_id"].as_str().unwrap().to_owned()
    };
    let first = announce(json!({ "title": "Down on Friday" })).await;
    let second = announce(json!({ "title": "Down on Saturday", "replaces": first })).await;
    let in_an_hour = later(Duration::from_secs(3_600)).replace("Z", "+00:00");
    let waiting = announce(json!({ "title": "Later", "scheduled_at": in_an_hour })).await;
    admin.api.delete(&format!("/admin/api/v3/announcements/{waiting}")).await.data();
    ann.read(&second).await;
    let list = admin.get("announcements").await.data();
    let shown: Vec<(&str, &str, u64)> = list["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["title"].as_str().unwrap(), one["state"].as_str().unwrap(), one["read"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(shown, [("Down on Saturday", "sent", 1), ("Down on Friday", "replaced", 0)]);
    assert_eq!(admin.get("announcements?q=friday").await.data()["deliveries"].as_array().unwrap().len(), 1);
    admin.api.delete(&format!("/admin/api/v3/announcements/{second}")).await.data();
    assert_eq!(ann.titles("").await, ["by a service"]);
    admin.api.delete("/admin/api/v3/announcements/none").await.failure(404, "not_found");
    assert_eq!(admin.get("announcements?size=0").await.failure(422, "validation_failed"), ["size"]);
}

#[tokio::test]
async fn counts_that_were_lost_are_counted_again() {
    let mut server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let sender = admin.sender("ci").await;
    let all = json!({ "title": "t", "recipient_type": "all" });
    let id = sender.send(all).await.data()["message_id"].as_str().unwrap().to_owned();
    ann.read(&id).await;
    bob.read(&id).await;
    assert_eq!(totals(&sender, &id).await, (3, 2, 2));
    server.stop().await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(server.users().with_file_name(format!("system/reports.db{ending}")));
    }
    let server = server.start_again().await;
    let sender = Sender { api: server.user().with(sender.api.authorization().unwrap()), id: sender.id };
    assert_eq!(totals(&sender, &id).await, (3, 2, 2));
    assert_eq!(server.admin().await.get("stats").await.data()["now"]["users"], 3);
}
