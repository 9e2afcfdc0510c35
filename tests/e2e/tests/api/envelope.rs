//! Every line of the envelope: shapes, request ids, and each status that a caller can meet.

use hongyan_harness::{Raw, Reply, Setup, signed};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let server = Setup::default().start().await;
    let request = server.user().request(Method::GET, "/api/v3/messages").header("x-request-id", "mine-1");
    assert_eq!(Reply::of(request).await.header("x-request-id"), Some("mine-1"));
    let made = server.user().get("/api/v3/messages").await;
    let again = server.user().get("/api/v3/messages").await;
    assert!(made.header("x-request-id").unwrap().len() >= 16);
    assert_ne!(made.header("x-request-id"), again.header("x-request-id"));
    let hostile =
        server.user().request(Method::GET, "/api/v3/messages").header("x-request-id", "a b\"<script>");
    assert_ne!(Reply::of(hostile).await.header("x-request-id"), Some("a b\"<script>"));
}

#[tokio::test]
async fn malformed_bodies_are_400_and_name_the_place() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let sender = admin.sender("s").await;
    let path = "/api/v3/messages/send";
    for text in ["", "{", "{\"title\":\"a\"", "nonsense", "{\"title\":\"a\"} trailing"] {
        sender.api.post_text(path, text).await.failure(400, "malformed_request");
    }
    for (body, field) in [
        (json!([]), "body"),
        (json!({ "title": 5 }), "title"),
        (json!({ "recipients": "user1" }), "recipients"),
        (json!({ "recipients": ["a", 7] }), "recipients[1]"),
        (
            json!({ "attachments": [{ "type": "file", "name": "n", "url": "https://a", "size": "big" }] }),
            "attachments[0].size",
        ),
        (json!({ "priority": "high" }), "priority"),
        (json!({ "expire_at": 5 }), "expire_at"),
        (json!({ "metadata": [] }), "metadata"),
    ] {
        assert_eq!(sender.api.post(path, &body).await.failure(400, "malformed_request"), [field], "{body}");
    }
    let untyped = sender.api.request(Method::POST, path).body("{}");
    Reply::of(untyped).await.failure(415, "unsupported_media_type");
}

#[tokio::test]
async fn paths_that_cannot_be_read_or_are_none_and_bodies_of_strangers_keep_to_the_envelope() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    ann.api.get("/api/v3/messages/%FF").await.failure(400, "malformed_request");
    ann.api.post("/api/v3/no-such-path", &json!({})).await.failure(404, "not_found");
    let long = json!({ "username": "ann", "password": "x".repeat(20_000) });
    server.user().post("/api/v3/auth/local/login", &long).await.failure(413, "too_large");
}

#[tokio::test]
async fn bad_credentials_are_401_and_say_how_to_come() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let user = server.user();
    let refused = [
        signed(&json!({ "sub": "ann", "exp": 1_000 })),
        signed(&json!({ "sub": "ann", "iss": "someone-else" })),
        signed(&json!({ "sub": "ann", "aud": "admin-console" })),
        signed(&json!({ "sub": "ann", "secret": "another secret that is 32 bytes long!" })),
        signed(&json!({ "sub": "nobody" })),
        "garbage".to_owned(),
    ];
    let headers = refused.iter().map(|token| format!("Bearer {token}"));
    for header in headers.chain(["Basic YTpi".into(), "Service hy0123456789abcdef".into(), "Bearer".into()]) {
        let reply = user.with(&header).post("/api/v3/messages/send", &json!({})).await;
        reply.failure(401, "unauthenticated");
        assert!(reply.header("www-authenticate").is_some());
    }
    user.get("/api/v3/messages").await.failure(401, "unauthenticated");
    // Each gateway has its own tokens.
    server
        .admin_gateway()
        .with(ann.api.authorization().unwrap())
        .get("/admin/api/v3/users")
        .await
        .failure(401, "unauthenticated");
    user.with(admin.api.authorization().unwrap())
        .get("/api/v3/messages")
        .await
        .failure(401, "unauthenticated");
    // A service only sends.
    let sender = admin.sender("s").await;
    sender.api.get("/api/v3/messages").await.failure(403, "permission_denied");
}

