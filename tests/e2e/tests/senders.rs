//! The doors, tried with programs that others wrote: Apprise and Alertmanager, as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Browser, Person, Server, Setup, http_client, program_of_others, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Sends by Apprise's own classes. Those of hosted services get the address of this server in place of theirs.
const APPRISE: &str = r#"
import sys, apprise
from apprise.plugins.slack import NotifySlack
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.wecombot import NotifyWeComBot
host, key = sys.argv[1:3]
NotifySlack.webhook_url = f'http://{host}/slack/services'
NotifyDingTalk.notify_url = f'http://{host}/dingtalk/robot/send?access_token={{token}}'
NotifyWeComBot.notify_url = f'http://{host}/wecom/cgi-bin/webhook/send?key={{key}}'
for name, url in [
    ('gotify', f'gotify://{host}/gotify/{key}?priority=high'),
    ('ntfy', f'ntfy://{key}@{host}/ann?mode=private&auth=token&priority=max&tags=one,two&click=https://a.example/c'),
    ('json', f'json://anyone:{key}@{host}/json'),
    ('slack', f'slack://T1JJ3T3L2/A1BRTD4JD/{key}/#ann'),
    ('dingtalk', f'dingtalk://{key}'),
    ('dingtalk signed', f'dingtalk://secret@{key}'),
    ('wecombot', f'wecombot://{key}'),
]:
    notifier = apprise.Apprise()
    assert notifier.add(url), f'{name}: not understood'
    sent = notifier.notify(title=f'by {name}', body=f'text of {name}', notify_type='warning')
    print('sent' if sent else 'failed', name, flush=True)
"#;

async fn reader(server: &Server) -> (Person, String) {
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let service = json!({ "name": "others", "type": "internal", "default_recipients": ["ann"] });
    let made = admin.post("services", service).await.data();
    (ann, made["api_key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn apprise_sends_as_to_those_it_was_written_for() {
    let server = Setup::default().set("SEND_RATE_EXTERNAL", "1000").start().await;
    let (ann, key) = reader(&server).await;
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("ann").await;
    window.state("connection", "online").await;
    let host = server.url().trim_start_matches("http://").trim_end_matches('/');
    let run = program_of_others("APPRISE_PYTHON").args(["-c", APPRISE, host, &key]).output();
    let output = within("Apprise", run).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let names = ["gotify", "ntfy", "json", "slack", "dingtalk", "dingtalk signed", "wecombot"];
    let lines: Vec<String> = names.iter().map(|name| format!("sent {name}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
    let list = ann.list("size=100").await;
    let mut messages = list["messages"].as_array().unwrap().clone();
    messages.reverse();
    assert_eq!(messages.len(), names.len());
    for (name, message) in names.iter().zip(&messages) {
        let whole =
            format!("{} {}", message["title"].as_str().unwrap(), message["content"].as_str().unwrap());
        assert!(
            whole.contains(&format!("by {name}")) && whole.contains(&format!("text of {name}")),
            "{name}: {whole}"
        );
    }
    let priorities: Vec<&Value> = messages.iter().take(3).map(|message| &message["priority"]).collect();
    assert_eq!(priorities, [8, 10, 7]);
    assert_eq!(messages[1]["metadata"]["tags"], json!(["one", "two"]));
    assert_eq!(messages[1]["actions"][0]["url"], "https://a.example/c");
    // All of it in an open window, by itself.
    let shown: Vec<(&str, bool)> =
        messages.iter().rev().map(|message| (message["title"].as_str().unwrap(), true)).collect();
    window.listed(&shown).await;
}

#[tokio::test]
async fn alertmanager_fires_and_resolves() {
    let server = Setup::default().start().await;
    let (ann, key) = reader(&server).await;
    let mut socket = ann.connect().await;
    let window = Browser::start().await;
    window.open(server.url()).await;
    window.sign_in("ann").await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("alertmanager.yml");
    // JSON is YAML.
    let settings = json!({
        "route": { "receiver": "hongyan", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s" },
        "receivers": [{ "name": "hongyan", "webhook_configs": [{
            "url": format!("{}/alertmanager", server.url().trim_end_matches('/')), "send_resolved": true,
            "http_config": { "authorization": { "type": "Service", "credentials": key } },
        }]}],
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let mut alertmanager = program_of_others("ALERTMANAGER")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.path().display()))
        .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", "--log.format=logfmt"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(alertmanager.stderr.take().unwrap()).lines();
    let address = loop {
        let line = within("the address of Alertmanager", lines.next_line()).await.unwrap();
        let line = line.expect("Alertmanager ended");
        // msg="Listening on" address=127.0.0.1:38191
        let said = line.split_once("address=").filter(|_| line.contains("Listening on"));
        if let Some((_, address)) = said {
            break address.split_whitespace().next().unwrap().to_owned();
        }
    };
    // Its output is read to the end, so that it never waits for us.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let alerts = format!("http://{address}/api/v2/alerts");
    let client = http_client();
    let post = |ends: Option<&str>| {
        let mut alert = json!({
            "labels": { "alertname": "DiskFull", "instance": "db1", "severity": "warning" },
            "annotations": { "summary": "90 % of /var is used" },
            "startsAt": "2026-01-01T00:00:00Z", "generatorURL": "http://prom.example/graph",
        });
        if let Some(ends) = ends {
            alert["endsAt"] = ends.into();
        }
        client.post(&alerts).json(&json!([alert])).send()
    };
    assert_eq!(post(None).await.unwrap().status(), 200);
    let fired = socket.frame("message").await;
    assert_eq!((&fired["title"], &fired["priority"]), (&json!("[FIRING] DiskFull (db1)"), &json!(7)));
    assert!(fired["content"].as_str().unwrap().starts_with("90 % of /var is used"));
    window.listed(&[("[FIRING] DiskFull (db1)", true)]).await;
    assert_eq!(post(Some("2026-01-02T00:00:00Z")).await.unwrap().status(), 200);
    // It fires again and again until then; a repeat is no message.
    let recalled = socket.frame("status_update").await;
    assert_eq!((&recalled["status"], &recalled["message_id"]), (&json!("recalled"), &fired["id"]));
    let resolved = socket.frame("message").await;
    assert_eq!(
        (&resolved["title"], &resolved["replaces"]),
        (&json!("[RESOLVED] DiskFull (db1)"), &fired["id"])
    );
    assert_eq!(ann.titles("").await, ["[RESOLVED] DiskFull (db1)"]);
    window.listed(&[("[RESOLVED] DiskFull (db1)", true)]).await;
}
