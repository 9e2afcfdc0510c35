//! What people do with their own accounts, and where administrators help.

use hongyan_harness::{Reply, Setup, signed};
use reqwest::Method;
use serde_json::{Value, json};

/// A red square of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

#[tokio::test]
async fn a_profile_is_changed_by_its_person() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.person("ann").await;
    let put = |body: Value| Reply::of(ann.api.request(Method::PUT, "/api/v3/auth/profile").json(&body));
    let changed = put(json!({ "name": " Ann Li ", "email": "ann@example.test" })).await.data();
    assert_eq!((&changed["name"], &changed["email"]), (&json!("Ann Li"), &json!("ann@example.test")));
    let cleared = put(json!({ "email": "" })).await.data();
    assert_eq!((&cleared["name"], &cleared["email"]), (&json!("Ann Li"), &Value::Null));
    for (body, field) in [
        (json!({ "name": "  " }), "name"),
        (json!({ "name": "a\u{202e}b" }), "name"),
        (json!({ "email": "none" }), "email"),
        (json!({ "roles": ["admin"] }), "roles"),
    ] {
        assert_eq!(put(body).await.failure(422, "validation_failed"), [field]);
    }
}

#[tokio::test]
async fn a_picture_is_written_anew_and_goes_with_its_person() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let put = |bytes: &[u8]| {
        let request = ann.api.request(Method::PUT, "/api/v3/auth/profile/avatar");
        Reply::of(request.header("content-type", "image/png").body(bytes.to_vec()))
    };
    let profile = put(PNG).await.data();
    let path = profile["avatar"].as_str().unwrap().to_owned();
    let picture = server.user().get(&path).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    assert!(picture.header("content-security-policy").unwrap().contains("sandbox"));
    for bad in [&b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"[..], b"", b"<html>"] {
        assert_eq!(put(bad).await.failure(422, "validation_failed"), ["body"]);
    }
    admin.api.delete("/admin/api/v3/users/ann").await.data();
    server.user().get(&path).await.failure(404, "not_found");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_ends_what_else_was_open() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let here = admin.person("ann").await;
    let there = admin.sign_in_person("ann", "second").await;
    let put = |body: Value| Reply::of(here.api.request(Method::PUT, "/api/v3/auth/password").json(&body));
    put(json!({ "current": "wrong-password", "new": "another-password" }))
        .await
        .failure(401, "unauthenticated");
    assert_eq!(
        put(json!({ "new": "another-password" })).await.failure(422, "validation_failed"),
        ["current"]
    );
    let short = put(json!({ "current": "a-good-password", "new": "short" })).await;
    assert_eq!(short.failure(422, "validation_failed"), ["new"]);
    there.api.get("/api/v3/messages").await.data();
    put(json!({ "current": "a-good-password", "new": "another-password" })).await.data();
    there.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    here.api.get("/api/v3/messages").await.data();
    let audit = admin.get("audit?target=ann&action=user.password").await.data();
    assert_eq!(audit["entries"][0]["actor"], "ann");
}

#[tokio::test]
async fn what_is_dangerous_takes_someone_who_has_just_signed_in() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("ann").await;
    // Signed by someone else: of that session nothing is known.
    let foreign =
        server.user().with(&format!("Bearer {}", signed(&json!({ "sub": "ann", "session_id": "theirs" }))));
    let token = json!({ "name": "t", "scopes": ["read"] });
    foreign.post("/api/v3/auth/tokens", &token).await.failure(403, "recent_sign_in_required");
    foreign.post("/api/v3/auth/totp", &json!({})).await.failure(403, "recent_sign_in_required");
    foreign
        .post("/api/v3/auth/confirm", &json!({ "password": "wrong-password" }))
        .await
        .failure(401, "unauthenticated");
    foreign.post("/api/v3/auth/confirm", &json!({})).await.failure(422, "validation_failed");
    foreign.post("/api/v3/auth/confirm", &json!({ "password": "a-good-password" })).await.data();
    foreign.post("/api/v3/auth/tokens", &token).await.data();
}

