//! Sets: the whole server lost and had again, as people and operators notice it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{Admin, Person, Reply, Sender, Server, Setup, eventually, growing, later, the_moment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn backups(server: &Server) -> PathBuf {
    server.users().with_file_name("backups")
}

/// Makes a set through the admin gateway and waits until it is there.
async fn make(admin: &Admin) -> String {
    let asked = admin.post("backups", json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(asked.json()["data"]["state"], "making");
    let id = asked.json()["data"]["id"].as_str().unwrap().to_owned();
    eventually("the set", || async {
        let list = admin.get("backups").await.data();
        assert_eq!(list["failed"], Value::Null, "{list}");
        (list["making"].is_null() && list["backups"][0]["id"] == id.as_str()).then_some(())
    })
    .await;
    id
}

/// Loses everything but the backups.
fn lose(server: &Server) {
    std::fs::remove_dir_all(server.users()).unwrap();
    std::fs::remove_dir_all(server.users().with_file_name("system")).unwrap();
}

/// All files below a folder, but those that are only for a while, with what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// How many files are below a folder in which a server is at work.
fn written_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { written_in(&entry.path()) } else { 1 }).sum()
}

/// What a person sees, without what differs from one look to the next.
async fn seen(person: &Person) -> (Value, Value) {
    let list = person.list("size=100").await;
    (list, person.unread().await)
}

struct Town {
    server: Server,
    admin: Admin,
    people: Vec<Person>,
    sender: Sender,
}

impl Town {
    /// People with passwords, a channel, messages of every kind, some read.
    async fn start() -> Self {
        let server = Setup::default().start().await;
        let admin = server.admin().await;
        let mut people = Vec::new();
        for id in ["ann", "bob", "cid"] {
            people.push(admin.person(id).await);
        }
        admin.channel("ops", &["ann", "bob"]).await;
        let sender = admin.sender("drive").await;
        for n in 0..30 {
            let to = ["ann", "bob", "ops"][n % 3];
            let body = json!({ "title": format!("m{n}"), "content": "x".repeat(n * 40), "recipients": [to] });
            let id = sender.send(body).await.data()["message_id"].as_str().unwrap().to_owned();
            if n % 3 == 0 && n % 2 == 0 {
                people[0].read(&id).await;
            }
        }
        let gone = sender.send_to("ann", "taken back").await;
        sender.api.post(&format!("/api/v3/messages/{gone}/recall"), &json!({})).await.data();
        Self { server, admin, people, sender }
    }
}

/// Adds people `u0`, `u1`, … and sends everyone a message, so that they all have an inbox.
async fn add_crowd(admin: &Admin, people: usize) {
    let line = |n| json!({ "id": format!("u{n}"), "username": format!("u{n}"), "name": "u" }).to_string();
    let lines: Vec<String> = (0..people).map(line).collect();
    let import = admin.api.request(reqwest::Method::POST, "/admin/api/v3/users/import");
    let import = import.header("content-type", "application/x-ndjson").body(lines.join("\n"));
    assert_eq!(import.send().await.unwrap().status(), 200);
    let body = json!({ "title": "to all", "recipient_type": "all", "expire_at": "2999-01-01T00:00:00Z" });
    admin.sender("all").await.send(body).await.data();
}

