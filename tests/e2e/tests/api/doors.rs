//! The doors for other systems' programs, in the words of each: what is taken, how it looks, what is refused.

use hongyan_harness::{Admin, Api, Person, Reply, Sender, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};

/// A server with a reader, and a service whose notes go to the reader unless they say otherwise.
async fn doors() -> (Server, Admin, Person, Sender, String) {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let made = admin
        .post("services", json!({ "name": "others", "type": "internal", "default_recipients": ["ann"] }))
        .await
        .data();
    assert_eq!(made["default_recipients"], json!(["ann"]));
    let key = made["api_key"].as_str().unwrap().to_owned();
    assert!(
        key.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "it must fit where tokens are asked for: {key}"
    );
    (server, admin, ann, admin_sender(&made), key)
}

fn admin_sender(made: &Value) -> Sender {
    Sender { api: Api::new(""), id: made["id"].as_str().unwrap().to_owned() }
}

async fn latest(person: &Person) -> Value {
    person.list("size=1").await["messages"][0].clone()
}

async fn put(
    api: &Api,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> Reply {
    let mut request = api.request(method, path).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::of(request).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn gotify() {
    let (server, admin, ann, _, key) = doors().await;
    let bob = admin.user("bob").await;
    let api = server.user();
    let body = json!({
        "message": "42 GB", "title": "Backup", "priority": 8,
        "extras": {
            "client::notification": {"click": {"url": "https://a.example/b"}, "bigImageUrl": "https://a.example/i.png"},
            "client::display": {"contentType": "text/markdown"},
        },
    });
    let sent =
        put(&api, Method::POST, "/gotify/message", &[JSON, ("x-gotify-key", &key)], body.to_string()).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let shown = sent.json();
    assert!(shown["id"].is_i64() && shown["appid"].is_i64(), "its clients want whole numbers");
    assert_eq!(
        (&shown["message"], &shown["title"], &shown["priority"]),
        (&json!("42 GB"), &json!("Backup"), &json!(8))
    );
    assert_eq!(shown["extras"], body["extras"]);
    let message = latest(&ann).await;
    assert_eq!(
        (&message["title"], &message["content"], &message["priority"]),
        (&json!("Backup"), &json!("42 GB"), &json!(8))
    );
    assert_eq!(message["actions"][0]["url"], "https://a.example/b");
    assert_eq!(message["attachments"][0]["url"], "https://a.example/i.png");
    assert_eq!(message["sender_info"]["name"], "others");
    // A form, to someone else.
    let path = format!("/gotify/message?token={key}&to=bob");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(put(&api, Method::POST, &path, &form, "message=only+a+text&priority=0").await.status, 200);
    let message = latest(&bob).await;
    assert_eq!((&message["title"], &message["priority"]), (&json!("only a text"), &json!(1)));
    // As `curl -F` sends it.
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nforms\r\n--x\r\nContent-Disposition: \
                     form-data; name=\"message\"\r\n\r\nin parts\r\n--x--\r\n";
    let form = [("content-type", "multipart/form-data; boundary=x")];
    assert_eq!(put(&api, Method::POST, &path, &form, multipart).await.status, 200);
    assert_eq!(latest(&bob).await["title"], "forms");
    let bearer = format!("Bearer {key}");
    let refused = put(&api, Method::POST, "/gotify/message", &[JSON, ("authorization", &bearer)], "{}").await;
    assert_eq!((refused.status, &refused.json()["errorCode"]), (400, &json!(400)), "{}", refused.text);
    assert_eq!(refused.json()["errorDescription"], "Field 'message' is required");
    let refused = put(&api, Method::POST, "/gotify/message", &[JSON, ("x-gotify-key", "wrong")], "{}").await;
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("Unauthorized")), "{}", refused.text);
}

