//! Buttons of messages: pressed once, seen on every device, told to the sender with a signature.

use hongyan_harness::{Admin, Person, Receiver, Reply, Setup, Told, eventually, within};
use reqwest::Method;
use serde_json::{Value, json};

fn question(recipients: &[&str], answer: Option<&str>) -> Value {
    let mut message = json!({
        "title": "Deploy?", "recipients": recipients, "metadata": { "build": 7 },
        "actions": [
            { "type": "confirm", "text": "Go", "action": "go", "style": "primary" },
            { "type": "button", "text": "Wait", "action": "wait" },
            { "type": "link", "text": "Log", "url": "https://a.example/log" },
        ],
    });
    if let Some(answer) = answer {
        message["answer"] = answer.into();
    }
    message
}

async fn press(person: &Person, message: &str, action: &str) -> Reply {
    person.api.post(&format!("/api/v3/messages/{message}/actions/{action}"), &json!({})).await
}

async fn shown(person: &Person, message: &str) -> Value {
    person.api.get(&format!("/api/v3/messages/{message}")).await.data()["pressed"].clone()
}

#[tokio::test]
async fn each_reader_answers_once_and_sees_it_on_every_device() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob, cid) = (admin.user("ann").await, admin.user("bob").await, admin.user("cid").await);
    let phone = admin.known("ann", "phone");
    let sender = admin.sender("ci").await;
    let away = phone.api.get("/api/v3/sync?cursor=&limit=10").await.data()["next_cursor"].clone();
    let (mut anns, mut bobs) = (ann.connect().await, bob.connect().await);
    let sent = sender.send(question(&["ann", "bob"], None)).await.data();
    let id = sent["message_id"].as_str().unwrap();
    for socket in [&mut anns, &mut bobs] {
        assert!(socket.frame("message").await["pressed"].is_null());
    }
    press(&cid, id, "go").await.failure(404, "not_found");
    press(&ann, "msg-none", "go").await.failure(404, "not_found");
    for none in ["nothing", "Log", "..%2Fgo"] {
        press(&ann, id, none).await.failure(404, "not_found");
    }
    let pressed = press(&ann, id, "go").await.data()["pressed"].clone();
    assert_eq!(
        (&pressed["action"], &pressed["by"], &pressed["name"]),
        (&json!("go"), &json!("ann"), &json!("ann"))
    );
    assert_eq!(press(&phone, id, "go").await.data()["pressed"], pressed, "again is once");
    let refused = press(&phone, id, "wait").await;
    refused.failure(409, "already_answered");
    assert_eq!(refused.json()["error"]["current"], pressed);
    let update = anns.frame("status_update").await;
    assert_eq!(
        (&update["status"], &update["pressed"], &update["message_id"]),
        (&json!("pressed"), &pressed, &json!(id))
    );
    assert_eq!(shown(&ann, id).await, pressed);
    assert_eq!(ann.list("").await["messages"][0]["pressed"], pressed);
    let synced = phone.sync(away.as_str().unwrap(), 10).await;
    assert_eq!(synced["changes"][0]["data"]["pressed"], pressed, "{synced}");
    // The other reader answers for himself.
    assert!(shown(&bob, id).await.is_null());
    assert_eq!(press(&bob, id, "wait").await.data()["pressed"]["action"], "wait");
    assert_eq!(bobs.frame("status_update").await["pressed"]["by"], "bob");
    assert_eq!(shown(&ann, id).await, pressed);
    // A device that had the message learns of the press by a cursor.
    let cursor = phone.sync(away.as_str().unwrap(), 10).await["next_cursor"].clone();
    let second =
        sender.send(question(&["ann"], None)).await.data()["message_id"].as_str().unwrap().to_owned();
    let cursor = phone.sync(cursor.as_str().unwrap(), 10).await["next_cursor"].clone();
    press(&ann, &second, "wait").await.data();
    let synced = phone.sync(cursor.as_str().unwrap(), 10).await;
    assert_eq!(synced["changes"][0]["data"]["pressed"]["action"], "wait", "{synced}");
    // What is taken back cannot be answered any more.
    let third = sender.send(question(&["ann"], None)).await.data()["message_id"].as_str().unwrap().to_owned();
    sender.api.post(&format!("/api/v3/messages/{third}/recall"), &json!({})).await.data();
    press(&ann, &third, "go").await.failure(404, "not_found");
    let server = server.start_again().await;
    let ann = server.admin().await.known("ann", "ann-1");
    assert_eq!(shown(&ann, id).await, pressed);
    press(&ann, id, "wait").await.failure(409, "already_answered");
}

