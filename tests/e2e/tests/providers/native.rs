//! Programs of the person's own, signed in through the browser.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_harness::{Reply, Server, Setup, Visitor};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const VERIFIER: &str = "a-verifier-that-has-more-than-43-characters-as-it-must";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()))
}

fn login_path(client: &str) -> String {
    let redirect = "http%3A%2F%2F127.0.0.1%3A49152%2Fcallback";
    format!(
        "/api/v3/auth/local/login?client_id={client}&redirect_uri={redirect}&state=its%20own&device_name=Laptop\
         &code_challenge={}&code_challenge_method=S256",
        challenge()
    )
}

/// Signs the person in, in this browser; gives the access token.
async fn signed_in(visitor: &mut Visitor, server: &Server, name: &str, password: &str) -> String {
    let login = json!({ "username": name, "password": password, "cookie": true });
    let url = format!("{}/api/v3/auth/local/login", server.url());
    let answer = visitor.call(Method::POST, &url, None, &login).await.data();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Begins as a program does that opens the browser; gives the id of its request.
async fn begun(visitor: &mut Visitor, server: &Server, client: &str) -> String {
    let reply = visitor.open(&format!("{}{}", server.url(), login_path(client))).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    assert_eq!(
        (reply.header("cache-control"), reply.header("referrer-policy")),
        (Some("no-store"), Some("no-referrer"))
    );
    reply.header("location").unwrap().rsplit_once("/#/authorize/").unwrap().1.to_owned()
}

async fn decided(visitor: &mut Visitor, server: &Server, id: &str, token: &str, allow: bool) -> Reply {
    let url = format!("{}/api/v3/auth/requests/{id}", server.url());
    visitor.call(Method::POST, &url, Some(token), &json!({ "allow": allow })).await
}

/// What stands in the address to which the browser is sent.
fn query_of(redirect_to: &Value) -> Vec<(String, String)> {
    let text = redirect_to["redirect_to"].as_str().unwrap();
    assert!(text.starts_with(&format!("{REDIRECT}?")), "{text}");
    reqwest::Url::parse(text).unwrap().query_pairs().into_owned().collect()
}

fn code_of(redirect_to: &Value) -> String {
    let pairs = query_of(redirect_to);
    assert_eq!(pairs[1], ("state".to_owned(), "its own".to_owned()));
    assert_eq!((pairs[0].0.as_str(), pairs[2].0.as_str()), ("code", "iss"));
    pairs[0].1.clone()
}

fn redeeming(code: &str, client: &str) -> Value {
    json!({
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "client_id": client,
        "code_verifier": VERIFIER,
    })
}

#[tokio::test]
async fn a_program_is_signed_in_once_the_person_has_allowed_it() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    let mut browser = Visitor::default();
    let id = begun(&mut browser, &server, "desktop").await;
    let token = signed_in(&mut browser, &server, "ann", "a-good-password").await;
    let url = format!("{}/api/v3/auth/requests/{id}", server.url());
    let shown = browser.call(Method::GET, &url, Some(&token), &json!({})).await.data();
    assert_eq!((&shown["client_id"], &shown["device_name"]), (&json!("desktop"), &json!("Laptop")));
    // In no other browser, though it is the same person's.
    let mut other = Visitor::default();
    let elsewhere = signed_in(&mut other, &server, "ann", "a-good-password").await;
    other.call(Method::GET, &url, Some(&elsewhere), &json!({})).await.failure(404, "not_found");
    decided(&mut other, &server, &id, &elsewhere, true).await.failure(404, "not_found");
    let code = code_of(&decided(&mut browser, &server, &id, &token, true).await.data());
    // Once.
    decided(&mut browser, &server, &id, &token, true).await.failure(404, "not_found");
    let redeemed = server.user().post("/api/v3/auth/token", &redeeming(&code, "desktop")).await.data();
    assert_eq!((&redeemed["user"]["id"], &redeemed["token_type"]), (&json!("ann"), &json!("Bearer")));
    let api = server.user().with(&format!("Bearer {}", redeemed["access_token"].as_str().unwrap()));
    let sessions = api.get("/api/v3/auth/sessions").await.data();
    assert_eq!(sessions["sessions"][0]["device_name"], "Laptop");
    let refresh = json!({ "refresh_token": redeemed["refresh_token"] });
    server.user().post("/api/v3/auth/refresh", &refresh).await.data();
    // Nobody has shown anew who they are: it counts as just signed in no longer than what has allowed it.
    let allowed = server.user().with(&format!("Bearer {token}")).get("/api/v3/auth/security").await.data();
    let derived = api.get("/api/v3/auth/security").await.data();
    assert_eq!(
        (derived["recent_until"].is_string(), &derived["recent_until"]),
        (true, &allowed["recent_until"])
    );
    // The code is shown again: whoever had it first may be a thief.
    let again = server.user().post("/api/v3/auth/token", &redeeming(&code, "desktop")).await;
    again.failure(401, "unauthenticated");
    api.get("/api/v3/messages").await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_code_ends_with_the_session_that_allowed_it() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    for client in ["desktop", "admin-console"] {
        let mut browser = Visitor::default();
        let id = begun(&mut browser, &server, client).await;
        let token = signed_in(&mut browser, &server, "ann", "a-good-password").await;
        let code = code_of(&decided(&mut browser, &server, &id, &token, true).await.data());
        let api = server.user().with(&format!("Bearer {token}"));
        api.post("/api/v3/auth/logout", &json!({})).await.data();
        let gateway = if client == "desktop" { server.user() } else { server.admin_gateway() };
        let path = if client == "desktop" { "/api/v3/auth/token" } else { "/admin/api/v3/auth/token" };
        gateway.post(path, &redeeming(&code, client)).await.failure(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_program_is_told_when_the_person_declines() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    let mut browser = Visitor::default();
    let id = begun(&mut browser, &server, "desktop").await;
    let token = signed_in(&mut browser, &server, "ann", "a-good-password").await;
    let declined = query_of(&decided(&mut browser, &server, &id, &token, false).await.data());
    assert_eq!(declined[0], ("error".to_owned(), "access_denied".to_owned()));
}

#[tokio::test]
async fn what_a_program_asks_with_is_checked_before_anyone_is_sent_anywhere() {
    let server = Setup::default().start().await;
    let good = login_path("desktop");
    let without = |name: &str| {
        let (path, query) = good.split_once('?').unwrap();
        let kept: Vec<&str> =
            query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        format!("{path}?{}", kept.join("&"))
    };
    let changed = |name: &str, value: &str| format!("{}&{name}={value}", without(name));
    let mut cases = vec![
        (changed("client_id", "someone"), "client_id"),
        (changed("code_challenge_method", "plain"), "code_challenge_method"),
        (changed("code_challenge", "short"), "code_challenge"),
        (changed("device_id", "a/b"), "device_id"),
    ];
    for missing in ["redirect_uri", "state", "code_challenge", "code_challenge_method"] {
        cases.push((without(missing), missing));
    }
    for address in [
        "https%3A%2F%2Fevil.test%2Fcallback",
        "http%3A%2F%2Flocalhost%3A1%2Fcallback",
        "http%3A%2F%2F127.0.0.1%3A1%40evil.test%2Fcallback",
    ] {
        cases.push((changed("redirect_uri", address), "redirect_uri"));
    }
    for (path, field) in cases {
        let reply = Visitor::default().open(&format!("{}{path}", server.url())).await;
        assert_eq!(reply.failure(422, "validation_failed"), [field], "{path}");
        assert_eq!(reply.header("location"), None);
    }
    // Programs that are no browser are told the address.
    let told = server.user().get(&good).await.data();
    assert!(told["auth_url"].as_str().unwrap().contains("/#/authorize/"), "{told}");
}

#[tokio::test]
async fn a_code_as_a_form_is_answered_as_the_standard_has_it() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    let mut browser = Visitor::default();
    let id = begun(&mut browser, &server, "desktop").await;
    let token = signed_in(&mut browser, &server, "ann", "a-good-password").await;
    let code = code_of(&decided(&mut browser, &server, &id, &token, true).await.data());
    let form = |fields: &[(&str, &str)]| {
        let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = server.user().request(Method::POST, "/api/v3/auth/token");
        let kind = "application/x-www-form-urlencoded";
        Reply::of(request.header("content-type", kind).body(text.join("&").replace("://", "%3A%2F%2F")))
    };
    let whole = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("client_id", "desktop"),
        ("code_verifier", VERIFIER),
    ];
    let short = form(&whole[..4]).await;
    assert_eq!((short.status, &short.json()["error"]), (400, &json!("invalid_request")));
    let good = form(&whole).await;
    assert_eq!((good.status, &good.json()["token_type"]), (200, &json!("Bearer")), "{}", good.text);
    assert_eq!(good.header("cache-control"), Some("no-store"));
    let again = form(&whole).await;
    assert_eq!((again.status, again.json()), (400, json!({ "error": "invalid_grant" })));
}

#[tokio::test]
async fn administrators_are_let_in_by_the_same_way_and_nobody_else() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    for (name, password, status) in [("admin", "first-password", 200), ("ann", "a-good-password", 403)] {
        let mut browser = Visitor::default();
        let id = begun(&mut browser, &server, "admin-console").await;
        let token = signed_in(&mut browser, &server, name, password).await;
        let code = code_of(&decided(&mut browser, &server, &id, &token, true).await.data());
        // It is not for the other gateway.
        let asked = redeeming(&code, "admin-console");
        let answer = server.admin_gateway().post("/admin/api/v3/auth/token", &asked).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 200 {
            let bearer = format!("Bearer {}", answer.data()["access_token"].as_str().unwrap());
            server.admin_gateway().with(&bearer).get("/admin/api/v3/users").await.data();
        }
        server.user().post("/api/v3/auth/token", &asked).await.failure(401, "unauthenticated");
    }
}
