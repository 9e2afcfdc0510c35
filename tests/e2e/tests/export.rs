//! Messages taken out for people and for other programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Browser, Person, Reply, Sender, Server, Setup};
use hongyan_wire::message::Message;
use reqwest::Method;
use serde_json::{Value, json};

const URL: &str = "/api/v3/backup/export";
const HOSTILE: &str = "<script>window.harmed = 1</script>\"' onmouseover='window.harmed = 1' & 🌸\nnext line";

struct Desk {
    server: Server,
    ann: Person,
    sender: Sender,
}

impl Desk {
    /// With messages of every sort, the first of them read.
    async fn start() -> Self {
        let server = Setup::default().start().await;
        let admin = server.admin().await;
        let ann = admin.person("ann").await;
        admin.channel("ops", &["ann"]).await;
        let sender = admin.sender(&format!("drive {}", "<b>x</b>")).await;
        let first = sender.send_to("ann", "first").await;
        let rich = json!({
            "title": "<img src=x onerror=\"window.harmed = 1\">", "content": HOSTILE, "recipients": ["ops"], "channel_id": "ops",
            "metadata": { "deep": [1, null, { "a": "</script>" }] }, "priority": 9, "answer": "first",
            "expire_at": "2999-01-01T00:00:00Z", "thread_key": "build \"7\"",
            "attachments": [{ "type": "file", "name": HOSTILE.lines().next().unwrap(), "url": "https://a.example/?x=1&y=2", "size": 1,
                "mime_type": "text/plain", "thumbnail": "" }],
            "actions": [{ "type": "confirm", "text": "Go", "action": "go" }, { "type": "link", "text": "Log", "url": "https://a.example/log" }],
        });
        let rich = sender.send(rich).await.data()["message_id"].as_str().unwrap().to_owned();
        ann.read(&first).await;
        ann.api.post(&format!("/api/v3/messages/{rich}/actions/go"), &json!({})).await.data();
        for n in 0..40 {
            sender.send_to("ann", &format!("m{n}")).await;
        }
        Self { server, ann, sender }
    }

    async fn get(&self, query: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.ann.api.request(Method::GET, &format!("{URL}{query}"));
        Reply::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }
}

#[tokio::test]
async fn each_line_is_a_message_as_the_list_has_it_on_the_server_and_off_it() {
    let desk = Desk::start().await;
    let listed = desk.ann.list("size=100").await;
    let mut listed = listed["messages"].as_array().unwrap().clone();
    listed.reverse();
    let reply = desk.get("?format=jsonl", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let lines: Vec<Value> = reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 42);
    for (line, message) in lines.iter().zip(&listed) {
        let read = |value: &Value| serde_json::from_value::<Message>(value.clone()).unwrap();
        assert_eq!(read(line), read(message));
        assert_eq!(line, message);
    }
    // It is a file for a program, however it is asked for.
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let name = reply.header("content-disposition").unwrap();
    assert!(
        name.starts_with("attachment; filename=\"hongyan-ann-export-") && name.ends_with("Z.jsonl\""),
        "{name}"
    );
    let packed =
        Reply::of(desk.ann.api.request(Method::HEAD, &format!("{URL}?format=jsonl&compress=zstd"))).await;
    assert_eq!(packed.header("content-type"), Some("application/octet-stream"));
    assert!(packed.header("content-disposition").unwrap().ends_with(".jsonl.zst\""));
    // In parts, and only when it is another.
    let etag = reply.header("etag").unwrap().to_owned();
    desk.sender.send_to("ann", "meanwhile").await;
    let part = desk.get("?format=jsonl", &[("range", "bytes=10-"), ("if-range", &etag)]).await;
    assert_eq!((part.status, part.text.as_str()), (206, &reply.text[10..]));
    let again = desk.get("?format=jsonl", &[]).await;
    assert_ne!(again.header("etag"), Some(etag.as_str()));
    let known = again.header("etag").unwrap();
    assert_eq!(desk.get("?format=jsonl", &[("if-none-match", known)]).await.status, 304);
    // By a link as well.
    let body = json!({ "make": { "format": "jsonl" } });
    let link = desk.ann.api.post("/api/v3/backup/links", &body).await.data();
    assert_eq!((&link["backup"]["format"], &link["backup"]["messages"]), (&json!("jsonl"), &json!(43)));
    let path = link["url"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    assert_eq!(desk.server.user().get(&format!("/api/{path}")).await.text, again.text);
    // The same from a backup, with no server.
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full.db.gz");
    let backup =
        desk.ann.api.request(Method::GET, "/api/v3/backup/database?compress=gzip").send().await.unwrap();
    std::fs::write(&full, backup.bytes().await.unwrap()).unwrap();
    let full = full.to_str().unwrap();
    let exit = desk.server.hongyan("", &["backup", "export", "--format", "jsonl", full], "").await;
    assert_eq!((exit.code, exit.stdout), (Some(0), again.text.clone()), "{}", exit.stderr);
    let out = dir.path().join("page.html");
    let words =
        ["backup", "export", "--format", "html", "--lang", "zh", "--out", out.to_str().unwrap(), full];
    let exit = desk.server.hongyan("", &words, "").await;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.contains("<h1>ann 的消息</h1>") && page.contains("共 43 条消息"), "{page}");
    assert_eq!(desk.server.hongyan("", &words, "").await.code, Some(2), "it is there already");
    let exit =
        desk.server.hongyan("", &["backup", "export", "--format", "html", out.to_str().unwrap()], "").await;
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(1), ""), "{}", exit.stderr);
}