#[tokio::test]
async fn ntfy() {
    let (server, admin, ann, _, key) = doors().await;
    let bob = admin.user("bob").await;
    admin.channel("ops", &["ann", "bob"]).await;
    let api = server.user();
    let bearer = format!("Bearer {key}");
    let auth = ("authorization", bearer.as_str());
    let sent = put(&api, Method::POST, "/ntfy/ops", &[auth], "the disk is full").await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let shown = sent.json();
    assert_eq!(
        (&shown["event"], &shown["topic"], &shown["message"]),
        (&json!("message"), &json!("ops"), &json!("the disk is full"))
    );
    for person in [&ann, &bob] {
        let message = latest(person).await;
        assert_eq!((&message["title"], &message["channel_id"]), (&json!("the disk is full"), &json!("ops")));
    }
    let headers = [
        auth,
        ("title", "=?UTF-8?B?6ZuB?="),
        ("x-priority", "urgent"),
        ("tags", "warning,disk"),
        ("click", "https://a.example/c"),
        ("actions", "view, Open, https://a.example/o"),
        ("sequence-id", "disk-1"),
    ];
    assert_eq!(put(&api, Method::PUT, "/ntfy/ops", &headers, "two\nlines").await.status, 200);
    let first = latest(&bob).await;
    assert_eq!(
        (&first["title"], &first["content"], &first["priority"]),
        (&json!("雁"), &json!("two\nlines"), &json!(10))
    );
    assert_eq!(first["metadata"]["tags"], json!(["warning", "disk"]));
    let urls: Vec<&Value> =
        first["actions"].as_array().unwrap().iter().map(|action| &action["url"]).collect();
    assert_eq!(urls, ["https://a.example/c", "https://a.example/o"]);
    // The same sequence takes its place.
    assert_eq!(put(&api, Method::POST, "/ntfy/ops/disk-1", &[auth], "there is room again").await.status, 200);
    assert_eq!(latest(&bob).await["replaces"], first["id"]);
    assert_eq!(bob.unread().await["total"], 2);
    // Words in the query; a key in `auth`, as a browser's GET has it.
    let encoded = "QmVhcmVyIA"; // "Bearer "
    let refused = put(&api, Method::GET, &format!("/ntfy/ops/publish?auth={encoded}&m=x"), &[], "").await;
    assert_eq!((refused.status, &refused.json()["code"]), (401, &json!(40_101)));
    let path = format!("/ntfy/bob/trigger?key={key}&t=asked");
    assert_eq!(put(&api, Method::GET, &path, &[], "").await.status, 200);
    let message = latest(&bob).await;
    assert_eq!((&message["title"], &message["content"]), (&json!("asked"), &json!("triggered")));
    // JSON, where its clients put it.
    let body = json!({ "topic": "bob", "title": "json", "message": "a\nb", "priority": 4, "tags": ["t"] });
    for path in ["/", "/ntfy"] {
        assert_eq!(put(&api, Method::POST, path, &[auth, JSON], body.to_string()).await.status, 200);
        assert_eq!(
            (&latest(&bob).await["title"], &latest(&bob).await["priority"]),
            (&json!("json"), &json!(8))
        );
    }
    let later = put(&api, Method::POST, "/ntfy/bob", &[auth, ("delay", "30m")], "later").await;
    assert!(later.json()["time"].as_i64().unwrap() > 1_700_000_000, "{}", later.text);
    assert_eq!(latest(&bob).await["title"], "json", "it is not sent yet");
    for (headers, body, code) in [
        (vec![auth, ("priority", "9")], "x".to_owned(), 40_007),
        (vec![auth, ("delay", "next full moon")], "x".to_owned(), 40_004),
        (vec![auth, ("filename", "a.txt")], "x".to_owned(), 40_014),
        (vec![auth], "x".repeat(5_000), 40_014),
    ] {
        let refused = put(&api, Method::POST, "/ntfy/bob", &headers, body).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(code)), "{}", refused.text);
    }
    let refused = put(&api, Method::POST, "/ntfy/nobody-at-all", &[auth], "x").await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(40_009)), "{}", refused.text);
}

fn alert(status: &str, started: &str) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Disk\"}", "status": status, "receiver": "hongyan",
        "externalURL": "http://am.example:9093", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "alerts": [{
            "status": status, "fingerprint": "f1", "startsAt": started, "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": "Disk", "instance": "db1", "severity": "critical"},
            "annotations": {"summary": "90 % full", "runbook_url": "https://a.example/run"},
            "generatorURL": "http://prom.example/graph", "dashboardURL": "https://g.example/d",
            "silenceURL": "https://g.example/s", "values": {"A": 90.5},
        }],
    })
}

