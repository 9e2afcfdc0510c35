//! Each provider signs somebody in, and refuses in its own way.

use super::{CALLBACK, STATE, VERIFIER, Visit, text};
use crate::api::Reply;
use crate::providers::call::{pairs, value_of};
use crate::providers::{Fault, IdFault, Providers};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn github_signs_somebody_in() {
    let test = Visit::start().await;
    let back = test.github_code().await;
    assert_eq!(value_of(&back, "state"), Some(STATE));
    let code = value_of(&back, "code").unwrap();
    let token = Reply::of(test.github_token(code, VERIFIER).header("accept", "application/json")).await;
    let token = token.json();
    assert_eq!((&token["token_type"], &token["scope"]), (&"bearer".into(), &"read:user,user:email".into()));

    let bearer = format!("Bearer {}", text(&token, "access_token"));
    let call = |path| test.get(path, &[]).header("authorization", &bearer);
    assert_eq!(Reply::of(call("gh/api/v3/user")).await.status, 403);
    let call = |path| call(path).header("user-agent", "test");
    let user = Reply::of(call("gh/api/v3/user")).await.json();
    assert!(user["id"].is_u64() && user["name"].is_null() && user["email"].is_null());
    let emails = Reply::of(call("gh/api/v3/user/emails")).await.json();
    assert_eq!(emails.as_array().unwrap().len(), 3);
    test.providers.fail("gh.emails", Fault::Refused(404));
    assert_eq!(Reply::of(call("gh/api/v3/user/emails")).await.status, 404);
    test.providers.fail("gh.user", Fault::TokenError);
    let refused = Reply::of(call("gh/api/v3/user")).await;
    assert_eq!((refused.status, &refused.json()["status"]), (401, &"401".into()));
}

#[tokio::test]
async fn github_is_asked_about_a_token() {
    let test = Visit::start().await;
    let back = test.github_code().await;
    let token = test.github_token(value_of(&back, "code").unwrap(), VERIFIER);
    let token = text(&Reply::of(token.header("accept", "application/json")).await.json(), "access_token");
    let (id, secret) = (test.setting("GITHUB_CLIENT_ID"), test.setting("GITHUB_CLIENT_SECRET"));
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let call = |method: Method| {
        let url = test.providers.url(&format!("gh/api/v3/applications/{id}/token"));
        let request = test.client.request(method, url).header("user-agent", "test");
        Reply::of(request.header("authorization", &basic).json(&json!({ "access_token": token })))
    };
    let known = call(Method::POST).await;
    assert_eq!((known.status, &known.json()["user"]["id"]), (200, &583_231.into()), "{}", known.text);
    assert_eq!(call(Method::DELETE).await.status, 204);
    assert_eq!(call(Method::POST).await.status, 404);
}

#[tokio::test]
async fn github_says_errors_with_a_success_and_in_the_form_that_was_asked_for() {
    let test = Visit::start().await;
    let back = test.github_code().await;
    let code = value_of(&back, "code").unwrap();
    let other = Reply::of(test.github_token(code, &VERIFIER.to_uppercase())).await;
    assert_eq!(other.status, 200);
    assert!(other.header("content-type").unwrap().starts_with("application/x-www-form-urlencoded"));
    assert_eq!(value_of(&pairs(&other.text), "error"), Some("bad_verification_code"));
    let again = Reply::of(test.github_token(code, VERIFIER).header("accept", "application/json")).await;
    assert_eq!((again.status, &again.json()["error"]), (200, &"bad_verification_code".into()));

    test.providers.fail("gh.authorize", Fault::Deny);
    let denied = test.github_code().await;
    assert_eq!(value_of(&denied, "error"), Some("access_denied"));
    assert_eq!((value_of(&denied, "state"), value_of(&denied, "code")), (Some(STATE), None));
    let page = Reply::of(test.get("gh/login/oauth/authorize", &[("appid", "x")])).await;
    assert_eq!(page.status, 400);
}

