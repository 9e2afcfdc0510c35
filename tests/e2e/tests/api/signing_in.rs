//! Built-in accounts, tokens, sessions.

use hongyan_harness::{Reply, Server, Setup, signed};
use serde_json::{Value, json};

async fn refresh(server: &Server, token: &str) -> Reply {
    server.user().post("/api/v3/auth/refresh", &json!({ "refresh_token": token })).await
}

#[track_caller]
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_the_same() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("ann").await;
    let login = |username: &str, password: &str| {
        let body = json!({ "username": username, "password": password });
        let user = server.user();
        async move { user.post("/api/v3/auth/local/login", &body).await }
    };
    let (wrong, unknown) = (login("ann", "wrong-password").await, login("nobody", "wrong-password").await);
    wrong.failure(401, "unauthenticated");
    unknown.failure(401, "unauthenticated");
    assert_eq!(wrong.json()["message"], unknown.json()["message"]);
    let good = login("Ann", "a-good-password").await.data();
    assert_eq!(good["token_type"], "Bearer");
    assert_eq!(good["user"]["id"], "ann");
    assert!(good["device_id"].is_string() && good["session_id"].is_string() && good["expires_in"] == 7200);
    // A person is no administrator.
    let body = json!({ "username": "ann", "password": "a-good-password" });
    server.admin_gateway().post("/admin/api/v3/auth/login", &body).await.failure(403, "permission_denied");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let second = refresh(&server, &ann.refresh_token).await.data();
    assert_eq!(second["session_id"], ann.session);
    assert_eq!(second["device_id"], ann.device);
    // The answer was lost on its way: the same token again, a moment later, has the same successor.
    let again = refresh(&server, &ann.refresh_token).await.data();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    let third = refresh(&server, text(&second, "refresh_token")).await.data();
    let ann_again = server.user().with(&format!("Bearer {}", text(&third, "access_token")));
    ann_again.get("/api/v3/auth/profile").await.data();
    // What is no token of any session ends none.
    for garbage in ["garbage", "a.b.c", &format!("{}.x.y", ann.session)] {
        refresh(&server, garbage).await.failure(401, "unauthenticated");
    }
    ann_again.get("/api/v3/auth/profile").await.data();
    // The first one was used, and so was its successor: someone has a copy.
    refresh(&server, &ann.refresh_token).await.failure(401, "unauthenticated");
    refresh(&server, text(&third, "refresh_token")).await.failure(401, "unauthenticated");
    ann_again.get("/api/v3/auth/profile").await.failure(401, "unauthenticated");
    assert!(server.stderr().contains("a refresh token was used again"), "{}", server.stderr());
}

#[tokio::test]
async fn fifty_refreshes_in_one_moment_leave_one_chain() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let answers = (0..50).map(|_| refresh(&server, &ann.refresh_token));
    let answers = futures_util::future::join_all(answers).await;
    let tokens: std::collections::HashSet<String> =
        answers.iter().map(|answer| text(&answer.data(), "refresh_token").to_owned()).collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    refresh(&server, tokens.iter().next().unwrap()).await.data();
}