#[tokio::test]
async fn unknown_paths_and_methods_have_the_envelope_too() {
    let server = Setup::default().start().await;
    for gateway in [server.user(), server.admin_gateway()] {
        gateway.get("/api/v3/nothing").await.failure(404, "not_found");
    }
    let reply = server.user().delete("/api/v3/messages").await;
    reply.failure(405, "method_not_allowed");
    assert!(reply.header("allow").unwrap().contains("GET"));
    server.admin_gateway().get("/nothing").await.failure(404, "not_found");
}

#[tokio::test]
async fn only_the_page_and_its_files_are_answered_with_the_page() {
    let server = Setup::default().start().await;
    let user = server.user();
    let page = user.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let icon = page.text.split('"').find(|text| text.contains("favicon")).unwrap();
    let icon = icon.trim_start_matches(['.', '/']);
    assert_eq!(user.get(&format!("/{icon}")).await.header("content-type"), Some("image/svg+xml"));
    for path in [
        "/inbox",
        "/index",
        "/metrics",
        "/ws/",
        "/api",
        "/api/",
        "/gotify",
        "/gotify/application",
        "/v1/account",
        "/v1/health/",
        "/healthz/",
        "/favicon.ico",
        "/robots.txt",
        "//",
        "/.env",
        "/docs/none.txt",
    ] {
        for accept in ["*/*", "text/html,application/xhtml+xml"] {
            let request = user.request(Method::GET, path).header("accept", accept);
            Reply::of(request).await.failure(404, "not_found");
        }
    }
}

#[tokio::test]
async fn monitors_are_answered_on_the_user_gateway_too() {
    let server = Setup::default().start().await;
    for gateway in [server.user(), server.admin_gateway()] {
        assert_eq!(gateway.get("/healthz").await.text, "ok\n");
        assert_eq!(gateway.get("/readyz").await.text, "ready\n");
    }
    let user = server.user();
    assert_eq!(user.get("/gotify/health").await.json(), json!({ "health": "green", "database": "green" }));
    assert!(user.get("/gotify/version").await.json()["version"].as_str().unwrap().starts_with("2."));
    for path in ["/v1/health", "/ntfy/v1/health"] {
        assert_eq!(user.get(path).await.json(), json!({ "healthy": true }));
    }
}

