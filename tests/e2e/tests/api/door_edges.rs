//! The doors at their edges: what belongs apart stays apart, what is hostile is refused at once, and nothing is sent by
//! those who only look.

use hongyan_harness::{Admin, Api, Person, Receiver, Reply, Sender, Server, Setup, eventually, within};
use reqwest::Method;
use serde_json::{Value, json};

async fn doors(setup: Setup, service: Value) -> (Server, Admin, Api, String) {
    let server = setup.start().await;
    let admin = server.admin().await;
    for id in ["ann", "bob"] {
        admin.user(id).await;
    }
    let mut body = json!({ "name": "others", "type": "internal", "default_recipients": ["ann"] });
    body.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    let made = admin.post("services", body).await.data();
    let key = made["api_key"].as_str().unwrap().to_owned();
    let api = server.user().with(&format!("Bearer {key}"));
    (server, admin, api, key)
}

fn alert(fingerprint: &str, status: &str, summary: &str) -> Value {
    json!({
        "fingerprint": fingerprint, "status": status, "startsAt": "2026-01-01T00:00:00Z",
        "labels": { "alertname": "Disk" }, "annotations": { "summary": summary },
    })
}

async fn send(api: &Api, method: Method, path: &str, body: impl Into<String>) -> Reply {
    Reply::of(api.request(method, path).body(body.into())).await
}

