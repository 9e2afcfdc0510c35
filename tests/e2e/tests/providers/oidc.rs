//! Signing in at identity servers that others wrote, as a browser does.

use crate::steps::{Site, log_in};
use hongyan_harness::{OidcFault, OidcKind, Visitor};
use reqwest::Method;
use serde_json::{Value, json};

const KINDS: [OidcKind; 3] = [OidcKind::Certified, OidcKind::NodeMock, OidcKind::PythonMock];

#[tokio::test]
async fn whoever_signs_in_for_the_first_time_has_an_account_from_then_on() {
    for kind in KINDS {
        let site = Site::start(kind, "", |setup| setup).await;
        let listed = site.server.user().get("/api/v3/auth/providers").await.data();
        assert_eq!(
            (&listed["providers"][0]["id"], &listed["providers"][0]["kind"]),
            (&json!("corp"), &json!("oidc"))
        );
        let mut ann = Visitor::default();
        assert_eq!(site.sign_in(&mut ann, "alice", "/#/settings").await, format!("{}/#/settings", site.url));
        let first = ann.refresh(&site.url).await.data();
        if kind == OidcKind::Certified {
            assert_eq!(
                (&first["user"]["name"], &first["user"]["email"]),
                (&json!("Alice Example"), &json!("alice@example.test"))
            );
        }
        let bearer = first["access_token"].as_str().unwrap();
        let sessions =
            site.server.user().with(&format!("Bearer {bearer}")).get("/api/v3/auth/sessions").await.data();
        assert_eq!(sessions["sessions"][0]["provider"], "corp");
        // On another device it is the same account, and someone else has another.
        let mut again = Visitor::default();
        site.sign_in(&mut again, "alice", "/").await;
        assert_eq!(again.refresh(&site.url).await.data()["user"]["id"], first["user"]["id"], "{kind:?}");
        if kind != OidcKind::NodeMock {
            let mut other = Visitor::default();
            site.sign_in(&mut other, "mallory", "/").await;
            let other = other.refresh(&site.url).await.data();
            assert_ne!(other["user"]["id"], first["user"]["id"], "{kind:?}");
            // She says that alice's address is hers; nobody has checked that.
            assert_eq!(other["user"]["email"], Value::Null, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_client_may_show_its_secret_in_the_form_too() {
    let site = Site::start_with(
        OidcKind::Certified,
        |oidc| oidc.post_client(),
        "auth_method = \"post\"",
        |setup| setup,
    )
    .await;
    site.sign_in(&mut Visitor::default(), "alice", "/").await;
}

#[tokio::test]
async fn who_declines_is_told_so_and_is_not_signed_in() {
    let site = Site::start(OidcKind::Certified, "", |setup| setup).await;
    let mut ann = Visitor::default();
    let (at, _) = ann.follow(&site.login_url("/"), "").await;
    assert!(at.contains("/interaction/"), "{at}");
    let (back, _) = ann.follow(&format!("{at}/abort"), &format!("{}/#", site.url)).await;
    site.refused(&mut ann, &back, "denied", "the person declined").await;
}

#[tokio::test]
async fn what_a_provider_says_is_believed_only_when_it_is_signed_for_us_and_now() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| setup).await;
    for (fault, code, line) in [
        (OidcFault::WrongAudience, "provider_error", "InvalidAudience"),
        (OidcFault::WrongIssuer, "provider_error", "InvalidIssuer"),
        (OidcFault::WrongNonce, "provider_error", "it is not of this attempt"),
        (OidcFault::WrongSignature, "provider_error", "InvalidSignature"),
        (OidcFault::Expired, "provider_error", "ExpiredSignature"),
        (OidcFault::TokenError, "expired", "the code is used or too old"),
        (OidcFault::WrongSubject, "provider_error", "userinfo is of another person"),
    ] {
        site.oidc.break_next(fault).await;
        let mut ann = Visitor::default();
        let back = site.sign_in(&mut ann, "alice", "/").await;
        site.refused(&mut ann, &back, code, line).await;
    }
    site.sign_in(&mut Visitor::default(), "alice", "/").await;
}

#[tokio::test]
async fn a_state_is_good_once_in_its_browser_at_its_provider() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| setup).await;
    let callback = format!("{}/api/v3/auth/corp/callback", site.url);
    // Where the provider would send the browser back to, not gone to yet.
    let begun = |mut visitor: Visitor| {
        let (url, callback) = (site.login_url("/"), callback.clone());
        async move {
            let (back, _) = visitor.follow(&url, &callback).await;
            (visitor, back)
        }
    };
    let (mut ann, back) = begun(Visitor::default()).await;
    // Someone has lured another browser there.
    let mut other = Visitor::default();
    let there = other.open(&back).await.header("location").unwrap().to_owned();
    site.refused(&mut other, &there, "foreign_browser", "begun in another browser").await;
    // Two tabs at once do not disturb each other.
    let (ann_again, second) = begun(ann).await;
    ann = ann_again;
    for back in [&back, &second] {
        let reply = ann.open(back).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some(format!("{}/", site.url).as_str())));
        assert_eq!(
            (reply.header("cache-control"), reply.header("referrer-policy")),
            (Some("no-store"), Some("no-referrer"))
        );
    }
    let session = ann.refresh(&site.url).await.data()["session_id"].clone();
    let there = ann.open(&back).await.header("location").unwrap().to_owned();
    assert!(there.contains("error=expired"), "{there}");
    // What was begun before goes on as it was.
    assert_eq!(ann.refresh(&site.url).await.data()["session_id"], session);
    for state in [
        "",
        "?state=",
        "?state=0123456789abcdef0123456789abcdef&code=x",
        "?code=x",
        "?state=%00%ff",
        "?state=aaaaaaa%E4%BD%A0&code=x",
    ] {
        let mut stray = Visitor::default();
        let reply = stray.open(&format!("{callback}{state}")).await;
        site.refused(&mut stray, reply.header("location").unwrap(), "expired", "unknown, used or too old")
            .await;
    }
    site.server.user().get("/api/v3/auth/nobody/callback?state=x").await.failure(404, "not_found");
}

