//! The identity servers that tests sign in with, as they are: started, and taken through the code flow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Browser, OidcFault, OidcKind, OidcServer, Receiver, http_client};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const REDIRECT: &str = "http://127.0.0.1:9/auth/callback/test";
const NONCE: &str = "nonce-of-this-login";
const STATE: &str = "state-of-this-login";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What a browser does, without a browser.
struct Visitor {
    client: Client,
    cookies: BTreeMap<String, String>,
}

enum Page {
    Form {
        url: Url,
        html: String,
    },
    /// Sent back to the client with this.
    Back(BTreeMap<String, String>),
}

impl Visitor {
    fn new() -> Self {
        let _ = http_client();
        let client = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: RequestBuilder) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// Follows where it is sent, until there is a page or the way back.
    async fn follow(&mut self, request: RequestBuilder) -> Page {
        let mut response = self.send(request).await;
        while let Some(location) = response.headers().get(LOCATION) {
            let url = response.url().join(location.to_str().unwrap()).unwrap();
            if url.as_str().starts_with("http://127.0.0.1") {
                return Page::Back(url.query_pairs().into_owned().collect());
            }
            response = self.send(self.client.get(url)).await;
        }
        assert_eq!(response.status(), 200);
        // A browser without the internet would wait for the styles that the pages want from elsewhere.
        let styles = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(styles.starts_with("style-src 'unsafe-inline'"), "{styles}");
        Page::Form { url: response.url().clone(), html: response.text().await.unwrap() }
    }

    async fn submit(&mut self, url: Url, fields: &[(&str, &str)]) -> Page {
        let request = form(self.client.post(url), fields);
        self.follow(request).await
    }

    /// Logs in and consents, as far as it is asked.
    async fn log_in(&mut self, start: Url, login: &str) -> BTreeMap<String, String> {
        let mut page = self.follow(self.client.get(start)).await;
        loop {
            let (url, html) = match page {
                Page::Back(answer) => return answer,
                Page::Form { url, html } => (url, html),
            };
            assert!(!html.contains("error"), "{html}");
            page = if html.contains(r#"name="login""#) {
                let url = action(&html);
                self.submit(url, &[("prompt", "login"), ("login", login), ("password", "any will do")]).await
            } else if html.contains(r#"value="consent""#) {
                self.submit(action(&html), &[("prompt", "consent")]).await
            } else {
                self.submit(url, &[("sub", login)]).await
            };
        }
    }
}

fn action(html: &str) -> Url {
    let action = html.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    Url::parse(action).unwrap()
}

fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encoded = Url::parse_with_params("http://form", fields).unwrap();
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(encoded.query().unwrap().to_owned())
}

/// A client of one of the servers, as its discovery document says.
struct Application {
    server: OidcServer,
    document: Value,
}

impl Application {
    async fn start(kind: OidcKind) -> Self {
        Self::start_with(kind, REDIRECT).await
    }

