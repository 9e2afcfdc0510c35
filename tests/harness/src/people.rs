//! Those who use the server: an administrator, programs that send, people who read.

use crate::api::{Api, Reply};
use crate::server::{ADMIN_PASSWORD, SECRET, Server};
use crate::socket::Socket;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const PASSWORD: &str = "a-good-password";

/// The first administrator.
pub struct Admin {
    pub api: Api,
    user: Api,
    socket_url: String,
}

/// A program that sends.
#[derive(Clone)]
pub struct Sender {
    pub api: Api,
    pub id: String,
}

/// Someone with an inbox, on one device.
#[derive(Clone)]
pub struct Person {
    pub id: String,
    pub device: String,
    pub api: Api,
    pub refresh_token: String,
    pub session: String,
    socket_url: String,
}

impl Admin {
    pub(crate) async fn sign_in(server: &Server) -> Self {
        let gateway = server.admin_gateway();
        let login = json!({ "username": "admin", "password": ADMIN_PASSWORD });
        let data = gateway.post("/admin/api/v3/auth/login", &login).await.data();
        let bearer = format!("Bearer {}", data["access_token"].as_str().unwrap());
        Self { api: gateway.with(&bearer), user: server.user(), socket_url: server.socket_url() }
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.api.post(&format!("/admin/api/v3/{path}"), &body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.api.get(&format!("/admin/api/v3/{path}")).await
    }

    /// Makes a user who can sign in and signs them in.
    pub async fn person(&self, id: &str) -> Person {
        self.post(
            "users",
            json!({ "id": id, "username": id, "name": id.to_uppercase(), "password": PASSWORD }),
        )
        .await
        .data();
        self.sign_in_person(id, &format!("{id}-1")).await
    }

    /// Signs a person in on one more device.
    pub async fn sign_in_person(&self, id: &str, device: &str) -> Person {
        let login = json!({
            "username": id, "password": PASSWORD,
            "device": { "id": device, "name": format!("{id}'s {device}"), "type": "desktop" },
        });
        let data = self.user.post("/api/v3/auth/local/login", &login).await.data();
        Person::of(&self.user, &self.socket_url, id, &data)
    }

    /// Makes a user who needs no password here: the token is made by the test.
    pub async fn user(&self, id: &str) -> Person {
        self.post("users", json!({ "id": id, "username": id, "name": id })).await.data();
        self.known(id, &format!("{id}-1"))
    }

    /// An existing user with a token made by the test.
    pub fn known(&self, id: &str, device: &str) -> Person {
        let session = format!("session-of-{device}");
        let token = signed(&json!({ "sub": id, "device_id": device, "session_id": session }));
        let data =
            json!({ "access_token": token, "refresh_token": "", "session_id": session, "device_id": device });
        Person::of(&self.user, &self.socket_url, id, &data)
    }

    pub async fn role(&self, id: &str, members: &[&str]) {
        self.post("roles", json!({ "id": id, "name": id, "members": members })).await.data();
    }

    pub async fn channel(&self, id: &str, members: &[&str]) {
        self.post("channels", json!({ "id": id, "name": id, "members": members })).await.data();
    }

    pub async fn sender(&self, name: &str) -> Sender {
        self.sender_with(&self.post("services", json!({ "name": name, "type": "internal" })).await.data())
    }

    /// A service of the highest tier.
    pub async fn system_sender(&self, name: &str) -> Sender {
        self.sender_with(&self.post("services", json!({ "name": name, "type": "system" })).await.data())
    }

    /// The service whose key was shown in this answer.
    pub fn sender_with(&self, data: &Value) -> Sender {
        let api = self.user.with(&format!("Service {}", data["api_key"].as_str().unwrap()));
        Sender { api, id: data["id"].as_str().unwrap().to_owned() }
    }
}

impl Sender {
    pub async fn send(&self, body: Value) -> Reply {
        self.api.post("/api/v3/messages/send", &body).await
    }

    /// Sends a message with this title to one person; gives its id.
    pub async fn send_to(&self, recipient: &str, title: &str) -> String {
        let sent =
            self.send(json!({ "title": title, "content": "content", "recipients": [recipient] })).await;
        sent.data()["message_id"].as_str().unwrap().to_owned()
    }

    /// Sends with an `Idempotency-Key`.
    pub async fn send_once(&self, key: &str, body: &Value) -> Reply {
        let request = self.api.request(reqwest::Method::POST, "/api/v3/messages/send");
        Reply::of(request.header("idempotency-key", key).json(body)).await
    }
}

impl Person {
    fn of(gateway: &Api, socket_url: &str, id: &str, data: &Value) -> Self {
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Self {
            id: id.to_owned(),
            device: text("device_id"),
            api: gateway.with(&format!("Bearer {}", text("access_token"))),
            refresh_token: text("refresh_token"),
            session: text("session_id"),
            socket_url: socket_url.to_owned(),
        }
    }

    pub fn token(&self) -> &str {
        self.api.authorization().unwrap().trim_start_matches("Bearer ")
    }

    /// A list, by its query.
    pub async fn list(&self, query: &str) -> Value {
        self.api.get(&format!("/api/v3/messages?{query}")).await.data()
    }

    /// The titles of a list.
    pub async fn titles(&self, query: &str) -> Vec<String> {
        let list = self.list(query).await;
        let messages = list["messages"].as_array().unwrap();
        messages.iter().map(|message| message["title"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn unread(&self) -> Value {
        self.api.get("/api/v3/messages/unread-count").await.data()
    }

    pub async fn read(&self, message: &str) -> Value {
        self.mark(message, json!({})).await.data()
    }

    pub async fn mark(&self, message: &str, body: Value) -> Reply {
        self.api.post(&format!("/api/v3/messages/{message}/read"), &body).await
    }

    pub async fn read_batch(&self, body: Value) -> Reply {
        self.api.post("/api/v3/messages/read-batch", &body).await
    }

    pub async fn sync(&self, cursor: &str, limit: u32) -> Value {
        self.api.get(&format!("/api/v3/sync?cursor={cursor}&limit={limit}")).await.data()
    }

    /// A socket of this device, welcomed.
    pub async fn connect(&self) -> Socket {
        Socket::hello(&self.socket_url, self.token(), &self.device, None).await
    }

    /// A socket of this device that goes on from a cursor.
    pub async fn connect_from(&self, cursor: &str) -> Socket {
        Socket::hello(&self.socket_url, self.token(), &self.device, Some(cursor)).await
    }

    /// A socket that has said nothing yet.
    pub async fn open(&self) -> Socket {
        let bearer = self.api.authorization().unwrap();
        Socket::open(&self.socket_url, &[("authorization", bearer)]).await.unwrap()
    }

    pub fn socket_url(&self) -> &str {
        &self.socket_url
    }
}

/// A token of the user gateway with these claims; what is left out is filled in.
pub fn signed(claims: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut all = json!({
        "iss": "message-service", "aud": "client-app", "iat": now, "exp": now + 3600, "jti": "test",
        "username": "test", "provider": "test", "scope": ["read", "write"],
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let secret = all.as_object_mut().unwrap().remove("secret");
    let secret = secret.as_ref().and_then(Value::as_str).unwrap_or(SECRET);
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).unwrap()
}