#[tokio::test]
async fn what_is_begun_at_one_provider_does_not_end_at_another() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| {
        let twin = setup.text().replace("\"corp\"", "\"twin\"");
        let both = format!("{}{twin}", setup.text());
        setup.file(&both)
    })
    .await;
    let mut ann = Visitor::default();
    let (back, _) =
        ann.follow(&site.login_url("/"), &format!("{}/api/v3/auth/corp/callback", site.url)).await;
    let reply = ann.open(&back.replace("/corp/", "/twin/")).await;
    site.refused(&mut ann, reply.header("location").unwrap(), "provider_error", "begun at another provider")
        .await;
    // The same subject at two providers is two people.
    let (mut one, mut other) = (Visitor::default(), Visitor::default());
    site.sign_in(&mut one, "alice", "/").await;
    log_in(&mut other, &site.login_url("/").replace("/corp/", "/twin/"), "alice", &format!("{}/#", site.url))
        .await;
    let (one, other) = (one.refresh(&site.url).await.data(), other.refresh(&site.url).await.data());
    assert_ne!(one["user"]["id"], other["user"]["id"]);
}

#[tokio::test]
async fn nobody_is_sent_to_another_place() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| setup).await;
    for bad in [
        "//evil.test",
        "%2F%5Cevil.test",
        "%5C%5Cevil.test",
        "%09//evil.test",
        "http:evil.test",
        "https://evil.test",
    ] {
        let reply = Visitor::default().open(&site.login_url(bad)).await;
        assert_eq!(reply.failure(422, "validation_failed"), ["return_to"], "{bad}");
    }
}

