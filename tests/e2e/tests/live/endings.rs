//! Who may open a socket, and how each comes to its end.

use hongyan_harness::{Heard, Raw, SOCKET_KEY, Setup, Socket, growing, signed};
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
    let (status, body, retry) = Socket::open(&url, &[]).await.err().unwrap();
    assert_eq!((status, retry.is_some()), (503, true), "{body}");
    let mut flooding = sockets.pop().unwrap();
    for _ in 0..201 {
        flooding.say(json!({ "type": "ping" })).await;
    }
    assert_eq!(flooding.closed().await, Some(1008));
}

#[tokio::test]
async fn sockets_count_before_they_say_hello() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(Raw::socket(server.url(), ann.token()).await);
    }
    let url = format!("{}?token={}", ann.socket_url(), ann.token());
    assert_eq!(Socket::open(&url, &[]).await.err().unwrap().0, 503);
    drop(silent.pop());
    hongyan_harness::eventually("a free place", || async { Socket::open(&url, &[]).await.ok().map(drop) })
        .await;
}

#[tokio::test]
async fn a_user_whose_sockets_break_the_protocol_again_and_again_waits() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let held = ann.connect().await;
    let url = format!("{}?token={}", ann.socket_url(), ann.token());
    let mut violations = 0;
    let (status, body, retry) = loop {
        match Socket::open(&url, &[]).await {
            Ok(mut socket) => {
                socket.say(json!({ "type": "hello", "data": {} })).await;
                assert_eq!(socket.closed().await, Some(1008));
                violations += 1;
            }
            Err(refused) => break refused,
        }
    };
    assert_eq!(status, 429, "{body}");
    assert!((10..100).contains(&violations), "{violations}");
    assert!(retry.unwrap().parse::<u32>().unwrap() >= 1);
    bob.connect().await;
    held.close().await;
    hongyan_harness::eventually("the end of the wait", || async {
        Socket::open(&url, &[]).await.ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_close_frame_is_answered_with_the_same_code() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    for code in [Some(1000_u16), Some(1001), Some(4321), None] {
        for hello in [true, false] {
            let mut socket = Raw::socket(server.url(), ann.token()).await;
            if hello {
                let hello = json!({ "type": "hello", "data": { "device_id": "d" } }).to_string();
                socket.frame(0x81, hello.as_bytes()).await;
                assert_eq!(socket.next_frame().await.unwrap().unwrap().0, 1, "the welcome");
            }
            let payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
            socket.frame(0x88, &payload).await;
            assert_eq!(socket.next_frame().await.unwrap(), Some((8, payload)), "{code:?}, {hello}");
            assert_eq!(socket.next_frame().await.unwrap(), None, "nothing follows a close frame");
        }
    }
}

#[tokio::test]
async fn a_broken_stream_is_closed_with_the_code_of_rfc_6455() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let masked = |first: u8, payload: &'static [u8]| (first, payload);
    for (n, (frames, code)) in [
        (vec![masked(0x81, b"caf\xe9")], 1007_u16),
        (vec![masked(0x01, b"\xe9\xb8"), masked(0x80, b"?")], 1007),
        (vec![masked(0x88, b"\x03\xe8\xff")], 1007),
        (vec![masked(0x80, b"no beginning")], 1002),
        (vec![masked(0x01, b"one"), masked(0x81, b"another")], 1002),
        (vec![masked(0xc1, b"a reserved bit")], 1002),
        (vec![masked(0x8b, b"a reserved opcode")], 1002),
        (vec![masked(0x0a, b"a pong in parts")], 1002),
        (vec![masked(0x89, &[b'x'; 126])], 1002),
        (vec![masked(0x88, b"\x03")], 1002),
        (vec![masked(0x88, b"\x03\xee")], 1002),
    ]
    .into_iter()
    .enumerate()
    {
        // Each its own user, as whoever breaks the protocol again and again has to wait.
        let user = admin.user(&format!("user-{n}")).await;
        let mut socket = Raw::socket(server.url(), user.token()).await;
        for (first, payload) in frames {
            socket.frame(first, payload).await;
        }
        let (opcode, payload) = socket.next_frame().await.unwrap().unwrap();
        assert_eq!((opcode, &payload[..2]), (8, &code.to_be_bytes()[..]), "case {n}");
        socket.end().await.unwrap();
    }
    let ann = admin.user("ann").await;
    let mut unmasked = Raw::socket(server.url(), ann.token()).await;
    unmasked.say(b"\x81\x02{}").await.unwrap();
    assert_eq!(unmasked.next_frame().await.unwrap().unwrap().1[..2], 1002_u16.to_be_bytes());
}

