//! Lists, read states, counts, channels, `sync`.

use futures_util::future::join_all;
use hongyan_harness::{Admin, Person, Sender, Server, Setup};
use serde_json::{Value, json};

async fn inbox() -> (Server, Admin, Person, Sender) {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    (server, admin, ann, sender)
}

#[tokio::test]
async fn a_list_is_filtered_paged_and_newest_first() {
    let (_server, admin, ann, sender) = inbox().await;
    admin.channel("a", &["ann"]).await;
    admin.channel("b", &["ann"]).await;
    for (n, channel) in (1..=9).zip(["a", "b", "a", "b", "a", "b", "a", "b", "a"]) {
        let body = json!({
            "title": format!("m{n}"), "content": if n == 4 { "100% _sure_ of 鸿雁" } else { "plain" },
            "channel_id": channel, "recipients": ["ann"], "priority": n, "message_type": if n > 6 { "alert" } else { "text" },
        });
        sender.send(body).await.data();
    }
    let list = ann.list("page=2&size=4").await;
    assert_eq!((&list["total"], &list["unread_count"]), (&json!(9), &json!(9)));
    assert_eq!(ann.titles("page=2&size=4").await, ["m5", "m4", "m3", "m2"]);
    assert_eq!(ann.titles("page=4&size=4").await, [""; 0]);
    let meta = ann.api.get("/api/v3/messages?size=4").await.json()["meta"].clone();
    assert_eq!((&meta["page"], &meta["size"], &meta["total_pages"]), (&json!(1), &json!(4), &json!(3)));
    for (query, wanted) in [
        ("channel_id=b", vec!["m8", "m6", "m4", "m2"]),
        ("message_type=alert", vec!["m9", "m8", "m7"]),
        ("min_priority=8", vec!["m9", "m8"]),
        ("channel_id=a&message_type=alert&min_priority=8", vec!["m9"]),
        ("q=M3", vec!["m3"]),
        ("q=100%25", vec!["m4"]),
        ("q=_sure_", vec!["m4"]),
        ("q=%E9%B8%BF%E9%9B%81", vec!["m4"]),
        ("q=nothing", vec![]),
        ("since=2999-01-01T00:00:00Z", vec![]),
        ("until=2001-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(ann.titles(query).await, wanted, "{query}");
        assert_eq!(ann.list(query).await["total"], wanted.len(), "{query}");
    }
    let all = ann.list("size=100").await;
    let moment = all["messages"][2]["created_at"].as_str().unwrap();
    let later = ann.titles(&format!("since={moment}")).await;
    assert!(later.starts_with(&["m9".to_owned(), "m8".to_owned()]) && later.contains(&"m7".to_owned()));
    let m8 = all["messages"][1]["id"].as_str().unwrap();
    ann.read(m8).await;
    assert_eq!(ann.titles("is_read=true").await, ["m8"]);
    assert_eq!(ann.list("is_read=false&channel_id=b").await["total"], 3);
    assert_eq!(ann.unread().await, json!({ "total": 8, "by_channel": { "a": 5, "b": 3 } }));
    for (query, field) in [
        ("page=0", "page"),
        ("size=101", "size"),
        ("size=0", "size"),
        ("size=x", "size"),
        ("page=999999", "page"),
        ("is_read=maybe", "is_read"),
        ("since=yesterday", "since"),
        ("channel_id=..", "channel_id"),
        ("colour=red", "colour"),
        ("q=%00", "q"),
        ("min_priority=-1", "min_priority"),
    ] {
        let reply = ann.api.get(&format!("/api/v3/messages?{query}")).await;
        assert_eq!(reply.failure(422, "validation_failed"), [field], "{query}");
    }
}

#[tokio::test]
async fn reading_is_idempotent_can_be_taken_back_and_minds_the_version() {
    let (_server, _admin, ann, sender) = inbox().await;
    let id = sender.send_to("ann", "t").await;
    let first = ann.read(&id).await;
    assert_eq!(
        (&first["is_read"], &first["version"], &first["unread_count"]),
        (&json!(true), &json!(1), &json!(0))
    );
    assert_eq!(ann.read(&id).await, first);
    let stale = ann.mark(&id, json!({ "is_read": false, "if_version": 0 })).await;
    stale.failure(409, "version_conflict");
    assert_eq!(stale.json()["error"]["current"]["version"], 1);
    assert_eq!(stale.json()["error"]["current"]["is_read"], true);
    let back = ann.mark(&id, json!({ "is_read": false, "if_version": 1 })).await.data();
    assert_eq!(
        (&back["is_read"], &back["version"], &back["read_at"]),
        (&json!(false), &json!(2), &Value::Null)
    );
    assert_eq!(ann.unread().await["total"], 1);
    ann.mark("msg-none", json!({})).await.failure(404, "not_found");
    ann.mark("..%2Fx", json!({})).await.failure(404, "not_found");
    assert_eq!(ann.mark(&id, json!({ "read": true })).await.failure(422, "validation_failed"), ["read"]);
}

#[tokio::test]
async fn many_readers_at_once_agree_on_one_history() {
    let (_server, admin, ann, sender) = inbox().await;
    let id = sender.send_to("ann", "t").await;
    let devices: Vec<Person> = (0..8).map(|n| admin.known("ann", &format!("d{n}"))).collect();
    let marks =
        devices.iter().enumerate().map(|(n, device)| device.mark(&id, json!({ "is_read": n % 2 == 0 })));
    for reply in join_all(marks).await {
        reply.data();
    }
    let message = ann.api.get(&format!("/api/v3/messages/{id}")).await.data();
    let unread = ann.unread().await["total"].as_u64().unwrap();
    assert_eq!(unread == 0, message["is_read"].as_bool().unwrap());
    let synced = ann.sync("", 100).await;
    let last = synced["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["data"]["version"], message["version"]);
    // With `if_version` exactly one of many wins.
    let version = message["version"].clone();
    let wanted = !message["is_read"].as_bool().unwrap();
    let tries =
        devices.iter().map(|device| device.mark(&id, json!({ "is_read": wanted, "if_version": version })));
    let won = join_all(tries).await.into_iter().filter(|reply| reply.status == 200).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn batches_mark_what_they_name_and_nothing_that_comes_later() {
    let (_server, admin, ann, sender) = inbox().await;
    admin.channel("a", &["ann"]).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let body = json!({ "title": format!("m{n}"), "recipients": ["ann"], "channel_id": if n < 3 { json!("a") } else { Value::Null } });
        ids.push(sender.send(body).await.data()["message_id"].as_str().unwrap().to_owned());
    }
    let some = json!({ "message_ids": [ids[0], ids[5], ids[5], "msg-unknown"] });
    assert_eq!(ann.read_batch(some.clone()).await.data(), json!({ "changed": 2, "unread_count": 4 }));
    assert_eq!(ann.read_batch(some).await.data()["changed"], 0);
    assert_eq!(ann.read_batch(json!({ "all": true, "channel_id": "a" })).await.data()["changed"], 2);
    let list = ann.list("").await;
    let until = &list["messages"][2]["pos"];
    assert_eq!(ann.read_batch(json!({ "all": true, "until_pos": until })).await.data()["changed"], 1);
    assert_eq!(ann.titles("is_read=false").await, ["m4"]);
    assert_eq!(
        ann.read_batch(json!({ "all": true })).await.data(),
        json!({ "changed": 1, "unread_count": 0 })
    );
    for (body, field) in [
        (json!({}), "message_ids"),
        (json!({ "all": true, "message_ids": [] }), "message_ids"),
        (json!({ "message_ids": [], "channel_id": "a" }), "channel_id"),
        (json!({ "message_ids": [], "until_pos": 1 }), "until_pos"),
        (json!({ "message_ids": vec!["msg-1"; 1001] }), "message_ids"),
    ] {
        assert_eq!(ann.read_batch(body).await.failure(422, "validation_failed"), [field]);
    }
}

#[tokio::test]
async fn channels_are_those_one_is_in() {
    let (_server, admin, ann, sender) = inbox().await;
    admin.channel("mine", &["ann"]).await;
    admin.channel("other", &[]).await;
    sender.send(json!({ "title": "t", "recipients": ["mine"] })).await.data();
    let channels = ann.api.get("/api/v3/channels").await.data();
    assert_eq!(channels["channels"][0]["id"], "mine");
    assert_eq!(channels["channels"][0]["unread_count"], 1);
    assert_eq!(channels["channels"].as_array().unwrap().len(), 1);
    let messages = ann.api.get("/api/v3/channels/mine/messages?size=5").await.data();
    assert_eq!(messages["messages"][0]["channel_id"], "mine");
    ann.api.get("/api/v3/channels/other/messages").await.failure(404, "not_found");
    ann.api.get("/api/v3/channels/missing/messages").await.failure(404, "not_found");
}

#[tokio::test]
async fn sync_gives_every_change_once_and_in_order() {
    let (_server, _admin, ann, sender) = inbox().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(sender.send_to("ann", &format!("m{n}")).await);
    }
    ann.read(&ids[1]).await;
    let mut cursor = String::new();
    let mut titles = Vec::new();
    loop {
        let part = ann.sync(&cursor, 2).await;
        assert!(part["changes"].as_array().unwrap().len() <= 2);
        for change in part["changes"].as_array().unwrap().iter().filter(|change| change["type"] == "message")
        {
            titles.push(change["data"]["title"].as_str().unwrap().to_owned());
        }
        cursor = part["next_cursor"].as_str().unwrap().to_owned();
        if part["has_more"] == false {
            break;
        }
    }
    assert_eq!(titles, ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!(ann.sync(&cursor, 10).await["changes"], json!([]));
    sender.send_to("ann", "m5").await;
    ann.mark(&ids[1], json!({ "is_read": false })).await.data();
    let more = ann.sync(&cursor, 10).await;
    assert_eq!(more["changes"][0]["data"]["title"], "m5");
    assert_eq!(more["changes"][1]["type"], "status_update");
    assert_eq!(more["changes"][1]["data"]["status"], "unread");
    assert_eq!(more["changes"][1]["data"]["version"], 2);
    // The cursor of a list goes on from the list.
    let listed = ann.api.get("/api/v3/messages").await.json()["meta"]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(ann.sync(&listed, 10).await["changes"], json!([]));
    for strange in ["h1.0000000000000001.1.0", "garbage", "h1.x", &cursor.replace(".1", ".99999")] {
        let answer = ann.sync(strange, 10).await;
        assert_eq!((&answer["reset"], &answer["next_cursor"]), (&json!(true), &json!("")), "{strange}");
    }
    for limit in ["0", "501", "x"] {
        let reply = ann.api.get(&format!("/api/v3/sync?limit={limit}")).await;
        assert_eq!(reply.failure(422, "validation_failed"), ["limit"]);
    }
}

#[tokio::test]
async fn public_channels_are_joined_and_left() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    for (id, kind) in [("news", "public"), ("board", "private"), ("rules", "system")] {
        admin.post("channels", json!({ "id": id, "name": id, "kind": kind })).await.data();
    }
    let listed = ann.api.get("/api/v3/channels/public").await.data();
    assert_eq!((&listed["total"], &listed["channels"][0]["is_member"]), (&json!(1), &json!(false)));
    let go = |path: &str| {
        let (api, path) = (ann.api.clone(), format!("/api/v3/channels/{path}"));
        async move { api.post(&path, &json!({})).await }
    };
    for path in ["board/join", "rules/join", "nowhere/join"] {
        go(path).await.failure(404, "not_found");
    }
    let send = |title: &str| sender.send(json!({ "title": title, "recipients": ["news"] }));
    send("before").await.data();
    for _ in 0..2 {
        go("news/join").await.data();
    }
    send("while in").await.data();
    go("news/leave").await.data();
    send("after").await.data();
    assert_eq!(ann.titles("").await, ["while in"]);
    assert_eq!(ann.api.get("/api/v3/channels").await.data()["channels"], json!([]));
}
