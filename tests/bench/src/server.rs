//! Hongyan's server as a child process, and what an administrator does with it first.

use crate::http::{self, Client};
use crate::process::Process;
use crate::setting::Setting;
use anyhow::{Context, Result};
use hongyan_server::auth::jwt::{Claims, ISSUER, Jwt};
use hongyan_server::config::Secret;
use hongyan_wire::UserId;
use hongyan_wire::admin::UserRequest;
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const PASSWORD: &str = "measured and thrown away";
const SECRET: &str = "measured and thrown away, at least 32 bytes";
/// How long the tokens are good.
const HOURS: i64 = 24;

/// Settings of one server: names and values.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

pub struct Server {
    pub process: Process,
    pub user: SocketAddr,
    admin: SocketAddr,
    program: PathBuf,
    folder: TempDir,
    jwt: Jwt,
    key: String,
}

impl Server {
    /// Starts a server with nothing in it but a service that sends.
    pub async fn start(setting: &Setting, settings: Settings<'_>) -> Result<Self> {
        let folder = setting.scratch()?;
        let (process, user, admin) = launch(&setting.server, folder.path(), settings)?;
        let jwt = Jwt::new(&Secret::new(SECRET), None);
        let program = setting.server.clone();
        let mut server = Self { process, user, admin, program, folder, jwt, key: String::new() };
        let service = json!({"name": "bench", "type": "internal"}).to_string();
        let made = server.administer("services", "application/json", service.as_bytes()).await?;
        server.key = format!("Service {}", made["api_key"].as_str().context("no key")?);
        Ok(server)
    }

    /// Ends the server as a crash would, and starts it with the same data.
    pub fn restart(self, settings: Settings<'_>) -> Result<Self> {
        drop(self.process);
        let (process, user, admin) = launch(&self.program, self.folder.path(), settings)?;
        Ok(Self { process, user, admin, ..self })
    }

    /// Ends the server as a crash would, does something with what it has left, and starts it again.
    pub async fn restart_after<T>(self, work: impl AsyncFnOnce(&Path) -> Result<T>) -> Result<(Self, T)> {
        drop(self.process);
        let done = work(&self.folder.path().join("system")).await?;
        let (process, user, admin) = launch(&self.program, self.folder.path(), &[])?;
        Ok((Self { process, user, admin, ..self }, done))
    }

    /// Where the log and the directory are.
    pub fn system(&self) -> PathBuf {
        self.folder.path().join("system")
    }

    /// A person's folder.
    pub fn inbox(&self, number: usize) -> PathBuf {
        self.folder.path().join("users").join(name(number))
    }

    /// Makes users 0 to `count` that have no password.
    pub async fn import(&self, count: usize) -> Result<()> {
        let mut lines = String::new();
        for number in 0..count {
            let id = name(number);
            let user = UserRequest {
                id: Some(UserId::new(&id)?),
                username: id.clone(),
                name: format!("User {number}"),
                ..UserRequest::default()
            };
            writeln!(lines, "{}", serde_json::to_string(&user)?)?;
        }
        let answer = self.administer("users/import", "application/x-ndjson", lines.as_bytes()).await?;
        anyhow::ensure!(answer["created"] == count, "the import answered {answer}");
        Ok(())
    }

    /// Posts something to the admin gateway.
    pub async fn administer(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value> {
        let (mut client, bearer) = self.administrator().await?;
        let request = http::post(&format!("/admin/api/v3/{path}"), &bearer, content_type, body);
        let mut answer: Value =
            serde_json::from_slice(client.ask(&request).await.with_context(|| path.to_owned())?)?;
        Ok(answer["data"].take())
    }

    /// Deletes something at the admin gateway. Gives the answer, and how long it took.
    pub async fn delete(&self, path: &str) -> Result<(Value, Duration)> {
        let (mut client, bearer) = self.administrator().await?;
        let request = http::delete(&format!("/admin/api/v3/{path}"), &bearer);
        let began = Instant::now();
        let answer = client.ask(&request).await.with_context(|| path.to_owned())?.to_vec();
        let took = began.elapsed();
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok((answer["data"].take(), took))
    }

    async fn administrator(&self) -> Result<(Client, String)> {
        let mut client = Client::connect(self.admin).await?;
        let login = json!({"username": "admin", "password": PASSWORD}).to_string();
        let login = http::post("/admin/api/v3/auth/login", "none", "application/json", login.as_bytes());
        let answer: Value = serde_json::from_slice(client.ask(&login).await.context("signing in")?)?;
        let token = answer["data"]["access_token"].as_str().context("no token")?;
        Ok((client, format!("Bearer {token}")))
    }

    /// The request that sends a message to one user.
    pub fn send_to(&self, number: usize) -> Vec<u8> {
        self.send(&json!({"recipients": [name(number)], "recipient_type": "user"}))
    }

    /// The request that sends a message to everyone.
    pub fn send_to_all(&self) -> Vec<u8> {
        self.send(&json!({"recipient_type": "all"}))
    }

    fn send(&self, to: &Value) -> Vec<u8> {
        let mut message = message();
        if let (Some(message), Some(to)) = (message.as_object_mut(), to.as_object()) {
            message.extend(to.clone());
        }
        http::post("/api/v3/messages/send", &self.key, "application/json", message.to_string().as_bytes())
    }

    /// The request that sends what is given to one user.
    pub fn send_as(&self, number: usize, what: &Value) -> Vec<u8> {
        let mut message = json!({"recipients": [name(number)], "recipient_type": "user"});
        if let (Some(message), Some(what)) = (message.as_object_mut(), what.as_object()) {
            message.extend(what.clone());
        }
        http::post("/api/v3/messages/send", &self.key, "application/json", message.to_string().as_bytes())
    }

    /// What a send would send.
    pub async fn ask_to_preview(&self, what: &Value) -> Result<Value> {
        let mut request = what.clone();
        request["recipients"] = json!([name(0)]);
        let request = http::post(
            "/api/v3/messages/preview",
            &self.key,
            "application/json",
            request.to_string().as_bytes(),
        );
        let mut client = Client::connect(self.user).await?;
        let mut answer: Value = serde_json::from_slice(client.ask(&request).await?)?;
        Ok(answer["data"].take())
    }

    /// The request that sends as many messages at once, to one user each.
    pub fn send_batch(&self, count: usize) -> Vec<u8> {
        self.batch(count, &json!({}))
    }

    /// The same, a day from now.
    pub fn schedule_batch(&self, count: usize) -> Result<Vec<u8>> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let at = hongyan_wire::Timestamp::from_millis(now + 24 * 3_600_000);
        Ok(self.batch(count, &json!({"scheduled_at": at})))
    }

