//! DingTalk as an application of one organisation sees it (DingTalk docs, "obtain user token", "retrieve user
//! information", "obtain the access token of an internal app"; the models of its SDK).

use super::answer::{Answer, Outcome};
use super::call::Call;
use super::fault::Fault;
use super::grant::Grant;
use super::stub::{Back, Stub, TOKEN_LENGTH, random};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const CLIENT_ID: &str = "dingstub0123456789ab";
pub(super) const CLIENT_SECRET: &str = "canary-dingtalk-secret-c1f7a94e5b8d4e3f9d2a06";
pub(super) const CORP_ID: &str = "dingstub0123456789abcdef";

/// Of a code.
const CODE_LIFE: Duration = Duration::from_secs(300);
const TOKEN_LIFE: Duration = Duration::from_secs(7200);
const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// How the token call names what the page names `client_id`, and the other way round.
const NAMES_OF_OTHERS: &[&str] = &["clientId", "appid", "client_secret"];

const REQUEST_ID: &str = "00000000-0000-7000-8000-000000000000";
/// The name that most errors of the newer interface have.
const INVALID: &str = "InvalidAuthentication";

/// The numbers of the errors of the older interface.
mod error {
    pub(super) const NO_AUTHENTICATION: i64 = 88;
    pub(super) const BAD_TOKEN: i64 = 40014;
    pub(super) const BAD_PARAMETER: i64 = 40035;
    pub(super) const BAD_CODE: i64 = 40078;
    pub(super) const NOT_IN_ORGANISATION: i64 = 60121;
    pub(super) const LIMITED: i64 = 90002;
}

/// Somebody without an email, and how the directory of the organisation knows them.
pub(super) fn people() -> Vec<(&'static str, Value)> {
    let me = json!({
        "nick": "钉钉读者", "avatarUrl": "https://static-legacy.dingtalk.com/media/stub.jpg",
        "mobile": "13800000000", "openId": "StubOpenIdOfReader", "unionId": "StubUnionIdOfReader",
        "stateCode": "86", "visitor": false,
    });
    let member = json!({
        "userid": "manager4220", "name": "李四", "title": "工程师", "mobile": "13800000000",
        "org_email": "lisi@corp.example.test", "dept_id_list": [1], "active": true,
    });
    vec![("ding", me), ("ding.token", json!({ "corpId": CORP_ID })), ("ding.member", member)]
}

/// `GET /oauth2/auth`: a space in `scope` has to be `%20`
pub(super) fn authorize(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    if matches!(fault, Some(Fault::RateLimited)) {
        return Err(Answer::page(429, "Too many requests"));
    }
    call.refused(NAMES_OF_OTHERS)?;
    call.required_to_be("client_id", CLIENT_ID)?;
    call.required_to_be("response_type", "code")?;
    call.required("scope")?;
    call.required("prompt")?;
    let written = call.raw_query.split('&').find(|pair| pair.starts_with("scope="));
    let grant = Grant::asked(call)?;
    if written.is_none_or(|scope| scope.contains('+')) || !grant.has_scope("openid") {
        return Err(Answer::page(400, "The parameter scope is wrong"));
    }
    // Some programs meet the code under the name that it has everywhere else.
    let code_name = if matches!(fault, Some(Fault::OtherCodeName)) { "code" } else { "authCode" };
    let no_code = [("code", "canary-ding-no-code".to_owned())];
    let back = Back {
        provider: "ding",
        code_name,
        code: random("canary-ding-code-", 49),
        life: CODE_LIFE,
        denied: &[("error", "access_denied")],
        also: if matches!(fault, Some(Fault::BothCodeNames)) { &no_code } else { &[] },
    };
    Ok(stub.send_back(call, fault, grant, back))
}

/// `POST /v1.0/oauth2/userAccessToken`: JSON with names in camel case
pub(super) fn token(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    named(fault)?;
    let body = body(call)?;
    if body["clientId"] != CLIENT_ID || body["clientSecret"] != CLIENT_SECRET {
        return Err(refusal(400, INVALID, "无效的clientId或者clientSecret"));
    }
    let wrong = || refusal(400, INVALID, "不存在的临时授权码");
    if body["grantType"] == "refresh_token" {
        let given = body["refreshToken"].as_str().unwrap_or_default();
        let known = stub.token("ding-refresh", given).filter(|_| !matches!(fault, Some(Fault::TokenError)));
        let known = known.ok_or_else(wrong)?;
        return Ok(handed_out(stub, &known.scope));
    }
    if body["grantType"] != "authorization_code" {
        return Err(wrong());
    }
    let code = body["code"].as_str().unwrap_or_default();
    let grant = stub.redeem("ding", code, fault).map_err(|_| wrong())?;
    Ok(handed_out(stub, &grant.scope))
}

fn handed_out(stub: &Stub, scope: &str) -> Answer {
    let mut said = json!({
        "accessToken": stub.new_token("ding", scope, TOKEN_LIFE),
        "refreshToken": stub.new_token("ding-refresh", scope, REFRESH_TOKEN_LIFE),
        "expireIn": TOKEN_LIFE.as_secs(),
    });
    if scope.split(' ').any(|scope| scope == "corpid") {
        let chosen = stub.person("ding.token");
        said.as_object_mut().unwrap().extend(chosen.as_object().unwrap().clone());
    }
    json_answer(200, &said)
}

