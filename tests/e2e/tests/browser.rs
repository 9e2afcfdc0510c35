//! What a person sees, in a real browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Browser, Setup};
use serde_json::json;

#[tokio::test]
async fn a_message_arrives_in_two_windows_is_read_in_one_and_survives_a_restart() {
    let mut server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("zhang").await;
    admin.channel("ops", &["zhang"]).await;
    let sender = admin.sender("drive").await;
    sender.send_to("zhang", "before").await;

    let (first, second) = (Browser::start().await, Browser::start().await);
    first.open(server.url()).await;
    first.fill("username", "zhang").await;
    first.fill("password", "wrong-password").await;
    first.click("sign-in").await;
    first.shown("error").await;
    first.sign_in("zhang").await;
    second.open(server.url()).await;
    second.sign_in("zhang").await;
    for window in [&first, &second] {
        window.state("connection", "online").await;
        window.listed(&[("before", true)]).await;
    }

    // Live, in both; text is text.
    let hostile = "<b>bold</b> & <script>alert(1)</script>";
    sender.send(json!({ "title": "live", "content": hostile, "recipients": ["ops"] })).await.data();
    for window in [&first, &second] {
        window.listed(&[("live", true), ("before", true)]).await;
        window.text("unread-total", "2").await;
    }
    first.click("message-item").await;
    first.text("message-title", "live").await;
    first.text("message-content", hostile).await;
    second.listed(&[("live", false), ("before", true)]).await;
    second.text("unread-total", "1").await;
    first.click("mark-unread").await;
    second.listed(&[("live", true), ("before", true)]).await;
    second.click("mark-all-read").await;
    first.listed(&[("live", false), ("before", false)]).await;

    // The server goes and comes back; the page does so by itself, and is right.
    server.kill().await;
    for window in [&first, &second] {
        let gone = "const state = document.querySelector('[data-testid=\"connection\"]').dataset.state; return state !== 'online'";
        window.script_until(gone, json!(true)).await;
    }
    let server = server.start_again().await;
    sender.send_to("zhang", "after").await;
    for window in [&first, &second] {
        window.state("connection", "online").await;
        window.listed(&[("after", true), ("live", false), ("before", false)]).await;
    }
    // A reload keeps the session; signing out ends it.
    first.open(server.url()).await;
    first.listed(&[("after", true), ("live", false), ("before", false)]).await;
    first.click("sign-out").await;
    first.shown("sign-in").await;
}

#[tokio::test]
async fn every_word_is_there_in_both_languages() {
    let server = Setup::default().start().await;
    server.admin().await.person("zhang").await;
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.shown("sign-in").await;
    window.script_until("return document.documentElement.lang.slice(0, 2)", json!("en")).await;
    window.text("sign-in", "Sign in").await;
    window.click("language").await;
    window.text("sign-in", "登录").await;
    window.script_until("return document.documentElement.lang.slice(0, 2)", json!("zh")).await;
    window.sign_in("zhang").await;
    // It is remembered.
    window.open(server.url()).await;
    window.text("sign-out", "退出登录").await;
}

#[tokio::test]
async fn what_is_older_than_the_first_page_is_found_when_it_is_looked_for() {
    const NEWER: usize = 130;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (zhang, sender) = (admin.person("zhang").await, admin.sender("s").await);
    let old = sender.send_to("zhang", "an old one").await;
    for n in 0..NEWER {
        sender.send_to("zhang", &format!("m{n}")).await;
    }
    zhang.read_batch(json!({ "all": true })).await.data();
    let window = Browser::start().await;
    window.open(&format!("{}#/message/{old}", server.url())).await;
    window.sign_in("zhang").await;
    window.text("message-title", "an old one").await;
    window.text("unread-total", "0").await;
    zhang.mark(&old, json!({ "is_read": false })).await.data();
    // And by the filter, on a page that has not opened it.
    window.open("about:blank").await;
    window.open(server.url()).await;
    window.shown("message-list").await;
    window.text("unread-total", "1").await;
    window.click("filter-unread").await;
    window.listed(&[("an old one", true)]).await;
}

