//! The sign-in providers of tests: GitHub, Google, WeChat, WeCom and DingTalk as one server of this process.
//!
//! Each is as strict as the real one, answers in its form, and fails in its way. A browser that comes to an
//! authorize page is sent back at once. Everything that is secret starts with `canary-`, so that it can be found
//! wherever it should not be; ID tokens cannot, and are in [`Providers::secrets`] like all the others.

mod answer;
mod call;
mod dingtalk;
mod fault;
mod github;
mod google;
mod grant;
mod keys;
mod stub;
#[cfg(test)]
mod tests;
mod wechat;
mod wecom;

pub use call::Call;
pub use fault::{Fault, IdFault};

use answer::{Answer, Outcome};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use stub::Stub;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The providers. They end when this is dropped.
pub struct Providers {
    stub: Arc<Stub>,
    _end: oneshot::Sender<()>,
}

/// One thing a provider can be asked.
struct Route {
    method: &'static str,
    path: &'static str,
    step: &'static str,
    answer: fn(&Stub, &Call, Option<&Fault>) -> Outcome,
}

/// Everything the providers can be asked.
const ROUTES: &[Route] = &[
    route("gh.authorize", "GET", "/gh/login/oauth/authorize", github::authorize),
    route("gh.token", "POST", "/gh/login/oauth/access_token", github::token),
    route("gh.user", "GET", "/gh/api/v3/user", github::user),
    route("gh.emails", "GET", "/gh/api/v3/user/emails", github::emails),
    route("gh.check", "POST", "/gh/api/v3/applications/{client}/token", github::check),
    route("gh.revoke", "DELETE", "/gh/api/v3/applications/{client}/token", github::revoke),
    route("goog.discovery", "GET", "/goog/.well-known/openid-configuration", google::discovery),
    route("goog.authorize", "GET", "/goog/o/oauth2/v2/auth", google::authorize),
    route("goog.token", "POST", "/goog/token", google::token),
    route("goog.userinfo", "GET", "/goog/v1/userinfo", google::userinfo),
    route("goog.certs", "GET", "/goog/certs", google::certs),
    route("goog.revoke", "POST", "/goog/revoke", google::revoke),
    route("wx.authorize", "GET", "/wx/connect/qrconnect", wechat::authorize),
    route("wx.token", "GET", "/wx/sns/oauth2/access_token", wechat::token),
    route("wx.refresh", "GET", "/wx/sns/oauth2/refresh_token", wechat::refresh),
    route("wx.user", "GET", "/wx/sns/userinfo", wechat::user),
    route("wx.auth", "GET", "/wx/sns/auth", wechat::auth),
    route("wecom.authorize", "GET", "/wecom/wwlogin/sso/login", wecom::authorize),
    route("wecom.gettoken", "GET", "/wecom/cgi-bin/gettoken", wecom::gettoken),
    route("wecom.getuserinfo", "GET", "/wecom/cgi-bin/auth/getuserinfo", wecom::getuserinfo),
    route("wecom.user", "GET", "/wecom/cgi-bin/user/get", wecom::user),
    route("wecom.detail", "POST", "/wecom/cgi-bin/auth/getuserdetail", wecom::detail),
    route("ding.authorize", "GET", "/ding/oauth2/auth", dingtalk::authorize),
    route("ding.token", "POST", "/ding/v1.0/oauth2/userAccessToken", dingtalk::token),
    route("ding.me", "GET", "/ding/v1.0/contact/users/me", dingtalk::me),
    route("ding.apptoken", "POST", "/ding/v1.0/oauth2/accessToken", dingtalk::apptoken),
    route("ding.apptoken", "POST", "/ding/v1.0/oauth2/{corp}/token", dingtalk::apptoken_of_corp),
    route("ding.getbyunionid", "POST", "/ding/topapi/user/getbyunionid", dingtalk::getbyunionid),
    route("ding.userget", "POST", "/ding/topapi/v2/user/get", dingtalk::userget),
];

/// Of one piece of a body that is too long.
const PIECE: usize = 64 * 1024;
/// How many pieces it has: 100 MB.
const PIECES: usize = 1600;

