//! Who may open a socket, and how each comes to its end.

use hongyan_harness::{Heard, Setup, Socket, growing, signed};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn only_good_credentials_and_our_own_pages_open_sockets() {
    let server = Setup::default().set("CORS_ALLOWED_ORIGINS", "https://app.example").start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let url = ann.socket_url().to_owned();
    let bearer = format!("Bearer {}", ann.token());
    for (url, headers) in [
        (url.clone(), vec![]),
        (format!("{url}?token=garbage"), vec![]),
        (format!("{url}?ticket=garbage"), vec![]),
        (url.clone(), vec![("authorization", "Bearer garbage")]),
    ] {
        assert_eq!(Socket::open(&url, &headers).await.err().unwrap().0, 401);
    }
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    assert_eq!(Socket::open(&url, &foreign).await.err().unwrap().0, 403);
    for origin in [server.url(), "https://app.example"] {
        Socket::open(&url, &[("authorization", &bearer), ("origin", origin)]).await.unwrap();
    }
    let ticket = ann.api.post("/api/v3/auth/ws-ticket", &json!({})).await.data();
    assert_eq!(ticket["expires_in"], 30);
    let with_ticket = format!("{url}?ticket={}", ticket["ticket"].as_str().unwrap());
    Socket::open(&with_ticket, &[]).await.unwrap();
    assert_eq!(Socket::open(&with_ticket, &[]).await.err().unwrap().0, 401, "a ticket is good once");
    // One that is good for months does not go into an address.
    let admin = server.admin().await;
    let script = admin.person("bob").await;
    let body = json!({ "name": "script", "scopes": ["read"] });
    let personal = script.api.post("/api/v3/auth/tokens", &body).await.data();
    let personal = personal["token"].as_str().unwrap();
    assert_eq!(Socket::open(&format!("{url}?token={personal}"), &[]).await.err().unwrap().0, 401);
    Socket::open(&url, &[("authorization", &format!("Bearer {personal}"))]).await.unwrap();
    let plain = server.user().with(&bearer).get("/ws").await;
    assert_eq!(plain.failure(422, "validation_failed"), ["Upgrade"]);
}

#[tokio::test]
async fn places_are_bounded_and_given_back() {
    let server = Setup::default().set("WS_MAX_CONNECTIONS_PER_ADDRESS", "2").start().await;
    let ann = server.admin().await.user("ann").await;
    let url = format!("{}?token={}", ann.socket_url(), ann.token());
    let first = ann.connect().await;
    let _second = Socket::open(&url, &[]).await.unwrap();
    let (status, body, retry) = Socket::open(&url, &[]).await.err().unwrap();
    assert_eq!((status, retry.is_some()), (503, true), "{body}");
    first.close().await;
    hongyan_harness::eventually("a free place", || async { Socket::open(&url, &[]).await.ok().map(drop) })
        .await;
}

#[tokio::test]
async fn one_person_does_not_take_all_places_nor_flood() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let url = format!("{}?token={}", ann.socket_url(), ann.token());
    let mut sockets = Vec::new();
    for n in 0..64 {
        sockets.push(Socket::hello(ann.socket_url(), ann.token(), &format!("d{n}"), None).await);
    }
    assert_eq!(Socket::open(&url, &[]).await.err().unwrap().0, 503);
    let mut flooding = sockets.pop().unwrap();
    for _ in 0..201 {
        flooding.say(json!({ "type": "ping" })).await;
    }
    assert_eq!(flooding.closed().await, Some(1008));
}

#[tokio::test]
async fn what_is_no_frame_ends_the_socket_with_its_code() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    for (message, code) in [
        (Message::binary(b"x".to_vec()), 1003),
        (Message::text("no json"), 1008),
        (Message::text(format!("{{\"type\":\"{}\"}}", "x".repeat(20_000))), 1009),
        (Message::text(r#"{"type":"presence","data":{"state":"dancing"}}"#), 1008),
    ] {
        let mut socket = ann.connect().await;
        socket.send(message).await;
        assert_eq!(socket.closed().await, Some(code));
    }
}

#[tokio::test]
async fn a_silent_socket_is_closed_and_one_that_answers_is_not() {
    // Two intervals are longer than a slow machine takes for an answer.
    let server = Setup::default().set("WS_PING_INTERVAL", "5s").start().await;
    let admin = server.admin().await;
    let (silent, lively) = (admin.user("ann").await, admin.user("bob").await);
    // Opened before, it would be closed before.
    let mut at_lively = lively.connect().await;
    let mut at_silent = silent.connect().await.silent();
    assert_eq!(at_silent.welcome["ping_interval"], 5);
    let answering = async {
        loop {
            at_lively.frame("ping").await;
        }
    };
    tokio::select! {
        code = at_silent.closed() => assert_eq!(code, Some(1008)),
        () = answering => {}
    }
    at_lively.frame("ping").await;
}

#[tokio::test]
async fn a_token_that_ends_takes_its_socket_along() {
    let server = Setup::default().set("WS_PING_INTERVAL", "2s").start().await;
    server.admin().await.user("ann").await;
    let mut socket = growing("a token that lives until its socket is welcomed", 2, async |seconds| {
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
        let bearer = format!("Bearer {}", signed(&json!({ "sub": "ann", "exp": soon })));
        let mut socket = match Socket::open(&server.socket_url(), &[("authorization", &bearer)]).await {
            Ok(socket) => socket,
            Err((status, body, _)) => {
                assert_eq!(status, 401, "{body}");
                return None;
            }
        };
        socket.say(json!({ "type": "hello", "data": { "device_id": "d", "device_type": "desktop" } })).await;
        matches!(socket.next().await, Heard::Frame(frame) if frame["type"] == "welcome").then_some(socket)
    })
    .await;
    assert_eq!(socket.frame("session_revoked").await["reason"], "expired");
    assert_eq!(socket.closed().await, Some(4001));
}

#[tokio::test]
async fn who_is_signed_out_or_disabled_is_closed_at_once() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let first = admin.person("ann").await;
    let second = admin.sign_in_person("ann", "second").await;
    let (mut at_first, mut at_second) = (first.connect().await, second.connect().await);
    first.api.delete(&format!("/api/v3/auth/sessions/{}", second.session)).await.data();
    assert_eq!(at_second.frame("session_revoked").await["reason"], "revoked");
    assert_eq!(at_second.closed().await, Some(4001));
    admin.post("users/ann/disable", json!({})).await.data();
    assert_eq!(at_first.frame("session_revoked").await["reason"], "disabled");
    assert_eq!(at_first.closed().await, Some(4001));
}
