//! WeCom as an application of one corporation sees it (WeCom docs, paths 98171 and 98177 "web login",
//! 91039 "gettoken", 96255 "read member", 96443 "user detail"). All answers have status 200.

use super::answer::{Answer, Outcome};
use super::call::Call;
use super::fault::Fault;
use super::grant::Grant;
use super::stub::{Back, Stub, random};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const CORP_ID: &str = "ww0123456789abcdef";
pub(super) const AGENT_ID: &str = "1000002";
pub(super) const CLIENT_SECRET: &str = "canary-wecom-secret-93e5d8f07b1c4b6aa2f4c7";

/// Of a code.
const CODE_LIFE: Duration = Duration::from_secs(300);
const TOKEN_LIFE: Duration = Duration::from_secs(7200);
const TICKET_LIFE: Duration = Duration::from_secs(1800);
/// As long as a token of WeCom may be.
const TOKEN_LENGTH: usize = 512;
/// How others call what is called `appid` here.
const NAMES_OF_OTHERS: &[&str] = &["client_id", "client_secret", "corpid", "corpsecret"];
const OPENID_OF_STRANGER: &str = "oStubOfSomebodyWhoIsNoMember";

/// The numbers of the errors.
mod error {
    pub(super) const BUSY: i64 = -1;
    pub(super) const BAD_SECRET: i64 = 40001;
    pub(super) const BAD_CORP_ID: i64 = 40013;
    pub(super) const BAD_TOKEN: i64 = 40014;
    pub(super) const BAD_CODE: i64 = 40029;
    pub(super) const EXPIRED_TOKEN: i64 = 42001;
    pub(super) const LIMITED: i64 = 45009;
    pub(super) const NO_INTERFACE: i64 = 48002;
    pub(super) const OTHER_DOMAIN: i64 = 50001;
    pub(super) const NO_PRIVILEGE: i64 = 60011;
    pub(super) const OTHER_ADDRESS: i64 = 60020;
    pub(super) const NO_USER: i64 = 60111;
}

/// A member as applications made after June 2022 see one: without email and avatar. What the member released comes
/// with a ticket only.
pub(super) fn people() -> Vec<(&'static str, Value)> {
    let member = json!({
        "userid": "ZhangSan", "name": "张三", "alias": "zhang", "department": [1, 2], "order": [0, 0],
        "position": "工程师", "gender": "1", "is_leader_in_dept": [0, 0], "direct_leader": [],
        "main_department": 1, "status": 1, "telephone": "", "extattr": { "attrs": [] },
    });
    let released = json!({
        "gender": "1", "avatar": "https://wework.qpic.cn/bizmail/Stub/0",
        "qr_code": "https://open.work.weixin.qq.com/wwopen/userQRCode?vcode=Stub", "mobile": "13800000000",
        "email": "zhangsan@example.test", "biz_mail": "zhangsan@corp.example.test", "address": "",
    });
    vec![("wecom", member), ("wecom.detail", released)]
}

/// `GET /wwlogin/sso/login`
pub(super) fn authorize(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    if matches!(fault, Some(Fault::RateLimited)) {
        return Err(Answer::page(429, "Too many requests"));
    }
    call.refused(NAMES_OF_OTHERS)?;
    call.required_to_be("login_type", "CorpApp")?;
    call.required_to_be("appid", CORP_ID)?;
    call.required_to_be("agentid", AGENT_ID)?;
    call.plain_state()?;
    let back = Back {
        provider: "wecom",
        code_name: "code",
        code: random("canary-wecom-code-", 64),
        life: CODE_LIFE,
        // No error: `state` comes back alone.
        denied: &[],
        also: &[],
    };
    Ok(stub.send_back(call, fault, Grant::asked(call)?, back))
}

/// `GET /cgi-bin/gettoken`: the token of the application, the same one within its life
pub(super) fn gettoken(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    numbered(fault)?;
    if call.asked("corpid") != Some(CORP_ID) {
        return Err(refusal(error::BAD_CORP_ID));
    }
    if call.asked("corpsecret") != Some(CLIENT_SECRET) || matches!(fault, Some(Fault::TokenError)) {
        return Err(refusal(error::BAD_SECRET));
    }
    let token = stub.application_token("wecom", TOKEN_LIFE, TOKEN_LENGTH);
    Ok(success(json!({ "access_token": token, "expires_in": TOKEN_LIFE.as_secs() })))
}