#[tokio::test]
async fn google_signs_somebody_in() {
    let test = Visit::start().await;
    let issuer = test.providers.url("goog");
    let found = Reply::of(test.get("goog/.well-known/openid-configuration", &[])).await.json();
    assert_eq!(text(&found, "issuer"), issuer);
    assert!(value_of(&test.google_code().await, "code").unwrap().contains('/'));
    let token = test.google().await;
    let claims = verified(&test, &token).await.unwrap();
    assert_eq!((text(&claims, "iss"), text(&claims, "nonce")), (issuer, "a-nonce".to_owned()));
    assert_eq!((claims["email_verified"].as_bool(), text(&claims, "sub").len()), (Some(true), 21));
    let bearer = format!("Bearer {}", text(&token, "access_token"));
    let user = Reply::of(test.get("goog/v1/userinfo", &[]).header("authorization", bearer)).await.json();
    assert_eq!(user["sub"], claims["sub"]);
}

/// The claims of an ID token, if one of the published keys signed it.
async fn verified(test: &Visit, token: &Value) -> Option<Value> {
    let id_token = text(token, "id_token");
    let certs = Reply::of(test.get("goog/certs", &[])).await.json();
    let header = jsonwebtoken::decode_header(&id_token).ok()?;
    let mut keys = certs["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["kid"].as_str() == header.kid.as_deref())?;
    let key = jsonwebtoken::DecodingKey::from_rsa_components(&text(key, "n"), &text(key, "e")).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[test.setting("GOOGLE_CLIENT_ID")]);
    rules.set_issuer(&[test.providers.url("goog")]);
    jsonwebtoken::decode(&id_token, &key, &rules).ok().map(|token| token.claims)
}

#[tokio::test]
async fn google_signs_wrongly_when_told_to() {
    let test = Visit::start().await;
    for fault in [
        IdFault::WrongAud,
        IdFault::WrongIss,
        IdFault::AlgNone,
        IdFault::Hs256WithPublicKey,
        IdFault::OtherKey,
        IdFault::Expired,
        IdFault::UnknownKid,
    ] {
        test.providers.fail("goog.token", Fault::IdToken(fault));
        assert_eq!(verified(&test, &test.google().await).await, None, "{fault:?}");
    }
    test.providers.fail("goog.token", Fault::IdToken(IdFault::WrongNonce));
    let claims = verified(&test, &test.google().await).await.unwrap();
    assert_ne!(text(&claims, "nonce"), "a-nonce");
    test.providers.fail("goog.token", Fault::IdToken(IdFault::RotatedKey));
    for _ in 0..2 {
        let token = test.google().await;
        let header = jsonwebtoken::decode_header(text(&token, "id_token")).unwrap();
        assert_eq!(header.kid.as_deref(), Some("test-key-2"));
        assert!(verified(&test, &token).await.is_some());
    }
}

#[tokio::test]
async fn google_refuses_with_a_status() {
    let test = Visit::start().await;
    let back = test.google_code().await;
    let code = value_of(&back, "code").unwrap();
    test.providers.fail("goog.token", Fault::CodeUsed);
    let used = Reply::of(test.google_token(code)).await;
    assert_eq!((used.status, &used.json()["error"]), (400, &"invalid_grant".into()));
    let nobody = Reply::of(test.post_form("goog/token", &[("code", code)])).await;
    assert_eq!((nobody.status, &nobody.json()["error"]), (401, &"invalid_client".into()));
}

