//! The programs on a command line: `hongyan` from a shell, `hongyan-server` for operators.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Sender, Server, Setup};
use serde_json::{Value, json};

fn key(sender: &Sender) -> &str {
    sender.api.authorization().unwrap().trim_start_matches("Service ")
}

#[tokio::test]
async fn a_shell_sends_sees_what_became_of_it_and_takes_it_back() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    admin.role("ops", &["ann", "bob"]).await;
    let sender = admin.sender("cron").await;
    let key = key(&sender);
    let run = async |arguments: &[&str], piped: &str| server.hongyan(key, arguments, piped).await;
    let id = run(&["send", "--to", "ann", "--title", "Backup"], "42 GB\nin 3 minutes\n").await.done();
    let shown = ann.api.get(&format!("/api/v3/messages/{id}")).await.data();
    assert_eq!((&shown["title"], &shown["content"]), (&json!("Backup"), &json!("42 GB\nin 3 minutes")));
    // Without a title the first line is one.
    let arguments = [
        "send",
        "--to",
        "ann,ops",
        "--type",
        "alert",
        "--priority",
        "9",
        "--link",
        "Log=https://a.example/?x=1",
    ];
    let id = run(&arguments, "Disk full\n90 % of /var\n").await.done();
    let shown = bob.api.get(&format!("/api/v3/messages/{id}")).await.data();
    assert_eq!((&shown["title"], &shown["content"]), (&json!("Disk full"), &json!("90 % of /var")));
    assert_eq!((&shown["message_type"], &shown["priority"]), (&json!("alert"), &json!(9)));
    assert_eq!(shown["actions"][0]["url"], "https://a.example/?x=1");
    bob.read(&id).await;
    assert_eq!(run(&["receipts", &id], "").await.done(), "recipients\t2\ndelivered\t1\nread\t1");
    run(&["recall", &id], "").await.done();
    assert_eq!(ann.titles("").await, ["Backup"]);
    let told: Value = serde_json::from_str(&run(&["receipts", &id, "--json"], "").await.done()).unwrap();
    assert_eq!(told["data"]["state"], "recalled");
    // A template, everyone, an own key, a time.
    let arguments = [
        "send",
        "--to-type",
        "all",
        "--template",
        "system_alert",
        "--var",
        "alert_type=disk",
        "--var",
        "alert_message=a=b",
        "--var",
        "affected_scope=all",
    ];
    run(&arguments, "").await.failed(1, "category:system");
    let twice = ["send", "once", "--to", "ann", "--idempotency-key", "k1"];
    let first = run(&twice, "not read").await.done();
    assert_eq!(run(&twice, "").await.done(), first);
    let in_an_hour = hongyan_harness::later(std::time::Duration::from_secs(3_600));
    let later = ["send", "later", "--to", "ann", "--at", &in_an_hour];
    run(&later, "").await.done();
    assert_eq!(sender.api.get("/api/v3/messages/scheduled").await.data()["total"], 1);
    assert_eq!(ann.titles("").await, ["once", "Backup"]);
    // Someone who is nobody is named; nobody at all is refused.
    let some = run(&["send", "x", "--to", "ann,nobody"], "").await;
    some.done();
    assert!(some.stderr.contains("nobody is nobody here"), "{some:?}");
    run(&["send", "x", "--to", "nobody"], "").await.failed(1, "recipients");
    run(&["send", "x", "--to", "ann", "--link", "a=javascript:alert(1)"], "")
        .await
        .failed(1, "actions[0].url");
    run(&["receipts", "msg-none"], "").await.failed(1, "no such message");
}

#[tokio::test]
async fn what_a_script_needs_to_know_is_in_the_exit_status() {
    let mut server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    let sender = admin.sender("cron").await;
    let key = key(&sender).to_owned();
    for (arguments, piped, word) in [
        (&["send", "--to", "ann"][..], "", "nothing to send"),
        (&["send", "--to", "ann", "--priority", "11"], "x", "--priority"),
        (&["send", "--to", "ann", "--at", "tomorrow"], "x", "2026-01-15T10:30:00Z"),
        (&["send", "--to", "ann", "--var", "a=b"], "x", "--template"),
        (&["send", "x", "--to", "ann", "--url", "file:///etc/passwd"], "", "--url"),
        (&["send", "x", "--to", "ann", "--key-file", "/no/such/file"], "", "/no/such/file"),
        (&["send", "x", "--to", "ann", "--config", "/no/such/file"], "", "/no/such/file"),
        (&["receipts", "../up"], "", "A-Z"),
        (&[], "", "Usage"),
    ] {
        let exit = server.hongyan(&key, arguments, piped).await;
        exit.failed(2, word);
    }
    server.hongyan("", &["send", "x", "--to", "ann"], "").await.failed(2, "HONGYAN_KEY");
    let wrong = server.hongyan("hy0000", &["send", "x", "--to", "ann"], "").await;
    wrong.failed(1, "key");
    assert!(!wrong.stderr.contains("hy0000"));
    // The file of settings, and the key in a file of its own.
    let folder = tempfile::tempdir().unwrap();
    let (settings, own) = (folder.path().join("config.toml"), folder.path().join("key"));
    std::fs::write(&settings, format!("key = \"{key}\"\n")).unwrap();
    std::fs::write(&own, format!("{key}\n")).unwrap();
    for (option, file) in [("--config", &settings), ("--key-file", &own)] {
        let arguments = ["send", "x", "--to", "ann", option, file.to_str().unwrap()];
        server.hongyan("", &arguments, "").await.done();
    }
    std::fs::write(&settings, format!("kye = \"{key}\"\n")).unwrap();
    let bad =
        server.hongyan("", &["send", "x", "--to", "ann", "--config", settings.to_str().unwrap()], "").await;
    bad.failed(2, "kye");
    assert!(!bad.stderr.contains(&key));
    for shell in ["bash", "zsh", "fish"] {
        assert!(server.hongyan("", &["completion", shell], "").await.done().contains("receipts"));
    }
    // Nobody else is given its port meanwhile.
    server.stop().await;
    server.hongyan(&key, &["send", "x", "--to", "ann"], "").await.failed(75, "refused");
}

