//! Built-in accounts, tokens, sessions.

use hongyan_harness::{Setup, signed};
use serde_json::{Value, json};

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
    let refresh = |token: String| {
        let user = server.user();
        async move { user.post("/api/v3/auth/refresh", &json!({ "refresh_token": token })).await }
    };
    let second = refresh(ann.refresh_token.clone()).await.data();
    assert_eq!(second["session_id"], ann.session);
    assert_eq!(second["device_id"], ann.device);
    // The answer was lost on its way: the same token again, a moment later.
    let again = refresh(ann.refresh_token.clone()).await.data();
    refresh(second["refresh_token"].as_str().unwrap().into()).await.failure(401, "unauthenticated");
    let third = refresh(again["refresh_token"].as_str().unwrap().into()).await.data();
    // Its successor has been used: it will not be needed any more.
    refresh(ann.refresh_token.clone()).await.failure(401, "unauthenticated");
    let bearer = format!("Bearer {}", third["access_token"].as_str().unwrap());
    server.user().with(&bearer).get("/api/v3/auth/profile").await.data();
    refresh("garbage".into()).await.failure(401, "unauthenticated");
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
    ann.api.get("/api/v3/messages").await.data();
    assert_eq!(admin.post("users/admin/disable", json!({})).await.failure(422, "validation_failed"), ["id"]);
}

#[tokio::test]
async fn a_password_changed_by_import_ends_the_sessions_and_no_one_imports_their_own_role_away() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let import = |line: serde_json::Value| {
        let request = admin.api.request(reqwest::Method::POST, "/admin/api/v3/users/import");
        hongyan_harness::Reply::of(request.body(line.to_string()))
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
