//! Identity servers that others wrote, for tests of signing in: each differs from the next where the
//! standards leave room, and together they are what a client has to survive.
//!
//! All are called `localhost`, because cookies ignore ports: a server under test is at `127.0.0.1`.

use crate::api::http_client;
use crate::programs::program_of_others;
use crate::wait::{eventually, within};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const CERTIFIED: &str = include_str!("certified.mjs");
const NODE_MOCK: &str = include_str!("mock.mjs");
const PYTHON_MOCK: &str = include_str!("mock.py");
/// The key that the certified server signs with: for tests, and known to all who read this.
const KEY: &str = include_str!("key.json");

const CLIENT: &str = "server-conf";
const POST_CLIENT: &str = "server-post";
const PUBLIC_CLIENT: &str = "desktop-public";
/// Marked, so that a test finds them where no secret may be.
const SECRET: &str = "canary-oidc-secret-of-server-conf-0123456789";
const POST_SECRET: &str = "canary-oidc-secret-of-server-post-0123456789";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OidcKind {
    /// `oidc-provider`: a login page, then a consent page; PKCE is a must; `iss` comes with the code; the
    /// identity token has only `sub`, the rest has to be asked for. The address of `alice` is verified;
    /// `mallory` claims the same one, not verified; that of anyone else is verified.
    Certified,
    /// `oauth2-mock-server`: no pages, everyone is `johndoe` and nothing else is known of them; can be
    /// broken; any client and secret; no `iss` with the code.
    NodeMock,
    /// `oidc-provider-mock`: one form; any client and secret; no PKCE; no `iss` with the code; tokens without
    /// a key id. `alice` and `mallory` as in the certified one; of others nothing says that their address,
    /// which is whatever they log in with, is verified.
    PythonMock,
}

/// What can be wrong on purpose, in one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OidcFault {
    WrongAudience,
    WrongIssuer,
    WrongNonce,
    WrongSignature,
    Expired,
    /// Codes are refused.
    TokenError,
    /// The userinfo is of somebody else than the identity token.
    WrongSubject,
}

/// One that runs. It is killed when this is dropped.
pub struct OidcServer {
    kind: OidcKind,
    issuer: String,
    control: tokio::sync::Mutex<Control>,
    stderr: Arc<Mutex<String>>,
    _child: Child,
}

struct Control {
    stdin: ChildStdin,
    lines: UnboundedReceiver<String>,
}

impl OidcServer {
    /// Starts one that sends people back to this address, and waits until it answers.
    pub async fn start(kind: OidcKind, redirect_uri: &str) -> Self {
        let mut command = kind.command(redirect_uri);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("an identity server cannot be started");
        let stderr = Arc::new(Mutex::new(String::new()));
        let kept = stderr.clone();
        for_each_line(child.stderr.take().unwrap(), move |line| *kept.lock().unwrap() += &(line + "\n"));
        let (tell, lines) = unbounded_channel();
        for_each_line(child.stdout.take().unwrap(), move |line| drop(tell.send(line)));
        let control = Control { stdin: child.stdin.take().unwrap(), lines }.into();
        let mut server = Self { kind, issuer: String::new(), control, stderr, _child: child };
        let address = server.line_that_starts("issuer ").await;
        server.issuer = server.discovered(&address).await;
        server
    }

    pub fn kind(&self) -> OidcKind {
        self.kind
    }

    /// Exactly as in its discovery document.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Id and secret of the client that signs in with a header (`client_secret_basic`).
    pub fn client(&self) -> (&str, &str) {
        (CLIENT, SECRET)
    }

    /// Id and secret of the client that signs in with form fields (`client_secret_post`).
    pub fn post_client(&self) -> (&str, &str) {
        (POST_CLIENT, POST_SECRET)
    }

    /// The client without a secret, a program on someone's machine: it is sent to `/callback` at any port of
    /// `127.0.0.1` or `[::1]`.
    pub fn public_client(&self) -> &str {
        PUBLIC_CLIENT
    }