    async fn start_with(kind: OidcKind, redirect_uri: &str) -> Self {
        let server = OidcServer::start(kind, redirect_uri).await;
        let address = format!("{}/.well-known/openid-configuration", server.issuer());
        let document: Value = http_client().get(address).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["issuer"], server.issuer());
        assert!(server.issuer().starts_with("http://localhost:"));
        Self { server, document }
    }

    fn endpoint(&self, name: &str) -> Url {
        Url::parse(self.document[name].as_str().unwrap()).unwrap()
    }

    fn authorization(&self, client: &str, redirect_uri: &str, more: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint("authorization_endpoint");
        url.query_pairs_mut()
            .extend_pairs([("response_type", "code"), ("client_id", client), ("redirect_uri", redirect_uri)])
            .extend_pairs([("scope", "openid profile email"), ("state", STATE), ("nonce", NONCE)])
            .extend_pairs(more);
        url
    }

    async fn code(&self, client: &str, redirect_uri: &str, login: &str) -> String {
        let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        let start = self.authorization(client, redirect_uri, &pkce);
        let answer = Visitor::new().log_in(start, login).await;
        assert_eq!(answer["state"], STATE);
        let iss = answer.get("iss").map(String::as_str);
        let announced = self.document["authorization_response_iss_parameter_supported"] == true;
        assert_eq!(iss, announced.then_some(self.server.issuer()));
        answer["code"].clone()
    }

    /// Redeems a code as the client that says who it is with a header.
    async fn redeem(&self, code: &str, verifier: &str) -> (u16, Value) {
        let (id, secret) = self.server.client();
        let request = http_client().post(self.endpoint("token_endpoint")).basic_auth(id, Some(secret));
        redeem(request, code, verifier, &[("redirect_uri", REDIRECT)]).await
    }

    async fn sign_in(&self, login: &str) -> (u16, Value) {
        let code = self.code(self.server.client().0, REDIRECT, login).await;
        self.redeem(&code, VERIFIER).await
    }

    async fn userinfo(&self, tokens: &Value) -> Value {
        let request = http_client().get(self.endpoint("userinfo_endpoint"));
        let request = request.bearer_auth(tokens["access_token"].as_str().unwrap());
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// The claims of an identity token, if all is right with it.
    async fn claims(&self, tokens: &Value) -> Result<Value, ErrorKind> {
        let keys = http_client().get(self.endpoint("jwks_uri")).send().await.unwrap();
        let keys: JwkSet = keys.json().await.unwrap();
        let token = tokens["id_token"].as_str().unwrap();
        let key = match decode_header(token).unwrap().kid {
            Some(id) => keys.find(&id).unwrap(),
            None => &keys.keys[0],
        };
        let mut wanted = Validation::new(Algorithm::RS256);
        wanted.set_issuer(&[self.server.issuer()]);
        wanted.set_audience(&[self.server.client().0]);
        let claims = decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &wanted);
        claims.map(|data| data.claims).map_err(|error| error.into_kind())
    }
}

async fn redeem(request: RequestBuilder, code: &str, verifier: &str, more: &[(&str, &str)]) -> (u16, Value) {
    let fields = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
    let response = form(request, &[&fields[..], more].concat()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_certified_one_signs_in_with_consent() {
    let application = Application::start(OidcKind::Certified).await;
    assert!(application.server.can_log_in_form());
    for (login, verified) in [("alice", true), ("mallory", false)] {
        let (status, tokens) = application.sign_in(login).await;
        assert_eq!(status, 200, "{tokens} {}", application.server.stderr());
        let claims = application.claims(&tokens).await.unwrap();
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!(login), &json!(NONCE)));
        assert_eq!(claims["email"], Value::Null);
        let userinfo = application.userinfo(&tokens).await;
        assert_eq!(userinfo["sub"], login);
        assert_eq!(userinfo["email"], "alice@example.test");
        assert_eq!(userinfo["email_verified"], verified);
    }
    let (_, tokens) = application.sign_in("bob").await;
    assert_eq!(application.userinfo(&tokens).await["email"], "bob@example.test");
}

#[tokio::test]
async fn the_certified_one_insists_on_pkce_and_on_codes_used_once() {
    let application = Application::start(OidcKind::Certified).await;
    let client = application.server.client().0;
    let start = application.authorization(client, REDIRECT, &[]);
    assert_eq!(Visitor::new().log_in(start, "alice").await["error"], "invalid_request");
    let code = application.code(client, REDIRECT, "alice").await;
    let (status, answer) = application.redeem(&code, &VERIFIER.to_uppercase()).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert!(application.server.stderr().contains("grant.error"), "{}", application.server.stderr());
    let code = application.code(client, REDIRECT, "alice").await;
    assert_eq!(application.redeem(&code, VERIFIER).await.0, 200);
    assert_eq!(application.redeem(&code, VERIFIER).await.0, 400);
}