#[tokio::test]
async fn a_message_in_endless_fragments_is_a_flood() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let mut socket = Raw::socket(server.url(), ann.token()).await;
    socket.frame(0x01, b"{").await;
    // Empty continuations: never a whole frame, never too large.
    let fragments = [0x00, 0x80, 1, 2, 3, 4].repeat(10_000);
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 && socket.say(&fragments).await.is_ok() {
        sent += fragments.len();
    }
    assert!(sent < 64 * 1024 * 1024, "the server still reads");
}

#[tokio::test]
async fn an_invalid_hello_is_answered_with_the_field() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    for (n, (data, field)) in [
        (json!({ "device_id": "phone", "device_type": "watch" }), "device_type"),
        (json!({ "device_id": "no blanks", "device_type": "mobile" }), "device_id"),
        (json!({ "device_type": "mobile" }), "device_id"),
        (json!({ "device_id": "phone", "capabilities": "some" }), "capabilities"),
        (json!({ "device_id": "phone", "pos": 1 }), "pos"),
        (json!(null), "data"),
    ]
    .into_iter()
    .enumerate()
    {
        let user = admin.user(&format!("user-{n}")).await;
        let url = format!("{}?token={}", user.socket_url(), user.token());
        let mut socket = Socket::open(&url, &[]).await.unwrap();
        socket.say(json!({ "type": "hello", "data": data })).await;
        let error = socket.frame("error").await;
        assert_eq!(
            (&error["type"], &error["details"][0]["field"]),
            (&json!("validation_failed"), &json!(field))
        );
        assert_eq!(socket.closed().await, Some(1008));
    }
}

#[tokio::test]
async fn what_is_no_frame_ends_the_socket_with_its_code() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    for (n, (message, code)) in [
        (Message::binary(b"x".to_vec()), 1003),
        (Message::text("no json"), 1008),
        (Message::text(format!("{{\"type\":\"{}\"}}", "x".repeat(20_000))), 1009),
        (Message::text(r#"{"type":"presence","data":{"state":"dancing"}}"#), 1008),
    ]
    .into_iter()
    .enumerate()
    {
        let mut socket = admin.user(&format!("user-{n}")).await.connect().await;
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

#[tokio::test]
async fn a_handshake_needs_one_key_of_16_bytes() {
    let server = Setup::default().start().await;
    let ann = server.admin().await.user("ann").await;
    let good = format!("Sec-WebSocket-Key: {SOCKET_KEY}\r\n");
    for (keys, status) in [
        (good.clone(), 101),
        (String::new(), 400),
        (good.repeat(2), 400),
        ("Sec-WebSocket-Key: \r\n".into(), 400),
        ("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0O\r\n".into(), 400),
        ("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODxA=\r\n".into(), 400),
        ("Sec-WebSocket-Key: sixteen bytes...\r\n".into(), 400),
    ] {
        let mut raw = Raw::connect(server.url()).await;
        let (host, token) = (raw.host().to_owned(), ann.token());
        raw.say(format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{keys}\r\n"
        ))
        .await
        .unwrap();
        let head = raw.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{keys}: {head}");
    }
}

#[tokio::test]
async fn clients_that_come_while_the_server_is_busy_are_not_lost() {
    const CLIENTS: usize = 1_000;
    let server = Setup::default().start().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let send = |signal| rustix::process::kill_process(pid, signal).unwrap();
    // It accepts nothing now, so all of them wait in the system's queue.
    send(rustix::process::Signal::STOP);
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut waiting = Vec::new();
    for n in 0..CLIENTS {
        let connecting = tokio::net::TcpStream::connect(&address);
        waiting.push(hongyan_harness::within(&format!("connection {n}"), connecting).await.unwrap());
    }
    send(rustix::process::Signal::CONT);
    assert_eq!(waiting.len(), CLIENTS);
}
