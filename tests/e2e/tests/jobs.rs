//! Backups in the background: how they get on, what ends them, and what a restart leaves of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Admin, Api, Browser, Person, Server, Setup, Socket, eventually, growing};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const URL: &str = "/api/v3/backup/jobs";

/// What takes long: a key from a passphrase, and packing.
fn slow() -> Value {
    json!({ "compress": "gzip", "passphrase": "correct horse battery" })
}

/// Sends so many messages of 150 KB, which make a backup take a while.
async fn fill(admin: &Admin, people: &[&str], messages: u64) {
    let sender = admin.sender("drive").await;
    for n in 0..messages {
        // Nothing that could be made much smaller.
        let content: String =
            (0..20_000).map(|m: u64| format!("{:x}", (n * 7_919 + m * 104_729) ^ (m * m * n))).collect();
        let content = content.chars().take(150_000).collect::<String>();
        sender
            .send(json!({ "title": format!("m{n}"), "content": content, "recipients": people }))
            .await
            .data();
    }
}

async fn create(api: &Api, body: &Value) -> Value {
    let reply = api.post(URL, body).await;
    assert_eq!((reply.status, &reply.json()["code"]), (202, &json!(202)), "{}", reply.text);
    reply.json()["data"].clone()
}

fn id(job: &Value) -> String {
    job["id"].as_str().unwrap().to_owned()
}

async fn job(api: &Api, id: &str) -> Value {
    api.get(&format!("{URL}/{id}")).await.data()
}

async fn ended(api: &Api, id: &str) -> Value {
    eventually("the end of a job", || async {
        let job = job(api, id).await;
        (!matches!(job["state"].as_str().unwrap(), "waiting" | "running")).then_some(job)
    })
    .await
}

/// The frames of one job, up to this state.
async fn frames(socket: &mut Socket, id: &str, last: &str) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let job = socket.frame("backup_job").await;
        if job["id"] == id {
            let is_last = job["state"] == last;
            frames.push(job);
            if is_last {
                return frames;
            }
        }
    }
}

/// Those who keep the server busy.
const BUSY: [&str; 4] = ["bob", "cid", "dan", "eve"];

/// A server with ann and others, each with so many large messages.
async fn crowd(messages: u64) -> (Server, Person, Vec<Person>) {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let mut others = Vec::new();
    for name in BUSY {
        others.push(admin.person(name).await);
    }
    fill(&admin, &["ann", "bob", "cid", "dan", "eve"], messages).await;
    (server, ann, others)
}

/// Has slow ones made for others, so that whoever asks now waits: only two are made at one time, and those two are begun.
/// Gives the jobs, by whose they are.
async fn occupy(others: &[Person]) -> Vec<(&Api, String)> {
    let mut jobs = Vec::new();
    for person in others {
        // Its inbox is open then, and it does not fall behind whoever asks later.
        person.list("size=1").await;
        for kind in ["full", "messages"] {
            let mut body = slow();
            body["type"] = json!(kind);
            jobs.push((&person.api, id(&create(&person.api, &body).await)));
        }
    }
    eventually("two that have begun", || async {
        let mut begun = 0;
        for (api, id) in &jobs {
            begun += usize::from(job(api, id).await["state"] != "waiting");
        }
        (begun >= 2).then_some(())
    })
    .await;
    jobs
}

/// Lets go of them.
async fn release(jobs: Vec<(&Api, String)>) {
    for (api, id) in jobs {
        api.delete(&format!("{URL}/{id}")).await;
    }
}

/// Waits until a job is being made or has ended; gives its state.
async fn begun(api: &Api, id: &str) -> Value {
    eventually("the beginning of a job", || async {
        let state = job(api, id).await["state"].clone();
        (state != "waiting").then_some(state)
    })
    .await
}

/// Files of backups that are not whole.
fn partial(server: &Server) -> Vec<PathBuf> {
    files(&backups(server))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "partial"))
        .collect()
}

