//! A real browser, driven as a person would.

use crate::oidc::OidcKind;
use crate::wait::{PATIENCE, eventually, within};
use fantoccini::wd::Capabilities;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Where downloads go, beside the profile.
const DOWNLOADS: &str = "downloads";

/// One browser with a profile of its own. It and its driver are ended when this is dropped.
pub struct Browser {
    pub client: Client,
    driver: Child,
    driver_url: String,
    profile: TempDir,
}

impl Drop for Browser {
    /// Ends the driver's whole group: the driver alone would leave its browser behind.
    fn drop(&mut self) {
        let pid = self.driver.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Browser {
    pub async fn start() -> Self {
        let driver =
            std::env::var_os("CHROMEDRIVER").map_or_else(|| PathBuf::from("chromedriver"), PathBuf::from);
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .expect("chromedriver cannot be started; `cargo xtask test` installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = within("the port of chromedriver", lines.next_line())
                .await
                .unwrap()
                .expect("chromedriver ended");
            // "ChromeDriver was started successfully on port 12345."
            if let Some(port) =
                line.split("on port ").nth(1).filter(|_| line.contains("started successfully"))
            {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Its output is read to the end, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().unwrap();
        let mut options = json!({ "args": [
            // Shared memory is scarce in containers, and a page that gets none of it crashes.
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--window-size=1100,800", "--lang=en-US", format!("--user-data-dir={}", profile.path().display()),
        ]});
        if let Some(chromium) = std::env::var_os("CHROMIUM") {
            options["binary"] = chromium.to_str().unwrap().into();
        }
        options["prefs"] = json!({ "download.default_directory": profile.path().join(DOWNLOADS) });
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let driver_url = format!("http://127.0.0.1:{port}");
        Self { client, driver, driver_url, profile }
    }

    /// The files that were downloaded, each whole, once there are so many.
    pub async fn downloaded(&self, count: usize) -> Vec<PathBuf> {
        eventually(&format!("{count} downloads"), || async {
            let entries = std::fs::read_dir(self.profile.path().join(DOWNLOADS)).ok()?;
            let paths = entries.map(|entry| entry.unwrap().path());
            let is_whole = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_str().unwrap();
                !name.starts_with('.') && !name.ends_with(".crdownload")
            };
            let whole: Vec<PathBuf> = paths.filter(is_whole).collect();
            (whole.len() >= count).then_some(whole)
        })
        .await
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Gives the browser an authenticator that has always just seen its owner's finger (Web Authentication, section 11).
    pub async fn add_authenticator(&self) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/webauthn/authenticator", self.driver_url);
        let authenticator = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "isUserConsenting": true,
        });
        let reply = crate::api::http_client().post(url).json(&authenticator).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 200);
    }

    /// Opens another tab and goes on in it; gives what [`Self::go_to`] comes back with.
    pub async fn new_tab(&self) -> WindowHandle {
        let before = self.client.window().await.unwrap();
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
        before
    }

    /// Goes on in another tab; gives the one that it was in.
    pub async fn go_to(&self, tab: WindowHandle) -> WindowHandle {
        let before = self.client.window().await.unwrap();
        self.client.switch_to_window(tab).await.unwrap();
        before
    }

    fn selector(id: &str) -> String {
        format!("[data-testid=\"{id}\"]")
    }

    /// Waits until something is shown: it is in the page, and not hidden.
    pub async fn shown(&self, id: &str) {
        let css = Self::selector(id);
        let script = format!("return document.querySelector('{css}')?.checkVisibility() ?? false");
        let looking = eventually("", || async {
            let is_shown = self.client.execute(&script, Vec::new()).await.ok()?;
            (is_shown == json!(true)).then_some(())
        });
        if tokio::time::timeout(PATIENCE - std::time::Duration::from_secs(1), looking).await.is_err() {
            let page = self.client.execute("return document.body.innerText", Vec::new()).await;
            panic!("{css} is not shown; what is: {page:?}");
        }
    }

    pub async fn fill(&self, id: &str, text: &str) {
        self.fill_css(&Self::selector(id), text).await;
    }

