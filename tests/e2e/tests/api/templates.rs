//! Templates: the built-in ones as the first senders call them, and those that are made.

use hongyan_harness::Setup;
use serde_json::{Value, json};

const SEND: &str = "/api/v3/messages/send";

#[tokio::test]
async fn the_first_senders_calls_work_as_they_are_written() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    for (id, name) in [("user123", "zhang"), ("user456", "li"), ("user789", "wang")] {
        admin.post("users", json!({ "id": id, "username": name, "name": name })).await.data();
    }
    admin.role("admin_team", &["user456"]).await;
    let sender = admin.sender("netdrive").await;
    let share = r#"{
        "template_id": "file_share", "recipients": ["user123"], "on_behalf_of": "user456",
        "variables": {
            "sender_name": "张三", "file_name": "项目计划.pdf", "file_size": "2.5MB",
            "share_time": "2025-01-15 14:30:00", "file_url": "https://drive.company.com/files/abc123"
        }
    }"#;
    assert_eq!(sender.api.post_text(SEND, share).await.data()["recipients"], 1);
    let message = &admin.known("user123", "d").list("").await["messages"][0];
    assert_eq!(message["title"], "张三 分享了文件给你");
    let content = "张三 分享了文件 \"项目计划.pdf\" 给你\n\n文件大小：2.5MB\n分享时间：2025-01-15 14:30:00";
    assert_eq!(message["content"], content);
    assert_eq!((&message["message_type"], &message["sender"]), (&json!("file_share"), &json!("user456")));
    assert_eq!(message["actions"][0]["url"], "https://drive.company.com/files/abc123");
    let invite = r#"{
        "template_id": "doc_collaboration", "recipients": ["user789"], "on_behalf_of": "user456",
        "variables": {
            "sender_name": "李四", "doc_title": "Q1销售报告", "permission": "编辑",
            "due_time": "2025-01-20 18:00:00", "doc_url": "https://docs.company.com/doc/def456"
        }
    }"#;
    sender.api.post_text(SEND, invite).await.data();
    let message = &admin.known("user789", "d").list("").await["messages"][0];
    let actions: Vec<&Value> = message["actions"].as_array().unwrap().iter().map(|a| &a["text"]).collect();
    assert_eq!(actions, ["打开文档", "拒绝邀请"]);
    let alert = r#"{
        "template_id": "system_alert", "recipients": ["admin_team"],
        "variables": {
            "alert_type": "数据库连接异常", "alert_message": "主数据库连接池耗尽，当前活跃连接数：100/100",
            "affected_scope": "用户认证、订单查询", "suggestion": "立即检查数据库连接配置，考虑重启数据库服务"
        }
    }"#;
    let denied = sender.api.post_text(SEND, alert).await;
    denied.failure(403, "permission_denied");
    assert!(denied.json()["message"].as_str().unwrap().contains("category:system"));
    admin.system_sender("monitoring").await.api.post_text(SEND, alert).await.data();
    let message = &admin.known("user456", "d").list("").await["messages"][0];
    assert_eq!((&message["priority"], &message["title"]), (&json!(8), &json!("系统告警：数据库连接异常")));
}

#[tokio::test]
async fn what_is_missing_wrong_or_unknown_is_named_and_nothing_is_sent() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let share = |variables: Value| json!({ "template_id": "file_share", "recipients": ["ann"], "variables": variables });
    let whole = json!({ "sender_name": "a", "file_name": "f", "file_size": "1", "share_time": "2025-01-15" });
    let with = |name: &str, value: Value| {
        let mut variables = whole.clone();
        variables[name] = value;
        share(variables)
    };
    for (body, fields) in [
        (share(json!({})), vec!["sender_name", "file_name", "file_size", "share_time"]),
        (with("share_time", json!("soon")), vec!["share_time"]),
        (with("file_size", json!(5)), vec!["file_size"]),
        (with("file_url", json!("javascript:alert(1)")), vec!["file_url"]),
        (with("sender_name", json!("two\nlines")), vec!["sender_name"]),
        (with("sendername", json!("typo")), vec!["sendername"]),
    ] {
        let named: Vec<String> = fields.iter().map(|field| format!("variables.{field}")).collect();
        assert_eq!(sender.send(body.clone()).await.failure(422, "validation_failed"), named, "{body}");
    }
    let unknown = json!({ "template_id": "none", "recipients": ["ann"] });
    assert_eq!(sender.send(unknown).await.failure(422, "validation_failed"), ["template_id"]);
    let both =
        json!({ "template_id": "file_share", "title": "t", "recipients": ["ann"], "variables": whole });
    assert_eq!(sender.send(both).await.failure(422, "validation_failed"), ["title"]);
    let long = with("sender_name", json!("x".repeat(300)));
    assert_eq!(sender.send(long).await.failure(422, "validation_failed"), ["title"]);
    let without = json!({ "title": "t", "recipients": ["ann"] });
    let required = sender.api.post("/api/v3/messages/send-template", &without).await;
    assert_eq!(required.failure(422, "validation_failed"), ["template_id"]);
    assert_eq!(ann.list("").await["total"], 0);
    // A value is data; an action whose link was not given is left out.
    sender.send(with("file_name", json!("{{sender_name}} <b>"))).await.data();
    let message = &ann.list("").await["messages"][0];
    assert!(message["content"].as_str().unwrap().contains("\"{{sender_name}} <b>\""));
    assert_eq!(message["actions"], json!([]));
}

