//! Signing in and the settings, clicked through in a browser.

use crate::steps::Site;
use hongyan_harness::{Browser, OidcKind, Setup};
use serde_json::{Value, json};

/// What the page says has not worked.
const SAID: &str = "return [...document.querySelectorAll('[data-testid=\"error\"]:not([hidden])')]\
                    .map(line => line.textContent).join()";

#[tokio::test]
async fn people_sign_in_at_a_provider_through_its_pages() {
    for kind in [OidcKind::Certified, OidcKind::PythonMock] {
        let site = Site::start(kind, "", |setup| setup).await;
        let window = Browser::start().await;
        window.open(&site.url).await;
        window.text("provider-corp", "Sign in with The Corporation").await;
        window.click("provider-corp").await;
        window.consent(kind, "alice").await;
        window.shown("message-list").await;
        window.text("profile-name", "Alice Example").await;
        // Nothing of it is where a script could take it from.
        window.script_until("return [document.cookie, localStorage.length]", json!(["", 0])).await;
        window.script_until("return location.href", json!(format!("{}/", site.url))).await;
        window.click("settings").await;
        window.shown("device-item").await;
        let named = "return document.querySelector('[data-testid=\"device-item\"]').textContent";
        let named = window.client.execute(named, Vec::new()).await.unwrap();
        let named = named.as_str().unwrap();
        assert!(named.contains("Chrome, Linux") && named.contains("The Corporation"), "{named}");
        window.click("to-inbox").await;
        // A reload goes on, another tab shares the session, and signing out ends it in both.
        window.open(&site.url).await;
        window.shown("message-list").await;
        let first = window.new_tab().await;
        window.open(&site.url).await;
        window.shown("message-list").await;
        let second = window.go_to(first).await;
        window.click("sign-out").await;
        window.shown("provider-corp").await;
        window.go_to(second).await;
        window.shown("provider-corp").await;
    }
}

#[tokio::test]
async fn who_declines_or_is_not_let_in_reads_why() {
    let site = Site::start(OidcKind::Certified, "", |setup| setup.set("SIGN_UP", "invitation")).await;
    let window = Browser::start().await;
    window.open(&site.url).await;
    window.click("provider-corp").await;
    window.refuse(OidcKind::Certified).await;
    window.text("refusal", "The Corporation: You declined. You can try again, or sign in another way.").await;
    window.click("provider-corp").await;
    window.consent(OidcKind::Certified, "alice").await;
    window
        .text("refusal", "The Corporation: You have not been invited yet. Please ask an administrator.")
        .await;
    window.click("language").await;
    window.text("refusal", "The Corporation：你还没有被邀请，请联系管理员。").await;
}

#[tokio::test]
async fn devices_password_and_tokens_are_seen_to_in_the_settings() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let elsewhere = admin.person("ann").await;
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("ann").await;
    window.click("settings").await;
    let devices = "return document.querySelectorAll('[data-testid=\"device-item\"]').length";
    window.script_until(devices, json!(2)).await;
    // A slip of the finger ends nothing.
    let other = format!("[data-session-id='{}'] [data-testid='device-end']", elsewhere.session);
    window.click_css(&other).await;
    elsewhere.api.get("/api/v3/messages").await.data();
    window.click_css(&other).await;
    window.script_until(devices, json!(1)).await;
    elsewhere.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    // Profile.
    window.fill("settings-name", "Ann Li").await;
    window.click("settings-save").await;
    window.text("notice", "Saved.").await;
    // A token for a script.
    window.fill("token-name", "backup").await;
    window.click("token-scope-read").await;
    window.click("token-make").await;
    window.shown("token-new").await;
    let shown = "return document.querySelector('[data-testid=\"token-new\"]').textContent";
    let token = window.client.execute(shown, Vec::new()).await.unwrap();
    let script = server.user().with(&format!("Bearer {}", token.as_str().unwrap()));
    script.get("/api/v3/messages").await.data();
    // The password.
    window.fill("password-current", "wrong-password").await;
    window.fill("password-new", "another-password").await;
    window.click("password-save").await;
    window.script_until(SAID, json!("The password is not right. Please try again.")).await;
    window.fill("password-current", "a-good-password").await;
    window.click("password-save").await;
    window
        .text(
            "password-saved",
            "The password is set. Other devices are signed out, and personal tokens have ended.",
        )
        .await;
    script.get("/api/v3/messages").await.failure(401, "unauthenticated");
    // This window goes on.
    window.click("to-inbox").await;
    window.shown("message-list").await;
    window.text("profile-name", "Ann Li").await;
    let login = json!({ "username": "ann", "password": "a-good-password" });
    server.user().post("/api/v3/auth/local/login", &login).await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_second_factor_is_set_up_asked_for_and_replaced_by_a_recovery_code() {
    let server = Setup::default().start().await;
    server.admin().await.person("ann").await;
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("ann").await;
    window.click("settings").await;
    window.click("totp-start").await;
    window.shown("totp-secret").await;
    let read = |id: &str| format!("return document.querySelector('[data-testid=\"{id}\"]').textContent");
    let secret = window.client.execute(&read("totp-secret"), Vec::new()).await.unwrap();
    let code = crate::steps::totp(secret.as_str().unwrap());
    window.fill("totp-code", "000000").await;
    window.click("totp-confirm").await;
    window.script_until(SAID, json!("That code is not right, or was used before.")).await;
    window.fill("totp-code", &code).await;
    window.click("totp-confirm").await;
    window.shown("recovery-codes").await;
    let codes = window.client.execute(&read("recovery-codes"), Vec::new()).await.unwrap();
    let recovery = codes.as_str().unwrap().lines().next().unwrap().to_owned();
    window.click("to-inbox").await;
    window.click("sign-out").await;
    window.fill("username", "ann").await;
    window.fill("password", "a-good-password").await;
    window.click("sign-in").await;
    // The code of before is used.
    window.fill("otp", &code).await;
    window.click("sign-in").await;
    window.text("error", "That code is not right, or was used before.").await;
    window.fill("otp", &recovery).await;
    window.click("sign-in").await;
    window.shown("message-list").await;
    let login = json!({ "username": "ann", "password": "a-good-password" });
    let refused = server.user().post("/api/v3/auth/local/login", &login).await;
    refused.failure(401, "second_factor_required");
    let login = json!({ "username": "ann", "password": "a-good-password", "otp": recovery });
    server.user().post("/api/v3/auth/local/login", &login).await.failure(401, "second_factor_required");
}

