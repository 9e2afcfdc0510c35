//! What the tests of providers have in common: a server beside an identity server, and the way through its pages.

use hongyan_harness::{OidcKind, OidcServer, Server, Setup, Visitor};

/// A server at which people sign in by an identity server.
pub struct Site {
    pub server: Server,
    pub oidc: OidcServer,
    /// Where people reach the server.
    pub url: String,
}

impl Site {
    /// With one provider, `corp`, and more settings of it.
    pub async fn start(kind: OidcKind, more: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        // One of them takes the client's id from the form only.
        let method = if kind == OidcKind::NodeMock { "auth_method = \"post\"\n" } else { "" };
        Self::start_with(kind, |oidc| oidc.client(), &format!("{method}{more}"), change).await
    }

    pub async fn start_with(
        kind: OidcKind,
        client: impl FnOnce(&OidcServer) -> (&str, &str),
        more: &str,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let (setup, url) = Setup::default().public("127.0.0.1");
        let oidc = OidcServer::start(kind, &format!("{url}/api/v3/auth/corp/callback")).await;
        let (id, secret) = client(&oidc);
        let file = format!(
            "[[providers]]\nid = \"corp\"\nname = \"The Corporation\"\nkind = \"oidc\"\nissuer = \"{}\"\n\
             client_id = \"{id}\"\nclient_secret = \"{secret}\"\n{more}\n",
            oidc.issuer()
        );
        let server = change(setup.file(&file)).start().await;
        Self { server, oidc, url }
    }

    /// Where a browser goes to sign in.
    pub fn login_url(&self, return_to: &str) -> String {
        format!("{}/api/v3/auth/corp/login?return_to={}", self.url, return_to.replace('#', "%23"))
    }

    /// Signs in at the identity server. Gives the page of ours on which the browser ends.
    pub async fn sign_in(&self, visitor: &mut Visitor, login: &str, return_to: &str) -> String {
        log_in(visitor, &self.login_url(return_to), login, &format!("{}/", self.url)).await
    }

    /// Checks that the browser was sent to the page that says why not, that it has no session, and that the security
    /// log has one line of it.
    #[track_caller]
    pub fn refused<'a>(
        &'a self,
        visitor: &'a mut Visitor,
        back: &str,
        code: &str,
        line: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let expected = format!("{}/#/sign-in?error={code}&provider=", self.url);
        assert!(back.starts_with(&expected), "{back} is not {expected}");
        async move {
            visitor.refresh(&self.url).await.failure(401, "unauthenticated");
            let log = self.server.stderr();
            let found = log
                .lines()
                .filter(|text| text.contains("a sign-in at a provider was refused") && text.contains(line));
            assert!(found.count() >= 1, "{line}: {log}");
        }
    }
}

/// Goes through the pages of an identity server, however many there are, until the browser is sent to an address of ours
/// that is no callback.
pub async fn log_in(visitor: &mut Visitor, start: &str, login: &str, ours: &str) -> String {
    let ours = ours.split('#').next().unwrap().trim_end_matches('/').to_owned();
    let mut at = start.to_owned();
    for _ in 0..20 {
        if at.starts_with(&ours) && !at.contains("/api/v3/auth/") {
            return at;
        }
        let reply = visitor.open(&at).await;
        let location = match reply.header("location") {
            Some(location) => location.to_owned(),
            None => {
                assert_eq!(reply.status, 200, "{at}: {}", reply.text);
                let form = reply.text.as_str();
                let (to, fields): (String, Vec<(&str, &str)>) = if form.contains("name=\"login\"") {
                    (action(form), vec![("prompt", "login"), ("login", login), ("password", "any")])
                } else if form.contains("value=\"consent\"") {
                    (action(form), vec![("prompt", "consent")])
                } else {
                    (at.clone(), vec![("sub", login)])
                };
                let reply = visitor.submit(&to, &fields).await;
                at = to;
                reply.header("location").unwrap_or_else(|| panic!("{at}: {}", reply.text)).to_owned()
            }
        };
        at = reqwest::Url::parse(&at).unwrap().join(&location).unwrap().to_string();
    }
    panic!("it never ends: {at}");
}

fn action(form: &str) -> String {
    form.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// The code that an authenticator with this secret shows now (RFC 6238).
pub fn totp(secret: &str) -> String {
    let bits: Vec<bool> = secret
        .bytes()
        .flat_map(|byte| {
            let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == byte).unwrap();
            (0..5).rev().map(move |n| digit >> n & 1 == 1)
        })
        .collect();
    let key: Vec<u8> = bits
        .chunks_exact(8)
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
        .collect();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut mac = <hmac::Hmac<sha1::Sha1> as hmac::Mac>::new_from_slice(&key).unwrap();
    hmac::Mac::update(&mut mac, &(seconds / 30).to_be_bytes());
    let hash = hmac::Mac::finalize(mac).into_bytes();
    let at = usize::from(hash[19] & 15);
    let word = u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}