#[tokio::test]
async fn the_first_answer_settles_it_for_all() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let people = ["p0", "p1", "p2", "p3"];
    for id in people {
        admin.user(id).await;
    }
    admin.role("ops", &people).await;
    let sender = admin.sender("ci").await;
    let sent = sender.send(question(&["ops"], Some("first"))).await.data();
    let id = sent["message_id"].as_str().unwrap();
    let readers: Vec<Person> = people.iter().map(|id| admin.known(id, "d")).collect();
    let mut socket = readers[0].connect().await;
    let all = readers.iter().enumerate().map(|(n, reader)| press(reader, id, ["go", "wait"][n % 2]));
    let replies = futures_util::future::join_all(all).await;
    let won: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    let pressed = won[0].data()["pressed"].clone();
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.failure(409, "already_answered");
        assert_eq!(reply.json()["error"]["current"], pressed);
    }
    assert_eq!(socket.frame("status_update").await["pressed"], pressed);
    for reader in &readers {
        assert_eq!(shown(reader, id).await, pressed);
    }
    let bad = sender.send(json!({ "title": "t", "recipients": ["ops"], "answer": "second" })).await;
    assert_eq!(bad.failure(422, "validation_failed"), ["answer"]);
}

async fn service(admin: &Admin, body: Value) -> Value {
    let mut service = json!({ "name": "ci", "type": "internal" });
    service.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    admin.post("services", service).await.data()
}

/// Checks a signature as those who are told do it, with the library that others wrote for it.
fn is_signed(told: &Told, secret: &str) -> bool {
    let mut headers = reqwest::header::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, told.header(name).parse().unwrap());
    }
    standardwebhooks::Webhook::new(secret).unwrap().verify(told.body.as_bytes(), &headers).is_ok()
}

#[tokio::test]
async fn a_press_is_told_to_the_sender_until_it_is_heard() {
    let mut receiver = Receiver::start().await;
    let server = Setup::default().set("CALLBACK_ALLOWED_HOSTS", "127.0.0.1").start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let made = service(&admin, json!({ "callback_url": format!("{}/told?x=1", receiver.url) })).await;
    let secret = made["callback_secret"].as_str().unwrap().to_owned();
    let (id, sender) = (made["id"].as_str().unwrap().to_owned(), admin.sender_with(&made));
    assert!(!admin.get("services").await.text.contains(&secret));
    let ask = || async {
        let mut question = question(&["ann"], None);
        question["thread_key"] = "deploy 7".into();
        sender.send(question).await.data()["message_id"].as_str().unwrap().to_owned()
    };
    // It fails once, and comes again: the same thing under the same id.
    receiver.answer(&[500]);
    let message = ask().await;
    let pressed = press(&ann, &message, "go").await.data()["pressed"].clone();
    let (first, second) = (receiver.next().await, receiver.next().await);
    for told in [&first, &second] {
        assert_eq!((told.path.as_str(), told.header("content-type")), ("/told?x=1", "application/json"));
        assert!(is_signed(told, &secret));
    }
    assert_eq!((first.header("webhook-id"), &first.body), (second.header("webhook-id"), &second.body));
    let body: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(body["type"], "message.action.pressed");
    let data = &body["data"];
    assert_eq!(
        (&data["message_id"], &data["action"], &data["at"]),
        (&json!(message), &json!("go"), &pressed["at"])
    );
    assert_eq!((&data["user"]["id"], &data["thread_key"]), (&json!("ann"), &json!("deploy 7")));
    assert_eq!(data["metadata"], json!({ "build": 7 }));
    let state = |wanted: &'static str| {
        let admin = &admin;
        eventually(wanted, move || async move {
            let list = admin.get(&format!("callbacks?state={wanted}")).await.data();
            Some(list["callbacks"][0].clone()).filter(|first| !first.is_null())
        })
    };
    let delivered = state("delivered").await;
    assert_eq!((&delivered["tries"], &delivered["last_outcome"]), (&json!(2), &json!("status 204")));
    press(&ann, &message, "go").await.data();
    // Gone means never again; until someone says so.
    receiver.answer(&[410]);
    press(&ann, &ask().await, "wait").await.data();
    let gone = receiver.next().await;
    let dead = state("dead").await;
    assert_eq!((&dead["tries"], &dead["last_outcome"]), (&json!(1), &json!("status 410")));
    // While a secret is replaced, both sign.
    let rotated = admin.post(&format!("services/{id}/rotate-callback-secret"), json!({})).await.data();
    let newer = rotated["callback_secret"].as_str().unwrap();
    assert_ne!(newer, secret);
    admin.post(&format!("callbacks/{}/replay", dead["id"]), json!({})).await.data();
    let again = receiver.next().await;
    assert_eq!((again.header("webhook-id"), &again.body), (gone.header("webhook-id"), &gone.body));
    assert!(is_signed(&again, &secret) && is_signed(&again, newer));
    admin.post("callbacks/999999/replay", json!({})).await.failure(404, "not_found");
    assert_eq!(admin.get("callbacks?state=lost").await.failure(422, "validation_failed"), ["state"]);
    // Nowhere to tell is nothing to tell.
    let request = admin.api.request(Method::PUT, &format!("/admin/api/v3/services/{id}"));
    assert!(Reply::of(request.json(&json!({ "callback_url": "" }))).await.data()["callback_url"].is_null());
    press(&ann, &ask().await, "go").await.data();
    assert_eq!(admin.get("callbacks").await.data()["total"], 2);
    assert!(receiver.is_silent(), "nothing was told twice");
    let stderr = server.stderr();
    assert!(!stderr.contains(&secret) && !stderr.contains(newer), "a secret was written down");
}