fn backups(server: &Server) -> PathBuf {
    server.users().parent().unwrap().join("backups")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[tokio::test]
async fn a_job_tells_every_device_how_it_gets_on_until_there_is_a_backup() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.person("ann").await, admin.person("bob").await);
    fill(&admin, &["ann"], 300).await;
    let other = admin.sign_in_person("ann", "phone").await;
    let (mut first, mut second, mut foreign) =
        (ann.connect().await, other.connect().await, bob.connect().await);
    let body = json!({ "compress": "gzip", "format": "jsonl", "encrypt": "recipient",
        "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" });
    let made = create(&ann.api, &body).await;
    let id = id(&made);
    assert_eq!(
        (&made["state"], &made["progress"], &made["type"]),
        (&json!("waiting"), &json!(0.0), &json!("full"))
    );
    let shown = [&made["format"], &made["compress"], &made["encrypt"]];
    assert_eq!(shown, [&json!("jsonl"), &json!("gzip"), &json!("recipient")]);
    for socket in [&mut first, &mut second] {
        let frames = frames(socket, &id, "done").await;
        let mut states: Vec<&str> = frames.iter().map(|job| job["state"].as_str().unwrap()).collect();
        states.dedup();
        assert_eq!(states, ["waiting", "running", "done"]);
        let parts: Vec<f64> = frames.iter().map(|job| job["progress"].as_f64().unwrap()).collect();
        assert!(parts.is_sorted(), "{parts:?}");
        assert_eq!((parts[0], parts[parts.len() - 1]), (0.0, 1.0));
        // More than that it began and ended; and not more often than twice a second, by 1 % at least.
        assert!((4..=103).contains(&parts.len()), "{parts:?}");
        let running = &parts[1..parts.len() - 1];
        assert!(running.windows(2).all(|pair| pair[1] - pair[0] >= 0.01), "{parts:?}");
    }
    let done = job(&ann.api, &id).await;
    assert!(done["ended_at"].is_string() && done.get("error").is_none());
    assert_eq!((&done["backup"]["messages"], &done["backup"]["encrypted"]), (&json!(300), &json!(true)));
    let body = json!({ "backup": done["backup"]["id"] });
    let link = ann.api.post("/api/v3/backup/links", &body).await.data();
    assert_eq!(link["backup"], done["backup"]);
    // What lies there already is had at once.
    let again = create(
        &ann.api,
        &json!({ "compress": "gzip", "format": "jsonl",
        "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" }),
    )
    .await;
    let again = ended(&ann.api, again["id"].as_str().unwrap()).await;
    assert_eq!(again["backup"]["id"], done["backup"]["id"]);
    let listed = ann.api.get(URL).await.data()["jobs"].clone();
    assert_eq!(listed, json!([again, done]));
    // Nobody else's: neither seen, nor heard, nor taken away.
    assert_eq!(bob.api.get(URL).await.data()["jobs"], json!([]));
    bob.api.get(&format!("{URL}/{id}")).await.failure(404, "not_found");
    bob.api.delete(&format!("{URL}/{id}")).await.failure(404, "not_found");
    let own = create(&bob.api, &json!({})).await;
    assert_eq!(foreign.frame("backup_job").await["id"], own["id"]);
    // Taken off the list, its backup stays.
    ann.api.delete(&format!("{URL}/{id}")).await.data();
    ann.api.get(&format!("{URL}/{id}")).await.failure(404, "not_found");
    ann.api.post("/api/v3/backup/links", &body).await.data();
    // Without the backup the other is done all the same.
    ann.api.delete(&format!("/api/v3/backup/{}", done["backup"]["id"].as_str().unwrap())).await.data();
    let left = job(&ann.api, again["id"].as_str().unwrap()).await;
    assert_eq!((&left["state"], left.get("backup")), (&json!("done"), None));
}

#[tokio::test]
async fn what_is_cancelled_leaves_no_file_and_nobody_has_more_than_four() {
    growing("a job that is cancelled while it runs", 50, async |messages| {
        let (server, ann, others) = crowd(messages).await;
        let mut socket = ann.connect().await;
        let busy = occupy(&others).await;
        let running = id(&create(&ann.api, &slow()).await);
        let mut waiting = Vec::new();
        for type_of in ["full", "messages", "full"] {
            let compress = if waiting.is_empty() { "none" } else { "zstd" };
            waiting.push(id(&create(&ann.api, &json!({ "type": type_of, "compress": compress })).await));
        }
        let refused = ann.api.post(URL, &json!({})).await;
        ann.api.delete(&format!("{URL}/{}", waiting[0])).await.data();
        let cancelled = ann.api.get(&format!("{URL}/{}", waiting[0])).await;
        if job(&ann.api, &running).await["state"] != "waiting" {
            return None;
        }
        refused.failure(429, "rate_limited");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        assert_eq!(cancelled.data()["state"], "cancelled");
        frames(&mut socket, &waiting[0], "cancelled").await;
        release(busy).await;
        if begun(&ann.api, &running).await != "running" {
            return None;
        }
        ann.api.delete(&format!("{URL}/{running}")).await.data();
        let cancelled = ann.api.get(&format!("{URL}/{running}")).await;
        // What had ended when it was cancelled is taken off the list.
        if cancelled.status == 404 {
            return None;
        }
        let cancelled = cancelled.data();
        assert_eq!((&cancelled["state"], cancelled.get("backup")), (&json!("cancelled"), None));
        assert!(cancelled["progress"].as_f64().unwrap() < 1.0);
        for id in &waiting[1..] {
            assert_eq!(ended(&ann.api, id).await["state"], "done");
        }
        let kept = ann.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap().clone();
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert!(kept.iter().all(|backup| backup["encrypted"] == false));
        eventually("the end of what was cancelled", || async { partial(&server).is_empty().then_some(()) })
            .await;
        let whole = files(&backups(&server).join("people/ann"));
        assert_eq!(whole.len(), 4, "two files each: {whole:?}");
        // There is room again.
        let more = id(&create(&ann.api, &json!({ "format": "html" })).await);
        assert_eq!(ended(&ann.api, &more).await["state"], "done");
        let bad = ann.api.post(URL, &json!({ "compress": "rar" })).await;
        assert_eq!(bad.failure(422, "validation_failed"), ["compress"]);
        server.user().post(URL, &json!({})).await.failure(401, "unauthenticated");
        Some(())
    })
    .await;
}

