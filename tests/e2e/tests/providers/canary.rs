//! No secret is where it does not belong: everything that is written while people sign in in every way is searched for
//! every secret that was used.

use crate::steps::{Site, totp};
use hongyan_harness::{OidcKind, Setup, Visitor};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}

/// Every file below a folder that holds one of the secrets.
pub fn holding(folder: &Path, secrets: &[String], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, secrets, found);
        } else if path.extension().is_none_or(|kind| kind != "toml") {
            let bytes = std::fs::read(&path).unwrap_or_default();
            for secret in secrets {
                if bytes.windows(secret.len()).any(|part| part == secret.as_bytes()) {
                    found.push(format!("{secret} in {}", path.display()));
                }
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_kept_whoever_signs_in_and_however() {
    let site = Site::start(OidcKind::Certified, "", |setup: Setup| {
        setup.set("LOG_LEVEL", "trace").unset("JWT_SECRET").set("BOOTSTRAP_ADMIN_PASSWORD", "first-password")
    })
    .await;
    let mut secrets =
        vec![site.oidc.client().1.to_owned(), "a-good-password".to_owned(), "first-password".to_owned()];
    let mut answers = Vec::new();
    let admin = site.server.admin().await;
    secrets.push(admin.api.authorization().unwrap().trim_start_matches("Bearer ").to_owned());
    let ann = admin.person("ann").await;
    secrets.extend([ann.token().to_owned(), ann.refresh_token.clone()]);
    let refreshed =
        site.server.user().post("/api/v3/auth/refresh", &json!({ "refresh_token": ann.refresh_token })).await;
    secrets.extend([text(&refreshed.data(), "access_token"), text(&refreshed.data(), "refresh_token")]);
    let api = site.server.user().with(&format!("Bearer {}", text(&refreshed.data(), "access_token")));
    // At a provider: state, code, verifier and its tokens pass through.
    let mut visitor = Visitor::default();
    let (back, _) = visitor.follow(&site.login_url("/"), "").await;
    answers.push(back);
    site.sign_in(&mut Visitor::default(), "alice", "/").await;
    // And what goes wrong there.
    let wrong = Visitor::default()
        .open(&format!("{}/api/v3/auth/corp/callback?state=canary-state&code=canary-code", site.url))
        .await;
    answers.push(wrong.header("location").unwrap().to_owned());
    secrets.extend(["canary-state".to_owned(), "canary-code".to_owned()]);
    // A token for a script, a ticket, a link, a second factor.
    let token = api.post("/api/v3/auth/tokens", &json!({ "name": "t", "scopes": ["read"] })).await.data();
    secrets.push(text(&token, "token"));
    let script = site.server.user().with(&format!("Bearer {}", text(&token, "token")));
    script.get("/api/v3/messages").await.data();
    let ticket = text(&api.post("/api/v3/auth/ws-ticket", &json!({})).await.data(), "ticket");
    secrets.push(ticket.clone());
    site.server.user().get(&format!("/ws?ticket={ticket}")).await.failure(422, "validation_failed");
    let link = text(&admin.post("users/ann/link", json!({})).await.data(), "url");
    secrets.push(link.rsplit('/').next().unwrap().to_owned());
    let offer = api.post("/api/v3/auth/totp", &json!({})).await.data();
    let proof = Visitor::default()
        .call(
            Method::PUT,
            &format!("{}/api/v3/auth/totp", site.url),
            Some(&text(&refreshed.data(), "access_token")),
            &json!({ "code": totp(&text(&offer, "secret")) }),
        )
        .await
        .data();
    secrets.extend(
        proof["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()),
    );
    let key =
        text(&admin.post("services", json!({ "name": "s", "type": "internal" })).await.data(), "api_key");
    secrets.push(key.clone());
    site.server
        .user()
        .with(&format!("Service {key}"))
        .post("/api/v3/messages/send", &json!({ "title": "t", "recipients": ["ann"] }))
        .await
        .data();
    // A wrong password, and one in the wrong place.
    let login = json!({ "username": "canary-password-in-the-name", "password": "canary-wrong-password" });
    answers.push(site.server.user().post("/api/v3/auth/local/login", &login).await.text);
    secrets.push("canary-wrong-password".to_owned());

    let log = site.server.stderr();
    let kept =
        std::fs::read_to_string(site.server.users().parent().unwrap().join("system/jwt_secret")).unwrap();
    secrets.push(kept.trim().to_owned());
    for secret in &secrets {
        assert!(secret.len() >= 8, "{secret}");
        let at = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(at.is_none(), "{secret} is logged: {}", at.unwrap_or_default());
        assert!(!answers.iter().any(|answer| answer.contains(secret.as_str())), "{secret} is in an answer");
    }
    // On the disk are hashes, and the secret that signs.
    secrets.pop();
    let mut found = Vec::new();
    holding(site.server.users().parent().unwrap(), &secrets, &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert!(log.contains("signed in"), "the log is there");
}