#[tokio::test]
async fn strangers_come_in_only_as_it_is_set() {
    let domain =
        |setup: hongyan_harness::Setup| setup.set("SIGN_UP", "domain").set("SIGN_UP_DOMAINS", "Example.test");
    let site = Site::start(OidcKind::Certified, "", domain).await;
    site.sign_in(&mut Visitor::default(), "alice", "/").await;
    // The same address, which nobody has checked.
    let mut mallory = Visitor::default();
    let back = site.sign_in(&mut mallory, "mallory", "/").await;
    site.refused(&mut mallory, &back, "not_invited", "nobody here is known").await;
    for policy in ["invitation", "closed"] {
        let site = Site::start(OidcKind::Certified, "", |setup| setup.set("SIGN_UP", policy)).await;
        let mut ann = Visitor::default();
        let back = site.sign_in(&mut ann, "alice", "/").await;
        site.refused(&mut ann, &back, "not_invited", "nobody here is known").await;
        // Whom an administrator has named is known.
        let admin = site.server.admin().await;
        admin.user("ann").await;
        // The issuer is known: it need not be said.
        let identity = json!({ "provider": "corp", "subject": "alice" });
        admin.post("users/ann/identities", identity.clone()).await.data();
        let mut ann = Visitor::default();
        site.sign_in(&mut ann, "alice", "/").await;
        assert_eq!(ann.refresh(&site.url).await.data()["user"]["id"], "ann");
        admin.user("bob").await;
        admin.post("users/bob/identities", identity).await.failure(409, "already_exists");
    }
}

#[tokio::test]
async fn a_one_time_link_lets_someone_in_once() {
    let site = Site::start(OidcKind::Certified, "", |setup| setup.set("SIGN_UP", "invitation")).await;
    let admin = site.server.admin().await;
    admin.user("ann").await;
    let link = admin.post("users/ann/link", json!({})).await.data();
    let token =
        link["url"].as_str().unwrap().strip_prefix(&format!("{}/#/link/", site.url)).unwrap().to_owned();
    let mut ann = Visitor::default();
    let at = |path: &str| format!("{}/api/v3/auth/link{path}", site.url);
    let info = ann.call(Method::POST, &at(""), None, &json!({ "token": token })).await.data();
    assert_eq!(info["username"], "ann");
    let begin = json!({ "token": token, "provider": "corp" });
    let away = ann.call(Method::POST, &at("/identity"), None, &begin).await.data();
    let away = away["auth_url"].as_str().unwrap().to_owned();
    log_in(&mut ann, &away, "alice", &format!("{}/", site.url)).await;
    assert_eq!(ann.refresh(&site.url).await.data()["user"]["id"], "ann");
    ann.call(Method::POST, &at(""), None, &json!({ "token": token })).await.failure(404, "not_found");
    ann.call(Method::POST, &at("/identity"), None, &begin).await.failure(404, "not_found");
    // From now on without it.
    let mut again = Visitor::default();
    site.sign_in(&mut again, "alice", "/").await;
    assert_eq!(again.refresh(&site.url).await.data()["user"]["id"], "ann");
}