#[tokio::test]
async fn signing_out_in_one_tab_signs_out_in_the_others_and_links_can_be_followed() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("zhang").await;
    let sender = admin.sender("s").await;
    let content = "see https://a.example/x?y=1, now";
    let linked = json!({ "title": "a link", "content": content, "recipients": ["zhang"] });
    sender.send(linked).await.data();
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("zhang").await;
    window.click("message-item").await;
    window.text("message-content", content).await;
    let link = "return document.querySelector('[data-testid=\"message-content\"] a')?.href";
    window.script_until(link, json!("https://a.example/x?y=1")).await;
    let first = window.new_tab().await;
    window.open(server.url()).await;
    window.state("connection", "online").await;
    let second = window.go_to(first).await;
    window.click("sign-out").await;
    window.shown("sign-in").await;
    window.go_to(second).await;
    window.shown("sign-in").await;
}

#[tokio::test]
async fn a_question_is_confirmed_in_one_window_and_answered_in_the_other() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.person("zhang").await;
    admin.person("li").await;
    let question = json!({
        "title": "Deploy?", "content": "Build 7 is ready.", "recipients": ["zhang", "li"], "answer": "first",
        "actions": [
            { "type": "confirm", "text": "Go", "action": "go", "style": "primary" },
            { "type": "button", "text": "Wait", "action": "wait" },
            { "type": "link", "text": "Log", "url": "https://a.example/log" },
        ],
    });
    admin.sender("ci").await.send(question).await.data();
    let (first, second) = (Browser::start().await, Browser::start().await);
    for (window, user) in [(&first, "zhang"), (&second, "li")] {
        window.open(server.url()).await;
        window.sign_in(user).await;
        window.click("message-item").await;
        window.text("answer", "Go").await;
    }
    first.click("answer").await;
    // A slip of the finger is no answer.
    first.text("answer", "Confirm: Go").await;
    second.text("answer", "Go").await;
    first.click("answer").await;
    first.text("answered", "You answered: Go").await;
    second.text("answered", "ZHANG answered: Go").await;
    second.open(server.url()).await;
    second.click("message-item").await;
    second.text("answered", "ZHANG answered: Go").await;
}

#[tokio::test]
async fn what_is_older_than_a_page_holds_is_found_all_the_same() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let zhang = admin.person("zhang").await;
    for channel in ["old", "new"] {
        admin.channel(channel, &["zhang"]).await;
    }
    let sender = admin.sender("drive").await;
    let old = json!({ "title": "long ago", "content": "still here", "recipients": ["old"] });
    let old = sender.send(old).await.data()["message_id"].as_str().unwrap().to_owned();
    sender.send_to("zhang", "long ago, alone").await;
    for part in 0..2 {
        let message = |n| json!({ "title": format!("{part} {n}"), "recipients": ["new"] });
        let batch = json!({ "messages": (0..600).map(message).collect::<Vec<_>>() });
        let sent = sender.api.post("/api/v3/messages/send-batch", &batch).await.data();
        let ids: Vec<&str> = sent["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["message_id"].as_str().unwrap())
            .collect();
        zhang.read_batch(json!({ "message_ids": ids })).await.data();
    }
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("zhang").await;
    window.text("unread-total", "2").await;
    // By the filter, by the channel, by a link.
    window.click("filter-unread").await;
    window.listed(&[("long ago, alone", true), ("long ago", true)]).await;
    window
        .script_until("document.querySelector('[data-channel-id=\"old\"]').click(); return true", json!(true))
        .await;
    window.listed(&[("long ago", true)]).await;
    window.click("message-item").await;
    window.text("message-content", "still here").await;
    window.text("unread-total", "1").await;
    window.listed(&[("long ago", false)]).await;
    zhang.mark(&old, json!({ "is_read": false })).await.data();
    window.text("unread-total", "2").await;
    let fresh = Browser::start().await;
    fresh.open(&format!("{}/#/message/{old}", server.url())).await;
    fresh.sign_in("zhang").await;
    fresh.text("message-content", "still here").await;
    fresh.text("unread-total", "1").await;
    fresh.script_until("location.hash = '#/message/msg-none'; return true", json!(true)).await;
    let gone = "return document.querySelector('.detail').innerText.includes('no longer here') || document.querySelector('.detail').innerText.includes('不在')";
    fresh.script_until(gone, json!(true)).await;
    // All of it, down to the first.
    fresh.script_until("location.hash = '#/'; return true", json!(true)).await;
    let down = "const more = document.querySelector('[data-testid=\"load-older\"]:not([disabled])'); if (more) more.click(); \
                return document.querySelectorAll('[data-testid=\"message-item\"]').length";
    fresh.script_until(down, json!(1202)).await;
}

