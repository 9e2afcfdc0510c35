//! JSON that is nested deeper than anything may be, at every entrance: refused by name on our own API, left out and
//! named where another system's program sent it; and the server starts again afterwards.

use hongyan_harness::{Reply, Setup};
use reqwest::Method;
use serde_json::{Value, json};

/// A list in a list, so many times, as text: no client library would write it.
fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// A request to send with one more field.
fn message(field: &str) -> String {
    format!(r#"{{"title":"t","recipients":["ann"],{field}}}"#)
}

#[tokio::test]
async fn deep_json_is_refused_with_its_field() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let send = async |body: String| sender.api.post_text("/api/v3/messages/send", body).await;
    // The field itself is one level, the list below it the others.
    let metadata = |levels: usize| format!(r#""metadata":{{"a":{}}}"#, nested(levels - 1));
    send(message(&metadata(32))).await.data();
    let refused = send(message(&metadata(33))).await;
    assert!(refused.text.contains("metadata: must be nested at most 32 levels deep"), "{}", refused.text);
    for levels in [33, 64, 120, 126, 127, 128, 1_000, 50_000] {
        let body = message(&metadata(levels));
        assert_eq!(send(body.clone()).await.failure(422, "validation_failed"), ["metadata"], "{levels}");
        let scheduled = body.replacen('{', r#"{"scheduled_at":"2027-01-01T00:00:00Z","#, 1);
        assert_eq!(send(scheduled).await.failure(422, "validation_failed"), ["metadata"], "{levels}");
        let preview = sender.api.post_text("/api/v3/messages/preview", body.clone()).await;
        assert_eq!(preview.failure(422, "validation_failed"), ["metadata"], "{levels}");
        let batch = format!(r#"{{"messages":[{body},{}]}}"#, message(r#""priority":5"#));
        let results = sender.api.post_text("/api/v3/messages/send-batch", batch).await.data();
        let fields = &results["results"][0]["error"]["details"][0]["field"];
        assert_eq!((fields, &results["sent"]), (&json!("messages[0].metadata"), &json!(1)), "{levels}");
        let variables = format!(
            r#"{{"recipients":["ann"],"template_id":"system_alert","variables":{{"alert_type":{}}}}}"#,
            nested(levels)
        );
        let filled = sender.api.post_text("/api/v3/messages/send-template", variables).await;
        assert_eq!(filled.failure(422, "validation_failed"), ["variables"], "{levels}");
    }
    // What takes no JSON of one's own takes none that is deep either.
    for (path, field) in [("/api/v3/messages/templates", "name"), ("/api/v3/auth/passkeys", "credential")] {
        let body = format!(r#"{{"{field}":{}}}"#, nested(1_000));
        let reply = ann.api.post_text(path, body).await;
        assert!((400..=422).contains(&reply.status), "{path}: {}", reply.text);
    }
    // Eight batches had a good one, and one was as deep as may be.
    assert_eq!(ann.list("").await["total"], 9);
    let server = server.start_again().await;
    let ann = server.admin().await.known("ann", "d");
    assert_eq!(ann.list("").await["total"], 9, "after a restart too");
}

#[tokio::test]
async fn integrations_keep_the_message_and_name_what_was_dropped() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let service = json!({ "name": "others", "type": "internal", "default_recipients": ["ann"] });
    let made = admin.post("services", service).await.data();
    let key = made["api_key"].as_str().unwrap();
    let api = server.user().with(&format!("Bearer {key}"));
    let newest = async || ann.list("size=1").await["messages"][0].clone();
    for levels in [40, 127, 5_000] {
        let deep = nested(levels);
        for (path, body, dropped) in [
            ("/json", format!(r#"{{"title":"kept","extra":{deep},"message":"all of it"}}"#), "extra"),
            (
                "/gotify/message",
                format!(r#"{{"title":"kept","message":"all of it","extras":{{"x":{deep}}}}}"#),
                "extras.x",
            ),
            (
                "/ntfy",
                format!(
                    r#"{{"topic":"ann","title":"kept","message":"all of it","actions":[{{"x":{deep}}}]}}"#
                ),
                "actions[0].x",
            ),
            ("/slack/services/t/b/KEY", format!(r#"{{"text":"kept\nall of it","x":{deep}}}"#), "x"),
            (
                "/dingtalk/robot/send",
                format!(
                    r#"{{"msgtype":"markdown","markdown":{{"title":"kept","text":"all of it"}},"at":{deep}}}"#
                ),
                "at",
            ),
            (
                "/wecom/cgi-bin/webhook/send",
                format!(r#"{{"msgtype":"text","text":{{"content":"kept\nall of it","x":{deep}}}}}"#),
                "text.x",
            ),
            (
                "/alertmanager",
                format!(
                    r#"{{"alerts":[{{"status":"firing","labels":{{"alertname":"kept{levels}","x":{deep}}},"annotations":{{"summary":"all of it"}}}}]}}"#
                ),
                "alerts[0].labels.x",
            ),
        ] {
            let path = path.replace("KEY", key);
            let request = api.request(Method::POST, &path).header("content-type", "application/json");
            let reply = Reply::of(request.body(body)).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            let header = reply.header("x-dropped").unwrap_or_default().to_owned();
            assert!(header.starts_with(dropped), "{path}: {header}");
            let shown = newest().await;
            assert!(shown["title"].as_str().unwrap().contains("kept"), "{path}: {shown}");
            let content = shown["content"].as_str().unwrap();
            assert!(content.contains("all of it") && content.contains(dropped), "{path}: {content}");
        }
    }
    // In a header, as a list of its own.
    let request = api.request(Method::POST, "/ntfy/ann").header("title", "kept");
    let request =
        request.header("actions", format!(r#"[{{"action":"http","label":"x","x":{}}}]"#, nested(60)));
    let reply = Reply::of(request.body("all of it")).await;
    assert_eq!(reply.json()["message"], "all of it");
    assert!(reply.header("x-dropped").is_some(), "{}", reply.text);
    // Nothing dropped: nothing said.
    let plain = api.post("/json", &json!({ "title": "plain", "message": "text" })).await;
    assert_eq!((plain.header("x-dropped"), &newest().await["content"]), (None, &Value::from("text")));
}