#[tokio::test]
async fn identities_are_linked_and_unlinked_by_who_has_just_signed_in() {
    let site = Site::start(OidcKind::Certified, "", |setup| setup).await;
    let admin = site.server.admin().await;
    admin.person("ann").await;
    admin.person("bob").await;
    let login = format!("{}/api/v3/auth/local/login", site.url);
    let identities = format!("{}/api/v3/auth/identities", site.url);
    let security = format!("{}/api/v3/auth/security", site.url);
    let mut tokens = Vec::new();
    for name in ["ann", "bob"] {
        let mut visitor = Visitor::default();
        let body = json!({ "username": name, "password": "a-good-password", "cookie": true });
        let token = visitor.call(Method::POST, &login, None, &body).await.data()["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        tokens.push((visitor, token));
    }
    let (mut bob, bobs) = tokens.pop().unwrap();
    let (mut ann, anns) = tokens.pop().unwrap();
    let link = json!({ "provider": "corp" });
    let away = ann.call(Method::POST, &identities, Some(&anns), &link).await.data()["auth_url"]
        .as_str()
        .unwrap()
        .to_owned();
    // In a browser that has not begun it, it ends.
    let mut lured = Visitor::default();
    let there = log_in(&mut lured, &away, "alice", &format!("{}/#", site.url)).await;
    assert!(there.contains("error=foreign_browser"), "{there}");
    let there = log_in(&mut ann, &away, "alice", &format!("{}/#", site.url)).await;
    assert_eq!(there, format!("{}/#/settings/security", site.url));
    let shown = ann.call(Method::GET, &security, Some(&anns), &json!({})).await.data();
    assert_eq!(
        (&shown["identities"][0]["provider"], &shown["identities"][0]["name"]),
        (&json!("corp"), &json!("Alice Example"))
    );
    // It is hers now, and nobody else's.
    let away = bob.call(Method::POST, &identities, Some(&bobs), &link).await.data()["auth_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let there = log_in(&mut bob, &away, "alice", &format!("{}/#", site.url)).await;
    assert!(there.contains("/#/settings/security?error=already_linked"), "{there}");
    let mut elsewhere = Visitor::default();
    site.sign_in(&mut elsewhere, "alice", "/").await;
    let signed_in = elsewhere.refresh(&site.url).await.data();
    assert_eq!(signed_in["user"]["id"], "ann");
    // Whoever has signed out meanwhile links nothing.
    let mut fresh = Visitor::default();
    let body = json!({ "username": "bob", "password": "a-good-password", "cookie": true });
    let token = fresh.call(Method::POST, &login, None, &body).await.data()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let away = fresh.call(Method::POST, &identities, Some(&token), &link).await.data()["auth_url"]
        .as_str()
        .unwrap()
        .to_owned();
    fresh
        .call(Method::POST, &format!("{}/api/v3/auth/logout", site.url), Some(&token), &json!({}))
        .await
        .data();
    let there = log_in(&mut fresh, &away, "carol", &format!("{}/#", site.url)).await;
    assert!(there.contains("error=wrong_account"), "{there}");
    // Unlinked, it is nobody's.
    let id = shown["identities"][0]["id"].as_str().unwrap();
    let one = format!("{identities}/{id}");
    bob.call(Method::DELETE, &one, Some(&bobs), &json!({})).await.failure(404, "not_found");
    ann.call(Method::DELETE, &one, Some(&anns), &json!({})).await.data();
    let mut stranger = Visitor::default();
    site.sign_in(&mut stranger, "alice", "/").await;
    let newcomer = stranger.refresh(&site.url).await.data();
    assert_ne!(newcomer["user"]["id"], "ann");
    // She was told of both, wherever she reads.
    let inbox =
        ann.call(Method::GET, &format!("{}/api/v3/messages", site.url), Some(&anns), &json!({})).await.data();
    let told: Vec<&Value> =
        inbox["messages"].as_array().unwrap().iter().map(|message| &message["metadata"]["event"]).collect();
    assert_eq!(told, ["identity_unlinked", "identity_linked"]);
    // The last way to sign in stays.
    let bearer = newcomer["access_token"].as_str().unwrap().to_owned();
    let shown = stranger.call(Method::GET, &security, Some(&bearer), &json!({})).await.data();
    let one = format!("{identities}/{}", shown["identities"][0]["id"].as_str().unwrap());
    let kept = stranger.call(Method::DELETE, &one, Some(&bearer), &json!({})).await;
    assert_eq!(kept.failure(422, "validation_failed"), ["id"]);
}

#[tokio::test]
async fn who_is_disabled_is_not_let_in_by_a_provider_either() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| setup).await;
    let mut ann = Visitor::default();
    site.sign_in(&mut ann, "alice", "/").await;
    let user = ann.refresh(&site.url).await.data()["user"]["id"].as_str().unwrap().to_owned();
    site.server.admin().await.post(&format!("users/{user}/disable"), json!({})).await.data();
    let mut again = Visitor::default();
    let back = site.sign_in(&mut again, "alice", "/").await;
    site.refused(&mut again, &back, "account_disabled", "the user is disabled").await;
}