/// `GET /v1.0/contact/users/me`: the token stands in a header of its own
pub(super) fn me(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    named(fault)?;
    let given = call.header("x-acs-dingtalk-access-token").unwrap_or_default();
    if stub.token("ding", given).is_none() || matches!(fault, Some(Fault::TokenError)) {
        return Err(refusal(400, INVALID, "不合法的access_token"));
    }
    Ok(json_answer(200, &stub.person("ding")))
}

/// `POST /v1.0/oauth2/accessToken`: the token of the application, the same one within its life
pub(super) fn apptoken(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    named(fault)?;
    let body = body(call)?;
    let token = application_token(stub, fault, &body["appKey"], &body["appSecret"])?;
    Ok(json_answer(200, &json!({ "accessToken": token, "expireIn": TOKEN_LIFE.as_secs() })))
}

/// `POST /v1.0/oauth2/{corpId}/token`: the same in its newer form
pub(super) fn apptoken_of_corp(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    named(fault)?;
    let body = body(call)?;
    if body["grant_type"] != "client_credentials" || !call.path.contains(CORP_ID) {
        return Err(refusal(400, INVALID, "invalid grant_type or corpId"));
    }
    let token = application_token(stub, fault, &body["client_id"], &body["client_secret"])?;
    Ok(json_answer(200, &json!({ "access_token": token, "expires_in": TOKEN_LIFE.as_secs() })))
}

fn application_token(
    stub: &Stub,
    fault: Option<&Fault>,
    key: &Value,
    secret: &Value,
) -> Result<String, Answer> {
    if key != CLIENT_ID || secret != CLIENT_SECRET || matches!(fault, Some(Fault::TokenError)) {
        return Err(refusal(400, INVALID, "无效的clientId或者clientSecret"));
    }
    Ok(stub.application_token("ding-app", TOKEN_LIFE, TOKEN_LENGTH))
}

/// `POST /topapi/user/getbyunionid`: whether somebody is of the organisation
pub(super) fn getbyunionid(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    let body = older_body(stub, call, fault)?;
    if body["unionid"] != stub.person("ding")["unionId"] {
        return Err(older_refusal(error::NOT_IN_ORGANISATION));
    }
    Ok(older_success(json!({ "userid": stub.person("ding.member")["userid"], "contact_type": 0 })))
}

/// `POST /topapi/v2/user/get`: a member of the organisation
pub(super) fn userget(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    let body = older_body(stub, call, fault)?;
    let mut member = stub.person("ding.member");
    if body["userid"] != member["userid"] {
        return Err(older_refusal(error::NOT_IN_ORGANISATION));
    }
    member["unionid"] = stub.person("ding")["unionId"].clone();
    Ok(older_success(member))
}

/// The body of a call of the older interface that shows the living token of the application in its query.
fn older_body(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Result<Value, Answer> {
    match fault {
        Some(Fault::Errcode(number)) => return Err(older_refusal(*number)),
        Some(Fault::RateLimited) => return Err(older_refusal(error::LIMITED)),
        Some(Fault::TokenDied) => stub.end_tokens("ding-app"),
        _ => {}
    }
    let given = call.asked("access_token").unwrap_or_default();
    if stub.token("ding-app", given).is_none() || matches!(fault, Some(Fault::TokenError)) {
        return Err(older_refusal(error::BAD_TOKEN));
    }
    call.json().ok_or_else(|| older_refusal(error::BAD_PARAMETER))
}

fn older_success(result: Value) -> Answer {
    json_answer(200, &json!({ "errcode": 0, "errmsg": "ok", "result": result, "request_id": REQUEST_ID }))
}

fn older_refusal(number: i64) -> Answer {
    let words = match number {
        error::NO_AUTHENTICATION => "ding talk error[subcode=40014,submsg=不合法的access_token]",
        error::BAD_TOKEN => "不合法的access_token",
        error::BAD_PARAMETER => "不合法的参数",
        error::BAD_CODE => "不存在的临时授权码",
        error::NOT_IN_ORGANISATION => "找不到该用户",
        error::LIMITED => "您的服务器调用钉钉开放平台当前接口的所有请求都被暂时禁用了",
        _ => "error",
    };
    let mut said = json!({ "errcode": number, "errmsg": words, "request_id": REQUEST_ID });
    if number == error::NO_AUTHENTICATION {
        said["sub_code"] = "40014".into();
        said["sub_msg"] = "不合法的access_token".into();
    }
    json_answer(200, &said)
}

/// The body, which the newer interface takes as JSON only.
fn body(call: &Call) -> Result<Value, Answer> {
    let missing = || refusal(400, "Missingbody", "body is mandatory for this action.");
    call.json().ok_or_else(missing)
}

/// The faults that are only a name.
fn named(fault: Option<&Fault>) -> Result<(), Answer> {
    match fault {
        Some(Fault::Named(name)) => Err(refusal(400, name, "error")),
        Some(Fault::RateLimited) => {
            Err(refusal(403, "Forbidden.AccessDenied.QpsLimitForApi", "qps limit reached"))
        }
        _ => Ok(()),
    }
}

/// Of the newer interface. `requestid` has no capital.
pub(super) fn refusal(status: u16, name: &str, message: &str) -> Answer {
    json_answer(status, &json!({ "code": name, "message": message, "requestid": REQUEST_ID }))
}

fn json_answer(status: u16, said: &Value) -> Answer {
    Answer::new(status, "application/json;charset=utf-8", said.to_string())
}