#[tokio::test]
async fn a_page_has_its_refresh_token_in_a_cookie_and_uses_it_nowhere_else() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let login = json!({ "username": "ann", "password": "a-good-password", "cookie": true });
    let page = |path: &str, body: &Value, cookie: &str, extra: &[(&str, &str)]| {
        let mut request = server.user().request(reqwest::Method::POST, path).json(body);
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        Reply::of(request)
    };
    const OURS: (&str, &str) = ("x-requested-with", "hongyan");
    // A form on a foreign page cannot do this.
    page("/api/v3/auth/local/login", &login, "", &[]).await.failure(403, "permission_denied");
    let signed_in = page("/api/v3/auth/local/login", &login, "", &[OURS]).await;
    assert!(signed_in.data()["refresh_token"].is_null());
    assert_eq!(signed_in.header("cache-control"), Some("no-store"));
    let set = signed_in.header("set-cookie").unwrap().to_owned();
    for part in ["hongyan_session=", "Path=/api/v3/auth", "HttpOnly", "SameSite=Strict", "Max-Age=2591"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let refresh_path = "/api/v3/auth/refresh";
    for foreign in [
        &[][..],
        &[OURS, ("sec-fetch-site", "cross-site")],
        &[OURS, ("origin", "https://evil.test")],
        &[OURS, ("origin", "null")],
    ] {
        page(refresh_path, &json!({}), &cookie, foreign).await.failure(403, "permission_denied");
    }
    let refreshed = page(refresh_path, &json!({}), &cookie, &[OURS, ("sec-fetch-site", "same-origin")]).await;
    let bearer = format!("Bearer {}", text(&refreshed.data(), "access_token"));
    let next = refreshed.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    // A cookie is no credential for anything else.
    let profile = server.user().request(reqwest::Method::GET, "/api/v3/auth/profile").header("cookie", &next);
    Reply::of(profile).await.failure(401, "unauthenticated");
    // Signing out takes it away, and is no fault the second time.
    let out = page("/api/v3/auth/logout", &json!({}), &next, &[OURS]).await;
    out.data();
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    page("/api/v3/auth/logout", &json!({}), &next, &[OURS]).await.data();
    server.user().with(&bearer).get("/api/v3/auth/profile").await.failure(401, "unauthenticated");
    let late = page(refresh_path, &json!({}), &next, &[OURS]).await;
    late.failure(401, "unauthenticated");
    assert!(late.header("set-cookie").unwrap().contains("Max-Age=0"));
    // What a program keeps is of no use in a cookie, and the other way round: whoever tries has taken it from someone.
    let stolen = format!("hongyan_session={}", ann.refresh_token);
    page(refresh_path, &json!({}), &stolen, &[OURS]).await.failure(401, "unauthenticated");
    ann.api.get("/api/v3/auth/profile").await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_script_has_a_token_that_allows_less() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    admin.user("bob").await;
    let make = |scopes: Value| {
        let body = json!({ "name": "backup script", "scopes": scopes, "expires_in_days": 30 });
        let api = ann.api.clone();
        async move { api.post("/api/v3/auth/tokens", &body).await }
    };
    let (reads, tells) = (make(json!(["read"])).await.data(), make(json!(["send:self"])).await.data());
    let with = |token: &Value| server.user().with(&format!("Bearer {}", text(token, "token")));
    let (reader, teller) = (with(&reads), with(&tells));
    let to = |who: &[&str]| json!({ "title": "done", "recipients": who });
    teller.post("/api/v3/messages/send", &to(&["ann"])).await.data();
    teller.post("/api/v3/messages/send", &to(&["ann", "bob"])).await.failure(403, "permission_denied");
    teller.post("/api/v3/messages/send", &to(&["bob"])).await.failure(403, "permission_denied");
    let replacing = json!({ "title": "done", "recipients": ["ann"], "thread_key": "k" });
    teller.post("/api/v3/messages/send", &replacing).await.failure(403, "permission_denied");
    teller.get("/api/v3/messages").await.failure(403, "permission_denied");
    let listed = reader.get("/api/v3/messages").await.data();
    assert_eq!(listed["messages"][0]["title"], "done");
    reader.post("/api/v3/auth/ws-ticket", &json!({})).await.data();
    reader.post("/api/v3/messages/send", &to(&["ann"])).await.failure(403, "permission_denied");
    reader
        .post("/api/v3/messages/read-batch", &json!({ "all": true }))
        .await
        .failure(403, "permission_denied");
    // None of them looks after the account.
    let writer = with(&make(json!(["read", "write"])).await.data());
    writer.post("/api/v3/messages/read-batch", &json!({ "all": true })).await.data();
    let more = json!({ "name": "more", "scopes": ["write"] });
    writer.post("/api/v3/auth/tokens", &more).await.failure(403, "permission_denied");
    writer.get("/api/v3/auth/sessions").await.failure(403, "permission_denied");
    // Listed without what proves them, ended like sessions.
    let tokens = ann.api.get("/api/v3/auth/tokens").await.data();
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 3, "{tokens}");
    assert!(!tokens.to_string().contains(text(&reads, "token")));
    ann.api.delete(&format!("/api/v3/auth/tokens/{}", text(&reads, "id"))).await.data();
    reader.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let server = server.start_again().await;
    let with = |token: &Value| server.user().with(&format!("Bearer {}", text(token, "token")));
    with(&reads).get("/api/v3/messages").await.failure(401, "unauthenticated");
    with(&tells).post("/api/v3/messages/send", &to(&["ann"])).await.data();
    for (body, field) in [
        (json!({ "name": "", "scopes": ["read"] }), "name"),
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["read"], "expires_in_days": 0 }), "expires_in_days"),
    ] {
        assert_eq!(
            ann.api.post("/api/v3/auth/tokens", &body).await.failure(422, "validation_failed"),
            [field]
        );
    }
}

