//! What strangers, foreign pages, scripts and credentials that are over come to.

use hongyan_harness::{Api, Reply, Setup, Socket, Visitor, signed};
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[track_caller]
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

/// The same secret but for its last sign: of the same prefix, and wrong.
fn almost(secret: &str) -> String {
    let (rest, last) = secret.split_at(secret.len() - 1);
    format!("{rest}{}", if last == "0" { '1' } else { '0' })
}

#[tokio::test]
async fn a_secret_that_is_almost_right_is_as_wrong_as_any() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.person("ann").await, admin.sender("drive").await);
    let made = json!({ "name": "script", "scopes": ["read"] });
    let token = ann.api.post("/api/v3/auth/tokens", &made).await.data();
    let token = text(&token, "token");
    server.user().with(&format!("bearer {token}")).get("/api/v3/messages").await.data();
    let key = sender.api.authorization().unwrap().split_once(' ').unwrap().1;
    let get = async |authorization: String| {
        let reply = server.user().with(&authorization).post("/api/v3/messages/send", &json!({})).await;
        reply.failure(401, "unauthenticated");
        reply.json()["message"].clone()
    };
    let unknown = format!("{}{}", &key[..2], "0".repeat(key.len() - 2));
    assert_eq!(get(format!("Service {}", almost(key))).await, get(format!("Service {unknown}")).await);
    get(format!("Bearer {}", almost(token))).await;
    // A key belongs into the header, and nowhere else.
    let send = json!({ "title": "t", "recipients": ["ann"] });
    let path = format!("/api/v3/messages/send?key={key}&token={key}&access_token={key}");
    server.user().post(&path, &send).await.failure(401, "unauthenticated");
    let message = json!({ "title": "t", "recipients": ["ann"] });
    server.user().with(&format!("SERVICE {key}")).post("/api/v3/messages/send", &message).await.data();
}

#[tokio::test]
async fn what_is_no_access_token_is_not_taken_for_one() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let ticket = ann.api.post("/api/v3/auth/ws-ticket", &json!({})).await.data();
    let kinds = [ann.refresh_token.clone(), text(&ticket, "ticket").to_owned(), ann.session.clone()];
    for other in kinds {
        let api = server.user().with(&format!("Bearer {other}"));
        api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    }
    // Nobody is someone because they bring what another server gave them.
    for path in ["/api/v3/auth/github/token", "/api/v3/auth/corp/login", "/api/v3/auth/corp/callback"] {
        let body = json!({ "access_token": "gho_foreign", "id_token": "a.b.c", "provider": "github" });
        let reply = server.user().post(path, &body).await;
        assert!([404, 405].contains(&reply.status), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn signing_in_takes_the_place_of_the_session_that_the_browser_had() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let server = setup.start().await;
    let admin = server.admin().await;
    let elsewhere = admin.person("ann").await;
    admin.person("bob").await;
    let mut visitor = Visitor::default();
    let mut tokens = Vec::new();
    for name in ["ann", "ann", "bob"] {
        let body = json!({ "username": name, "password": "a-good-password", "cookie": true });
        let path = format!("{url}/api/v3/auth/local/login");
        let answer = visitor.call(Method::POST, &path, None, &body).await.data();
        tokens.push(server.user().with(&format!("Bearer {}", text(&answer, "access_token"))));
    }
    for over in &tokens[..2] {
        over.get("/api/v3/messages").await.failure(401, "unauthenticated");
    }
    tokens[2].get("/api/v3/messages").await.data();
    elsewhere.api.get("/api/v3/messages").await.data();
    assert_eq!(visitor.refresh(&url).await.data()["user"]["id"], "bob");
}

#[tokio::test]
async fn a_program_ends_its_session_by_its_refresh_token() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let mut socket = ann.connect().await;
    let next = json!({ "refresh_token": ann.refresh_token });
    server.user().post("/api/v3/auth/refresh", &next).await.data();
    // Of no session: no fault, and nobody is signed out by it.
    let logout = async |token: &str| {
        server.user().post("/api/v3/auth/logout", &json!({ "refresh_token": token })).await.data()
    };
    logout("garbage").await;
    let (session, rest) = ann.refresh_token.split_once('.').unwrap();
    logout(&format!("{session}.{}", rest.chars().rev().collect::<String>())).await;
    ann.api.get("/api/v3/messages").await.data();
    // Any of the session will do, also a used one.
    logout(&ann.refresh_token).await;
    assert_eq!(socket.frame("session_revoked").await["reason"], "revoked");
    assert_eq!(socket.closed().await, Some(4001));
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    server.user().post("/api/v3/auth/logout", &json!({})).await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_stolen_refresh_token_closes_the_sockets_of_its_session() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let mut socket = ann.connect().await;
    let mut token = ann.refresh_token.clone();
    for _ in 0..2 {
        let next = json!({ "refresh_token": token });
        let answer = server.user().post("/api/v3/auth/refresh", &next).await.data();
        token = text(&answer, "refresh_token").to_owned();
    }
    let first = json!({ "refresh_token": ann.refresh_token });
    server.user().post("/api/v3/auth/refresh", &first).await.failure(401, "unauthenticated");
    assert_eq!(socket.closed().await, Some(4001));
}

