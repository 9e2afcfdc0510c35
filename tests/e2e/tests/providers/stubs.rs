//! Signing in at GitHub, Google, WeChat, WeCom and DingTalk, played by stand-ins that follow their documents to the letter.

use crate::steps::log_in;
use hongyan_harness::providers::{Fault, IdFault};
use hongyan_harness::{Providers, Reply, Server, Setup, Visitor};
use serde_json::{Value, json};
use std::time::Duration;

/// A server with all five.
struct Five {
    server: Server,
    stub: Providers,
    url: String,
}

impl Five {
    async fn start(change: impl FnOnce(Setup) -> Setup) -> Self {
        let stub = Providers::start().await;
        let (setup, url) = Setup::default().public("127.0.0.1");
        let setup = stub.settings().into_iter().fold(setup, |setup, (name, value)| setup.set(name, &value));
        let server = change(setup).start().await;
        Self { server, stub, url }
    }

    /// Goes to a provider and comes back. Gives the page of ours on which that ends.
    async fn go(&self, visitor: &mut Visitor, provider: &str) -> String {
        let start = format!("{}/api/v3/auth/{provider}/login", self.url);
        log_in(visitor, &start, "", &self.url).await
    }

    /// Signs in; gives what the page gets then.
    async fn sign_in(&self, provider: &str) -> Value {
        let mut visitor = Visitor::default();
        let at = self.go(&mut visitor, provider).await;
        assert_eq!(at, format!("{}/", self.url), "{provider}: {}", self.server.stderr());
        visitor.refresh(&self.url).await.data()
    }

    /// Does not get in, and reads why.
    async fn refused(&self, provider: &str, code: &str) {
        let mut visitor = Visitor::default();
        let at = self.go(&mut visitor, provider).await;
        let expected = format!("{}/#/sign-in?error={code}&provider={provider}", self.url);
        assert_eq!(at, expected, "{}", self.server.stderr());
        visitor.refresh(&self.url).await.failure(401, "unauthenticated");
    }
}

const FIVE: [&str; 5] = ["github", "google", "wechat", "wecom", "dingtalk"];

#[tokio::test]
async fn people_sign_in_at_all_five_and_are_known_the_next_time() {
    let five = Five::start(|setup| setup).await;
    let listed = five.server.user().get("/api/v3/auth/providers").await.data();
    let kinds: Vec<&str> =
        listed["providers"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, FIVE);
    let mut ids = std::collections::HashSet::new();
    for provider in FIVE {
        let first = five.sign_in(provider).await;
        assert_eq!(five.sign_in(provider).await["user"]["id"], first["user"]["id"], "{provider}");
        ids.insert(first["user"]["id"].as_str().unwrap().to_owned());
        assert!(!first["user"]["name"].as_str().unwrap().is_empty());
    }
    assert_eq!(ids.len(), 5, "five providers are five people");
    // What each was sent besides, they have checked themselves; here what a standard client would do otherwise.
    let authorize = five.stub.calls_of("ding.authorize");
    assert!(authorize[0].raw_query.contains("prompt=consent") && !authorize[0].raw_query.contains('+'));
    assert!(
        five.stub
            .calls_of("gh.token")
            .iter()
            .all(|call| call.form().iter().any(|(name, _)| name == "code_verifier"))
    );
    assert_eq!(five.stub.calls_of("wecom.gettoken").len(), 1, "the application's token is kept");
}