#[tokio::test]
async fn wechat_signs_somebody_in() {
    let test = Visit::start().await;
    let back = test.wechat_code().await;
    let answer = Reply::of(test.wechat_token(value_of(&back, "code").unwrap())).await;
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let token = answer.json();
    assert!(token.get("errcode").is_none() && token.get("token_type").is_none());
    let (access, openid) = (text(&token, "access_token"), text(&token, "openid"));
    let shown = [("access_token", access.as_str()), ("openid", &openid), ("lang", "zh_CN")];
    let user = Reply::of(test.get("wx/sns/userinfo", &shown)).await;
    assert!(user.text.contains("\\/") && user.text.contains("🪿"), "{}", user.text);
    assert_eq!(user.json()["unionid"], token["unionid"]);
    let auth = Reply::of(test.get("wx/sns/auth", &shown)).await.json();
    assert_eq!(auth["errcode"], 0);

    let (id, refresh) = (test.setting("WECHAT_CLIENT_ID"), text(&token, "refresh_token"));
    let query = [("appid", id.as_str()), ("grant_type", "refresh_token"), ("refresh_token", &refresh)];
    let fresh = Reply::of(test.get("wx/sns/oauth2/refresh_token", &query)).await.json();
    assert_eq!(fresh["openid"], token["openid"]);

    test.providers.person("wx", |person| {
        person.as_object_mut().unwrap().remove("unionid");
    });
    let without = Reply::of(test.get("wx/sns/userinfo", &shown)).await.json();
    assert_eq!((without.get("unionid"), without["sex"].as_i64()), (None, Some(0)));
}

#[tokio::test]
async fn wechat_numbers_its_errors() {
    let test = Visit::start().await;
    let back = test.wechat_code().await;
    let code = value_of(&back, "code").unwrap();
    let number = async |code| {
        let reply = Reply::of(test.wechat_token(code)).await;
        assert_eq!(reply.status, 200);
        reply.json()["errcode"].as_i64()
    };
    assert_eq!(number(code).await, None);
    assert_eq!(number(code).await, Some(40163));
    assert_eq!(number("another").await, Some(40029));
    test.providers.fail("wx.authorize", Fault::Deny);
    assert_eq!(test.wechat_code().await, [("state".to_owned(), STATE.to_owned())]);
    let query = [("client_id", "x"), ("redirect_uri", CALLBACK)];
    assert_eq!(Reply::of(test.get("wx/connect/qrconnect", &query)).await.status, 400);
}

#[tokio::test]
async fn wecom_signs_somebody_in() {
    let test = Visit::start().await;
    let token = test.wecom_token().await;
    assert_eq!((token.len(), &test.wecom_token().await), (512, &token));
    assert_eq!(test.providers.calls_of("wecom.gettoken").len(), 2);
    let back = test.wecom_code().await;
    let code = value_of(&back, "code").unwrap();
    let who = test.wecom_who(&token, code).await;
    assert_eq!((&who["errcode"], &who["userid"]), (&0.into(), &"ZhangSan".into()));
    assert_eq!(test.wecom_who(&token, code).await["errcode"], 40029);
    let asked = [("access_token", token.as_str()), ("userid", "zhangsan")];
    let member = Reply::of(test.get("wecom/cgi-bin/user/get", &asked)).await.json();
    assert!(member["gender"].is_string() && member.get("email").is_none() && member.get("avatar").is_none());

    test.providers.fail("wecom.getuserinfo", Fault::WithTicket);
    let back = test.wecom_code().await;
    let who = test.wecom_who(&token, value_of(&back, "code").unwrap()).await;
    let path = format!("wecom/cgi-bin/auth/getuserdetail?access_token={token}");
    let ticket = json!({ "user_ticket": who["user_ticket"] });
    let released = Reply::of(test.post_json(&path, &ticket)).await.json();
    assert!(released["errcode"] == 0 && released.get("name").is_none(), "{released}");
}