#[tokio::test]
async fn everyones_sessions_end_with_their_scripts() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.person("ann").await, admin.person("bob").await);
    let made = json!({ "name": "script", "scopes": ["read"] });
    let token = ann.api.post("/api/v3/auth/tokens", &made).await.data();
    let script = server.user().with(&format!("Bearer {}", text(&token, "token")));
    script.get("/api/v3/messages").await.data();
    let mut listening =
        Socket::open(&server.socket_url(), &[("authorization", script.authorization().unwrap())])
            .await
            .unwrap();
    let ended = admin.api.delete("/admin/api/v3/sessions").await.data();
    assert_eq!(ended, json!({ "ended": 3 }), "two sessions and a token");
    assert_eq!(listening.closed().await, Some(4001));
    for over in [&ann.api, &bob.api, &script] {
        over.get("/api/v3/messages").await.failure(401, "unauthenticated");
    }
    // Of one who is disabled neither.
    let again = admin.sign_in_person("ann", "second").await;
    let token = again.api.post("/api/v3/auth/tokens", &made).await.data();
    let script = server.user().with(&format!("Bearer {}", text(&token, "token")));
    script.get("/api/v3/messages").await.data();
    admin.post("users/ann/disable", json!({})).await.data();
    script.get("/api/v3/messages").await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_session_has_an_end_however_often_it_is_renewed() {
    let server = Setup::default().set("SESSION_MAX_TIME", "8s").start().await;
    let ann = server.admin().await.person("ann").await;
    let refresh = async |token: &str| {
        server.user().post("/api/v3/auth/refresh", &json!({ "refresh_token": token })).await
    };
    let second = refresh(&ann.refresh_token).await.data();
    let api = server.user().with(&format!("Bearer {}", text(&second, "access_token")));
    assert!(second["expires_in"].as_u64().unwrap() <= 8, "{second}");
    hongyan_harness::eventually("the end of the session", || async {
        (api.get("/api/v3/messages").await.status == 401).then_some(())
    })
    .await;
    hongyan_harness::eventually("the end of its renewals", || async {
        (refresh(text(&second, "refresh_token")).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_network_of_proxies_is_believed() {
    let networks = "127.0.0.0/8, 203.0.113.0/24, fd00::/8";
    let server = Setup::default().set("TRUSTED_PROXIES", networks).start().await;
    server.admin().await.person("ann").await;
    for (hops, expected) in [
        ("192.0.2.9", "192.0.2.9"),
        ("198.51.100.1, 192.0.2.9, fd12::5, 203.0.113.77", "192.0.2.9"),
        ("192.0.2.9, 203.0.114.1", "203.0.114.1"),
    ] {
        let body = json!({ "username": "ann", "password": "a-good-password" });
        let login = server.user().request(Method::POST, "/api/v3/auth/local/login").json(&body);
        let token = Reply::of(login.header("x-forwarded-for", hops)).await.data()["access_token"].clone();
        let ann = server.user().with(&format!("Bearer {}", token.as_str().unwrap()));
        let sessions = ann.get("/api/v3/auth/sessions").await.data();
        let session =
            sessions["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true);
        assert_eq!(session.unwrap()["address"], expected, "{hops}");
    }
}

#[tokio::test]
async fn strangers_from_one_place_are_bounded_and_nobody_elsewhere_is_held_to_it() {
    let server =
        Setup::default().set("AUTH_RATE_PER_ADDRESS", "5").set("TRUSTED_PROXIES", "127.0.0.1").start().await;
    let ann = server.admin().await.person("ann").await;
    let refresh = |token: &str, from: &str| {
        let request = server.user().request(Method::POST, "/api/v3/auth/refresh");
        Reply::of(request.json(&json!({ "refresh_token": token })).header("x-forwarded-for", from))
    };
    for _ in 0..5 {
        refresh("garbage", "2001:db8:1:2::1").await.failure(401, "unauthenticated");
    }
    // Of the same subscriber.
    let refused = refresh("garbage", "2001:db8:1:2:ffff::9").await;
    refused.failure(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    refresh(&ann.refresh_token, "192.0.2.7").await.data();
    // What is for something else is counted by itself.
    for _ in 0..5 {
        let request = server.user().request(Method::GET, "/api/v3/auth/local/login");
        let reply = Reply::of(request.header("x-forwarded-for", "2001:db8:1:2::1")).await;
        reply.data();
    }
    for (method, path, body) in [
        (Method::POST, "/api/v3/auth/token", json!({})),
        (Method::POST, "/api/v3/auth/link", json!({ "token": "x" })),
        (Method::PUT, "/api/v3/auth/link/password", json!({ "token": "x", "password": "a-good-password" })),
        (Method::POST, "/api/v3/auth/link/identity", json!({ "token": "x", "provider": "corp" })),
        (Method::POST, "/api/v3/auth/passkey/options", json!({})),
        (Method::POST, "/api/v3/auth/passkey/login", json!({})),
        (Method::GET, "/api/v3/auth/corp/callback?state=x&code=y", Value::Null),
        (Method::GET, "/api/v3/auth/corp/login", Value::Null),
        (Method::GET, "/api/v3/auth/local/login", Value::Null),
    ] {
        let request = server.user().request(method, path).header("x-forwarded-for", "2001:db8:1:2::1");
        Reply::of(request.json(&body)).await.failure(429, "rate_limited");
    }
}

#[tokio::test]
async fn only_named_pages_elsewhere_may_read_answers() {
    let server = Setup::default().set("CORS_ALLOWED_ORIGINS", "https://app.example").start().await;
    let ann = server.admin().await.user("ann").await;
    let from = |api: &Api, origin: &str| {
        Reply::of(api.request(Method::GET, "/api/v3/messages").header("origin", origin))
    };
    let named = from(&ann.api, "https://app.example").await;
    assert_eq!(named.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(named.header("access-control-allow-credentials"), None, "there is nothing but the header");
    assert!(named.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
    for foreign in [
        "https://evil.test",
        "null",
        "https://app.example.evil.test",
        "http://app.example",
        "https://app.example:8443",
    ] {
        assert_eq!(from(&ann.api, foreign).await.header("access-control-allow-origin"), None, "{foreign}");
    }
    let none = Setup::default().start().await;
    let reply = from(&none.user(), "https://app.example").await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn to_look_changes_nothing() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, sender) = (admin.person("ann").await, admin.sender("drive").await);
    let message = sender.send_to("ann", "unread").await;
    let state = async || {
        let sessions = ann.api.get("/api/v3/auth/sessions").await.data();
        let lasting = sessions["sessions"].as_array().unwrap().len();
        let audit = admin.get("audit?size=1").await.data()["total"].clone();
        let sent = admin.get("deliveries").await.data()["total"].clone();
        (lasting, audit, sent, ann.unread().await, ann.list("").await["total"].clone())
    };
    let before = state().await;
    for (gateway, callers) in [
        (server.user(), vec![ann.api.authorization(), sender.api.authorization(), None]),
        (server.admin_gateway(), vec![admin.api.authorization(), None]),
    ] {
        let document = gateway.get("/api/v3/openapi.json").await.json();
        for (path, operations) in document["paths"].as_object().unwrap() {
            // The door that others have made so: what is written for it sends by GET.
            if operations["get"].is_null() || path.starts_with("/ntfy") {
                continue;
            }
            for caller in &callers {
                let api = caller.map_or(gateway.clone(), |caller| gateway.with(caller));
                let path = match path.starts_with("/api/v3/messages/{id}") {
                    true => path.replace("{id}", &message),
                    false => path.replace("{provider}", "local").replace(['{', '}'], ""),
                };
                let reply = api.get(&path).await;
                assert!(reply.status < 500, "{path}: {}", reply.text);
            }
        }
    }
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn cookies_are_of_no_use_to_foreign_pages() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let server = setup.start().await;
    server.admin().await.person("ann").await;
    let mut visitor = Visitor::default();
    let body = json!({ "username": "ann", "password": "a-good-password", "cookie": true });
    let login = visitor.call(Method::POST, &format!("{url}/api/v3/auth/local/login"), None, &body).await;
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let foreign = |path: &str, kind: &str, body: &str| {
        let request = server.user().request(Method::POST, path).header("cookie", &cookie);
        let request = request.header("origin", "https://evil.test").header("content-type", kind);
        Reply::of(request.header("x-requested-with", "hongyan").body(body.to_owned()))
    };
    foreign("/api/v3/auth/refresh", "application/json", "{}").await.failure(403, "permission_denied");
    foreign("/api/v3/auth/refresh", "text/plain", "{}").await.failure(415, "unsupported_media_type");
    let form = foreign("/api/v3/auth/refresh", "application/x-www-form-urlencoded", "a=b").await;
    form.failure(415, "unsupported_media_type");
    foreign("/api/v3/auth/logout", "application/json", "{}").await.failure(401, "unauthenticated");
    visitor.refresh(&url).await.data();
}

#[tokio::test]
async fn a_name_that_is_disabled_is_told_apart_from_no_wrong_one() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("ann").await;
    admin.post("users/ann/disable", json!({})).await.data();
    let login = async |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password });
        let reply = server.user().post("/api/v3/auth/local/login", &body).await;
        reply.failure(401, "unauthenticated");
        reply.json()["message"].clone()
    };
    let wrong = login("nobody", "wrong-password").await;
    assert_eq!(login("ann", "a-good-password").await, wrong);
    assert_eq!(login("ann", "wrong-password").await, wrong);
}

#[tokio::test]
async fn every_change_of_an_account_takes_someone_who_has_just_signed_in_and_is_in_the_audit_log() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let foreign =
        server.user().with(&format!("Bearer {}", signed(&json!({ "sub": "ann", "session_id": "theirs" }))));
    for (method, path, body) in [
        (Method::POST, "/api/v3/auth/identities", json!({ "provider": "corp" })),
        (Method::DELETE, "/api/v3/auth/identities/x", Value::Null),
        (Method::POST, "/api/v3/auth/passkeys/options", json!({})),
        (Method::DELETE, "/api/v3/auth/passkeys/x", Value::Null),
        (Method::POST, "/api/v3/auth/totp", json!({})),
        (Method::DELETE, "/api/v3/auth/totp", Value::Null),
        (Method::POST, "/api/v3/auth/tokens", json!({ "name": "t", "scopes": ["read"] })),
    ] {
        let reply = Reply::of(foreign.request(method.clone(), path).json(&body)).await;
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text);
        reply.failure(403, "recent_sign_in_required");
    }
    let made = json!({ "name": "script", "scopes": ["read"] });
    let token = ann.api.post("/api/v3/auth/tokens", &made).await.data();
    ann.api.delete(&format!("/api/v3/auth/tokens/{}", text(&token, "id"))).await.data();
    admin.post("users/ann/link", json!({})).await.data();
    let identity = json!({ "provider": "corp", "subject": "1" });
    let unknown = admin.post("users/ann/identities", identity).await;
    assert_eq!(unknown.failure(422, "validation_failed"), ["provider"]);
    let sender = admin.sender("drive").await;
    admin.post(&format!("services/{}/rotate-key", sender.id), json!({})).await.data();
    let audit = admin.get("audit?size=50").await.data();
    let seen: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| text(entry, "action")).collect();
    for wanted in ["user.token_make", "user.link_make", "service.rotate_key"] {
        assert!(seen.contains(&wanted), "{wanted} is not in {seen:?}");
    }
    let whole = audit.to_string();
    for secret in [text(&token, "token"), sender.api.authorization().unwrap().split_once(' ').unwrap().1] {
        assert!(!whole.contains(secret));
    }
    let log = server.stderr();
    assert!(log.contains("signed in") && log.contains("address=\"127.0.0.1\""), "{log}");
    ann.api.post("/api/v3/auth/logout", &json!({})).await.data();
    assert!(server.stderr().contains("sessions were ended"), "{}", server.stderr());
    let login = json!({ "username": "ann", "password": "a-good-password" });
    server.admin_gateway().post("/admin/api/v3/auth/login", &login).await.failure(403, "permission_denied");
    assert!(server.stderr().contains("the user is no administrator"), "{}", server.stderr());
}