#[tokio::test]
async fn a_request_needs_one_valid_host() {
    let server = Setup::default().start().await;
    for (version, hosts, status) in [
        ("1.1", "Host: a.example\r\n", 200),
        ("1.1", "Host: [::1]:8080\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.0", "", 200),
        ("1.1", "", 400),
        ("1.1", "Host: a.example\r\nHost: a.example\r\n", 400),
        ("1.0", "Host: a.example\r\nHost: b.example\r\n", 400),
        ("1.1", "Host: someone@a.example\r\n", 400),
        ("1.1", "Host: a.example/path\r\n", 400),
    ] {
        for url in [server.url(), server.admin_url()] {
            let mut raw = Raw::connect(url).await;
            raw.say(format!("GET /healthz HTTP/{version}\r\n{hosts}\r\n")).await.unwrap();
            let (came, body) = raw.answer().await;
            assert_eq!(came, status, "HTTP/{version} {hosts:?}: {body}");
            assert!(status == 200 || body.contains("malformed_request"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_client_that_writes_first_reads_why_it_is_refused() {
    const BODY: usize = 3_000_000;
    let server = Setup::default().start().await;
    let sender = server.admin().await.sender("s").await;
    let key = sender.api.authorization().unwrap().to_owned();
    let chunk = "8000\r\n".to_owned() + &"x".repeat(0x8000) + "\r\n";
    let chunked = chunk.repeat(BODY / 0x8000) + "0\r\n\r\n";
    for (head, body, status) in [
        ("POST /api/v3/auth/local/login", Some("x".repeat(BODY)), 413),
        ("POST /api/v3/auth/local/login", None, 413),
        ("POST /api/v3/messages/send", Some("x".repeat(20 * BODY / 3)), 413),
        ("PUT /api/v3/auth/profile/avatar", Some("x".repeat(BODY)), 401),
        ("POST /no/such/path", Some("x".repeat(BODY)), 404),
    ] {
        let mut raw = Raw::connect(server.url()).await;
        let host = raw.host().to_owned();
        let framing = match &body {
            Some(body) => format!("Content-Length: {}", body.len()),
            None => "Transfer-Encoding: chunked".to_owned(),
        };
        let credentials = match status {
            413 => format!("Authorization: {key}\r\n"),
            _ => String::new(),
        };
        let head = format!(
            "{head} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{credentials}{framing}\r\n\r\n"
        );
        raw.say(head.as_bytes()).await.unwrap();
        raw.say(body.as_ref().unwrap_or(&chunked)).await.unwrap();
        assert_eq!(raw.answer().await.0, status, "{head}");
    }
}

#[tokio::test]
async fn a_refused_body_without_end_is_not_read_for_ever() {
    const MOST: usize = 512 * 1024 * 1024;
    let server = Setup::default().start().await;
    let mut raw = Raw::connect(server.url()).await;
    let host = raw.host().to_owned();
    raw.say(format!("POST /nothing HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\n\r\n"))
        .await
        .unwrap();
    let (part, mut sent) = (vec![b'x'; 1024 * 1024], 0);
    while sent < MOST && raw.say(&part).await.is_ok() {
        sent += part.len();
    }
    assert!(sent < MOST, "the server still reads");
}

#[tokio::test]
async fn what_is_too_large_is_413_and_nothing_is_sent() {
    let server = Setup::default().set("MESSAGE_MAX_BYTES", "4096").set("RECIPIENTS_MAX", "10").start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let message =
        |length: usize| json!({ "title": "t", "content": "x".repeat(length), "recipients": ["ann"] });
    sender.send(message(4_000)).await.failure(413, "too_large");
    sender.send(message(1_000_000)).await.failure(413, "too_large");
    sender.send(message(3_000)).await.data();
    let many: Vec<String> = (0..11).map(|n| format!("u{n}")).collect();
    let reply = sender.send(json!({ "title": "t", "recipients": many })).await;
    assert_eq!(reply.failure(422, "validation_failed"), ["recipients"]);
    assert_eq!(ann.list("").await["total"], 1);
}

#[tokio::test]
async fn moments_are_rfc_3339_in_utc_with_milliseconds() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.user("ann").await, admin.sender("s").await);
    let expire_at = "2999-01-02T03:04:05.678+08:00";
    sender.send(json!({ "title": "t", "recipients": ["ann"], "expire_at": expire_at })).await.data();
    let message = ann.list("").await["messages"][0].clone();
    assert_eq!(message["expire_at"], "2999-01-01T19:04:05.678Z");
    let created = message["created_at"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z') && created.as_bytes()[19] == b'.', "{created}");
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_for() {
    let (setup, _) = Setup::default().public("127.0.0.1");
    let server = setup.start().await;
    let ann = server.admin().await.person("ann").await;
    let paths =
        ["/", "/docs/", "/api/v3/openapi.json", "/api/v3/auth/providers", "/api/v3/no-such-path", "/ws"];
    let mut replies = Vec::new();
    for path in paths {
        replies.push((path, server.user().get(path).await));
    }
    replies.push(("messages", ann.api.get("/api/v3/messages").await));
    replies.push(("admin", server.admin_gateway().get("/admin/api/v3/users").await));
    for (path, reply) in replies {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}: {name}");
        }
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        let is_data = reply.header("content-type").is_none_or(|kind| kind.contains("json"));
        assert!(!is_data || reply.header("cache-control") == Some("no-store"), "{path}");
        assert_eq!(reply.header("strict-transport-security"), None, "{path}: it is not reached by TLS");
    }
    let server = Setup::default().set("PUBLIC_URL", "https://notices.example").start().await;
    for path in ["/", "/api/v3/auth/providers", "/api/v3/no-such-path"] {
        let reply = server.user().get(path).await;
        assert_eq!(reply.header("strict-transport-security"), Some("max-age=31536000"), "{path}");
    }
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let twice =
        ann.api.request(Method::GET, "/api/v3/messages").header("authorization", "Service hy0123_something");
    Reply::of(twice).await.failure(401, "unauthenticated");
}