#[tokio::test]
async fn scopes_of_a_signed_token_count() {
    let server = Setup::default().start().await;
    server.admin().await.user("ann").await;
    let with = |scope: Value| {
        server.user().with(&format!("Bearer {}", signed(&json!({ "sub": "ann", "scope": scope }))))
    };
    let read = with(json!(["read"]));
    read.get("/api/v3/messages").await.data();
    read.post("/api/v3/messages/read-batch", &json!({ "all": true })).await.failure(403, "permission_denied");
    with(json!(["unknown"])).get("/api/v3/messages").await.failure(403, "permission_denied");
    with(json!(["read", "write"])).post("/api/v3/messages/read-batch", &json!({ "all": true })).await.data();
}

#[tokio::test]
async fn failing_too_often_has_an_end_and_is_the_same_for_a_name_that_is_not_there() {
    let server = Setup::default().set("TRUSTED_PROXIES", "127.0.0.1").start().await;
    let admin = server.admin().await;
    admin.person("ann").await;
    let login = |name: &str, password: &str, from: &str| {
        let body = json!({ "username": name, "password": password });
        let request = server.user().request(reqwest::Method::POST, "/api/v3/auth/local/login");
        Reply::of(request.json(&body).header("x-forwarded-for", from))
    };
    for name in ["ann", "nobody"] {
        for _ in 0..10 {
            login(name, "wrong-password", "192.0.2.1").await.failure(401, "unauthenticated");
        }
        let refused = login(name, "a-good-password", "192.0.2.1").await;
        refused.failure(429, "rate_limited");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 600);
    }
    // Nobody else is kept out by it, and she is not from elsewhere.
    login("ann", "a-good-password", "192.0.2.2").await.data();
    assert!(server.stderr().contains("a login was refused"), "{}", server.stderr());
}

#[tokio::test]
async fn administrators_end_sessions_of_one_and_of_all() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.person("ann").await, admin.person("bob").await);
    let here = admin.sign_in_person("ann", "second").await;
    let foreign = server.user().with(&format!("Bearer {}", signed(&json!({ "sub": "ann", "iat": 1 }))));
    foreign.get("/api/v3/messages").await.data();
    // Herself: all but the one that calls.
    assert_eq!(here.api.delete("/api/v3/auth/sessions").await.data(), json!({ "ended": 1 }));
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    here.api.get("/api/v3/messages").await.data();
    // An administrator: all, whoever signed them.
    let mut socket = here.connect().await;
    assert_eq!(admin.api.delete("/admin/api/v3/users/ann/sessions").await.data(), json!({ "ended": 1 }));
    here.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    foreign.get("/api/v3/messages").await.failure(401, "unauthenticated");
    assert_eq!(socket.closed().await, Some(4001));
    bob.api.get("/api/v3/messages").await.data();
    admin.api.delete("/admin/api/v3/users/nobody/sessions").await.failure(404, "not_found");
    // Everyone, but the administrator who calls.
    assert_eq!(admin.api.delete("/admin/api/v3/sessions").await.data(), json!({ "ended": 1 }));
    bob.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let audit = admin.api.get("/admin/api/v3/audit?action=session").await.data();
    assert_eq!(audit["entries"].as_array().unwrap().len(), 3, "{audit}");
    let again = admin.sign_in_person("ann", "third").await;
    let _server = server.start_again().await;
    bob.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    foreign.get("/api/v3/messages").await.failure(401, "unauthenticated");
    again.api.get("/api/v3/messages").await.data();
}