#[tokio::test]
async fn a_provider_that_is_down_keeps_nobody_else_out() {
    let (setup, url) = hongyan_harness::Setup::default().public("127.0.0.1");
    let gone = hongyan_harness::Port::take();
    let file = format!(
        "[[providers]]\nid = \"gone\"\nname = \"Gone\"\nkind = \"oidc\"\nissuer = \"http://{}\"\nclient_id = \"a\"\n\
         client_secret = \"b\"\n",
        gone.address()
    );
    let server = setup.file(&file).start().await;
    let admin = server.admin().await;
    admin.person("ann").await;
    let login = "/api/v3/auth/gone/login";
    let page = Visitor::default().open(&format!("{url}{login}")).await;
    let told = format!("{url}/#/sign-in?error=provider_unreachable&provider=gone");
    assert_eq!((page.status, page.header("location")), (303, Some(told.as_str())));
    server.user().get(login).await.failure(503, "overloaded");
    assert!(server.stderr().contains("no sign-in can begin there"), "{}", server.stderr());
    // She comes in by the other way.
    admin.sign_in_person("ann", "second").await.api.get("/api/v3/messages").await.data();
}

#[tokio::test]
async fn claims_are_found_by_paths_and_can_be_required() {
    let require = "[providers.require]\n\"/email\" = \"alice@example.test\"\n[providers.claims]\nusername = \"/email\"\n";
    let site = Site::start(OidcKind::Certified, require, |setup| setup).await;
    let mut ann = Visitor::default();
    site.sign_in(&mut ann, "alice", "/").await;
    assert_eq!(ann.refresh(&site.url).await.data()["user"]["username"], "aliceexample.test");
    let mut bob = Visitor::default();
    let back = site.sign_in(&mut bob, "bob", "/").await;
    site.refused(&mut bob, &back, "not_a_member", "/email").await;
}

#[tokio::test]
async fn only_a_certificate_that_is_trusted_is_believed() {
    let document = hongyan_harness::TlsDocument::start(|url| {
        json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"),
        })
    })
    .await;
    let provider = |id: &str, more: &str| {
        format!(
            "[[providers]]\nid = \"{id}\"\nname = \"{id}\"\nkind = \"oidc\"\nissuer = \"{}\"\nclient_id = \"a\"\n\
             client_secret = \"b\"\n{more}\n",
            document.url
        )
    };
    let trusted = format!("ca_file = {:?}", document.certificate());
    let file = format!("{}{}", provider("trusted", &trusted), provider("unknown", ""));
    let server = hongyan_harness::Setup::default().file(&file).start().await;
    let away = server.user().get("/api/v3/auth/trusted/login").await.data();
    let expected = format!("{}/authorize?", document.url);
    assert!(away["auth_url"].as_str().unwrap().starts_with(&expected), "{away}");
    server.user().get("/api/v3/auth/unknown/login").await.failure(503, "overloaded");
}

#[tokio::test]
async fn an_address_that_two_providers_have_checked_makes_nobody_the_same_person() {
    let site = Site::start(OidcKind::Certified, "", |setup| {
        let twin = setup.text().replace("\"corp\"", "\"twin\"");
        let both = format!("{}{twin}", setup.text());
        setup.file(&both)
    })
    .await;
    let admin = site.server.admin().await;
    let known = json!({ "id": "ann", "username": "ann", "name": "Ann", "email": "alice@example.test" });
    admin.post("users", known).await.data();
    let mut alice = Visitor::default();
    site.sign_in(&mut alice, "alice", "/").await;
    let user = alice.refresh(&site.url).await.data()["user"].clone();
    assert_eq!(user["email"], "alice@example.test");
    assert_ne!(user["id"], "ann");
}

#[tokio::test]
async fn coming_back_from_a_provider_takes_the_place_of_the_session_that_the_browser_had() {
    let site = Site::start(OidcKind::NodeMock, "", |setup| setup).await;
    site.server.admin().await.person("bob").await;
    let mut visitor = Visitor::default();
    let body = json!({ "username": "bob", "password": "a-good-password", "cookie": true });
    let login = format!("{}/api/v3/auth/local/login", site.url);
    let first = visitor.call(Method::POST, &login, None, &body).await.data();
    let bob = site.server.user().with(&format!("Bearer {}", first["access_token"].as_str().unwrap()));
    bob.get("/api/v3/messages").await.data();
    site.sign_in(&mut visitor, "alice", "/").await;
    bob.get("/api/v3/messages").await.failure(401, "unauthenticated");
    assert_ne!(visitor.refresh(&site.url).await.data()["user"]["id"], "bob");
}