#[tokio::test]
async fn an_alert_goes_to_each_receiver_and_is_told_again_when_it_changes() {
    let (server, admin, api, _) = doors(Setup::default(), json!({})).await;
    let [ann, bob] = ["ann", "bob"].map(|id| admin.known(id, "d"));
    let post = async |to: &str, status: &str, summary: &str| {
        let body = json!({ "alerts": [alert("f1", status, summary)] });
        api.post(&format!("/alertmanager?to={to}"), &body).await.data();
    };
    for to in ["ann", "bob", "ann,bob", "bob,ann"] {
        post(to, "firing", "90 %").await;
    }
    assert_eq!(
        (ann.titles("").await.len(), bob.titles("").await.len()),
        (2, 2),
        "one each, and one together"
    );
    post("ann", "firing", "95 %").await;
    let texts: Vec<String> = ann.list("").await["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap().trim().to_owned())
        .collect();
    assert_eq!(texts, ["95 %", "90 %"], "it takes the place of what it was");
    post("bob", "resolved", "95 %").await;
    assert_eq!(bob.titles("").await, ["[RESOLVED] Disk", "[FIRING] Disk"]);
    assert_eq!(ann.titles("").await, ["[FIRING] Disk", "[FIRING] Disk"]);
    // A fingerprint as long as its sender likes: alerts that differ at its end are not one.
    let long = "f".repeat(400);
    for end in ["a", "b"] {
        let body = json!({ "alerts": [alert(&format!("{long}{end}"), "firing", "x")] });
        api.post("/alertmanager?to=bob", &body).await.data();
    }
    assert_eq!(bob.titles("").await.len(), 4);
    drop(server);
}

#[tokio::test]
async fn a_webhook_made_to_take_long_is_refused_at_once() {
    let (_server, _, api, _) = doors(Setup::default(), json!({})).await;
    let mut group: serde_json::Map<String, Value> =
        (0..50_000).map(|n| (format!("k{n}"), json!(0))).collect();
    group.insert("alerts".into(), json!(vec![json!({}); 20_000]));
    let refused = within("an answer", api.post("/alertmanager", &Value::Object(group.clone()))).await;
    assert_eq!(refused.failure(422, "validation_failed"), ["alerts"]);
    group["alerts"] = json!(vec![json!({ "startsAt": "x" }); 1_000]);
    let taken = within("an answer", api.post("/grafana", &Value::Object(group))).await;
    assert_eq!(taken.data()["taken"], 1_000);
}

#[tokio::test]
async fn who_only_looks_at_a_topic_sends_nothing() {
    let (_server, admin, api, _) = doors(Setup::default(), json!({})).await;
    let ann = admin.known("ann", "d");
    for path in ["json?poll=1", "sse", "raw", "ws", "auth", "a-sequence"] {
        let reply = send(&api, Method::GET, &format!("/ntfy/ann/{path}"), "").await;
        assert_eq!((reply.status, &reply.json()["code"]), (404, &json!(40_401)), "{path}");
    }
    assert_eq!(send(&api, Method::HEAD, "/ntfy/ann/publish?message=head", "").await.status, 404);
    assert_eq!(send(&api, Method::POST, "/ntfy/ann/json", "x").await.status, 404);
    assert!(ann.titles("").await.is_empty());
    assert_eq!(send(&api, Method::GET, "/ntfy/ann/publish?message=sent", "").await.status, 200);
    assert_eq!(ann.titles("").await, ["sent"]);
}

#[tokio::test]
async fn a_sequence_belongs_to_its_topic() {
    let (_server, admin, api, _) = doors(Setup::default(), json!({})).await;
    for (topic, text) in [("ann", "for ann"), ("bob", "for bob"), ("ann", "for ann again")] {
        assert_eq!(send(&api, Method::POST, &format!("/ntfy/{topic}/backup"), text).await.status, 200);
    }
    assert_eq!(admin.known("ann", "d").titles("").await, ["for ann again"]);
    assert_eq!(admin.known("bob", "d").titles("").await, ["for bob"]);
}

#[tokio::test]
async fn what_is_beyond_the_limit_arrives_by_being_repeated() {
    let limited = json!({ "rate_limit": { "per_minute": 120 } });
    let (server, admin, api, key) = doors(Setup::default(), limited).await;
    let ann = admin.known("ann", "d");
    let alerts: Vec<Value> = (0..123).map(|n| alert(&format!("f{n}"), "firing", "x")).collect();
    let group = json!({ "alerts": alerts });
    api.post("/alertmanager", &group).await.failure(429, "rate_limited");
    eventually("all have come", || async {
        (api.post("/alertmanager", &group).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ann.list("").await["total"], 123);
    // A batch of our own likewise.
    let batcher = Sender { api: server.user().with(&format!("Service {key}")), id: String::new() };
    let messages: Vec<Value> =
        (0..3).map(|n| json!({ "title": format!("m{n}"), "recipients": ["ann"] })).collect();
    let batch = json!({ "messages": messages });
    eventually("the batch is through", || async {
        let request = batcher.api.request(Method::POST, "/api/v3/messages/send-batch");
        let reply = Reply::of(request.header("idempotency-key", "b").json(&batch)).await;
        (reply.status == 200 && reply.data()["sent"] == 3).then_some(())
    })
    .await;
    assert_eq!(ann.list("").await["total"], 126);
}

#[tokio::test]
async fn what_cannot_be_shown_is_left_out_and_the_rest_is_sent() {
    let (_server, admin, api, key) = doors(Setup::default(), json!({})).await;
    let ann = admin.known("ann", "d");
    let latest = |person: Person| async move { person.list("size=1").await["messages"][0].clone() };
    assert_eq!(send(&api, Method::POST, "/ntfy/ann", "\u{1b}\nhello\nworld").await.status, 200);
    let message = latest(ann.clone()).await;
    assert_eq!((&message["title"], &message["content"]), (&json!("hello"), &json!("world")));
    let blank = api.post("/gotify/message", &json!({ "message": "\u{7}\u{202e}" })).await;
    assert_eq!(blank.json()["errorDescription"], "Field 'message' is required");
    let images: Vec<Value> = (0..25)
        .map(|n| json!({ "type": "image", "image_url": format!("https://a.example/{n}.png"), "alt_text": "i" }))
        .collect();
    let slack = format!("/slack/services/T/B/{key}");
    let sent = api.post(&slack, &json!({ "text": "pictures", "blocks": images })).await;
    assert_eq!((sent.status, latest(ann.clone()).await["attachments"].as_array().unwrap().len()), (200, 20));
    // A form as large as any other body.
    let text = "x".repeat(3 * 1024 * 1024);
    let form =
        format!("--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nlong {text}\r\n--b--\r\n");
    let request = api.request(Method::POST, "/gotify/message");
    let sent = Reply::of(request.header("content-type", "multipart/form-data; boundary=b").body(form)).await;
    assert_eq!(sent.status, 200);
    assert!(latest(ann.clone()).await["title"].as_str().unwrap().starts_with("long xxx"));
    api.post("/json", &json!({ "title": "to one", "to": "ann, ,", "url": "https://a.example/" }))
        .await
        .data();
    assert_eq!(latest(ann).await["title"], "to one");
}

#[tokio::test]
async fn a_key_is_found_beside_what_a_proxy_adds_and_never_written_down() {
    let (server, admin, _, key) = doors(Setup::default().set("LOG_LEVEL", "debug"), json!({})).await;
    let plain = server.user();
    let body = json!({ "text": "x", "title": "x", "message": "x" });
    let proxied = plain.with("Basic cHJveHk6cHc=");
    assert_eq!(proxied.post(&format!("/slack/services/T/B/{key}"), &body).await.status, 200);
    assert_eq!(plain.with(&format!("Bearer {key}")).post("/json?key=theirs", &body).await.status, 200);
    assert_eq!(plain.post(&format!("/json?auth={key}"), &body).await.status, 200);
    // With a slash at the end of the base address.
    plain.post(&format!("//slack/services/T/B/{key}"), &body).await;
    plain.post(&format!("/behind/slack/services/T/B/{key}"), &body).await;
    assert_eq!(admin.known("ann", "d").titles("").await.len(), 3);
    eventually("the log has it", || async {
        server.stderr().contains("/behind/slack/services").then_some(())
    })
    .await;
    assert!(!server.stderr().contains(&key), "the key was written down");
}

#[tokio::test]
async fn a_suspended_service_is_told_nothing_until_it_may_go_on() {
    let (mut suspended, mut active) = (Receiver::start().await, Receiver::start().await);
    let setup = Setup::default().set("CALLBACK_ALLOWED_HOSTS", "127.0.0.1");
    let (_server, admin, _, _) = doors(setup, json!({})).await;
    let ann = admin.known("ann", "d");
    let mut senders = Vec::new();
    for receiver in [&suspended, &active] {
        let service = json!({ "name": "s", "type": "internal", "callback_url": receiver.url });
        senders.push(admin.sender_with(&admin.post("services", service).await.data()));
    }
    let question = json!({
        "title": "?", "recipients": ["ann"], "actions": [{ "type": "button", "text": "Go", "action": "go" }],
    });
    let mut messages = Vec::new();
    for sender in &senders {
        let sent = sender.send(question.clone()).await.data();
        messages.push(sent["message_id"].as_str().unwrap().to_owned());
    }
    admin.post(&format!("services/{}/suspend", senders[0].id), json!({})).await.data();
    for message in &messages {
        ann.api.post(&format!("/api/v3/messages/{message}/actions/go"), &json!({})).await.data();
    }
    active.next().await;
    let of_suspended = admin.get(&format!("callbacks?q={}", senders[0].id)).await.data();
    let waiting = &of_suspended["callbacks"][0];
    assert_eq!((&waiting["state"], &waiting["tries"]), (&json!("due"), &json!(0)));
    assert!(suspended.is_silent());
    admin.post(&format!("services/{}/resume", senders[0].id), json!({})).await.data();
    assert!(suspended.next().await.body.contains(&messages[0]));
}