impl Providers {
    /// The organisation that is chosen at DingTalk.
    pub const DINGTALK_CORP_ID: &str = dingtalk::CORP_ID;
    /// The only company of WeCom.
    pub const WECOM_CORP_ID: &str = wecom::CORP_ID;

    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let people =
            [github::people(), google::people(), wechat::people(), wecom::people(), dingtalk::people()];
        let secrets = [
            github::CLIENT_SECRET,
            google::CLIENT_SECRET,
            wechat::CLIENT_SECRET,
            wecom::CLIENT_SECRET,
            dingtalk::CLIENT_SECRET,
        ];
        let stub = Arc::new(Stub::new(base, people.concat(), secrets.map(str::to_owned).to_vec()));
        let (end, ended) = oneshot::channel::<()>();
        let router = Router::new().fallback(serve).with_state(stub.clone());
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // Never sent: dropped together with the providers.
            let _ = ended.await;
        });
        tokio::spawn(async { serving.await.unwrap() });
        Self { stub, _end: end }
    }

    /// Where a provider is: `gh`, `goog`, `wx`, `wecom` or `ding`.
    pub fn url(&self, prefix: &str) -> String {
        self.stub.url(prefix)
    }

    /// The settings with which a server uses all five.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let known = |(name, value): (&'static str, &str)| (name, value.to_owned());
        let at = |(name, prefix): (&'static str, &str)| (name, self.url(prefix));
        let who = [
            ("GITHUB_CLIENT_ID", github::CLIENT_ID),
            ("GITHUB_CLIENT_SECRET", github::CLIENT_SECRET),
            ("GOOGLE_CLIENT_ID", google::CLIENT_ID),
            ("GOOGLE_CLIENT_SECRET", google::CLIENT_SECRET),
            ("WECHAT_CLIENT_ID", wechat::CLIENT_ID),
            ("WECHAT_CLIENT_SECRET", wechat::CLIENT_SECRET),
            ("WECOM_CLIENT_ID", wecom::CORP_ID),
            ("WECOM_AGENT_ID", wecom::AGENT_ID),
            ("WECOM_CLIENT_SECRET", wecom::CLIENT_SECRET),
            ("DINGTALK_CLIENT_ID", dingtalk::CLIENT_ID),
            ("DINGTALK_CLIENT_SECRET", dingtalk::CLIENT_SECRET),
        ];
        let places = [
            ("GITHUB_WEB_URL", "gh"),
            ("GITHUB_API_URL", "gh/api/v3"),
            ("GOOGLE_ISSUER", "goog"),
            ("WECHAT_OPEN_URL", "wx"),
            ("WECHAT_API_URL", "wx"),
            ("WECOM_LOGIN_URL", "wecom"),
            ("WECOM_API_URL", "wecom"),
            ("DINGTALK_LOGIN_URL", "ding"),
            ("DINGTALK_API_URL", "ding"),
            ("DINGTALK_OAPI_URL", "ding"),
        ];
        who.into_iter().map(known).chain(places.into_iter().map(at)).collect()
    }

    /// Lets the next call of this step go wrong. Further faults of a step wait for the calls after it.
    #[track_caller]
    pub fn fail(&self, at: &'static str, fault: Fault) {
        assert!(ROUTES.iter().any(|route| route.step == at), "no provider has the step {at}");
        assert!(fault.fits(at), "{fault:?} cannot happen at {at}");
        self.stub.memory().faults.entry(at).or_default().push_back(fault);
    }

    /// Changes who is canned: `gh`, `goog`, `wx`, `wecom` and `ding` are the person; `gh.emails`, `goog.userinfo`
    /// (what only that says otherwise), `wecom.detail`, `ding.token` (the chosen organisation) and `ding.member`
    /// (the directory's entry) are what else is known of them.
    #[track_caller]
    pub fn person(&self, provider: &str, change: impl FnOnce(&mut Value)) {
        let mut person = self.stub.person(provider);
        change(&mut person);
        *self.stub.memory().people.get_mut(provider).unwrap() = person;
    }

    /// Everything that came in, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.stub.memory().calls.clone()
    }

    /// What came in for this step.
    pub fn calls_of(&self, step: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.step == Some(step)).collect()
    }

    pub fn forget_calls(&self) {
        self.stub.memory().calls.clear();
    }

    /// Every secret that was configured, and every code and token that was handed out. One that looks otherwise in
    /// a query is here in both forms.
    pub fn secrets(&self) -> Vec<String> {
        self.stub.memory().secrets.clone()
    }
}

const fn route(
    step: &'static str,
    method: &'static str,
    path: &'static str,
    answer: fn(&Stub, &Call, Option<&Fault>) -> Outcome,
) -> Route {
    Route { method, path, step, answer }
}

async fn serve(State(stub): State<Arc<Stub>>, request: Request) -> Response {
    let mut call = Call::of(request).await;
    let route = ROUTES.iter().find(|route| route.method == call.method && leads_to(route.path, &call.path));
    call.step = route.map(|route| route.step);
    stub.memory().calls.push(call.clone());
    let Some(route) = route else { return unknown(&call).into_response() };
    let usual = |fault| (route.answer)(&stub, &call, fault).unwrap_or_else(|refusal| refusal);
    let answer = match stub.next_fault(route.step) {
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            usual(None)
        }
        Some(Fault::Status500) => {
            Answer::new(500, "text/html; charset=utf-8", "<html>Internal Server Error</html>")
        }
        Some(Fault::GarbageBody) => Answer::new(200, "application/json", b"{\"access_token\":\"\xff\xfe"),
        Some(Fault::HugeBody) => return huge(),
        Some(Fault::WrongContentType) => usual(None).mislabelled(),
        Some(Fault::Redirect) => Answer::redirect(&call.target()),
        Some(Fault::Answer { status, content_type, body }) => Answer::new(status, content_type, body),
        fault => usual(fault.as_ref()),
    };
    answer.into_response()
}

/// Whether this is the path; what is in braces may be anything.
fn leads_to(known: &str, path: &str) -> bool {
    let same = |(known, given): (&str, &str)| known == given || known.starts_with('{');
    known.split('/').count() == path.split('/').count() && known.split('/').zip(path.split('/')).all(same)
}

/// A path that no provider has, or not with this method.
fn unknown(call: &Call) -> Answer {
    if call.path.starts_with("/ding/") {
        return dingtalk::refusal(404, "InvalidAction.NotFound", "Specified api is not found.");
    }
    Answer::page(404, "Not Found")
}

/// A success that goes on for longer than anybody should read.
fn huge() -> Response {
    let piece = Bytes::from(vec![b' '; PIECE]);
    let pieces = stream::iter(std::iter::repeat_n(piece, PIECES).map(Ok::<_, Infallible>));
    ([("content-type", "application/json")], Body::from_stream(pieces)).into_response()
}