#[tokio::test]
async fn who_signs_out_while_the_server_is_away_is_signed_out_when_it_is_back() {
    let (setup, url) = Setup::default().public("127.0.0.1");
    let mut server = setup.start().await;
    server.admin().await.person("zhang").await;
    let window = Browser::start().await;
    window.open(&url).await;
    window.sign_in("zhang").await;
    window.state("connection", "online").await;
    server.kill().await;
    let gone = "return document.querySelector('[data-testid=\"connection\"]').dataset.state !== 'online'";
    window.script_until(gone, json!(true)).await;
    window.click("sign-out").await;
    window.shown("sign-in").await;
    let server = server.start_again().await;
    window.open(&url).await;
    window.shown("sign-in").await;
    window.script_until("return localStorage.length", json!(0)).await;
    // The server knows it too: only the other device is left. And nobody is kept out by it.
    let left = server.admin().await.get("sessions?q=zhang").await.data();
    assert_eq!((&left["total"], &left["sessions"][0]["device_id"]), (&json!(1), &json!("zhang-1")));
    window.sign_in("zhang").await;
    window.state("connection", "online").await;
    window.open(&url).await;
    window.state("connection", "online").await;
}

#[tokio::test]
async fn nothing_that_a_page_is_given_runs_in_it_or_is_fetched_from_elsewhere() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let hostile = "<img src=x onerror=\"window.harmed = 1\"><script>window.harmed = 1</script>";
    let named = json!({ "id": "zhang", "username": "zhang", "name": hostile, "password": "a-good-password" });
    admin.post("users", named).await.data();
    let sender = admin.sender(&format!("drive{hostile}")).await;
    let message = json!({
        "title": hostile, "content": hostile, "recipients": ["zhang"],
        "sender": { "id": "x", "type": "service", "name": hostile, "avatar": "https://elsewhere.test/a.png" },
        "attachments": [{ "type": "image", "name": hostile, "url": "https://elsewhere.test/b.png",
            "size": 1, "mime_type": "image/png", "thumbnail": "https://elsewhere.test/c.png" }],
    });
    sender.send(message).await.data();
    let window = Browser::start().await;
    window.open(server.url()).await;
    window
        .client
        .execute(
            "window.violations = []; addEventListener('securitypolicyviolation', event => \
             violations.push(event.effectiveDirective + ' ' + event.blockedURI))",
            Vec::new(),
        )
        .await
        .unwrap();
    window.sign_in("zhang").await;
    window.listed(&[(hostile, true)]).await;
    window.click("message-item").await;
    window.text("message-content", hostile).await;
    window.click("settings").await;
    window.shown("settings-name").await;
    window.script_until("return [window.harmed ?? null, violations]", json!([null, []])).await;
    // The policy is in force: what is put in all the same does not run.
    let put = "const script = document.createElement('script'); script.textContent = 'window.harmed = 1'; \
               document.body.append(script); const image = new Image(); image.src = 'https://elsewhere.test/d.png'; \
               document.body.append(image)";
    window.client.execute(put, Vec::new()).await.unwrap();
    let blocked = "return [window.harmed ?? null, violations.map(one => one.split(' ')[0]).sort()]";
    window.script_until(blocked, json!([null, ["img-src", "script-src-elem"]])).await;
}