    fn batch(&self, count: usize, more: &Value) -> Vec<u8> {
        let messages: Vec<Value> = (0..count)
            .map(|number| {
                let mut message = message();
                message["recipients"] = json!([name(number)]);
                if let (Some(message), Some(more)) = (message.as_object_mut(), more.as_object()) {
                    message.extend(more.clone());
                }
                message
            })
            .collect();
        let body = json!({"messages": messages}).to_string();
        http::post("/api/v3/messages/send-batch", &self.key, "application/json", body.as_bytes())
    }

    /// A request in a user's name.
    pub fn get(&self, path: &str, number: usize) -> Result<Vec<u8>> {
        Ok(http::get(path, &self.bearer(number)?))
    }

    /// The request by which a user posts JSON.
    pub fn post(&self, path: &str, number: usize, body: &Value) -> Result<Vec<u8>> {
        Ok(http::post(path, &self.bearer(number)?, "application/json", body.to_string().as_bytes()))
    }

    /// What a user shows who they are with.
    pub fn bearer(&self, number: usize) -> Result<String> {
        Ok(format!("Bearer {}", self.token(number)?))
    }

    /// The path that opens a user's socket.
    pub fn socket(&self, number: usize) -> Result<String> {
        Ok(format!("/ws?token={}", self.token(number)?))
    }

    fn token(&self, number: usize) -> Result<String> {
        token(&self.jwt, number)
    }
}

/// A user's token; nobody has signed in for it.
pub fn token(jwt: &Jwt, number: usize) -> Result<String> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let id = name(number);
    let claims = Claims {
        iss: ISSUER.into(),
        sub: id.as_str().into(),
        aud: "client-app".into(),
        exp: now + HOURS * 3600,
        nbf: None,
        iat: now,
        jti: format!("token-{number}").into(),
        user_id: Some(UserId::new(&id)?),
        username: id.into(),
        email: None,
        provider: "local".into(),
        scope: vec!["read".into(), "write".into()],
        device_id: Some(format!("device-{number}").parse()?),
        session_id: Some(format!("session-{number}").parse()?),
    };
    jwt.sign(&claims).context("signing a token")
}

fn launch(
    program: &Path,
    folder: &Path,
    settings: Settings<'_>,
) -> Result<(Process, SocketAddr, SocketAddr)> {
    let mut command = Command::new(program);
    command.env_clear();
    command
        .env("USER_STORAGE_PATH", folder.join("users"))
        .env("USER_SERVER_PORT", "0")
        .env("ADMIN_SERVER_PORT", "0")
        .env("BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
        .env("JWT_SECRET", SECRET)
        .env("LOG_LEVEL", "warn")
        // Nothing happens by itself while something is measured, unless the workload wants it.
        .env("INBOX_WALK_INTERVAL", "24h")
        .env("BACKUP_INTERVAL", "off")
        .env("WS_PING_INTERVAL", "1h")
        .envs(settings.iter().copied());
    let mut process = Process::start(command)?;
    let lines = process.lines_until("ready")?;
    let address = |gateway: &str| -> Result<SocketAddr> {
        let line = lines.iter().find_map(|line| line.strip_prefix(gateway)).context("no address was said")?;
        let text = line.trim().trim_start_matches("http://").trim_end_matches('/');
        text.parse().with_context(|| text.to_owned())
    };
    let (user, admin) = (address("user gateway")?, address("admin gateway")?);
    Ok((process, user, admin))
}

/// What is sent, but for whom it is.
fn message() -> Value {
    json!({
        "title": "The backup has finished",
        "content": "All 12 databases were copied in 41 seconds. The oldest copy was removed.",
        "message_type": "text",
        "priority": 5,
    })
}

/// A user's id.
pub fn name(number: usize) -> String {
    format!("user-{number:06}")
}