#[tokio::test]
async fn an_address_is_a_persons_only_where_the_provider_has_checked_it() {
    let five = Five::start(|setup| setup).await;
    let github = five.sign_in("github").await["user"].clone();
    let emails = five.stub.calls_of("gh.emails");
    assert_eq!(emails.len(), 1);
    // The stand-in's first address is not verified, the verified one not the first.
    assert_eq!(github["email"], Value::Null, "{github}");
    five.stub.person("goog", |person| {
        person["sub"] = json!("999999999999999999999");
        person["email_verified"] = json!("true");
    });
    assert_eq!(five.sign_in("google").await["user"]["email"], Value::Null);
    five.stub.person("goog", |person| {
        person["sub"] = json!("999999999999999999998");
        person["email_verified"] = json!(true);
    });
    assert!(five.sign_in("google").await["user"]["email"].is_string());
    // Of another house, whose addresses Google does not answer for.
    for (n, email, is_known) in [(1, "reader@elsewhere.test", false), (2, "reader@Gmail.com", true)] {
        five.stub.person("goog", |person| {
            drop(person.as_object_mut().unwrap().remove("hd"));
            person["sub"] = json!(format!("99999999999999999999{n}"));
            person["email"] = json!(email);
        });
        assert_eq!(five.sign_in("google").await["user"]["email"].is_string(), is_known, "{email}");
    }
    assert_eq!(five.sign_in("dingtalk").await["user"]["email"], Value::Null);
}

