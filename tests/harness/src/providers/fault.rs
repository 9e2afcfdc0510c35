//! What can be made to go wrong at a step of a provider.

use std::time::Duration;

/// What goes wrong at one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The person refuses: an `error`, or `state` alone where the provider has no such error.
    Deny,
    /// The browser comes back with a `state` that was never given out.
    BadState,
    /// The browser comes back with `state` alone.
    NoCode,
    /// Google: the browser comes back with the `iss` of somebody else.
    OtherIssuer,
    /// Google: the browser comes back with no `iss`, although there is to be one.
    NoIssuer,
    /// DingTalk: the code is called `code` and not `authCode`.
    OtherCodeName,
    /// DingTalk: besides `authCode` there is a `code`, which is none.
    BothCodeNames,

    /// The code was redeemed before. It is spent in truth, too.
    CodeUsed,
    /// The code is too old. It is spent in truth, too.
    CodeExpired,
    /// The provider refuses the code, the secret or the token of this call, in the way that is usual at this step.
    TokenError,
    /// WeCom and DingTalk: the token of the application died early. It is refused until a new one was fetched.
    TokenDied,
    /// The error of this name, where errors have names.
    Named(&'static str),
    /// The error of this number, where errors have numbers: 60020, 50001, 60011, 60121 and the like.
    Errcode(i64),
    /// GitHub's API: refused with 401, 403, 404 or 422.
    Refused(u16),
    /// WeCom: somebody who is no member; a success with `openid` alone.
    NotMember,
    /// WeCom: a customer, who is no member; a success with `openid` and `external_userid`.
    Customer,
    /// WeCom: a member with a `user_ticket`, as only a sign-in inside the WeCom app gives one.
    WithTicket,
    /// WeCom: a member under the names of the older interface, `UserId` and `DeviceId`.
    OlderNames,
    /// Google: the ID token is not as it should be.
    IdToken(IdFault),

    RateLimited,
    /// The answer comes after this long, and is as usual.
    Slow(Duration),
    Status500,
    /// A success whose body is nothing that can be read.
    GarbageBody,
    /// A success whose body goes on for 100 MB.
    HugeBody,
    /// The usual answer, said to be HTML.
    WrongContentType,
    /// 302 to the same address.
    Redirect,
    /// Whatever the test wants.
    Answer {
        status: u16,
        content_type: &'static str,
        body: String,
    },
}

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdFault {
    WrongAud,
    WrongIss,
    WrongNonce,
    NoNonce,
    /// Not signed at all, and saying so.
    AlgNone,
    /// Signed with the public key as if that were a shared secret.
    Hs256WithPublicKey,
    /// Signed by another key than the one it names.
    OtherKey,
    Expired,
    /// Signed by a key that is published nowhere.
    UnknownKid,
    /// No fault of the token: from now on the second key signs, and is published beside the first.
    RotatedKey,
}

/// Where codes are redeemed.
const REDEEMING: &[&str] = &["gh.token", "goog.token", "wx.token", "wecom.getuserinfo", "ding.token"];
/// Where nothing secret is shown.
const PUBLIC: &[&str] = &["goog.discovery", "goog.certs"];
/// Where the token of the application is shown.
const APPLICATION: &[&str] =
    &["wecom.getuserinfo", "wecom.user", "wecom.detail", "ding.getbyunionid", "ding.userget"];
/// Where errors have names.
const NAMING: &[&str] = &[
    "gh.authorize",
    "gh.token",
    "goog.authorize",
    "goog.token",
    "ding.authorize",
    "ding.token",
    "ding.me",
    "ding.apptoken",
];
/// DingTalk's older interface, which has numbers where the newer has names.
const NUMBERING: &[&str] = &["ding.getbyunionid", "ding.userget"];
/// GitHub's API.
const REFUSING: &[&str] = &["gh.user", "gh.emails", "gh.check", "gh.revoke"];

impl Fault {
    /// Whether this can happen at this step.
    pub(super) fn fits(&self, step: &str) -> bool {
        let authorize = step.ends_with(".authorize");
        match self {
            Self::Deny | Self::BadState | Self::NoCode => authorize,
            Self::OtherIssuer | Self::NoIssuer => step == "goog.authorize",
            Self::OtherCodeName | Self::BothCodeNames => step == "ding.authorize",
            Self::CodeUsed | Self::CodeExpired => REDEEMING.contains(&step),
            Self::TokenError => !authorize && !PUBLIC.contains(&step),
            Self::TokenDied => APPLICATION.contains(&step),
            Self::Named(_) => NAMING.contains(&step),
            Self::Errcode(_) => {
                let tencent = step.starts_with("wx.") || step.starts_with("wecom.");
                tencent && !authorize || NUMBERING.contains(&step)
            }
            Self::Refused(status) => REFUSING.contains(&step) && [401, 403, 404, 422].contains(status),
            Self::NotMember | Self::Customer | Self::WithTicket | Self::OlderNames => {
                step == "wecom.getuserinfo"
            }
            Self::IdToken(_) => step == "goog.token",
            Self::RateLimited
            | Self::Slow(_)
            | Self::Status500
            | Self::GarbageBody
            | Self::HugeBody
            | Self::WrongContentType
            | Self::Redirect
            | Self::Answer { .. } => true,
        }
    }
}