#[tokio::test]
async fn wecom_refuses_a_dead_token_until_a_new_one_was_fetched() {
    let test = Visit::start().await;
    let old = test.wecom_token().await;
    let back = test.wecom_code().await;
    let code = value_of(&back, "code").unwrap();
    test.providers.fail("wecom.getuserinfo", Fault::TokenDied);
    for _ in 0..2 {
        assert_eq!(test.wecom_who(&old, code).await["errcode"], 40014);
    }
    let new = test.wecom_token().await;
    assert_ne!(new, old);
    assert_eq!(test.wecom_who(&new, code).await["userid"], "ZhangSan");

    test.providers.fail("wecom.getuserinfo", Fault::NotMember);
    let back = test.wecom_code().await;
    let who = test.wecom_who(&new, value_of(&back, "code").unwrap()).await;
    assert!(who["errcode"] == 0 && who["openid"].is_string() && who.get("userid").is_none());
    for number in [60020, 50001, 60011] {
        test.providers.fail("wecom.getuserinfo", Fault::Errcode(number));
        assert_eq!(test.wecom_who(&new, "any").await["errcode"], number);
    }
}

#[tokio::test]
async fn dingtalk_signs_somebody_in() {
    let test = Visit::start().await;
    let token = test.dingtalk().await.json();
    assert_eq!(
        (&token["expireIn"], text(&token, "corpId")),
        (&7200.into(), Providers::DINGTALK_CORP_ID.into())
    );
    let access = text(&token, "accessToken");
    let me = || test.get("ding/v1.0/contact/users/me", &[]);
    let refused = Reply::of(me().header("authorization", format!("Bearer {access}"))).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &"InvalidAuthentication".into()));
    let user = Reply::of(me().header("x-acs-dingtalk-access-token", &access)).await.json();
    assert!(user["unionId"].is_string() && user.get("email").is_none());

    let (key, secret) = (test.setting("DINGTALK_CLIENT_ID"), test.setting("DINGTALK_CLIENT_SECRET"));
    let application = json!({ "appKey": key, "appSecret": secret });
    let application = Reply::of(test.post_json("ding/v1.0/oauth2/accessToken", &application)).await.json();
    let older = |path: &str, body: Value| {
        let path = format!("ding/topapi/{path}?access_token={}", text(&application, "accessToken"));
        Reply::of(test.post_json(&path, &body))
    };
    let found = older("user/getbyunionid", json!({ "unionid": user["unionId"] })).await.json();
    let member = older("v2/user/get", json!({ "userid": found["result"]["userid"] })).await.json();
    assert_eq!(member["result"]["unionid"], user["unionId"]);
    let stranger = older("user/getbyunionid", json!({ "unionid": "somebody" })).await;
    assert_eq!((stranger.status, &stranger.json()["errcode"]), (200, &60121.into()));
}

#[tokio::test]
async fn dingtalk_takes_neither_a_plus_nor_a_form() {
    let test = Visit::start().await;
    assert_eq!(test.dingtalk_code("openid+corpid").await.status, 400);
    assert_eq!(test.dingtalk_code("corpid").await.status, 400);
    let posted = test.post_form("ding/v1.0/oauth2/userAccessToken", &[("clientId", "x")]);
    let posted = Reply::of(posted).await;
    assert_eq!((posted.status, &posted.json()["code"]), (400, &"Missingbody".into()));
    test.providers.fail("ding.token", Fault::CodeUsed);
    let used = test.dingtalk().await;
    assert_eq!((used.status, &used.json()["code"]), (400, &"InvalidAuthentication".into()));
    test.providers.fail("ding.authorize", Fault::Deny);
    let denied = test.dingtalk_code("openid").await;
    assert!(denied.header("location").unwrap().ends_with(&format!("error=access_denied&state={STATE}")));
    let codes = async |fault| {
        test.providers.fail("ding.authorize", fault);
        let reply = test.dingtalk_code("openid").await;
        let back = pairs(reply.header("location").unwrap().split_once('?').unwrap().1);
        ["authCode", "code"].map(|name| value_of(&back, name).is_some())
    };
    assert_eq!(codes(Fault::OtherCodeName).await, [false, true]);
    assert_eq!(codes(Fault::BothCodeNames).await, [true, true]);
    let nowhere = Reply::of(test.get("ding/v1.0/nothing", &[])).await;
    assert_eq!((nowhere.status, &nowhere.json()["code"]), (404, &"InvalidAction.NotFound".into()));
}