#[tokio::test]
async fn a_server_that_is_lost_is_restored_and_people_find_everything() {
    let town = Town::start().await;
    let Town { mut server, admin, people, sender } = town;
    let scheduled = |after| json!({ "title": "later", "recipients": ["bob"], "scheduled_at": later(after) });
    let waiting = sender.send(scheduled(Duration::from_secs(3_600))).await.data()["message_id"].clone();
    let cursor = people[0].sync("", 1).await["next_cursor"].as_str().unwrap().to_owned();
    let id = make(&admin).await;
    let linked = json!({ "make": { "compress": "gzip" }, "expires_in": 3_600 });
    let linked = people[0].api.post("/api/v3/backup/links", &linked).await.data();
    let linked = format!("/api/{}", linked["url"].as_str().unwrap().split_once("/api/").unwrap().1);
    assert_eq!(server.user().get(&linked).await.status, 200);
    let mut before = Vec::new();
    for person in &people {
        before.push(seen(person).await);
    }
    assert_eq!(before[2].0["total"], 0);
    // Lost: it came after the set.
    let lost = sender.send_to("ann", "after the set").await;
    let lost = people[0].api.get(&format!("/api/v3/messages/{lost}")).await.data();
    let since = admin.sign_in_person("ann", "since").await;
    let admin_since = server.admin().await;
    server.kill().await;
    lose(&server);
    let told = server.command(&["restore"], "").await.done();
    assert!(told.contains(&id) && told.contains("restored 4 people and 40 messages as of"), "{told}");
    let server = server.start_again().await;
    let admin = server.admin().await;
    for (n, id) in ["ann", "bob", "cid"].iter().enumerate() {
        // With the password of before, on a new device; and on the old one, with its refresh token.
        let person = admin.sign_in_person(id, "other").await;
        assert_eq!(seen(&person).await, before[n], "{id}");
        let refreshed = json!({ "refresh_token": people[n].refresh_token });
        server.user().post("/api/v3/auth/refresh", &refreshed).await.data();
        assert_eq!(seen(&people[n]).await, before[n], "{id}");
    }
    // Nobody could see or end a session that is not there any more.
    since.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    admin_since.get("backups").await.failure(401, "unauthenticated");
    server.user().get(&linked).await.failure(404, "not_found");
    let (ann, bob) = (&people[0], &people[1]);
    let answer = ann.sync(&cursor, 100).await;
    assert_eq!(answer["reset"], true, "{answer}");
    let mut socket = bob.connect().await;
    sender.send_to("ann", "new").await;
    assert_eq!(ann.titles("size=1").await, ["new"]);
    // A place is never given twice, not even that of what was lost.
    let new = ann.list("size=1").await;
    assert!(new["messages"][0]["pos"].as_u64().unwrap() > lost["pos"].as_u64().unwrap(), "{new}");
    // What was scheduled still is, and comes once.
    let path = format!("/api/v3/messages/scheduled/{}", waiting.as_str().unwrap());
    growing("a time that is not over when it is asked for", 300, async |millis| {
        let soon = scheduled(Duration::from_millis(millis));
        let reply = Reply::of(sender.api.request(reqwest::Method::PUT, &path).json(&soon)).await;
        (reply.status != 422).then(|| reply.data())
    })
    .await;
    eventually("what was scheduled", || async { (bob.titles("size=1").await == ["later"]).then_some(()) })
        .await;
    assert_eq!(socket.message().await, "later");
    let titles = bob.titles("size=100").await;
    assert_eq!(titles.iter().filter(|title| *title == "later").count(), 1);
    assert_eq!(ann.titles("size=100").await.iter().filter(|title| *title == "new").count(), 1);
    // What came before goes on as if nothing had been: it can be read, and be taken back.
    let old =
        ann.list("is_read=false&size=100").await["messages"].as_array().unwrap().last().unwrap().clone();
    let (old, unread) = (old["id"].as_str().unwrap(), ann.unread().await["total"].as_u64().unwrap());
    ann.read(old).await;
    assert_eq!(ann.unread().await["total"], unread - 1);
    let total = ann.list("").await["total"].as_u64().unwrap();
    sender.api.post(&format!("/api/v3/messages/{old}/recall"), &json!({})).await.data();
    assert_eq!(
        (ann.list("").await["total"].as_u64(), ann.unread().await["total"].as_u64()),
        (Some(total - 1), Some(unread - 1))
    );
    // What was counted is still counted.
    let delivery = admin.get("deliveries?size=100").await.data();
    let of_old = delivery["deliveries"].as_array().unwrap().iter().find(|one| one["title"] == "m0").unwrap();
    assert_eq!((&of_old["recipients"], &of_old["read"]), (&json!(1), &json!(1)), "{of_old}");
    let audit = admin.get("audit?action=backup").await.data();
    let actions: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["backup.restore", "backup.make"], "{audit}");
    // And it can be lost again.
    let next = make(&admin).await;
    assert!(next > id);
    let told = server.command(&["backup", "drill"], "").await.done();
    assert!(told.contains(&next), "{told}");
}