#[tokio::test]
async fn secrets_are_kept_from_others_on_the_machine_and_open_doors_are_said() {
    let server =
        Setup::default().unset("JWT_SECRET").set("PUBLIC_URL", "http://notices.example").start().await;
    let secret = server.users().parent().unwrap().join("system/jwt_secret");
    assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.stderr().contains("PUBLIC_URL is not https"), "{}", server.stderr());
    let server = Setup::default().file("log_level = \"info\"").start().await;
    let log = server.stderr();
    assert!(
        log.contains("everyone on this machine can read this file") && !log.contains("is not https"),
        "{log}"
    );
}

#[tokio::test]
async fn a_link_in_the_storage_leads_to_nobody_elses_messages() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob, sender) = (admin.user("ann").await, admin.user("bob").await, admin.sender("s").await);
    sender.send_to("ann", "secret").await;
    assert_eq!(ann.titles("").await, ["secret"]);
    symlink(server.users().join("ann"), server.users().join("bob")).unwrap();
    let reply = bob.api.get("/api/v3/messages").await;
    reply.failure(500, "inbox_damaged");
    assert!(!reply.text.contains("secret"));
    assert_eq!(ann.titles("").await, ["secret"]);
}

/// Sends a request whose body stops after its first part until `meanwhile` is over; gives the status of the answer.
async fn slowly(
    api: &Api,
    base: &str,
    method: &str,
    path: &str,
    body: &Value,
    meanwhile: impl Future<Output = ()>,
) -> u16 {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let (first, rest) = body.split_at(5);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{first}",
        api.authorization().unwrap(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    meanwhile.await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_request_that_was_begun_before_its_session_ended_does_nothing_after_it() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let token = json!({ "name": "left behind", "scopes": ["read", "write"] });
    for n in 0..3 {
        let thief = admin.sign_in_person("ann", &format!("thief-{n}")).await;
        let path = ["/api/v3/auth/tokens", "/api/v3/auth/tokens", "/api/v3/auth/profile"][n];
        let (method, body) =
            if n == 2 { ("PUT", json!({ "name": "Thief" })) } else { ("POST", token.clone()) };
        let status = slowly(&thief.api, server.url(), method, path, &body, async {
            match n {
                0 => drop(ann.api.delete("/api/v3/auth/sessions").await.data()),
                1 => {
                    drop(admin.api.delete(&format!("/admin/api/v3/sessions/{}", thief.session)).await.data())
                }
                _ => drop(thief.api.post("/api/v3/auth/logout", &json!({})).await.data()),
            }
        })
        .await;
        assert_eq!(status, 401, "{path}");
    }
    assert_eq!(ann.api.get("/api/v3/auth/tokens").await.data()["tokens"], json!([]));
    // An administrator likewise.
    let boss = json!({ "id": "boss", "username": "boss", "name": "Boss", "password": "a-good-password", "roles": ["admin"] });
    admin.post("users", boss).await.data();
    let login = json!({ "username": "boss", "password": "a-good-password" });
    let answer = server.admin_gateway().post("/admin/api/v3/auth/login", &login).await.data();
    let api = server.admin_gateway().with(&format!("Bearer {}", text(&answer, "access_token")));
    let crony = json!({ "id": "crony", "username": "crony", "name": "C", "password": "a-good-password", "roles": ["admin"] });
    let base = server.admin_url().to_owned();
    let status = slowly(&api, &base, "POST", "/admin/api/v3/users", &crony, async {
        admin.post("users/boss/disable", json!({})).await.data();
    })
    .await;
    assert_eq!(status, 401);
    admin.get("users/crony").await.failure(404, "not_found");
    // Who is let in is not kept out by taking their time.
    let status = slowly(&ann.api, server.url(), "POST", "/api/v3/auth/tokens", &token, async {}).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn of_two_changes_of_a_password_the_one_that_knew_what_is_so_counts() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    for round in 0..4 {
        let name = format!("user{round}");
        let thief = admin.person(&name).await;
        let link = admin.post(&format!("users/{name}/link"), json!({})).await.data();
        let token = text(&link, "url").rsplit('/').next().unwrap().to_owned();
        let reset = json!({ "token": token, "password": "owners-password" });
        let owners = Reply::of(server.user().request(Method::PUT, "/api/v3/auth/link/password").json(&reset));
        let change = json!({ "current": "a-good-password", "new": "thiefs-password" });
        let thiefs = Reply::of(thief.api.request(Method::PUT, "/api/v3/auth/password").json(&change));
        let (owners, _) = futures_util::future::join(owners, thiefs).await;
        owners.data();
        let login = json!({ "username": name, "password": "owners-password" });
        server.user().post("/api/v3/auth/local/login", &login).await.data();
    }
}