#[tokio::test]
async fn alerts_fire_once_and_resolve_in_place() {
    let (server, _, ann, _, key) = doors().await;
    let api = server.user().with(&format!("Bearer {key}"));
    let mut socket = ann.connect().await;
    for (door, count) in [("alertmanager", 1), ("grafana", 2)] {
        let path = format!("/{door}");
        let firing = alert("firing", "2026-01-01T00:00:00Z");
        assert_eq!(api.post(&path, &firing).await.data()["taken"], 1);
        let fired = socket.frame("message").await;
        assert_eq!((&fired["title"], &fired["priority"]), (&json!("[FIRING] Disk (db1)"), &json!(9)));
        assert_eq!(fired["message_type"], "alert");
        let content = fired["content"].as_str().unwrap();
        assert!(content.starts_with("90 % full") && content.contains("severity: critical"), "{content}");
        let links: Vec<&Value> =
            fired["actions"].as_array().unwrap().iter().map(|action| &action["text"]).collect();
        assert!(links.contains(&&json!("Runbook")) && links.contains(&&json!("Silence")), "{links:?}");
        // As often as it repeats.
        for _ in 0..2 {
            assert_eq!(api.post(&path, &firing).await.data()["taken"], 1);
        }
        assert_eq!(api.post(&path, &alert("resolved", "2026-01-01T00:00:00Z")).await.data()["taken"], 1);
        socket.frame("status_update").await;
        let resolved = socket.frame("message").await;
        assert_eq!(
            (&resolved["title"], &resolved["replaces"]),
            (&json!("[RESOLVED] Disk (db1)"), &fired["id"])
        );
        assert_eq!(ann.unread().await["total"], count);
        // It comes back.
        api.post(&path, &alert("firing", "2026-01-02T00:00:00Z")).await.data();
        socket.frame("status_update").await;
        assert_eq!(socket.frame("message").await["replaces"], resolved["id"]);
        assert_eq!(ann.unread().await["total"], count);
    }
    assert_eq!(
        api.post("/alertmanager", &json!({ "alerts": [] })).await.failure(422, "validation_failed"),
        ["alerts"]
    );
    server.user().post("/grafana", &alert("firing", "")).await.failure(401, "unauthenticated");
    api.post_text("/grafana", "{").await.failure(400, "malformed_request");
}

#[tokio::test]
async fn slack() {
    let (server, admin, ann, _, key) = doors().await;
    let bob = admin.user("bob").await;
    let api = server.user();
    let path = format!("/slack/services/T0/B0/{key}");
    let sent = put(
        &api,
        Method::POST,
        &path,
        &[JSON],
        json!({ "text": "see <https://a.example/x|this>" }).to_string(),
    )
    .await;
    assert_eq!((sent.status, sent.text.as_str()), (200, "ok"));
    let message = latest(&ann).await;
    assert_eq!((&message["title"], &message["actions"][0]["text"]), (&json!("see this"), &json!("this")));
    // A form, with a channel, which is anyone here.
    let payload =
        "payload=%7B%22text%22%3A%22hi%22%2C%22channel%22%3A%22%23bob%22%2C%22username%22%3A%22ci%22%7D";
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(put(&api, Method::POST, &path, &[form], payload).await.text, "ok");
    let message = latest(&bob).await;
    assert_eq!((&message["title"], &message["sender_info"]["name"]), (&json!("hi"), &json!("ci")));
    for (path, body, status, words) in [
        ("/slack/services/T0/B0/wrong", json!({ "text": "x" }), 403, "invalid_token"),
        (&path, json!({}), 400, "no_text"),
        (&path, json!({ "text": "x", "channel": "nobody" }), 404, "channel_not_found"),
    ] {
        let refused = put(&api, Method::POST, path, &[JSON], body.to_string()).await;
        assert_eq!((refused.status, refused.text.as_str()), (status, words));
    }
}