#[tokio::test]
async fn what_was_to_be_told_survives_a_crash() {
    let mut receiver = Receiver::start().await;
    let mut server = Setup::default().set("CALLBACK_ALLOWED_HOSTS", "127.0.0.1").start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let made = service(&admin, json!({ "callback_url": receiver.url })).await;
    let sent = admin.sender_with(&made).send(question(&["ann"], None)).await.data();
    receiver.answer(&[503]);
    press(&ann, sent["message_id"].as_str().unwrap(), "go").await.data();
    let first = receiver.next().await;
    server.kill().await;
    let _server = server.start_again().await;
    let second = receiver.next().await;
    assert_eq!((first.header("webhook-id"), &first.body), (second.header("webhook-id"), &second.body));
}

#[tokio::test]
async fn nobody_is_told_within_the_servers_own_network() {
    let mut receiver = Receiver::start().await;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    for url in [
        receiver.url.as_str(),
        "http://localhost/",
        "http://169.254.169.254/",
        "http://[::1]/",
        "ftp://a.example/",
        "x",
    ] {
        let refused =
            admin.post("services", json!({ "name": "n", "type": "internal", "callback_url": url })).await;
        assert_eq!(refused.failure(422, "validation_failed"), ["callback_url"], "{url}");
    }
    // A name that leads inside is found out when it is looked up.
    let port = receiver.url.rsplit(':').next().unwrap();
    let inside = format!("http://localhost.localdomain:{port}/");
    let made = service(&admin, json!({ "callback_url": inside })).await;
    let sent = admin.sender_with(&made).send(question(&["ann"], None)).await.data();
    press(&ann, sent["message_id"].as_str().unwrap(), "go").await.data();
    let tried = eventually("a try", || async {
        let callback = admin.get("callbacks").await.data()["callbacks"][0].clone();
        callback["last_outcome"].is_string().then_some(callback)
    });
    assert_eq!(tried.await["state"], "due");
    assert!(receiver.is_silent());
}