    /// Fills a field once it can be filled.
    async fn fill_css(&self, css: &str, text: &str) {
        let field = eventually(&format!("a field {css}"), || async {
            let field = self.client.find(Locator::Css(css)).await.ok()?;
            field.clear().await.ok()?;
            Some(field)
        })
        .await;
        field.send_keys(text).await.unwrap();
    }

    /// Chooses files in a field for them, shown or not.
    pub async fn choose(&self, id: &str, files: &[&std::path::Path]) {
        let css = Self::selector(id);
        let field = eventually(&format!("a field {css}"), || async {
            let field = self.client.find(Locator::Css(&css)).await.ok()?;
            // Those that were chosen before would stay.
            field.clear().await.ok()?;
            Some(field)
        })
        .await;
        let paths: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        // As the protocol has it for more than one.
        field.send_keys(&paths.join("\n")).await.unwrap();
    }

    pub async fn click(&self, id: &str) {
        self.click_css(&Self::selector(id)).await;
    }

    /// Clicks once the thing can be clicked.
    pub async fn click_css(&self, css: &str) {
        eventually(&format!("a click on {css}"), || async {
            self.client.find(Locator::Css(css)).await.ok()?.click().await.ok()
        })
        .await;
    }

    /// What a script gives, once it gives what is wanted.
    pub async fn script_until(&self, script: &str, wanted: serde_json::Value) {
        let seen = std::sync::Mutex::new(serde_json::Value::Null);
        let looking = eventually("", || async {
            let value = self.client.execute(script, Vec::new()).await.ok()?;
            let found = value == wanted;
            *seen.lock().unwrap() = value;
            found.then_some(())
        });
        let looked = tokio::time::timeout(PATIENCE - std::time::Duration::from_secs(1), looking).await;
        assert!(looked.is_ok(), "{script}\nwanted {wanted}\nseen {}", seen.lock().unwrap());
    }

    /// Waits until these titles are listed, newest first, with whether each is unread.
    pub async fn listed(&self, wanted: &[(&str, bool)]) {
        let script = "return [...document.querySelectorAll('[data-testid=\"message-item\"]')].map(item => \
            [item.querySelector('.title').textContent.trim(), item.dataset.unread === 'true'])";
        self.script_until(script, json!(wanted)).await;
    }

    /// Waits until something shows exactly this text.
    pub async fn text(&self, id: &str, wanted: &str) {
        let script =
            format!("return document.querySelector('{}')?.textContent.trim() ?? null", Self::selector(id));
        self.script_until(&script, json!(wanted)).await;
    }

    /// Waits until something has this `data-state`.
    pub async fn state(&self, id: &str, wanted: &str) {
        let script =
            format!("return document.querySelector('{}')?.dataset.state ?? null", Self::selector(id));
        self.script_until(&script, json!(wanted)).await;
    }

    /// Signs in on the page that is open.
    pub async fn sign_in(&self, username: &str) {
        self.fill("username", username).await;
        self.fill("password", crate::people::PASSWORD).await;
        self.click("sign-in").await;
        self.shown("message-list").await;
    }
    /// Logs in at an identity server that has no session of this browser yet, and agrees to what the client wants.
    pub async fn consent(&self, kind: OidcKind, login: &str) {
        match kind {
            OidcKind::Certified => {
                self.fill_css("input[name=login]", login).await;
                self.fill_css("input[name=password]", "any will do").await;
                self.click_css("form:has(input[name=password]) button[type=submit]").await;
                // The same button on the next page.
                self.click_css("form:has(input[value=consent]) button[type=submit]").await;
            }
            OidcKind::NodeMock => {}
            OidcKind::PythonMock => {
                self.fill_css("input[name=sub]", login).await;
                self.click_css("form:has(input[name=sub]) button[type=submit]").await;
            }
        }
    }

    /// Turns an identity server down, on its first page.
    pub async fn refuse(&self, kind: OidcKind) {
        match kind {
            OidcKind::Certified => self.click_css("a[href$='/abort']").await,
            OidcKind::NodeMock => panic!("{kind:?} asks nobody"),
            OidcKind::PythonMock => self.click_css("button[value=deny]").await,
        }
    }
}