#[tokio::test]
async fn operators_make_see_check_and_delete_sets() {
    let Town { mut server, admin, people: _, sender } = Town::start().await;
    let first = make(&admin).await;
    let shown = admin.get(&format!("backups/{first}")).await.data();
    assert_eq!(
        (&shown["people"], &shown["messages"], &shown["complete"]),
        (&json!(4), &json!(40), &json!(true))
    );
    sender.send_to("ann", "one more").await;
    let second = make(&admin).await;
    // Who has got nothing since shares a file with the set before; who has got something has their own.
    let inode = |set: &str, user: &str| {
        use std::os::unix::fs::MetadataExt;
        let path = backups(&server).join("sets").join(set).join(format!("inboxes/{user}.db.zst"));
        path.metadata().unwrap().ino()
    };
    assert_eq!(inode(&first, "bob"), inode(&second, "bob"));
    assert_ne!(inode(&first, "ann"), inode(&second, "ann"));
    let list = admin.get("backups?size=1&page=2").await.data();
    assert_eq!((&list["total"], &list["backups"][0]["id"]), (&json!(2), &json!(first)));
    let path = format!("backups/{first}/verify");
    assert_eq!(admin.post(&path, json!({})).await.data(), json!({ "ok": true, "problems": [] }));
    // Beside the server that runs.
    server.command(&["backup", "verify"], "").await.done();
    let told = server.command(&["backup", "drill"], "").await.done();
    assert!(
        told.contains(&format!("{second} can be restored: 4 people, 2 inboxes with 41 messages")),
        "{told}"
    );
    let listed = server.command(&["backup", "list"], "").await.done();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.starts_with(&second) && listed.contains("\t4\t41\t"), "{listed}");
    let json = server.command(&["backup", "list", "--json"], "").await.done();
    assert_eq!(serde_json::from_str::<Value>(json.lines().next().unwrap()).unwrap()["id"], second.as_str());
    server.command(&["backup", "make"], "").await.failed(75, "admin gateway");
    server.command(&["restore"], "").await.failed(75, "a server that runs");
    admin.api.delete(&format!("/admin/api/v3/backups/{first}")).await.data();
    admin.get(&format!("backups/{first}")).await.failure(404, "not_found");
    admin.api.delete("/admin/api/v3/backups/..%2Fpeople").await.failure(404, "not_found");
    // The file that both had is still there.
    assert_eq!(admin.post(&format!("backups/{second}/verify"), json!({})).await.data()["ok"], true);
    let audit = admin.get("audit?action=backup").await.data();
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!((&entries[0]["action"], &entries[0]["target"]), (&json!("backup.delete"), &json!(first)));
    assert_eq!(entries.len(), 3, "{audit}");
    server.stop().await;
    let third = server.command(&["backup", "make"], "").await.done();
    assert!(third > second, "{third} {second}");
    server.command(&["backup", "verify", &third], "").await.done();
    server.command(&["backup", "verify", "20200101T000000Z"], "").await.failed(1, "no such set");
    // Nothing is left that was only for a while, and nobody else can look.
    for (path, mode) in
        [(backups(&server).join("sets"), 0o700), (backups(&server).join("sets").join(&third), 0o700)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(!name.starts_with('.') && !name.contains("partial") && name != "plain", "{name}");
            let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
            assert_eq!(mode, 0, "{name}");
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_is_found_and_nothing_is_restored_from_it() {
    let Town { mut server, admin, .. } = Town::start().await;
    let id = make(&admin).await;
    server.stop().await;
    let set = backups(&server).join("sets").join(&id);
    let before = files(&server.users());
    for (path, bytes) in files(&set) {
        let mut flipped = bytes.clone();
        let at = bytes.len() / 2;
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = name.replace(".sha256", ".json");
        server.command(&["backup", "verify"], "").await.failed(1, &name);
        let exit = server.command(&["restore", "--replace"], "").await;
        exit.failed(1, &name);
        assert!(exit.stderr.contains("nothing was changed"), "{exit:?}");
        assert_eq!(files(&server.users()), before);
        std::fs::write(&path, bytes).unwrap();
    }
    // One that is gone, and all that is wrong at once.
    std::fs::remove_file(set.join("inboxes/ann.db.zst")).unwrap();
    std::fs::write(set.join("reports.db.zst"), b"").unwrap();
    let exit = server.command(&["backup", "verify", set.to_str().unwrap()], "").await;
    exit.failed(1, "inboxes/ann.db.zst");
    exit.failed(1, "reports.db.zst");
}

/// Says in a set's manifest that a file is what it is now, as someone would who knows how.
fn forge(set: &Path, path: &str) {
    use sha2::Digest;
    let sum = |bytes: &[u8]| -> String {
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let bytes = std::fs::read(set.join(path)).unwrap();
    let name = set.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&name).unwrap()).unwrap();
    let other = manifest["inboxes"].as_array().unwrap().clone();
    for inbox in manifest["inboxes"].as_array_mut().unwrap() {
        if inbox["path"] == path {
            let like = other.iter().find(|like| like["sha256"] == sum(&bytes)).unwrap().clone();
            for field in ["size", "unpacked", "sha256", "stamp", "pos", "version", "messages", "states"] {
                inbox[field] = like[field].clone();
            }
        }
    }
    let text = manifest.to_string();
    std::fs::write(&name, &text).unwrap();
    std::fs::write(set.join("manifest.sha256"), format!("{}  manifest.json\n", sum(text.as_bytes())))
        .unwrap();
}