#[tokio::test]
async fn the_certified_one_has_clients_that_post_their_secret_and_that_have_none() {
    let application = Application::start(OidcKind::Certified).await;
    let (id, secret) = application.server.post_client();
    let code = application.code(id, REDIRECT, "alice").await;
    let token_endpoint = || http_client().post(application.endpoint("token_endpoint"));
    let fields = [("client_id", id), ("client_secret", secret), ("redirect_uri", REDIRECT)];
    assert_eq!(redeem(token_endpoint(), &code, VERIFIER, &fields).await.0, 200);
    let id = application.server.public_client();
    let anywhere = "http://127.0.0.1:12345/callback";
    let code = application.code(id, anywhere, "alice").await;
    let fields = [("client_id", id), ("redirect_uri", anywhere)];
    assert_eq!(redeem(token_endpoint(), &code, VERIFIER, &fields).await.0, 200);
}

#[tokio::test]
async fn the_mock_for_node_signs_in_and_breaks_once_as_told() {
    let application = Application::start(OidcKind::NodeMock).await;
    assert!(!application.server.can_log_in_form());
    for (fault, wanted) in [
        (OidcFault::WrongAudience, ErrorKind::InvalidAudience),
        (OidcFault::WrongIssuer, ErrorKind::InvalidIssuer),
        (OidcFault::WrongSignature, ErrorKind::InvalidSignature),
        (OidcFault::Expired, ErrorKind::ExpiredSignature),
    ] {
        application.server.break_next(fault).await;
        let (status, tokens) = application.sign_in("anyone").await;
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(application.claims(&tokens).await.unwrap_err(), wanted);
        let claims = application.claims(&application.sign_in("anyone").await.1).await.unwrap();
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("johndoe"), &json!(NONCE)));
    }
    application.server.break_next(OidcFault::WrongNonce).await;
    let (_, tokens) = application.sign_in("anyone").await;
    assert_eq!(application.claims(&tokens).await.unwrap()["nonce"], "of-another-login");
    application.server.break_next(OidcFault::TokenError).await;
    let (status, answer) = application.sign_in("anyone").await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    application.server.break_next(OidcFault::WrongSubject).await;
    let (_, tokens) = application.sign_in("anyone").await;
    assert_eq!(application.claims(&tokens).await.unwrap()["sub"], "johndoe");
    assert_eq!(application.userinfo(&tokens).await, json!({ "sub": "somebody-else" }));
    assert_eq!(application.userinfo(&tokens).await, json!({ "sub": "johndoe" }));
}

#[tokio::test]
async fn the_mock_for_python_signs_in_with_a_form() {
    let application = Application::start(OidcKind::PythonMock).await;
    assert!(application.server.can_log_in_form());
    for (login, address, verified) in [
        ("alice", "alice@example.test", json!(true)),
        ("mallory", "alice@example.test", json!(false)),
        ("bob", "bob", Value::Null),
    ] {
        let (status, tokens) = application.sign_in(login).await;
        assert_eq!(status, 200, "{tokens} {}", application.server.stderr());
        assert_eq!(decode_header(tokens["id_token"].as_str().unwrap()).unwrap().kid, None);
        let claims = application.claims(&tokens).await.unwrap();
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!(login), &json!(NONCE)));
        let userinfo = application.userinfo(&tokens).await;
        assert_eq!((&userinfo["email"], &userinfo["email_verified"]), (&json!(address), &verified));
    }
}

#[tokio::test]
async fn a_browser_consents_and_refuses() {
    for kind in [OidcKind::Certified, OidcKind::NodeMock, OidcKind::PythonMock] {
        // Where it is sent back to.
        let mut back = Receiver::start().await;
        let redirect_uri = format!("{}/auth/callback/test", back.url);
        let application = Application::start_with(kind, &redirect_uri).await;
        let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        let start = application.authorization(application.server.client().0, &redirect_uri, &pkce);
        if application.server.can_log_in_form() {
            let browser = Browser::start().await;
            browser.open(start.as_str()).await;
            browser.refuse(kind).await;
            let told = back.next().await.path;
            assert!(told.contains("error=access_denied"), "{kind:?} {told}");
        }
        let browser = Browser::start().await;
        browser.open(start.as_str()).await;
        browser.consent(kind, "alice").await;
        let told = back.next().await.path;
        assert!(told.starts_with("/auth/callback/test?") && told.contains("code="), "{kind:?} {told}");
    }
}