/// A job of a person's, as it lies on the disk.
fn written(server: &Server, user: &str, id: &str) -> Value {
    let path = backups(server).join(format!("jobs/{user}/{id}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn after_a_kill_they_begin_again_and_one_with_a_passphrase_says_that_it_cannot() {
    growing("a job with a passphrase that is cut off", 50, async |messages| {
        let mut server = Setup::default().start().await;
        let admin = server.admin().await;
        let names = ["ann", "bob", "eve"];
        let mut people: Vec<Person> = Vec::new();
        for name in names {
            people.push(admin.person(name).await);
        }
        fill(&admin, &names, messages).await;
        let mut jobs: Vec<(usize, String, bool)> = Vec::new();
        for (n, person) in people.iter().enumerate() {
            for (body, with_passphrase) in [
                (json!({ "compress": "gzip" }), false),
                (json!({ "format": "html", "lang": "zh", "compress": "zstd" }), false),
                (json!({ "type": "incremental", "since": "0" }), false),
                // The last, which waits for the others.
                (slow(), true),
            ] {
                jobs.push((n, id(&create(&person.api, &body).await), with_passphrase));
            }
        }
        server.kill().await;
        let is_json = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "json");
        let lying = files(&backups(&server).join("jobs"));
        assert_eq!(lying.iter().filter(is_json).count(), 12);
        // What lies there has no secret in it.
        for path in &lying {
            assert!(!String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains("horse"));
        }
        let before: Vec<Value> = jobs.iter().map(|(n, id, _)| written(&server, names[*n], id)).collect();
        // What was kept of one with a passphrase stays, though the kill may have come before that was written down.
        let sealed = names.map(|name| {
            let about = files(&backups(&server).join("people").join(name));
            let about = about.iter().filter(is_json).map(|path| std::fs::read_to_string(path).unwrap());
            about.filter(|about| about.contains(".age\"")).count()
        });
        let server = server.start_again().await;
        let mut cut = 0;
        for ((n, id, with_passphrase), before) in jobs.iter().zip(before) {
            let job = ended(&people[*n].api, id).await;
            let had_ended = !matches!(before["state"].as_str().unwrap(), "waiting" | "running");
            if had_ended {
                assert_eq!(
                    (&job["state"], &job["ended_at"], &job["backup"]["id"]),
                    (&json!("done"), &before["ended_at"], &before["backup"]),
                    "{job}"
                );
            }
            if *with_passphrase && !had_ended {
                cut += 1;
                assert_eq!(
                    (&job["state"], &job["error"]["type"]),
                    (&json!("failed"), &json!("overloaded")),
                    "{job}"
                );
                let reason = job["error"]["message"].as_str().unwrap();
                assert!(
                    reason.contains("restarted") && reason.contains("passphrase") && reason.contains("again"),
                    "{reason}"
                );
            } else {
                assert_eq!(job["state"], "done", "{job}");
                let (backup, user) = (&job["backup"], names[*n]);
                let path =
                    backups(&server).join(format!("people/{user}/{}.backup", backup["id"].as_str().unwrap()));
                assert_eq!(json!(path.metadata().unwrap().len()), backup["size"]);
            }
        }
        // It is written down a moment after it is told.
        eventually("no half file", || async { partial(&server).is_empty().then_some(()) }).await;
        for (person, sealed) in people.iter().zip(sealed) {
            let kept = person.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap().clone();
            let encrypted = kept.iter().filter(|backup| backup["encrypted"] == true).count();
            assert_eq!((kept.len(), encrypted), (3 + sealed, sealed), "{kept:?}");
        }
        // Stopped in order, what is being made is given up in time, and begins again too.
        let ann = &people[0].api;
        ann.delete(&format!("{URL}/{}", jobs[0].1)).await.data();
        let more = id(&create(ann, &json!({ "type": "messages", "compress": "gzip" })).await);
        let mut server = server;
        assert_eq!(server.stop().await, Some(0));
        let server = server.start_again().await;
        assert_eq!(ended(ann, &more).await["state"], "done");
        ann.get(&format!("{URL}/{}", jobs[0].1)).await.failure(404, "not_found");
        // Who is deleted leaves none behind, whatever is being made.
        create(ann, &slow()).await;
        create(ann, &json!({ "format": "html" })).await;
        server.admin().await.api.delete("/admin/api/v3/users/ann").await.data();
        for room in ["jobs", "people"] {
            eventually("an empty room", || async {
                (!backups(&server).join(room).join("ann").exists()).then_some(())
            })
            .await;
        }
        assert!(backups(&server).join("jobs/bob").exists());
        (cut > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ended_ones_are_remembered_as_long_as_their_backup_and_a_quota_is_said() {
    let server = Setup::default().set("BACKUP_KEEP", "10s").set("BACKUP_QUOTA", "200000").start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    fill(&admin, &["ann"], 50).await;
    let large = id(&create(&ann.api, &json!({})).await);
    let large = ended(&ann.api, &large).await;
    assert_eq!(
        (&large["state"], &large["error"]["type"]),
        (&json!("failed"), &json!("too_large")),
        "{large}"
    );
    // It is written down a moment after it is told.
    eventually("no half file", || async { partial(&server).is_empty().then_some(()) }).await;
    eventually("the end of its time", || async {
        (ann.api.get(URL).await.data()["jobs"] == json!([])).then_some(())
    })
    .await;
    ann.api.get(&format!("{URL}/{}", large["id"].as_str().unwrap())).await.failure(404, "not_found");
}

/// How many jobs a page shows.
const SHOWN: &str = "return document.querySelectorAll('[data-testid=\"backup-job\"]').length";

#[tokio::test]
async fn a_person_sees_it_get_on_in_the_settings_and_can_cancel_it() {
    let (server, window) = growing("a job that is cancelled while it runs", 50, async |messages| {
        let (server, ann, others) = crowd(messages).await;
        let window = Browser::start().await;
        window.open(server.url()).await;
        window.sign_in("ann").await;
        window.click("settings").await;
        window.fill("backup-passphrase", "correct horse battery").await;
        let busy = occupy(&others).await;
        window.click("backup-make").await;
        let asked = eventually("the job", || async {
            ann.api.get(URL).await.data()["jobs"].as_array().unwrap().first().cloned()
        });
        let asked = id(&asked.await);
        // It may be over before the page has told of it.
        let seen = eventually("the job on the page, or its end", || async {
            let bar = "const bar = document.querySelector('progress[data-testid=\"backup-progress\"]'); \
                       return bar && [bar.max, bar.labels.length]";
            let bar = window.client.execute(bar, Vec::new()).await.unwrap();
            let has_ended = job(&ann.api, &asked).await["ended_at"].is_string();
            (!bar.is_null() || has_ended).then_some(bar)
        })
        .await;
        release(busy).await;
        if seen.is_null() || begun(&ann.api, &asked).await != "running" {
            return None;
        }
        assert_eq!(seen, json!([1, 1]));
        tokio::select! {
            () = window.click("backup-cancel") => {}
            () = eventually("its end", async || {
                (job(&ann.api, &asked).await["state"] == "done").then_some(())
            }) => return None,
        }
        window.script_until(SHOWN, json!(0)).await;
        // What had ended when it was cancelled is taken off the list.
        let listed = ann.api.get(URL).await.data()["jobs"].clone();
        let state = listed[0]["state"].clone();
        if listed == json!([]) || state == "done" {
            return None;
        }
        assert_eq!(state, "cancelled");
        assert_eq!(ann.api.get("/api/v3/backup").await.data()["backups"], json!([]));
        Some((server, window))
    })
    .await;
    // As a page, to its end; in another window it is seen too.
    let first = window.new_tab().await;
    window.open(server.url()).await;
    window.state("connection", "online").await;
    window.click("settings").await;
    window.shown("backup-make").await;
    let second = window.go_to(first).await;
    let choose = "const as = document.querySelector('#backup-format'); as.value = 'html'; \
                  as.dispatchEvent(new Event('change', { bubbles: true })); return as.value";
    window.script_until(choose, json!("html")).await;
    window.click("backup-make").await;
    let names = "return [...document.querySelectorAll('[data-testid=\"backup-item\"] strong')]\
                 .map(name => name.textContent.replace(/[0-9]/g, '').split('T')[1])";
    window.script_until(names, json!(["Z.html"])).await;
    window.script_until(SHOWN, json!(0)).await;
    window.go_to(second).await;
    window.script_until(names, json!(["Z.html"])).await;
}