#[tokio::test]
async fn a_preview_is_what_is_sent_and_sends_nothing() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.system_sender("s").await;
    let body = json!({
        "template_id": "system_alert", "recipients": ["ann", "nobody"],
        "variables": { "alert_type": "disk", "alert_message": "full", "affected_scope": "all" },
    });
    let shown = sender.api.post("/api/v3/messages/preview", &body).await.data();
    assert_eq!((&shown["recipients"], &shown["unknown_recipients"]), (&json!(1), &json!(["nobody"])));
    assert_eq!(ann.list("").await["total"], 0);
    sender.api.post("/api/v3/messages/send-template", &body).await.data();
    let message = &ann.list("").await["messages"][0];
    for key in ["title", "content", "priority", "message_type", "actions", "sender_info"] {
        assert_eq!(message[key], shown["message"][key], "{key}");
    }
    let bad = json!({ "template_id": "system_alert", "recipients": ["ann"] });
    sender.api.post("/api/v3/messages/preview", &bad).await.failure(422, "validation_failed");
}

#[tokio::test]
async fn templates_are_made_changed_and_deleted_and_keep_their_versions() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let sender = admin.sender("s").await;
    let template = |title: &str| json!({ "name": "Deploy", "category": "notification", "title": title, "content": "{{what}}" });
    let mut first = template("{{what}} is out");
    first["id"] = json!("deploy");
    assert_eq!(admin.post("templates", first.clone()).await.data()["version"], 1);
    assert_eq!(admin.post("templates", first).await.failure(409, "already_exists"), ["id"]);
    let bad = json!({ "name": "", "category": "system", "title": "{{a b}}", "content": "c" });
    assert_eq!(admin.post("templates", bad).await.failure(422, "validation_failed"), ["name", "title"]);
    let deploy = json!({ "template_id": "deploy", "recipients": ["ann"], "variables": { "what": "v1" } });
    sender.send(deploy.clone()).await.data();
    let path = "/admin/api/v3/templates/deploy";
    let put = |body: Value| {
        let api = admin.api.clone();
        async move { hongyan_harness::Reply::of(api.request(reqwest::Method::PUT, path).json(&body)).await }
    };
    assert_eq!(put(template("Out: {{what}}")).await.data()["version"], 2);
    let mut late = template("late");
    late["if_version"] = json!(1);
    put(late).await.failure(409, "version_conflict");
    sender.send(deploy.clone()).await.data();
    assert_eq!(ann.titles("").await, ["Out: v1", "v1 is out"]);
    let listed = sender.api.get("/api/v3/messages/templates?category=notification").await.data();
    assert_eq!((&listed["total"], &listed["templates"][0]["id"]), (&json!(1), &json!("deploy")));
    admin.api.delete(path).await.data();
    sender.send(deploy).await.failure(422, "validation_failed");
    let versions = admin.get("templates/deploy/versions").await.data();
    assert_eq!((&versions["total"], &versions["templates"][0]["version"]), (&json!(2), &json!(2)));
    // The built-in ones are not made again once they are deleted.
    admin.api.delete("/admin/api/v3/templates/file_share").await.data();
    let server = server.start_again().await;
    let left = server.admin().await.get("templates").await.data();
    let ids: Vec<&Value> = left["templates"].as_array().unwrap().iter().map(|t| &t["id"]).collect();
    assert_eq!(ids, ["doc_collaboration", "system_alert"]);
    // On the user gateway only administrators and system services change them.
    let denied = sender.api.post("/api/v3/messages/templates", &template("t")).await;
    denied.failure(403, "permission_denied");
}