#[tokio::test]
async fn a_one_time_link_sets_a_password_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let make = || async {
        let link = admin.post("users/ann/link", json!({ "expires_in": "2h" })).await.data();
        link["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let (void, token) = (make().await, make().await);
    let set = |token: &str, password: &str| {
        let body = json!({ "token": token, "password": password });
        Reply::of(server.user().request(Method::PUT, "/api/v3/auth/link/password").json(&body))
    };
    set(&void, "another-password").await.failure(404, "not_found");
    assert_eq!(set(&token, "short").await.failure(422, "validation_failed"), ["password"]);
    set(&token, "another-password").await.data();
    set(&token, "third-password").await.failure(404, "not_found");
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    let login = json!({ "username": "ann", "password": "another-password" });
    server.user().post("/api/v3/auth/local/login", &login).await.data();
    let long = admin.post("users/ann/link", json!({ "expires_in": "8000h" })).await;
    assert_eq!(long.failure(422, "validation_failed"), ["expires_in"]);
    admin.post("users/nobody/link", json!({})).await.failure(404, "not_found");
    // A disabled one's is of no use.
    let token = make().await;
    admin.post("users/ann/disable", json!({})).await.data();
    set(&token, "fourth-password").await.failure(404, "not_found");
}

#[tokio::test]
async fn whoever_has_a_way_into_an_account_changed_is_told_at_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let mut elsewhere = ann.connect().await;
    let token = json!({ "name": "backup <b>", "scopes": ["read"] });
    ann.api.post("/api/v3/auth/tokens", &token).await.data();
    let told = elsewhere.frame("message").await;
    assert_eq!(
        (&told["message_type"], &told["metadata"]["event"]),
        (&json!("account_security"), &json!("token_made"))
    );
    assert!(
        told["content"].as_str().unwrap().contains("The personal token “backup <b>” was made."),
        "{told}"
    );
    let reset = Reply::of(
        admin
            .api
            .request(Method::PUT, "/admin/api/v3/users/ann")
            .json(&json!({ "password": "another-password" })),
    );
    reset.await.data();
    admin
        .post("users/ann/identities", json!({ "provider": "none", "subject": "1" }))
        .await
        .failure(422, "validation_failed");
    // There is none: nothing is changed, and nothing told.
    admin.api.delete("/admin/api/v3/users/ann/second-factors").await.data();
    // Whoever comes later reads it too, and nobody else does.
    let login = json!({ "username": "ann", "password": "another-password" });
    let again = server.user().post("/api/v3/auth/local/login", &login).await.data();
    let again = server.user().with(&format!("Bearer {}", again["access_token"].as_str().unwrap()));
    let listed = again.get("/api/v3/messages?message_type=account_security").await.data();
    let events: Vec<&Value> =
        listed["messages"].as_array().unwrap().iter().map(|message| &message["metadata"]["event"]).collect();
    assert_eq!(events, ["password_set", "token_made"]);
    assert_eq!(admin.person("bob").await.list("").await["total"], 0);
    // Nobody else can say such a thing.
    let forged = json!({ "title": "t", "recipients": ["bob"], "message_type": "account_security" });
    let sender = admin.system_sender("s").await;
    for reply in [sender.send(forged.clone()).await, again.post("/api/v3/messages/send", &forged).await] {
        assert_eq!(reply.failure(422, "validation_failed"), ["message_type"]);
    }
}

#[tokio::test]
async fn an_account_is_not_changed_without_end() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.person("ann").await, admin.person("bob").await);
    let put = |api: &hongyan_harness::Api| {
        Reply::of(api.request(Method::PUT, "/api/v3/auth/profile").json(&json!({ "name": "Ann" })))
    };
    let mut refused = None;
    for _ in 0..200 {
        let reply = put(&ann.api).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a bound");
    refused.failure(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    // Looking is free, and others are not held to it.
    ann.api.get("/api/v3/auth/profile").await.data();
    put(&bob.api).await.data();
}