#[tokio::test]
async fn the_page_shows_everything_in_a_browser_and_does_nothing() {
    let desk = Desk::start().await;
    let reply = desk.get("?format=html", &[("accept-language", "zh-CN, en;q=0.5")]).await;
    assert!(
        reply.text.contains("<html lang=\"zh-CN\">") && reply.text.contains("ANN (ann) 的消息"),
        "{}",
        reply.text
    );
    let reply = desk.get("?format=html&lang=en", &[("accept-language", "zh-CN")]).await;
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.header("content-disposition").unwrap().starts_with("attachment;"));
    assert!(reply.header("content-security-policy").unwrap().starts_with("sandbox;"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.html");
    std::fs::write(&file, &reply.text).unwrap();
    let window = Browser::start().await;
    window.open(&format!("file://{}", file.display())).await;
    let text =
        |css: &str| format!("return [...document.querySelectorAll('{css}')].map(one => one.textContent)");
    let mut titles: Vec<String> = (0..40).rev().map(|n| format!("m{n}")).collect();
    titles.extend(["<img src=x onerror=\"window.harmed = 1\">".to_owned(), "first".to_owned()]);
    window.script_until(&text("h3"), json!(titles)).await;
    window.script_until(&text("h1"), json!(["Messages of ANN (ann)"])).await;
    window.script_until("return document.querySelectorAll('h2').length > 0", json!(true)).await;
    window.script_until(&text("article.read h3"), json!(["first"])).await;
    window.script_until("return document.querySelectorAll('time[datetime$=Z]').length", json!(42)).await;
    let links = "return [...document.querySelectorAll('a')].map(one => one.href)";
    window.script_until(links, json!(["https://a.example/?x=1&y=2", "https://a.example/log"])).await;
    let content = "return document.querySelectorAll('.content')[40].innerText";
    window.script_until(content, json!(HOSTILE)).await;
    // Nothing ran, nothing is there that could; and its style is its own.
    window
        .script_until(
            "return [window.harmed ?? null, document.scripts.length, document.images.length]",
            json!([null, 0, 0]),
        )
        .await;
    let styled = "return getComputedStyle(document.querySelector('article')).borderRadius";
    window.script_until(styled, json!("10px")).await;
    // Not even what is put in.
    let put = "const script = document.createElement('script'); script.textContent = 'window.harmed = 1'; \
               document.body.append(script); return [window.harmed ?? null]";
    window.script_until(put, json!([null])).await;
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused_with_the_field() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    for (query, field) in [
        ("", "format"),
        ("?format=database", "format"),
        ("?format=pdf", "format"),
        ("?format=html&lang=fr", "lang"),
        ("?format=jsonl&type=incremental", "type"),
        ("?format=html&type=messages", "type"),
        ("?format=html&compress=rar", "compress"),
        ("?format=html&encrypt=passphrase", "passphrase"),
    ] {
        let reply = ann.api.get(&format!("{URL}{query}")).await;
        assert_eq!(reply.failure(422, "validation_failed"), [field], "{query}");
    }
    for make in [
        json!({ "format": "html", "type": "messages" }),
        json!({ "format": "jsonl", "type": "incremental", "since": "0" }),
    ] {
        let reply = ann.api.post("/api/v3/backup/links", &json!({ "make": make })).await;
        assert_eq!(reply.failure(422, "validation_failed"), ["type"]);
        let reply = ann.api.post("/api/v3/backup/jobs", &make).await;
        assert_eq!(reply.failure(422, "validation_failed"), ["type"]);
    }
    server.user().get(&format!("{URL}?format=html")).await.failure(401, "unauthenticated");
    // Nobody's messages are a page and a file too.
    assert_eq!(ann.api.get(&format!("{URL}?format=jsonl")).await.text, "");
    assert!(ann.api.get(&format!("{URL}?format=html&lang=en")).await.text.contains("There are no messages."));
}
