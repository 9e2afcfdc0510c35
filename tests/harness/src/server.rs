//! The server, as a process of its own on storage of its own.

use crate::api::Api;
use crate::people::Admin;
use crate::port::Port;
use crate::wait::within;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

pub(crate) const ADMIN_PASSWORD: &str = "first-password";
/// Signs the tokens that tests make themselves.
pub(crate) const SECRET: &str = "a secret of tests that has more than 32 bytes";

/// A server that is to be started.
pub struct Setup {
    settings: BTreeMap<String, String>,
    /// Of the user gateway and the admin gateway. Nobody else is given them, also not while the server is down.
    ports: [Port; 2],
    storage: Option<PathBuf>,
    file: Option<String>,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A server that runs. It is killed when this is dropped.
pub struct Server {
    setup: Setup,
    storage: Arc<TempDir>,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Arc<Mutex<String>>,
    user: String,
    admin: String,
}

impl Default for Setup {
    fn default() -> Self {
        let ports = [Port::take(), Port::take()];
        let [user, admin] = ports.each_ref().map(|port| port.number().to_string());
        let settings = [
            ("USER_SERVER_PORT", user.as_str()),
            ("ADMIN_SERVER_PORT", admin.as_str()),
            ("BOOTSTRAP_ADMIN_PASSWORD", ADMIN_PASSWORD),
            ("JWT_SECRET", SECRET),
            // While a set is made nothing is put back, and the first is made by itself a while after the start.
            ("BACKUP_INTERVAL", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { settings: settings.into(), ports, storage: None, file: None }
    }
}

impl Setup {
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Says that people reach it under this name: providers must know where they send browsers back to before anything
    /// runs. Gives the address.
    pub fn public(self, host: &str) -> (Self, String) {
        let url = format!("http://{host}:{}", self.ports[0].number());
        (self.set("PUBLIC_URL", &url), url)
    }

    /// The configuration file, as it was written so far.
    pub fn text(&self) -> &str {
        self.file.as_deref().unwrap_or_default()
    }

    /// Writes a configuration file.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Keeps the storage below this folder and not below a fresh one.
    pub fn storage(mut self, folder: &Path) -> Self {
        self.storage = Some(folder.to_owned());
        self
    }

    fn command(&self, storage: &Path) -> Command {
        let mut command = Command::new(program());
        if let Some(text) = &self.file {
            let path = storage.join("hongyan.toml");
            std::fs::write(&path, text).unwrap();
            command.arg("--config").arg(path);
        }
        command.env_clear().env("USER_STORAGE_PATH", storage.join("users")).envs(&self.settings);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts a server and waits until it says that it is ready.
    pub async fn start(self) -> Server {
        let storage = Arc::new(tempfile::tempdir().unwrap());
        Server::start(self, storage).await
    }

    /// Runs a server that is expected to end by itself.
    pub async fn ends(self, arguments: &[&str]) -> Exit {
        let storage = tempfile::tempdir().unwrap();
        let mut command = self.command(self.storage.as_deref().unwrap_or(storage.path()));
        Exit::of(command.args(arguments), "").await
    }
}

impl Exit {
    /// What it printed; it must have succeeded.
    #[track_caller]
    pub fn done(&self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.trim_end().to_owned()
    }

    /// It must have failed so, with this word in what it said, and have printed nothing.
    #[track_caller]
    pub fn failed(&self, code: i32, word: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(word), "{word}: {self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }

    /// Runs a program to its end with this piped in.
    pub async fn of(command: &mut Command, piped: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who does not read it closes the pipe.
        let _ = stdin.write_all(piped.as_bytes()).await;
        drop(stdin);
        let output = within("the end of the program", child.wait_with_output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Server {
    /// Runs a command of the server's program on this server's storage, with this piped in.
    pub async fn command(&self, arguments: &[&str], piped: &str) -> Exit {
        let mut command = self.setup.command(self.setup.storage.as_deref().unwrap_or(self.storage.path()));
        Exit::of(command.args(arguments), piped).await
    }

    /// Begins a command of the server's program on this server's storage; it is killed when this is dropped.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.setup.command(self.setup.storage.as_deref().unwrap_or(self.storage.path()));
        command.args(arguments).spawn().unwrap()
    }

    /// Runs `hongyan` towards this server with a key and this piped in.
    pub async fn hongyan(&self, key: &str, arguments: &[&str], piped: &str) -> Exit {
        let mut command = Command::new(program().with_file_name("hongyan"));
        command.env_clear().env("HONGYAN_URL", &self.user).env("HONGYAN_KEY", key).args(arguments);
        Exit::of(&mut command, piped).await
    }

    async fn start(setup: Setup, storage: Arc<TempDir>) -> Self {
        let folder = setup.storage.clone().unwrap_or_else(|| storage.path().to_owned());
        let mut child = setup.command(&folder).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (kept, mut lines) = (stderr.clone(), BufReader::new(child.stderr.take().unwrap()).lines());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let (user, admin) = (String::new(), String::new());
        let mut server = Self { setup, storage, child, stdout, stderr, user, admin };
        server.wait_until_ready().await;
        server
    }

    async fn wait_until_ready(&mut self) {
        loop {
            let line = within("the next line of the server", self.stdout.next_line()).await.unwrap();
            let Some(line) = line else { panic!("the server ended: {}", self.stderr()) };
            let address = |start: &str| {
                line.strip_prefix(start).map(|rest| rest.trim().trim_end_matches('/').to_owned())
            };
            if let Some(address) = address("user gateway ") {
                self.user = address;
            } else if let Some(address) = address("admin gateway ") {
                self.admin = address;
            } else if line == "ready" {
                return;
            }
        }
    }

    /// The user gateway, without credentials.
    pub fn user(&self) -> Api {
        Api::new(&self.user)
    }

    /// The admin gateway, without credentials.
    pub fn admin_gateway(&self) -> Api {
        Api::new(&self.admin)
    }

    /// Where a browser opens the user gateway.
    pub fn url(&self) -> &str {
        &self.user
    }

    /// Where the admin gateway is.
    pub fn admin_url(&self) -> &str {
        &self.admin
    }

    /// Where sockets are opened.
    pub fn socket_url(&self) -> String {
        format!("{}/ws", self.user.replacen("http", "ws", 1))
    }

    /// The first administrator, signed in.
    pub async fn admin(&self) -> Admin {
        Admin::sign_in(self).await
    }

    /// The folder of all users' folders.
    pub fn users(&self) -> PathBuf {
        self.setup.storage.as_deref().unwrap_or(self.storage.path()).join("users")
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Waits for the end of the process; gives its exit status.
    pub async fn ended(&mut self) -> Option<i32> {
        within("the end of the server", self.child.wait()).await.unwrap().code()
    }

    /// Stops it and waits for the end.
    pub async fn stop(&mut self) -> Option<i32> {
        self.ask_to_stop();
        self.ended().await
    }

    /// Kills it, as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again on the same storage and, so that clients find it, on the same ports.
    pub async fn start_again(mut self) -> Self {
        if self.child.try_wait().unwrap().is_none() {
            self.kill().await;
        }
        Self::start(self.setup, self.storage).await
    }

    /// Restarts with other settings.
    pub async fn start_again_with(self, name: &str, value: &str) -> Self {
        Self { setup: self.setup.set(name, value), ..self }.start_again().await
    }
}

/// The program under test: named by whoever runs the tests, or the one beside them.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("HONGYAN_SERVER_BIN") {
        return program.into();
    }
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("hongyan-server");
    assert!(program.exists(), "{} is missing: cargo build -p hongyan-server", program.display());
    program
}