#[tokio::test]
async fn what_is_ended_stays_ended_after_a_restart() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let first = admin.person("ann").await;
    let second = admin.sign_in_person("ann", "second").await;
    let bob = admin.person("bob").await;
    let sessions = first.api.get("/api/v3/auth/sessions").await.data();
    let shown: Vec<&Value> = sessions["sessions"].as_array().unwrap().iter().collect();
    assert_eq!(shown.len(), 2);
    assert_eq!((&shown[0]["id"], &shown[0]["current"]), (&json!(second.session), &json!(false)));
    assert_eq!((&shown[1]["device_id"], &shown[1]["current"]), (&json!(first.device), &json!(true)));
    // Not one's own.
    bob.api.delete(&format!("/api/v3/auth/sessions/{}", second.session)).await.failure(404, "not_found");
    first.api.delete(&format!("/api/v3/auth/sessions/{}", second.session)).await.data();
    second.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    bob.api.post("/api/v3/auth/logout", &json!({})).await.data();
    bob.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let _server = server.start_again().await;
    second.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    bob.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    first.api.get("/api/v3/messages").await.data();
}

#[tokio::test]
async fn a_token_that_someone_else_signed_with_the_secret_is_enough() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let as_ann = |claims: Value| server.user().with(&format!("Bearer {}", signed(&claims)));
    as_ann(json!({ "sub": "some-uuid", "user_id": "ann" })).get("/api/v3/messages").await.data();
    as_ann(json!({ "sub": "ann" })).get("/api/v3/messages").await.data();
    let api = as_ann(json!({ "sub": "ann", "session_id": "theirs" }));
    api.post("/api/v3/auth/logout", &json!({})).await.data();
    api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    // The secret is changed: the one before still verifies where it is named.
    let old = as_ann(json!({ "sub": "ann" }));
    let new_secret = "a new secret that also has more than 32 bytes";
    let server = server.start_again_with("JWT_SECRET", new_secret).await;
    old.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let before = "a secret of tests that has more than 32 bytes";
    let _server = server.start_again_with("JWT_SECRET_PREVIOUS", before).await;
    old.get("/api/v3/messages").await.data();
}

#[tokio::test]
async fn a_disabled_user_is_refused_at_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    admin.post("users/ann/disable", json!({})).await.data();
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let login = json!({ "username": "ann", "password": "a-good-password" });
    server.user().post("/api/v3/auth/local/login", &login).await.failure(401, "unauthenticated");
    let refresh = json!({ "refresh_token": ann.refresh_token });
    server.user().post("/api/v3/auth/refresh", &refresh).await.failure(401, "unauthenticated");
    admin.post("users/ann/enable", json!({})).await.data();
    // What there was before has ended; they sign in again.
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    server.user().post("/api/v3/auth/refresh", &refresh).await.failure(401, "unauthenticated");
    server.user().post("/api/v3/auth/local/login", &login).await.data();
    assert_eq!(admin.post("users/admin/disable", json!({})).await.failure(422, "validation_failed"), ["id"]);
}

#[tokio::test]
async fn a_password_changed_by_import_ends_the_sessions_and_no_one_imports_their_own_role_away() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let import = |line: serde_json::Value| {
        let request = admin.api.request(reqwest::Method::POST, "/admin/api/v3/users/import");
        Reply::of(request.body(line.to_string()))
    };
    import(json!({ "id": "ann", "username": "ann", "name": "Ann", "password": "another-password" }))
        .await
        .data();
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let refresh = json!({ "refresh_token": ann.refresh_token });
    server.user().post("/api/v3/auth/refresh", &refresh).await.failure(401, "unauthenticated");
    let own = import(json!({ "username": "admin", "name": "A", "roles": [] })).await.data();
    assert_eq!((&own["updated"], &own["failed"][0]["line"]), (&json!(0), &json!(1)), "{own}");
}

#[tokio::test]
async fn passwords_can_be_switched_off() {
    let server = Setup::default().set("LOCAL_LOGIN", "false").start().await;
    let login = json!({ "username": "admin", "password": "first-password" });
    server.user().post("/api/v3/auth/local/login", &login).await.failure(403, "permission_denied");
}