#[tokio::test]
async fn a_wrong_folder_does_not_become_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let exit = Setup::default().storage(folder.path()).ends(&["user", "list"]).await;
    exit.failed(2, "no server has run");
    let exit = Setup::default().storage(folder.path()).ends(&["service", "add", "x"]).await;
    exit.failed(2, "no server has run");
}

#[tokio::test]
async fn operators_work_on_the_storage_of_a_server_that_does_not_run() {
    let mut server = Setup::default().start().await;
    // While it runs nothing is touched.
    let exit = server.command(&["user", "list"], "").await;
    exit.failed(75, "stop it first");
    server.stop().await;
    let run = async |server: &Server, arguments: &[&str], piped: &str| server.command(arguments, piped).await;

    let added = run(&server, &["user", "add", "ann", "--name", "Ann", "--role", "admin"], "").await.done();
    let (ann, made) = added.split_once('\t').unwrap();
    assert!(made.len() >= 12, "{added}");
    let bob = ["user", "add", "bob", "--id", "bob", "--department", "sales", "--password-stdin"];
    assert_eq!(run(&server, &bob, "a-good-password\n").await.done(), "bob");
    run(&server, &bob, "a-good-password\n").await.failed(1, "exists");
    run(&server, &["user", "add", "cid", "--password-stdin"], "short\n").await.failed(1, "password");
    run(&server, &["user", "add", "cid", "--role", "none"], "").await.failed(1, "roles[0]");
    run(&server, &["user", "add"], "").await.failed(2, "Usage");
    run(&server, &["user", "disable", "bob"], "").await.done();
    let list = run(&server, &["user", "list"], "").await.done();
    assert!(list.contains(&format!("{ann}\tann\tAnn\tactive\tadmin")), "{list}");
    assert!(list.contains("bob\tbob\tbob\tdisabled"), "{list}");
    let found = run(&server, &["user", "list", "--search", "bo", "--json"], "").await.done();
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["department_id"], "sales");
    run(&server, &["user", "enable", "bob"], "").await.done();
    run(&server, &["user", "add", "eve", "--id", "eve", "--no-password"], "").await.done();
    run(&server, &["user", "delete", "eve"], "").await.failed(1, "--yes");
    run(&server, &["user", "delete", "eve", "--yes"], "").await.done();
    run(&server, &["user", "delete", "eve", "--yes"], "").await.failed(1, "no such user");
    let again = run(&server, &["user", "password", "ann"], "").await.done();

    let service = run(&server, &["service", "add", "cron", "--permission", "send:user"], "").await.done();
    let (service, first) = service.split_once('\t').unwrap();
    run(&server, &["service", "add", "x", "--permission", "send:nobody"], "").await.failed(2, "send:user");
    let second = run(&server, &["service", "rotate-key", service, "--overlap", "0"], "").await.done();
    let outside = run(&server, &["service", "add", "out", "--type", "external"], "").await.done();
    let outside = outside.split_once('\t').unwrap().0;
    run(&server, &["service", "approve", outside], "").await.done();
    run(&server, &["service", "suspend", outside], "").await.done();
    let list = run(&server, &["service", "list"], "").await.done();
    assert!(list.contains(&format!("{service}\tcron\tinternal\tactive\tsend:user")), "{list}");
    assert!(list.contains(&format!("{outside}\tout\texternal\tsuspended")), "{list}");
    run(&server, &["service", "resume", outside], "").await.done();
    run(&server, &["service", "delete", outside, "--yes"], "").await.done();
    run(&server, &["service", "suspend", outside], "").await.failed(1, "no such service");

    let list = run(&server, &["template", "list"], "").await.done();
    assert!(list.contains("system_alert\t1\tsystem\t"), "{list}");
    let shown = run(&server, &["template", "show", "system_alert"], "").await.done();
    assert_eq!(run(&server, &["template", "put", "-"], &shown).await.done(), "system_alert\t2");
    run(&server, &["template", "put", "-"], "{\"name\":\"x\"}").await.failed(1, "category");
    run(&server, &["template", "put", "/no/such/file"], "").await.failed(1, "/no/such/file");
    run(&server, &["template", "delete", "file_share", "--yes"], "").await.done();
    assert!(run(&server, &["completion", "bash"], "").await.done().contains("rotate-key"));

    let server = server.start_again().await;
    let sign_in = async |name: &str, password: &str| {
        let login = json!({ "username": name, "password": password });
        server.admin_gateway().post("/admin/api/v3/auth/login", &login).await
    };
    sign_in("ann", made).await.failure(401, "unauthenticated");
    sign_in("ann", &again).await.data();
    let admin = server.admin().await;
    admin.sign_in_person("bob", "d").await;
    let send =
        |key: &str| Sender { api: server.user().with(&format!("Service {key}")), id: service.to_owned() };
    send(first).send(json!({ "title": "t", "recipients": ["bob"] })).await.failure(401, "unauthenticated");
    send(&second).send_to("bob", "t").await;
    let audit = admin.get("audit?actor=command-line&size=100").await.data();
    let by_hand: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(by_hand.len(), 16, "{audit}");
    assert!(by_hand.contains(&"service.approve"), "{audit}");
}