#[tokio::test]
async fn whatever_a_provider_answers_wrongly_is_a_clear_page_and_no_session() {
    let five = Five::start(|setup| setup.set("LOG_LEVEL", "trace")).await;
    for (provider, step, fault, code) in [
        ("github", "gh.authorize", Fault::Deny, "denied"),
        ("github", "gh.token", Fault::TokenError, "expired"),
        ("github", "gh.token", Fault::CodeUsed, "expired"),
        ("github", "gh.token", Fault::Status500, "provider_unreachable"),
        ("github", "gh.token", Fault::GarbageBody, "provider_error"),
        ("github", "gh.token", Fault::Redirect, "provider_error"),
        ("github", "gh.token", Fault::HugeBody, "provider_error"),
        ("github", "gh.user", Fault::TokenError, "provider_error"),
        ("github", "gh.check", Fault::TokenError, "provider_error"),
        ("google", "goog.authorize", Fault::Deny, "denied"),
        ("google", "goog.authorize", Fault::OtherIssuer, "provider_error"),
        ("google", "goog.authorize", Fault::NoIssuer, "provider_error"),
        ("google", "goog.token", Fault::TokenError, "expired"),
        ("google", "goog.token", Fault::IdToken(IdFault::WrongAud), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::WrongIss), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::WrongNonce), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::NoNonce), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::AlgNone), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::Hs256WithPublicKey), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::OtherKey), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::Expired), "provider_error"),
        ("google", "goog.token", Fault::IdToken(IdFault::UnknownKid), "provider_error"),
        ("google", "goog.userinfo", Fault::Status500, "provider_unreachable"),
        ("wechat", "wx.authorize", Fault::Deny, "denied"),
        ("wechat", "wx.authorize", Fault::NoCode, "denied"),
        ("wechat", "wx.token", Fault::TokenError, "expired"),
        ("wechat", "wx.token", Fault::CodeUsed, "expired"),
        ("wechat", "wx.token", Fault::Errcode(-1), "provider_unreachable"),
        ("wechat", "wx.token", Fault::Errcode(40125), "provider_error"),
        ("wechat", "wx.auth", Fault::TokenError, "provider_error"),
        ("wechat", "wx.user", Fault::TokenError, "provider_error"),
        ("wecom", "wecom.authorize", Fault::Deny, "denied"),
        ("wecom", "wecom.getuserinfo", Fault::NotMember, "not_a_member"),
        ("wecom", "wecom.getuserinfo", Fault::Customer, "not_a_member"),
        ("wecom", "wecom.getuserinfo", Fault::CodeUsed, "expired"),
        ("wecom", "wecom.getuserinfo", Fault::Errcode(50001), "provider_error"),
        ("wecom", "wecom.getuserinfo", Fault::Errcode(60020), "provider_error"),
        ("dingtalk", "ding.authorize", Fault::Deny, "denied"),
        ("dingtalk", "ding.token", Fault::TokenError, "provider_error"),
        ("dingtalk", "ding.token", Fault::RateLimited, "provider_error"),
        ("dingtalk", "ding.me", Fault::TokenError, "provider_error"),
        ("dingtalk", "ding.me", Fault::GarbageBody, "provider_error"),
    ] {
        five.stub.fail(step, fault);
        five.refused(provider, code).await;
    }
    // What is mended is good again, without a restart.
    for provider in FIVE {
        five.sign_in(provider).await;
    }
    // What does not change is asked for once, or as often as it was wrong.
    assert_eq!(five.stub.calls_of("goog.discovery").len(), 1);
    assert!(five.stub.calls_of("goog.certs").len() <= 3);
    let (log, secrets) = (five.server.stderr(), five.stub.secrets());
    for secret in &secrets {
        assert!(!log.contains(secret), "{secret} is logged");
    }
    let mut found = Vec::new();
    crate::canary::holding(five.server.users().parent().unwrap(), &secrets, &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn what_need_not_be_right_keeps_nobody_out() {
    let five = Five::start(|setup| setup).await;
    for (provider, step, fault) in [
        // JSON that calls itself something else; no right to read addresses; a check that cannot be made now.
        ("github", "gh.token", Fault::WrongContentType),
        ("github", "gh.emails", Fault::Refused(403)),
        ("github", "gh.emails", Fault::Refused(404)),
        ("github", "gh.check", Fault::Status500),
        ("wechat", "wx.user", Fault::WrongContentType),
        // The application's token died early; no right to read the member; an older installation's spelling.
        ("wecom", "wecom.getuserinfo", Fault::TokenDied),
        ("wecom", "wecom.user", Fault::Errcode(60011)),
        ("wecom", "wecom.getuserinfo", Fault::OlderNames),
        ("dingtalk", "ding.authorize", Fault::OtherCodeName),
        ("dingtalk", "ding.authorize", Fault::BothCodeNames),
        // A key of today.
        ("google", "goog.token", Fault::IdToken(IdFault::RotatedKey)),
    ] {
        five.stub.fail(step, fault);
        five.sign_in(provider).await;
    }
}

#[tokio::test]
async fn the_applications_token_is_fetched_once_for_fifty_at_once() {
    let five = Five::start(|setup| setup).await;
    let all = (0..50).map(|_| five.sign_in("wecom"));
    futures_util::future::join_all(all).await;
    assert_eq!(five.stub.calls_of("wecom.gettoken").len(), 1);
    // It died early, and many find out at once.
    five.stub.fail("wecom.getuserinfo", Fault::TokenDied);
    let all = (0..20).map(|_| five.sign_in("wecom"));
    futures_util::future::join_all(all).await;
    assert_eq!(five.stub.calls_of("wecom.gettoken").len(), 2);
}

#[tokio::test]
async fn what_an_administrator_types_is_who_comes() {
    let five = Five::start(|setup| setup.set("SIGN_UP", "closed")).await;
    let admin = five.server.admin().await;
    admin.user("ann").await;
    let mut typed = Value::Null;
    five.stub.person("wecom", |person| typed = person["userid"].clone());
    let corp = Providers::WECOM_CORP_ID;
    let identity =
        json!({ "provider": "wecom", "tenant": corp, "subject": typed.as_str().unwrap().to_uppercase() });
    admin.post("users/ann/identities", identity).await.data();
    assert_eq!(five.sign_in("wecom").await["user"]["id"], "ann");
    five.refused("github", "not_invited").await;
}

#[tokio::test]
async fn a_foreign_page_begins_nothing_by_embedding_the_address() {
    let five = Five::start(|setup| setup).await;
    let embedded = |dest: &str| {
        let request = five.server.user().request(reqwest::Method::GET, "/api/v3/auth/github/login");
        Reply::of(request.header("sec-fetch-site", "cross-site").header("sec-fetch-dest", dest))
    };
    let refused = embedded("image").await;
    refused.failure(403, "permission_denied");
    assert!(refused.header("set-cookie").is_none());
    embedded("iframe").await.failure(403, "permission_denied");
    embedded("document").await.data();
}

#[tokio::test]
async fn who_is_first_known_by_one_id_is_the_same_person_under_a_better_one() {
    let five = Five::start(|setup| setup).await;
    let mut union = Value::Null;
    five.stub
        .person("wx", |person| union = person.as_object_mut().unwrap().remove("unionid").unwrap_or_default());
    let before = five.sign_in("wechat").await["user"]["id"].clone();
    let better = if union.is_null() { json!("o6_bmasdasdsad6_2sgVt7hMZOPfL") } else { union };
    five.stub.person("wx", |person| person["unionid"] = better);
    assert_eq!(five.sign_in("wechat").await["user"]["id"], before);
    assert_eq!(five.sign_in("wechat").await["user"]["id"], before);
}

#[tokio::test]
async fn only_people_of_the_organisation_are_let_in_where_one_is_named() {
    let company = Providers::DINGTALK_CORP_ID;
    let five = Five::start(|setup| {
        setup.set("DINGTALK_CORP_ID", company).set("GOOGLE_HOSTED_DOMAIN", "corp.example")
    })
    .await;
    five.sign_in("dingtalk").await;
    five.stub.person("ding.token", |token| token["corpId"] = json!("ding-another"));
    five.refused("dingtalk", "not_a_member").await;
    five.stub.person("goog", |person| person["hd"] = json!("corp.example"));
    five.sign_in("google").await;
    five.stub.person("goog", |person| drop(person.as_object_mut().unwrap().remove("hd")));
    five.refused("google", "not_a_member").await;
    // A guest, and a member who has left.
    five.stub.person("ding.token", |token| token["corpId"] = json!(company));
    five.stub.person("ding", |person| person["visitor"] = json!(true));
    five.refused("dingtalk", "not_a_member").await;
    five.stub.person("wecom", |person| person["status"] = json!(5));
    five.refused("wecom", "not_a_member").await;
}

#[tokio::test]
async fn names_of_others_are_text_and_fit() {
    let five = Five::start(|setup| setup).await;
    five.stub.person("wx", |person| {
        person["unionid"] = json!("long-name");
        person["nickname"] =
            json!(format!("<img src=x onerror=alert(1)>\u{202e}\u{0}{}", "长".repeat(10_000)));
    });
    let user = five.sign_in("wechat").await["user"].clone();
    let name = user["name"].as_str().unwrap();
    assert!(name.starts_with("<img src=x onerror=alert(1)>长") && name.chars().count() <= 100, "{name}");
    assert!(user["username"].as_str().unwrap().chars().count() <= 60, "{user}");
}

#[tokio::test]
async fn a_slow_provider_is_given_up_and_keeps_nobody_else_waiting() {
    let five = Five::start(|setup| setup).await;
    five.stub.fail("gh.token", Fault::Slow(Duration::from_secs(60)));
    let slow = five.refused("github", "provider_unreachable");
    let others = async {
        let began = std::time::Instant::now();
        five.sign_in("wechat").await;
        assert!(began.elapsed() < Duration::from_secs(8));
    };
    tokio::join!(slow, others);
}

#[tokio::test]
async fn a_name_chosen_elsewhere_takes_nothing_that_is_meant_for_others() {
    let five = Five::start(|setup| setup).await;
    let admin = five.server.admin().await;
    admin.role("ops", &[]).await;
    admin.user("ann").await;
    for (number, login) in [(71, "OPS"), (72, "ann"), (73, "ADMIN")] {
        five.stub.person("gh", |person| {
            person["id"] = json!(number);
            person["login"] = json!(login);
        });
        let user = five.sign_in("github").await["user"].clone();
        assert_ne!(user["username"].as_str().unwrap().to_lowercase(), login.to_lowercase());
    }
}
