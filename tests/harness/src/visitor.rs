//! A browser as far as HTTP goes: it keeps cookies and follows no redirect by itself, so that a test sees each step.

use crate::api::{Reply, bare_client};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Someone with a browser of their own.
pub struct Visitor {
    client: reqwest::Client,
    /// By host and name; cookies do not know ports (RFC 6265, section 8.5).
    cookies: BTreeMap<(String, String), String>,
}

impl Default for Visitor {
    fn default() -> Self {
        Self { client: bare_client(), cookies: BTreeMap::new() }
    }
}

impl Visitor {
    /// Opens a page, as a click does.
    pub async fn open(&mut self, url: &str) -> Reply {
        let request = self.client.get(url).header("accept", "text/html");
        self.perform(url, request).await
    }

    /// Sends a form.
    pub async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        let form: String = form
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('@', "%40")))
            .collect::<Vec<_>>()
            .join("&");
        let request =
            self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        self.perform(url, request).await
    }

    /// What a script of our own page does.
    pub async fn call(&mut self, method: Method, url: &str, bearer: Option<&str>, body: &Value) -> Reply {
        let mut request = self.client.request(method, url).json(body).header("x-requested-with", "hongyan");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        self.perform(url, request).await
    }

    /// Opens a page and whatever it leads to, until one is shown or an address begins so. Gives the last address and
    /// what is there, or nothing for an address that was only led to.
    pub async fn follow(&mut self, url: &str, until: &str) -> (String, Option<Reply>) {
        const HOPS_MAX: usize = 20;
        let mut at = url.to_owned();
        for _ in 0..HOPS_MAX {
            if !until.is_empty() && at != url && at.starts_with(until) {
                return (at, None);
            }
            let reply = self.open(&at).await;
            match reply.header("location") {
                Some(location) => at = Url::parse(&at).unwrap().join(location).unwrap().to_string(),
                None => return (at, Some(reply)),
            }
        }
        panic!("it never ends: {at}");
    }

    /// Gets an access token for the session that is in the cookies, as a page does when it is loaded.
    pub async fn refresh(&mut self, server: &str) -> Reply {
        self.call(Method::POST, &format!("{server}/api/v3/auth/refresh"), None, &json!({})).await
    }

    /// Forgets a cookie whose name begins so.
    pub fn forget(&mut self, start: &str) {
        self.cookies.retain(|(_, name), _| !name.starts_with(start));
    }

    async fn perform(&mut self, url: &str, request: RequestBuilder) -> Reply {
        let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
        let own = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<String> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        let reply = Reply::of(request).await;
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            let key = (host.clone(), name.to_owned());
            let ends = line.contains("Max-Age=0") || line.contains("01 Jan 1970");
            match ends {
                true => drop(self.cookies.remove(&key)),
                false => drop(self.cookies.insert(key, value.to_owned())),
            }
        }
        reply
    }
}