/// `GET /cgi-bin/auth/getuserinfo`: whose code it is
pub(super) fn getuserinfo(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    admitted(stub, call, fault)?;
    let code = call.asked("code").unwrap_or_default();
    stub.redeem("wecom", code, fault).map_err(|_| refusal(error::BAD_CODE))?;
    let userid = stub.person("wecom")["userid"].clone();
    Ok(success(match fault {
        Some(Fault::NotMember) => json!({ "openid": OPENID_OF_STRANGER }),
        Some(Fault::Customer) => {
            json!({ "openid": OPENID_OF_STRANGER, "external_userid": "wmStubOfACustomer" })
        }
        Some(Fault::OlderNames) => json!({ "UserId": userid, "DeviceId": "stub-device" }),
        Some(Fault::WithTicket) => {
            let ticket = stub.new_token("wecom-ticket", "", TICKET_LIFE);
            json!({ "userid": userid, "user_ticket": ticket, "expires_in": TICKET_LIFE.as_secs() })
        }
        _ => json!({ "userid": userid }),
    }))
}

/// `GET /cgi-bin/user/get`: a member, whose id is the same in upper and lower case
pub(super) fn user(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    admitted(stub, call, fault)?;
    let member = stub.person("wecom");
    let asked = call.asked("userid").unwrap_or_default();
    if !member["userid"].as_str().is_some_and(|userid| userid.eq_ignore_ascii_case(asked)) {
        return Err(refusal(error::NO_USER));
    }
    Ok(success(member))
}

/// `POST /cgi-bin/auth/getuserdetail`: what a member released, for a ticket
pub(super) fn detail(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    admitted(stub, call, fault)?;
    let body = call.json().unwrap_or_default();
    let ticket = body["user_ticket"].as_str().unwrap_or_default();
    if stub.token("wecom-ticket", ticket).is_none() {
        return Err(refusal(error::BAD_CODE));
    }
    let mut released = stub.person("wecom.detail");
    released["userid"] = stub.person("wecom")["userid"].clone();
    Ok(success(released))
}

/// Refuses calls without the living token of the application.
fn admitted(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Result<(), Answer> {
    numbered(fault)?;
    if matches!(fault, Some(Fault::TokenDied)) {
        stub.end_tokens("wecom");
    }
    let given = call.asked("access_token").unwrap_or_default();
    if stub.token("wecom", given).is_none() || matches!(fault, Some(Fault::TokenError)) {
        return Err(refusal(error::BAD_TOKEN));
    }
    Ok(())
}

/// The faults that are only a number.
fn numbered(fault: Option<&Fault>) -> Result<(), Answer> {
    match fault {
        Some(Fault::Errcode(number)) => Err(refusal(*number)),
        Some(Fault::RateLimited) => Err(refusal(error::LIMITED)),
        _ => Ok(()),
    }
}

/// What is said, together with the number of success.
fn success(said: Value) -> Answer {
    let mut said = said;
    said["errcode"] = 0.into();
    said["errmsg"] = "ok".into();
    Answer::json(200, &said)
}

fn refusal(number: i64) -> Answer {
    let words = match number {
        error::BUSY => "system busy",
        error::BAD_SECRET => "invalid credential",
        error::BAD_CORP_ID => "invalid corpid",
        error::BAD_TOKEN => "invalid access_token",
        error::BAD_CODE => "invalid code",
        error::EXPIRED_TOKEN => "access_token expired",
        error::LIMITED => "api freq out of limit",
        error::NO_INTERFACE => "api forbidden",
        error::OTHER_DOMAIN => "redirect_url domain is not trusted",
        error::NO_PRIVILEGE => "no privilege to access/modify contact/party/agent",
        error::OTHER_ADDRESS => "not allow to access from your ip",
        error::NO_USER => "userid not found",
        _ => "error",
    };
    let query = format!("https://open.work.weixin.qq.com/devtool/query?e={number}");
    let message =
        format!("{words}, hint: [1700000000000000000000], from ip: 127.0.0.1, more info at {query}");
    Answer::json(200, &json!({ "errcode": number, "errmsg": message }))
}
