//! Many messages with one request.

use hongyan_harness::{Reply, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const BATCH: &str = "/api/v3/messages/send-batch";

#[tokio::test]
async fn each_message_has_its_own_answer_in_order() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.system_sender("s").await;
    let good = |title: &str| json!({ "title": title, "recipients": ["ann"] });
    let alert = json!({ "template_id": "system_alert", "recipients": ["ann"], "variables": {
        "alert_type": "disk", "alert_message": "full", "affected_scope": "all" } });
    let batch = json!({ "messages": [
        good("one"), { "title": "", "recipients": ["ann"] }, alert, { "title": 5 }, "text", good("two"),
        { "template_id": "system_alert", "recipients": ["ann"] }, { "title": "t", "recipients": ["nobody"] },
    ]});
    let answer = sender.api.post(BATCH, &batch).await.data();
    assert_eq!((&answer["sent"], &answer["failed"]), (&json!(3), &json!(5)));
    let results = answer["results"].as_array().unwrap();
    let outcome = |result: &Value| match result["status"].as_str() {
        Some(status) => status.to_owned(),
        None => format!(
            "{} {}",
            result["error"]["type"].as_str().unwrap(),
            result["error"]["details"][0]["field"]
        ),
    };
    assert_eq!(
        results.iter().map(outcome).collect::<Vec<_>>(),
        [
            "accepted",
            "validation_failed \"messages[1].title\"",
            "accepted",
            "malformed_request \"messages[3].title\"",
            "malformed_request \"messages[4].body\"",
            "accepted",
            "validation_failed \"messages[6].variables.alert_type\"",
            "validation_failed \"messages[7].recipients\"",
        ]
    );
    assert_eq!(ann.titles("").await, ["two", "系统告警：disk", "one"]);
}

#[tokio::test]
async fn a_batch_is_repeated_safely_and_bounded() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let batch = |n: usize| json!({ "messages": vec![json!({ "title": "t", "recipients": ["ann"] }); n] });
    let once = |body: Value| {
        let request = sender.api.request(Method::POST, BATCH).header("idempotency-key", "k").json(&body);
        async move { Reply::of(request).await }
    };
    let first = once(batch(1_000)).await.data();
    assert_eq!((&first["sent"], &first["failed"]), (&json!(1_000), &json!(0)));
    assert_eq!(once(batch(1_000)).await.data()["results"], first["results"]);
    assert_eq!(ann.list("").await["total"], 1_000);
    let other = once(json!({ "messages": [{ "title": "other", "recipients": ["ann"] }] })).await.data();
    assert_eq!(other["results"][0]["error"]["type"], "idempotency_conflict");
    for bad in [json!({ "messages": [] }), batch(1_001)] {
        assert_eq!(sender.api.post(BATCH, &bad).await.failure(422, "validation_failed"), ["messages"]);
    }
    for bad in [json!({ "messages": "text" }), json!([])] {
        sender.api.post(BATCH, &bad).await.failure(400, "malformed_request");
    }
}