    /// Whether it asks who someone is, and not only redirects.
    pub fn can_log_in_form(&self) -> bool {
        self.kind.has_pages()
    }

    /// Makes the next answer that can have this fault have it.
    pub async fn break_next(&self, fault: OidcFault) {
        assert_eq!(self.kind, OidcKind::NodeMock, "no other can be broken");
        let name = fault.name();
        self.control.lock().await.stdin.write_all(format!("{name}\n").as_bytes()).await.unwrap();
        assert_eq!(self.line_that_starts("broken ").await, name);
    }

    /// What it has said of errors so far: its answers hide the reasons.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The rest of its next line that starts so.
    async fn line_that_starts(&self, start: &str) -> String {
        let lines = &mut self.control.lock().await.lines;
        loop {
            let line = within("the next line of the identity server", lines.recv()).await;
            let line = line.unwrap_or_else(|| panic!("{:?} ended: {}", self.kind, self.stderr()));
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// The issuer that its discovery document names, once there is one.
    async fn discovered(&self, address: &str) -> String {
        let client = http_client();
        let document = format!("{address}/.well-known/openid-configuration");
        let document: Value = eventually("the discovery document", || async {
            client.get(&document).send().await.ok()?.error_for_status().ok()?.json().await.ok()
        })
        .await;
        document["issuer"].as_str().unwrap().to_owned()
    }
}

impl OidcKind {
    /// Whether it asks who someone is, and not only redirects.
    pub(crate) fn has_pages(self) -> bool {
        self != Self::NodeMock
    }

    fn command(self, redirect_uri: &str) -> Command {
        match self {
            Self::Certified => {
                let mut command = node(CERTIFIED);
                command.env("CLIENTS", clients(redirect_uri).to_string()).env("KEY", KEY).env("PORT", "0");
                command
            }
            Self::NodeMock => node(NODE_MOCK),
            Self::PythonMock => {
                let mut command = program_of_others("OIDC_PYTHON");
                command.args(["-c", PYTHON_MOCK]);
                command
            }
        }
    }
}

impl OidcFault {
    fn name(self) -> &'static str {
        match self {
            Self::WrongAudience => "wrong-audience",
            Self::WrongIssuer => "wrong-issuer",
            Self::WrongNonce => "wrong-nonce",
            Self::WrongSignature => "wrong-signature",
            Self::Expired => "expired",
            Self::TokenError => "token-error",
            Self::WrongSubject => "wrong-subject",
        }
    }
}

/// Node.js with a script, which finds its modules from the folder that it is run in.
fn node(script: &str) -> Command {
    let modules = std::env::var_os("OIDC_MODULES");
    let modules = modules.expect("OIDC_MODULES is not set; `cargo xtask test` sets it");
    let mut command = program_of_others("OIDC_NODE");
    command.current_dir(modules).args(["--input-type=module", "--eval", script]);
    command
}

fn clients(redirect_uri: &str) -> Value {
    let grants = ["authorization_code", "refresh_token"];
    let confidential = |id: &str, secret: &str, method: &str| {
        json!({
            "client_id": id, "client_secret": secret, "token_endpoint_auth_method": method,
            "grant_types": grants, "redirect_uris": [redirect_uri],
        })
    };
    json!([
        confidential(CLIENT, SECRET, "client_secret_basic"),
        confidential(POST_CLIENT, POST_SECRET, "client_secret_post"),
        {
            "client_id": PUBLIC_CLIENT, "token_endpoint_auth_method": "none", "application_type": "native",
            "grant_types": grants, "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback"],
        },
    ])
}

/// Reads to the end, so that the other side never waits for us.
fn for_each_line(
    output: impl AsyncRead + Unpin + Send + 'static,
    mut take: impl FnMut(String) + Send + 'static,
) {
    let mut lines = BufReader::new(output).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            take(line);
        }
    });
}