#[tokio::test]
async fn a_drill_finds_an_inbox_that_is_another_persons() {
    let Town { server, admin, .. } = Town::start().await;
    let id = make(&admin).await;
    server.command(&["backup", "drill", &id], "").await.done();
    let set = backups(&server).join("sets").join(&id);
    std::fs::remove_file(set.join("inboxes/ann.db.zst")).unwrap();
    std::fs::copy(set.join("inboxes/bob.db.zst"), set.join("inboxes/ann.db.zst")).unwrap();
    server.command(&["backup", "drill"], "").await.failed(1, "inboxes/ann.db.zst");
    forge(&set, "inboxes/ann.db.zst");
    server.command(&["backup", "drill"], "").await.failed(1, "it is the inbox of bob");
    let left: Vec<String> = std::fs::read_dir(backups(&server).join("sets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, [id]);
}

#[tokio::test]
async fn data_is_moved_aside_and_only_when_that_is_meant() {
    let Town { mut server, admin, people, sender } = Town::start().await;
    make(&admin).await;
    let before = seen(&people[0]).await;
    sender.send_to("ann", "after the set").await;
    server.stop().await;
    let all = files(&server.users());
    server.command(&["restore"], "").await.failed(1, "--replace");
    assert_eq!(files(&server.users()), all);
    let told = server.command(&["restore", "--replace"], "").await.done();
    assert_eq!(told.matches(".replaced-").count(), 2, "{told}");
    let aside = told.lines().find_map(|line| line.strip_prefix("what was there is in ")).unwrap();
    assert!(Path::new(aside).join("ann/messages.db").exists(), "{aside}");
    let server = server.start_again().await;
    assert_eq!(seen(&people[0]).await, before);
    sender.send_to("ann", "new").await;
    assert_eq!(people[0].titles("size=1").await, ["new"]);
    drop(server);
}

#[tokio::test]
async fn a_restore_that_is_killed_at_any_moment_is_done_by_the_next() {
    growing("a restore that is cut off", 60, async |crowd| {
        let Town { mut server, admin, people, sender: _ } = Town::start().await;
        let crowd = crowd as usize;
        add_crowd(&admin, crowd).await;
        make(&admin).await;
        let before = seen(&people[0]).await;
        server.stop().await;
        let restoring = server.users().join(".restoring");
        let unfinished = server.users().with_file_name("system").join(".restore-unfinished");
        let mut cut = 0;
        for is_lost in [false, true] {
            if is_lost {
                lose(&server);
            }
            // With so many unpacked; at last when they are put into place.
            for unpacked in [Some(1), Some(crowd / 4), Some(crowd / 2), Some(crowd), None] {
                let mut child = server.spawn(&["restore", "--replace"]);
                the_moment("so much of the restore", || {
                    let is_so_far = match unpacked {
                        Some(count) => std::fs::read_dir(&restoring).is_ok_and(|all| all.count() >= count),
                        None => unfinished.exists(),
                    };
                    is_so_far || child.try_wait().unwrap().is_some()
                })
                .await;
                // It may have ended.
                let _ = child.kill().await;
                cut += usize::from(restoring.exists() || unfinished.exists());
                if unfinished.exists() {
                    server.command(&["user", "list"], "").await.failed(2, "hongyan-server restore");
                }
                let told = server.command(&["restore", "--replace"], "").await.done();
                assert!(told.contains(&format!("restored {} people", crowd + 4)), "{told}");
                assert!(!restoring.exists() && !unfinished.exists());
            }
        }
        let server = server.start_again().await;
        assert_eq!(seen(&people[0]).await, before);
        let last = format!("u{}", crowd - 1);
        assert_eq!(server.admin().await.known(&last, &last).titles("").await, ["to all"]);
        (cut > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_server_starts_over_half_a_restore() {
    let Town { mut server, admin, people, .. } = Town::start().await;
    make(&admin).await;
    let before = seen(&people[0]).await;
    server.stop().await;
    // As a restore leaves it that is cut off while it puts things into place: most people have no folder yet, and those
    // that have must not be taken for folders of nobody.
    let system = server.users().with_file_name("system");
    std::fs::write(system.join(".restore-unfinished"), "{\"aside\":\".replaced-x\",\"is_aside\":false}")
        .unwrap();
    std::fs::create_dir(system.join(".replaced-x")).unwrap();
    std::fs::rename(system.join("directory.db"), system.join(".replaced-x/directory.db")).unwrap();
    for command in [&[][..], &["user", "list"], &["backup", "make"]] {
        let exit = server.command(command, "").await;
        assert!(
            exit.code != Some(0) && exit.stderr.contains("run `hongyan-server restore` again"),
            "{exit:?}"
        );
    }
    assert!(server.users().join("ann/messages.db").exists());
    // It goes on from there and needs not be told that it may.
    let told = server.command(&["restore"], "").await.done();
    assert!(told.contains(".replaced-x"), "{told}");
    assert!(server.users().join(".replaced-x/ann/messages.db").exists());
    let _server = server.start_again().await;
    assert_eq!(seen(&people[0]).await, before);
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_makes_a_set_has_none_of_it() {
    let Town { mut server, mut admin, .. } = Town::start().await;
    add_crowd(&admin, 400).await;
    let root = backups(&server).join("sets");
    let (mut whole_ones, mut halves) = (0, 0);
    for written in [0, 1, 30, 150, 300, 400] {
        let asked = admin.post("backups", json!({})).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        let id = asked.json()["data"]["id"].as_str().unwrap().to_owned();
        let (partial, whole) = (root.join(format!("{id}.partial")), root.join(&id));
        eventually("so much of the set", || async {
            (whole.exists() || partial.exists() && written_in(&partial) >= written).then_some(())
        })
        .await;
        server.kill().await;
        halves += usize::from(partial.exists());
        server = server.start_again().await;
        admin = server.admin().await;
        // What broke off is cleared away.
        eventually("the clearing", || async { (!partial.exists()).then_some(()) }).await;
        let list = admin.get("backups").await.data();
        for set in list["backups"].as_array().unwrap() {
            let id = set["id"].as_str().unwrap();
            server.command(&["backup", "verify", id], "").await.done();
            std::fs::remove_dir_all(root.join(id)).unwrap();
            whole_ones += 1;
        }
    }
    // The last files may be written before anyone looks.
    assert!(halves >= 2, "{halves} broke off, {whole_ones} were whole");
    make(&admin).await;
    server.command(&["backup", "drill"], "").await.done();
}

#[tokio::test]
async fn a_set_that_cannot_be_made_is_told_of_and_hinders_nobody() {
    let Town { server, admin, people, sender } = Town::start().await;
    // The folder cannot be made where a file is.
    let root = backups(&server).join("sets");
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    std::fs::write(&root, b"").unwrap();
    let asked = admin.post("backups", json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    eventually("the end of it", || async {
        server.stderr().contains("a set could not be made").then_some(())
    })
    .await;
    sender.send_to("ann", "goes on").await;
    assert_eq!(people[0].titles("size=1").await, ["goes on"]);
    std::fs::remove_file(&root).unwrap();
    let list = admin.get("backups").await.data();
    assert!(list["failed"].is_string() && list["making"].is_null(), "{list}");
    let asked = admin.post("backups", json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    eventually("the set", || async {
        let list = admin.get("backups").await.data();
        (list["failed"].is_null() && list["total"] == 1 && list["making"].is_null()).then_some(())
    })
    .await;
    assert_eq!(
        admin
            .post(&format!("backups/{}/verify", asked.json()["data"]["id"].as_str().unwrap()), json!({}))
            .await
            .data()["ok"],
        true
    );
}

#[tokio::test]
async fn sets_are_made_by_themselves_and_the_oldest_go() {
    let setup = Setup::default().set("BACKUP_INTERVAL", "300ms").set("BACKUP_SETS_MAX", "2");
    let mut server = setup.start().await;
    let admin = server.admin().await;
    let sets = || async { admin.get("backups").await.data()["backups"].as_array().unwrap().clone() };
    let first = eventually("a set", || async { sets().await.first().cloned() }).await;
    eventually("the first to go", || async {
        let sets = sets().await;
        (sets.len() == 2 && sets.iter().all(|set| set["id"] != first["id"])).then_some(())
    })
    .await;
    assert_eq!(server.stop().await, Some(0));
    // After a restart the next one is not made before its time.
    let server = server.start_again_with("BACKUP_INTERVAL", "1h").await;
    let admin = server.admin().await;
    let kept = admin.get("backups").await.data();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(admin.get("backups").await.data()["backups"], kept["backups"]);
}