#[tokio::test]
async fn robots() {
    let (server, _, ann, _, key) = doors().await;
    let api = server.user();
    let dingtalk = format!("/dingtalk/robot/send?access_token={key}&timestamp=1&sign=x");
    let wecom = format!("/wecom/cgi-bin/webhook/send?key={key}");
    let ok = json!({ "errcode": 0, "errmsg": "ok" });
    for (path, body, title) in [
        (
            &dingtalk,
            json!({ "msgtype": "text", "text": { "content": "plain" }, "At": { "isAtAll": true } }),
            "plain",
        ),
        (
            &dingtalk,
            json!({ "msgtype": "markdown", "markdown": { "title": "Titled", "text": "# x" } }),
            "Titled",
        ),
        (
            &dingtalk,
            json!({ "msgtype": "link", "link": { "title": "Linked", "text": "t", "messageUrl": "https://a.example" } }),
            "Linked",
        ),
        (&wecom, json!({ "msgtype": "text", "text": { "content": "from wecom" } }), "from wecom"),
        (
            &wecom,
            json!({ "msgtype": "news", "news": { "articles": [{ "title": "News", "url": "https://a.example" }] } }),
            "News",
        ),
    ] {
        let sent = put(&api, Method::POST, path, &[JSON], body.to_string()).await;
        assert_eq!((sent.status, sent.json()), (200, ok.clone()), "{}", sent.text);
        assert_eq!(latest(&ann).await["title"], title);
    }
    for (path, body, code) in [
        ("/dingtalk/robot/send?access_token=wrong", json!({}), 300_005),
        ("/wecom/cgi-bin/webhook/send?key=wrong", json!({}), 93_000),
        (wecom.as_str(), json!({ "msgtype": "voice" }), 40_008),
        (wecom.as_str(), json!({ "msgtype": "text", "text": { "content": " " } }), 40_058),
    ] {
        let refused = put(&api, Method::POST, path, &[JSON], body.to_string()).await;
        assert_eq!((refused.status, &refused.json()["errcode"]), (200, &json!(code)), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_door_is_no_way_around_what_a_service_may_do() {
    let (server, admin, ann, sender, key) = doors().await;
    admin.channel("news", &["ann"]).await;
    let update = |body: Value| {
        let request =
            admin.api.request(Method::PUT, &format!("/admin/api/v3/services/{}", sender.id)).json(&body);
        async { Reply::of(request).await.data() }
    };
    let api = server.user().with(&format!("Basic {}", "a2V5Og==")); // "key:"
    api.post("/json", &json!({ "message": "x" })).await.failure(401, "unauthenticated");
    let json = format!("/json?key={key}");
    let post = |body: Value| {
        let api = server.user();
        let json = json.clone();
        async move { api.post(&json, &body).await }
    };
    post(json!({ "title": "t", "message": "m", "type": "failure", "url": "https://a.example" })).await.data();
    assert_eq!((&latest(&ann).await["priority"], &latest(&ann).await["content"]), (&json!(9), &json!("m")));
    update(json!({ "permissions": ["send:channel:news"], "default_recipients": [] })).await;
    assert_eq!(post(json!({ "message": "to nobody" })).await.failure(422, "validation_failed"), ["to"]);
    post(json!({ "message": "to one", "to": "ann" })).await.failure(403, "permission_denied");
    assert_eq!(post(json!({ "message": "to all of them", "to": ["news"] })).await.data()["recipients"], 1);
    let path = format!("/slack/services/T0/B0/{key}");
    let refused =
        put(&server.user(), Method::POST, &path, &[JSON], r##"{"text":"x","channel":"@ann"}"##).await;
    assert_eq!((refused.status, refused.text.as_str()), (403, "action_prohibited"));
    update(json!({ "rate_limit": { "per_minute": 1 }, "permissions": ["*"] })).await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let sent =
            put(&server.user(), Method::POST, &path, &[JSON], r##"{"text":"x","channel":"ann"}"##).await;
        statuses.push((sent.status, sent.header("retry-after").is_some()));
    }
    assert_eq!(statuses[1], (429, true), "{statuses:?}");
    admin.post(&format!("services/{}/suspend", sender.id), json!({})).await.data();
    post(json!({ "message": "x", "to": "ann" })).await.failure(401, "unauthenticated");
    assert!(!server.stderr().contains(&key), "a key was written down");
}

#[tokio::test]
async fn hostile_notes_are_tamed_or_refused() {
    let (server, _, ann, _, key) = doors().await;
    let api = server.user().with(&format!("Service {key}"));
    let nested = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for path in ["/gotify/message", "/ntfy", "/", "/alertmanager", "/grafana", "/json"] {
        for body in ["", "null", "3", "[]", "\"x\"", "{\"message\":{}}", "{\"alerts\":[null,3]}", &nested] {
            let status = api.post_text(path, body).await.status;
            assert!((200..500).contains(&status), "{path} {body:.20}: {status}");
        }
    }
    let title = "a\u{202e}b\u{0}<script>\n".repeat(100);
    let hostile = json!({
        "message": "x\u{7}y", "title": title, "priority": 1e300,
        "extras": { "client::notification": { "click": { "url": "javascript:alert(1)" } } },
    });
    assert_eq!(api.post("/gotify/message", &hostile).await.status, 200);
    let message = latest(&ann).await;
    assert_eq!((&message["content"], &message["priority"]), (&json!("xy"), &json!(10)));
    assert_eq!(message["actions"], json!([]));
    assert_eq!(message["title"].as_str().unwrap().chars().count(), 200);
    let huge = json!({ "message": "x".repeat(200_000), "title": "huge" });
    assert_eq!(api.post("/gotify/message", &huge).await.status, 200);
    assert!(latest(&ann).await["content"].as_str().unwrap().ends_with('…'));
}