#[tokio::test]
async fn a_passkey_is_made_and_signs_in() {
    let (setup, url) = Setup::default().public("localhost");
    let server = setup.start().await;
    server.admin().await.person("ann").await;
    let window = Browser::start().await;
    window.add_authenticator().await;
    window.open(&url).await;
    window.sign_in("ann").await;
    window.click("settings").await;
    window.fill("passkey-name", "my phone").await;
    window.click("passkey-add").await;
    window.shown("passkey-item").await;
    window.click("to-inbox").await;
    window.click("sign-out").await;
    window.click("passkey-sign-in").await;
    window.shown("message-list").await;
    window.text("profile-name", "ANN").await;
    window.click("settings").await;
    let how =
        "return document.querySelector('[data-testid=\"device-item\"]').textContent.includes('passkey')";
    window.script_until(how, json!(true)).await;
}

#[tokio::test]
async fn a_link_of_an_administrator_sets_a_password_once() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let server = setup.start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let link = admin.post("users/ann/link", json!({})).await.data();
    let window = Browser::start().await;
    window.open(link["url"].as_str().unwrap()).await;
    window.fill("link-password", "a-good-password").await;
    window.fill("link-password-again", "another").await;
    window.click("link-save").await;
    window.text("error", "The two are not the same.").await;
    window.script_until("return location.href", json!(format!("{url}/"))).await;
    window.fill("link-password-again", "a-good-password").await;
    window.click("link-save").await;
    window.text("notice", "Saved.").await;
    window.click("to-sign-in").await;
    window.sign_in("ann").await;
    let other = Browser::start().await;
    other.open(link["url"].as_str().unwrap()).await;
    other.text("notice", "This link was used or has expired. Please ask for a new one.").await;
}

#[tokio::test]
async fn a_program_is_allowed_in_the_browser() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let server = setup.start().await;
    server.admin().await.person("ann").await;
    let mut program = hongyan_harness::Receiver::start().await;
    let redirect = format!("{}/callback", program.url);
    let window = Browser::start().await;
    let query = format!(
        "client_id=desktop&redirect_uri={}&state=its-own&device_name=Laptop\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        redirect.replace(':', "%3A").replace('/', "%2F")
    );
    window.open(&format!("{url}/api/v3/auth/local/login?{query}")).await;
    window.fill("username", "ann").await;
    window.fill("password", "a-good-password").await;
    window.click("sign-in").await;
    window.text("question", "The desktop app on Laptop wants to be signed in as ANN.").await;
    window.click("allow").await;
    let told = program.next().await;
    let (path, query) = told.path.split_once('?').unwrap();
    assert_eq!(path, "/callback");
    let code = query.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap();
    let redeem = json!({
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "client_id": "desktop",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    });
    let answer: Value = server.user().post("/api/v3/auth/token", &redeem).await.data();
    assert_eq!(answer["user"]["id"], "ann");
}

#[tokio::test]
async fn who_signed_in_long_ago_confirms_who_they_are_however_often_they_think_better_of_it() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let mut server = setup.start().await;
    server.admin().await.person("ann").await;
    let window = Browser::start().await;
    window.open(&url).await;
    window.sign_in("ann").await;
    // Eleven minutes pass.
    server.stop().await;
    let directory = server.users().parent().unwrap().join("system/directory.db");
    let directory = rusqlite::Connection::open(directory).unwrap();
    directory.execute("UPDATE session SET created_at = created_at - 660000", []).unwrap();
    drop(directory);
    let _server = server.start_again().await;
    window.open(&url).await;
    window.click("settings").await;
    for _ in 0..2 {
        window.click("totp-start").await;
        window
            .script_until("return document.activeElement.dataset.testid ?? null", json!("confirm-password"))
            .await;
        // What lies behind cannot be reached.
        window.script_until("return document.querySelector('.page').inert", json!(true)).await;
        window.click("confirm-cancel").await;
        window.script_until(SAID, json!("Not done: you have not confirmed who you are.")).await;
        window.script_until("return document.querySelector('.page').inert", json!(false)).await;
    }
    window.click("totp-start").await;
    window.fill("confirm-password", "a-good-password").await;
    window.click("confirm-ok").await;
    window.shown("totp-secret").await;
}