#[tokio::test]
async fn what_is_taken_back_is_not_answered_by_those_who_come_after() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let mut people = Vec::new();
    for n in 0..40 {
        people.push(admin.user(&format!("p{n}")).await);
    }
    let sender = admin.sender("ci").await;
    let everyone: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let sent = sender.send(question(&everyone, None)).await.data();
    let id = sent["message_id"].as_str().unwrap();
    let presses = people.iter().map(|person| press(person, id, "go"));
    let recall = async { sender.api.post(&format!("/api/v3/messages/{id}/recall"), &json!({})).await.data() };
    let (replies, _) = tokio::join!(futures_util::future::join_all(presses), recall);
    // Those who were answered 200 came before, and the sender's receipts have exactly them.
    let counted = replies.iter().filter(|reply| reply.status == 200).count() as u64;
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.failure(404, "not_found");
    }
    let receipts = sender.api.get(&format!("/api/v3/messages/{id}/receipts")).await.data();
    assert_eq!(
        (&receipts["state"], receipts["pressed"][0]["count"].as_u64().unwrap_or(0)),
        (&json!("recalled"), counted)
    );
    press(&people[0], id, "go").await.failure(404, "not_found");
}

#[tokio::test]
async fn the_first_answer_counts_also_when_who_gave_it_is_deleted() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (dan, eve) = (admin.user("dan").await, admin.user("eve").await);
    let late = admin.user("late").await;
    let sender = admin.sender("ci").await;
    let sent = sender.send(question(&["dan", "eve", "late"], Some("first"))).await.data();
    let id = sent["message_id"].as_str().unwrap();
    press(&dan, id, "go").await.data();
    assert_eq!(shown(&eve, id).await["by"], "dan");
    admin.api.delete("/admin/api/v3/users/dan").await.data();
    let refused = press(&eve, id, "wait").await;
    refused.failure(409, "already_answered");
    assert_eq!(refused.json()["error"]["current"]["action"], "go");
    // An inbox that takes it in only now sees the answer too, without the name.
    let pressed = shown(&late, id).await;
    assert_eq!(
        (&pressed["action"], &pressed["by"], &pressed["name"]),
        (&json!("go"), &json!("deleted-user"), &json!(""))
    );
}

#[tokio::test]
async fn many_answers_are_told_fast_and_one_who_does_not_listen_keeps_nobody_waiting() {
    let mut receiver = Receiver::start().await;
    // Takes connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf_url = format!("http://{}", deaf.local_addr().unwrap());
    let server = Setup::default().set("CALLBACK_ALLOWED_HOSTS", "127.0.0.1").start().await;
    let admin = server.admin().await;
    let mut people = Vec::new();
    for n in 0..60 {
        people.push(admin.user(&format!("p{n}")).await);
    }
    let everyone: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    for _ in 0..15 {
        let made = service(&admin, json!({ "callback_url": deaf_url })).await;
        let sent = admin.sender_with(&made).send(question(&everyone[..10], None)).await.data();
        let id = sent["message_id"].as_str().unwrap().to_owned();
        futures_util::future::join_all(people[..10].iter().map(|person| press(person, &id, "go"))).await;
    }
    let made = service(&admin, json!({ "callback_url": receiver.url })).await;
    let sent = admin.sender_with(&made).send(question(&everyone, None)).await.data();
    let id = sent["message_id"].as_str().unwrap().to_owned();
    futures_util::future::join_all(people.iter().map(|person| press(person, &id, "go"))).await;
    for _ in &people {
        receiver.next().await;
    }
}

/// Answers a request once it is there: one that is answered before it was sent is no answer to a client.
async fn answer(stream: &mut tokio::net::TcpStream, status: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        within("the request", tokio::io::AsyncReadExt::read_buf(stream, &mut request)).await.unwrap();
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(stream, answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn what_is_replayed_while_it_is_told_is_told_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Setup::default().set("CALLBACK_ALLOWED_HOSTS", "127.0.0.1").start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    let made = service(&admin, json!({ "callback_url": url })).await;
    let sent = admin.sender_with(&made).send(question(&["ann"], None)).await.data();
    press(&ann, sent["message_id"].as_str().unwrap(), "go").await.data();
    let (mut first, _) = within("the first try", listener.accept()).await.unwrap();
    let callback = admin.get("callbacks").await.data()["callbacks"][0]["id"].clone();
    admin.post(&format!("callbacks/{callback}/replay"), json!({})).await.data();
    // Only now the first one is refused for good.
    answer(&mut first, "410 Gone").await;
    drop(first);
    let (mut second, _) = within("the second try", listener.accept()).await.unwrap();
    answer(&mut second, "204 No Content").await;
    eventually("it is delivered", || async {
        (admin.get("callbacks").await.data()["callbacks"][0]["state"] == "delivered").then_some(())
    })
    .await;
}
