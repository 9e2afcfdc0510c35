//! Putting backups back into one's own inbox: whatever is brought, the inbox is whole, has nothing twice, and every device
//! sees the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{
    Admin, Browser, Exit, Person, Reply, Sender, Server, Setup, eventually, growing, later, the_moment,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const URL: &str = "/api/v3/backup/restore";

struct Desk {
    server: Server,
    admin: Admin,
    ann: Person,
    sender: Sender,
    dir: TempDir,
}

impl Desk {
    async fn start(change: impl FnOnce(Setup) -> Setup) -> Self {
        let server = change(Setup::default()).start().await;
        let admin = server.admin().await;
        let (ann, sender) = (admin.person("ann").await, admin.sender("drive").await);
        Self { server, admin, ann, sender, dir: tempfile::tempdir().unwrap() }
    }

    /// Downloads a backup; gives it with the cursor after which an increment goes on.
    async fn backup(&self, query: &str) -> (PathBuf, String) {
        let path = format!("/api/v3/backup/database?{query}");
        let reply = self.ann.api.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let cursor = reply.headers()["x-backup-cursor"].to_str().unwrap().to_owned();
        let bytes = reply.bytes().await.unwrap();
        let file =
            self.dir.path().join(format!("{}.backup", std::fs::read_dir(self.dir.path()).unwrap().count()));
        std::fs::write(&file, bytes).unwrap();
        (file, cursor)
    }

    /// Brings one file as the body.
    async fn put(&self, query: &str, bytes: Vec<u8>) -> Reply {
        put(&self.ann, query, bytes).await
    }

    /// Brings files with curl, as a form.
    async fn put_all(&self, files: &[&Path], arguments: &[&str]) -> Value {
        let authorization = format!("Authorization: {}", self.ann.api.authorization().unwrap());
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-H", &authorization, &format!("{}{URL}", self.server.url())]).args(arguments);
        for file in files {
            curl.arg("-F").arg(format!("file=@{}", file.display()));
        }
        let exit = Exit::of(&mut curl, "").await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
        serde_json::from_str(&exit.stdout).unwrap()
    }

    /// The person's folder is lost while the server does not run, and the log does not bring it again.
    async fn lose_inbox(mut self) -> Self {
        let log = self.server.users().parent().unwrap().join("system/log.db");
        let log = rusqlite::Connection::open(log).unwrap();
        let walked =
            "SELECT (SELECT through FROM consumer WHERE name = 'inboxes') >= (SELECT max(pos) FROM record)";
        eventually("the walk over all inboxes", || async {
            log.query_row(walked, [], |row| row.get(0)).unwrap_or(false).then_some(())
        })
        .await;
        drop(log);
        self.server.stop().await;
        std::fs::remove_dir_all(self.server.users().join("ann")).unwrap();
        self.server = self.server.start_again().await;
        self
    }
}

async fn put(person: &Person, query: &str, bytes: Vec<u8>) -> Reply {
    Reply::of(person.api.request(Method::POST, &format!("{URL}{query}")).body(bytes)).await
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}

/// What the list shows of each message, newest first.
async fn shown(person: &Person) -> Vec<(String, String, bool)> {
    let list = person.list("size=100").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = list["messages"].as_array().unwrap().iter();
    messages.map(|m| (text(&m["id"]), text(&m["title"]), m["is_read"].as_bool().unwrap())).collect()
}

/// All that a device learns that begins with nothing: the same as the list, oldest first.
async fn learned(person: &Person) -> Vec<(String, String, bool)> {
    let (mut cursor, mut learned) = (String::new(), Vec::new());
    loop {
        let part = person.sync(&cursor, 2).await;
        assert_eq!(part["reset"], false, "{cursor}");
        for change in part["changes"].as_array().unwrap().iter().filter(|change| change["type"] == "message")
        {
            let message = &change["data"];
            let text = |name: &str| message[name].as_str().unwrap().to_owned();
            learned.push((text("id"), text("title"), message["is_read"].as_bool().unwrap()));
        }
        cursor = part["next_cursor"].as_str().unwrap().to_owned();
        if part["has_more"] == false {
            return learned;
        }
    }
}

#[tokio::test]
async fn what_was_lost_comes_back_and_every_device_begins_anew() {
    let desk = Desk::start(|setup| setup.set("INBOX_WALK_INTERVAL", "1s")).await;
    for n in 0..5 {
        let id = desk.sender.send_to("ann", &format!("m{n}")).await;
        if n % 2 == 0 {
            desk.ann.read(&id).await;
        }
    }
    let (file, _) = desk.backup("compress=gzip").await;
    let before = shown(&desk.ann).await;
    let old = desk.ann.sync("", 100).await["next_cursor"].as_str().unwrap().to_owned();
    let desk = desk.lose_inbox().await;
    assert_eq!(shown(&desk.ann).await, []);
    // What comes in meanwhile stays, and keeps its place after those that are older.
    let later = desk.sender.send_to("ann", "later").await;
    let mut socket = desk.ann.connect().await;
    let done = desk.put("", read(&file)).await.data();
    assert_eq!(done, json!({ "restored": 5, "known": 0, "gone": 0, "states": 3 }));
    socket.frame("resync").await;
    let mut expected = vec![(later, "later".to_owned(), false)];
    expected.extend(before);
    assert_eq!(shown(&desk.ann).await, expected);
    assert_eq!(desk.ann.unread().await["total"], 3);
    assert_eq!(desk.ann.sync(&old, 100).await["reset"], true);
    expected.reverse();
    assert_eq!(learned(&desk.ann).await, expected);
    // A device that comes from before is told to fetch; one that knows is not.
    let mut behind = desk.ann.connect_from(&old).await;
    behind.frame("resync").await;
    let now = desk.ann.sync("", 100).await["next_cursor"].as_str().unwrap().to_owned();
    let mut knows = desk.ann.connect_from(&now).await;
    assert_eq!(knows.welcome["cursor"], now.as_str());
    desk.sender.send_to("ann", "live").await;
    assert_eq!(knows.message().await, "live");
    // Once more changes nothing, and tells nobody.
    let version = desk.ann.sync("", 100).await["next_cursor"].clone();
    assert_eq!(
        desk.put("", read(&file)).await.data(),
        json!({ "restored": 0, "known": 5, "gone": 0, "states": 0 })
    );
    assert_eq!(desk.ann.sync("", 100).await["next_cursor"], version);
    // It is for good.
    let Desk { server, ann, .. } = desk;
    let server = server.start_again().await;
    assert_eq!(learned(&ann).await.len(), 7);
    assert!(!server.users().join(".restores/ann").exists());
}

#[tokio::test]
async fn what_goes_on_meanwhile_is_neither_doubled_nor_undone() {
    let desk = Desk::start(|setup| setup).await;
    let mut ids = Vec::new();
    for title in ["kept", "recalled", "read later", "unread later"] {
        ids.push(desk.sender.send_to("ann", title).await);
    }
    desk.ann.read(&ids[3]).await;
    let file = growing("a message that ends after it was backed up", 1, async |seconds| {
        let expire_at = later(Duration::from_secs(seconds));
        let ends = json!({ "title": "ends", "recipients": ["ann"], "expire_at": expire_at });
        let sent = desk.sender.send(ends).await;
        if sent.status == 422 {
            return None;
        }
        sent.data();
        let (file, _) = desk.backup("compress=none").await;
        let has = "SELECT count(*) FROM message WHERE title = 'ends'";
        let conn = rusqlite::Connection::open(&file).unwrap();
        let count: u32 = conn.query_row(has, [], |row| row.get(0)).unwrap();
        (count == 1).then_some(file)
    })
    .await;
    desk.sender.api.post(&format!("/api/v3/messages/{}/recall", ids[1]), &json!({})).await.data();
    desk.ann.read(&ids[2]).await;
    desk.ann.mark(&ids[3], json!({ "is_read": false })).await.data();
    let new = desk.sender.send_to("ann", "new").await;
    eventually("the end of what ends", || async { (desk.ann.list("").await["total"] == 4).then_some(()) })
        .await;
    let before = shown(&desk.ann).await;
    assert_eq!(before[0].0, new);
    assert_eq!(
        desk.put("?into=merge", read(&file)).await.data(),
        json!({ "restored": 0, "known": 3, "gone": 2, "states": 0 })
    );
    assert_eq!(shown(&desk.ann).await, before);
    desk.put("?into=empty", read(&file)).await.failure(409, "already_exists");
    desk.put("?into=nothing", read(&file)).await.failure(422, "validation_failed");
    assert_eq!(shown(&desk.ann).await, before);
}

#[tokio::test]
async fn another_server_takes_a_backup_and_its_increments_in_any_order() {
    let old = Desk::start(|setup| setup).await;
    let first = old.sender.send_to("ann", "one").await;
    let (full, cursor) = old.backup("").await;
    let second = old.sender.send_to("ann", "two").await;
    old.ann.read(&first).await;
    let (increment, cursor) = old.backup(&format!("type=incremental&compress=gzip&since={cursor}")).await;
    let third = old.sender.send_to("ann", "three").await;
    old.ann.read(&third).await;
    let (last, _) = old.backup(&format!("type=incremental&compress=zstd&since={cursor}")).await;

    let desk = Desk::start(|setup| setup).await;
    let here = desk.sender.send_to("ann", "here").await;
    // Its places are taken here by what is someone else's.
    desk.admin.person("bob").await;
    for n in 0..5 {
        desk.sender.send_to("bob", &format!("b{n}")).await;
    }
    let done = desk.put_all(&[&last, &full, &increment], &[]).await;
    assert_eq!(done["data"], json!({ "restored": 3, "known": 0, "gone": 0, "states": 2 }), "{done}");
    let expected =
        [(&here, "here", false), (&first, "one", true), (&second, "two", false), (&third, "three", true)];
    let expected = expected.map(|(id, title, is_read)| (id.clone(), title.to_owned(), is_read));
    assert_eq!(learned(&desk.ann).await, expected);
    // It goes on as if it had always been here.
    desk.ann.read(&second).await;
    let live = desk.sender.send_to("ann", "live").await;
    assert_eq!(shown(&desk.ann).await[0].0, live);
    assert_eq!(desk.ann.unread().await["total"], 2);
    let again = desk.put_all(&[&full, &increment, &last], &[]).await;
    assert_eq!(again["data"]["restored"], 0);
    // An increment does not reach over it, a full one does.
    let refused = desk.ann.api.get("/api/v3/backup/database?type=incremental&since=1").await;
    assert_eq!(refused.failure(422, "validation_failed"), ["since"]);
    let (whole, _) = desk.backup("compress=none").await;
    let new = Desk::start(|setup| setup).await;
    assert_eq!(new.put("?into=empty", read(&whole)).await.data()["restored"], 5);
    assert_eq!(learned(&new.ann).await, learned(&desk.ann).await);
}

#[tokio::test]
async fn an_encrypted_backup_opens_for_whom_it_is() {
    let desk = Desk::start(|setup| setup).await;
    desk.sender.send_to("ann", "one").await;
    let words = "correct horse battery";
    let sealed = desk.ann.api.request(Method::GET, "/api/v3/backup/database?compress=gzip");
    let sealed = sealed.header("x-backup-passphrase", words).send().await.unwrap().bytes().await.unwrap();
    let sealed = sealed.to_vec();
    let with = async |header: &str, value: &str| {
        let request = desk.ann.api.request(Method::POST, URL).header(header, value).body(sealed.clone());
        Reply::of(request).await
    };
    assert_eq!(desk.put("", sealed.clone()).await.failure(422, "validation_failed"), ["file"]);
    let wrong = with("x-backup-passphrase", "another one of these").await;
    assert_eq!(wrong.failure(422, "validation_failed"), ["file"]);
    assert!(!wrong.text.contains("another one"), "{}", wrong.text);
    let no_key = with("x-backup-identity", "AGE-SECRET-KEY-1NONE").await;
    assert_eq!(no_key.failure(422, "validation_failed"), ["identity"]);
    assert!(!no_key.text.contains("1NONE"));
    assert_eq!(no_key.json()["error"]["details"][0]["code"], "wrong_key", "{}", no_key.text);
    // For a key, which is given as age-keygen has written it.
    let key = desk.dir.path().join("key.txt");
    let made = Exit::of(Command::new("age-keygen").arg("-o").arg(&key), "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = String::from_utf8(read(&key)).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let for_key = desk.ann.api.request(Method::GET, "/api/v3/backup/database?compress=none");
    let for_key = for_key.header("x-backup-recipient", recipient).send().await.unwrap();
    let file = desk.dir.path().join("for-key");
    std::fs::write(&file, for_key.bytes().await.unwrap()).unwrap();
    let form = desk.put_all(&[&file], &["-F", &format!("identity=@{}", key.display())]).await;
    assert_eq!(form["data"]["known"], 1, "{form}");
    assert_eq!(with("x-backup-passphrase", words).await.data()["known"], 1);
    let file = desk.dir.path().join("sealed");
    std::fs::write(&file, &sealed).unwrap();
    let form = desk.put_all(&[&file], &["-F", &format!("passphrase={words}")]).await;
    assert_eq!(form["data"]["known"], 1, "{form}");
    // Each takes its time to open: only so many, and it is said before any is.
    let refused = desk.put_all(&vec![&*file; 33], &["-F", &format!("passphrase={words}")]).await;
    assert_eq!(refused["error"]["type"], "too_large", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("at most 32 files"), "{refused}");
    assert!(!desk.server.stderr().contains("horse"));
}

/// A backup with something done to it by whoever has it.
fn changed(file: &Path, sql: &str) -> Vec<u8> {
    let to = file.with_extension("changed");
    std::fs::copy(file, &to).unwrap();
    let conn = rusqlite::Connection::open(&to).unwrap();
    conn.execute_batch(sql).unwrap();
    conn.close().unwrap();
    read(&to)
}

#[tokio::test]
async fn what_is_no_good_is_refused_with_what_is_wrong_and_changes_nothing() {
    let desk = Desk::start(|setup| setup.set("BACKUP_QUOTA", "400000")).await;
    let id = desk.sender.send_to("ann", "one").await;
    desk.ann.read(&id).await;
    let (full, cursor) = desk.backup("compress=none").await;
    let (increment, _) = desk.backup(&format!("type=incremental&compress=none&since={cursor}")).await;
    let whole = read(&full);
    let before = (shown(&desk.ann).await, desk.ann.sync("", 100).await["next_cursor"].clone());
    let mut flipped = whole.clone();
    // The page that the message is in.
    let page = flipped.windows(id.len()).position(|part| part == id.as_bytes()).unwrap() / 4_096 * 4_096;
    flipped[page..page + 4_096].fill(0xa5);
    let packed = |bytes: &[u8]| {
        std::process::Command::new("gzip").arg("-c").stdin(piped(bytes)).output().unwrap().stdout
    };
    let cut = packed(&whole);
    let loose = "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'amended'";
    let loose_file = full.with_extension("loose");
    std::fs::write(&loose_file, changed(&full, loose)).unwrap();
    let loosened = changed(&loose_file, "INSERT INTO amended VALUES(1, 'msg-1', x'00ff', NULL, NULL)");
    let bad: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "no backup"),
        ("text", b"hello".repeat(1_000), "no backup"),
        ("another database", changed(&full, "DROP TABLE about"), "no backup"),
        ("cut off", whole[..whole.len() / 2].to_vec(), "damaged"),
        ("changed within", flipped, "damaged"),
        ("cut off, packed", cut[..cut.len() - 20].to_vec(), "damaged"),
        (
            "newer",
            changed(&full, "PRAGMA user_version = 7; UPDATE about SET value = '7' WHERE key = 'format'"),
            "newer",
        ),
        (
            "of bob",
            changed(&full, "UPDATE about SET value = 'bob' WHERE key = 'user'"),
            "another person, bob",
        ),
        ("an increment", read(&increment), "full backup is needed"),
        ("a row too few", changed(&full, "DELETE FROM message"), "rows in message"),
        (
            "a trigger",
            changed(&full, "CREATE TRIGGER t AFTER INSERT ON device BEGIN DELETE FROM message; END"),
            "no backup",
        ),
        (
            "work for each row",
            changed(&full, "CREATE INDEX slow ON message(length(hex(zeroblob(1000000))) + pos)"),
            "no backup",
        ),
        ("a table that takes anything", loosened, "no backup"),
        (
            "words looked for in each row",
            changed(
                &full,
                "DROP INDEX message_channel; CREATE INDEX message_channel ON message(channel_id) WHERE content LIKE '%a%b'",
            ),
            "no backup",
        ),
        (
            "a script",
            changed(
                &full,
                "UPDATE message SET actions = '[{\"type\":\"link\",\"text\":\"x\",\"url\":\"javascript:alert(1)\"}]'",
            ),
            "URL",
        ),
        ("no JSON", changed(&full, "UPDATE message SET metadata = '{'"), "damaged"),
        ("no id", changed(&full, "UPDATE message SET id = '../../x'"), "damaged"),
        ("beyond its end", changed(&full, "UPDATE message SET pos = 4000000000"), "beyond"),
        (
            "a state of another message",
            changed(&full, "UPDATE status SET message_id = 'msg-another'"),
            "message at its place",
        ),
        (
            "what is far too large",
            packed(&changed(
                &full,
                "UPDATE message SET metadata = json_object('a', printf('%.*c', 300000, 'x'))",
            )),
            "larger than MESSAGE_MAX_BYTES",
        ),
        (
            "what is far too large before it is read",
            packed(&changed(&full, "UPDATE message SET metadata = '{' || printf('%300000s', '') || '}'")),
            "larger than MESSAGE_MAX_BYTES",
        ),
        (
            "a press that is far too long",
            changed(
                &full,
                "INSERT INTO amended(pos, message_id, at, pressed) VALUES(1, 'msg-1', 0, printf('%.*c', 20000, 'x'))",
            ),
            "too long",
        ),
        ("a device that is none", changed(&full, "UPDATE status SET device_id = 'a b/c'"), "device_id"),
    ];
    let code =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["error"]["details"][0]["code"].clone();
    for (what, bytes, said) in bad {
        let reply = desk.put("", bytes).await;
        assert_eq!(reply.status, 422, "{what}: {}", reply.text);
        assert_eq!(reply.failure(422, "validation_failed"), ["file"], "{what}");
        assert!(reply.text.contains(said), "{what}: {}", reply.text);
        let expected = match said {
            "no backup" => "not_a_backup",
            "newer" => "newer",
            "another person, bob" => "other_person",
            "full backup is needed" => "incomplete",
            _ => "damaged",
        };
        assert_eq!(code(&reply.text), expected, "{what}");
    }
    // As large as may be, be it by what it unpacks to.
    desk.put("", vec![7; 500_000]).await.failure(413, "too_large");
    let mut bomb = b"SQLite format 3\0".to_vec();
    bomb.resize(50_000_000, 0);
    desk.put("", packed(&bomb)).await.failure(413, "too_large");
    // What begins as no database does is not unpacked any further.
    let other = desk.put("", packed(&bomb[1..])).await;
    assert_eq!(other.failure(422, "validation_failed"), ["file"]);
    assert_eq!(code(&other.text), "not_a_backup");
    let form =
        desk.ann.api.request(Method::POST, URL).header("content-type", "multipart/form-data; boundary=x");
    let form = form.body("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n");
    assert_eq!(Reply::of(form).await.failure(422, "validation_failed"), ["a"]);
    let form =
        desk.ann.api.request(Method::POST, URL).header("content-type", "multipart/form-data; boundary=x");
    Reply::of(form.body("--x\r\nContent-Dispo")).await.failure(400, "malformed_request");
    assert_eq!((shown(&desk.ann).await, desk.ann.sync("", 100).await["next_cursor"].clone()), before);
    assert!(!desk.server.users().join(".restores/ann").exists());
    // Only who has shown lately who they are, and only by themselves.
    let known = desk.admin.known("ann", "old");
    put(&known, "", whole.clone()).await.failure(403, "recent_sign_in_required");
    Reply::of(desk.server.user().request(Method::POST, URL).body(whole.clone()))
        .await
        .failure(401, "unauthenticated");
    // Nor does a script that may write get at what it may not read.
    let token = json!({ "name": "w", "scopes": ["write"], "expires_in_days": 1 });
    let token = desk.ann.api.post("/api/v3/auth/tokens", &token).await.data();
    let script = desk.server.user().with(&format!("Bearer {}", token["token"].as_str().unwrap()));
    for path in ["/api/v3/backup/links", "/api/v3/backup/jobs"] {
        script.post(path, &json!({})).await.failure(403, "permission_denied");
    }
    Reply::of(script.request(Method::POST, URL).body(whole.clone()))
        .await
        .failure(403, "recent_sign_in_required");
    // And it is as good as before.
    assert_eq!(desk.put("", whole).await.data()["known"], 1);
}

/// Bytes as a program's input.
fn piped(bytes: &[u8]) -> std::process::Stdio {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

/// A message that stands at another place than the log has it is taken back all the same, and stays so.
#[tokio::test]
async fn what_came_back_at_another_place_can_be_recalled() {
    let desk = Desk::start(|setup| setup.set("INBOX_WALK_INTERVAL", "1s")).await;
    let id = desk.sender.send_to("ann", "one").await;
    let (full, _) = desk.backup("compress=none").await;
    let desk = desk.lose_inbox().await;
    let elsewhere = changed(&full, "UPDATE about SET value = '77' WHERE key = 'epoch'");
    assert_eq!(desk.put("", elsewhere.clone()).await.data()["restored"], 1);
    desk.ann.read(&id).await;
    let mut socket = desk.ann.connect().await;
    desk.sender.api.post(&format!("/api/v3/messages/{id}/recall"), &json!({})).await.data();
    assert_eq!(socket.frame("status_update").await["status"], "recalled");
    assert_eq!(shown(&desk.ann).await, []);
    assert_eq!(desk.ann.unread().await["total"], 0);
    let again = desk.put("", elsewhere).await.data();
    assert_eq!((&again["restored"], &again["gone"]), (&json!(0), &json!(1)));
    // Also into an inbox that has heard nothing of it.
    let desk = desk.lose_inbox().await;
    assert_eq!(desk.put("", read(&full)).await.data()["gone"], 1);
    assert_eq!(shown(&desk.ann).await, []);
}

/// Messages at the places of others': what is forged counts for nobody's receipts.
#[tokio::test]
async fn places_of_other_peoples_messages_are_not_taken() {
    let desk = Desk::start(|setup| setup).await;
    desk.admin.person("bob").await;
    let own = desk.sender.send_to("ann", "own").await;
    let bobs = desk.sender.send_to("bob", "for bob").await;
    let (full, _) = desk.backup("compress=none").await;
    let forged = changed(
        &full,
        "UPDATE message SET pos = pos + 1, id = 'msg-forged'; UPDATE status SET pos = pos + 1, message_id = 'msg-forged'",
    );
    assert_eq!(desk.put("", forged).await.data()["restored"], 1);
    let list = shown(&desk.ann).await;
    // It is the person's own affair, at a place of its own.
    assert_eq!(list.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["msg-forged", own.as_str()]);
    desk.ann.read("msg-forged").await;
    let receipts = desk.sender.api.get(&format!("/api/v3/messages/{bobs}/receipts")).await.data();
    assert_eq!(receipts["read"], 0, "{receipts}");
}

/// What lies on the disk of what a person puts back.
struct OnDisk {
    /// Bytes of what was uploaded and is not unpacked yet.
    uploaded: u64,
    /// It is whole as it was uploaded, and is being unpacked.
    is_unpacked: bool,
    /// It is unpacked and whole, for the inbox to take it in.
    is_whole: bool,
    is_anything: bool,
}

impl OnDisk {
    fn look(folder: &Path) -> Self {
        let mut found =
            Self { uploaded: 0, is_unpacked: false, is_whole: false, is_anything: folder.exists() };
        // Whatever is there may be gone before it is looked at.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            found.is_whole |= path.extension().is_some_and(|kind| kind == "db");
            found.uploaded += path.join("0").metadata().map_or(0, |file| file.len());
            found.is_unpacked |= path.join("0.db").exists();
        }
        found
    }
}

/// When a server is killed that puts a backup back.
#[derive(Clone, Copy)]
enum Moment {
    Uploaded(u64),
    Unpacked,
    Whole,
    Gone,
}

#[tokio::test]
async fn what_was_allowed_when_it_was_sent_comes_back_also_where_less_is_allowed_now() {
    let mut desk = Desk::start(|setup| setup.set("BACKUP_QUOTA", "400000")).await;
    // Packed it is within what a person's backups may have, unpacked it is not.
    for n in 0..10 {
        let body = json!({ "title": format!("m{n}"), "content": "r".repeat(100_000), "recipients": ["ann"] });
        desk.sender.send(body).await.data();
    }
    let (file, _) = desk.backup("compress=gzip").await;
    desk.server = desk.server.start_again_with("MESSAGE_MAX_BYTES", "2048").await;
    desk.ann = desk.server.admin().await.sign_in_person("ann", "other").await;
    let done = desk.put("", read(&file)).await.data();
    assert_eq!((&done["restored"], &done["known"]), (&json!(0), &json!(10)));
}

#[tokio::test]
async fn killed_at_any_moment_it_is_there_whole_or_not_at_all() {
    growing("a kill between the upload and the answer", 400, async |messages| {
        let old = Desk::start(|setup| setup).await;
        let message =
            |n| json!({ "title": format!("m{n}"), "content": "r".repeat(20_000), "recipients": ["ann"] });
        let all: Vec<u64> = (0..messages).collect();
        for part in all.chunks(400) {
            let batch: Vec<Value> = part.iter().map(message).collect();
            let batch = json!({ "messages": batch });
            old.sender.api.post("/api/v3/messages/send-batch", &batch).await.data();
        }
        old.ann.read_batch(json!({ "all": true })).await.data();
        let (file, _) = old.backup("compress=zstd").await;
        let bytes = read(&file);
        let size = bytes.len() as u64;
        let mut hits = 0;
        for moment in [
            Moment::Uploaded(1),
            Moment::Uploaded(size / 2),
            Moment::Uploaded(size),
            Moment::Unpacked,
            Moment::Whole,
            Moment::Gone,
        ] {
            let (left, is_answered) = kill_at(moment, &bytes, messages).await;
            let is_there = left.uploaded == size || left.is_unpacked || left.is_whole;
            hits += u64::from(is_there && !is_answered);
        }
        (hits > 0).then_some(())
    })
    .await;
}

/// Kills a server that puts back a backup of so many messages; gives what was on the disk then, and whether it was said to
/// be done.
async fn kill_at(moment: Moment, bytes: &[u8], messages: u64) -> (OnDisk, bool) {
    let Desk { mut server, ann, sender, .. } = Desk::start(|setup| setup).await;
    sender.send_to("ann", "here").await;
    let (body, api) = (bytes.to_vec(), ann.api.clone());
    let asked = tokio::spawn(async move { Reply::try_of(api.request(Method::POST, URL).body(body)).await });
    let folder = server.users().join(".restores/ann");
    let mut was_there = false;
    the_moment("its moment", || {
        let now = OnDisk::look(&folder);
        was_there |= now.is_anything;
        let is_now = match moment {
            Moment::Uploaded(bytes) => now.uploaded >= bytes,
            Moment::Unpacked => now.is_unpacked,
            Moment::Whole => now.is_whole,
            Moment::Gone => was_there && !now.is_anything,
        };
        is_now || asked.is_finished()
    })
    .await;
    server.kill().await;
    let left = OnDisk::look(&folder);
    let is_answered = asked.await.unwrap().is_some_and(|reply| reply.status == 200);
    let server = server.start_again().await;
    let total = ann.list("size=1").await["total"].as_u64().unwrap();
    assert!([1, messages + 1].contains(&total), "{total} of {} are there", messages + 1);
    assert!(total > 1 || !is_answered, "it was said to be there");
    assert_eq!(ann.unread().await["total"], 1);
    assert!(!server.users().join(".restores/ann").exists());
    // Brought once more it is there, and once.
    let again = put(&ann, "", bytes.to_vec()).await.data();
    assert_eq!((&again["restored"], &again["known"]), (&json!(messages + 1 - total), &json!(total - 1)));
    assert_eq!(ann.list("size=1").await["total"], messages + 1);
    (left, is_answered)
}

#[tokio::test]
async fn a_person_puts_a_backup_back_in_the_settings() {
    let old = Desk::start(|setup| setup).await;
    let first = old.sender.send_to("ann", "one").await;
    old.ann.read(&first).await;
    let words = "鸿雁传书 twelve bells";
    let link = json!({ "make": { "compress": "gzip", "passphrase": words } });
    let link = old.ann.api.post("/api/v3/backup/links", &link).await.data();
    let path = link["url"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    let full = old.ann.api.request(Method::GET, &format!("/api/{path}")).send().await.unwrap();
    let full = full.bytes().await.unwrap();
    let (sealed, text) = (old.dir.path().join("sealed.db.gz.age"), old.dir.path().join("letter.txt"));
    std::fs::write(&sealed, full).unwrap();
    std::fs::write(&text, "dear all").unwrap();
    let cursor = link["backup"]["cursor"].as_str().unwrap();
    old.sender.send_to("ann", "two").await;
    let (increment, _) = old.backup(&format!("type=incremental&compress=zstd&since={cursor}")).await;

    let desk = Desk::start(|setup| setup).await;
    desk.sender.send_to("ann", "here").await;
    let window = Browser::start().await;
    window.open(desk.server.url()).await;
    window.sign_in("ann").await;
    window.listed(&[("here", true)]).await;
    window.click("settings").await;
    let said = async |id: &str, part: &str| {
        let script =
            format!("return document.querySelector('[data-testid=\"{id}\"]').textContent.includes('{part}')");
        window.script_until(&script, json!(true)).await;
    };
    // A slip of the finger sends nothing: what was no backup would be told, and what was one would be there.
    let confirm = async |told: Value| {
        window.click("restore").await;
        window.text("restore", "Sure?").await;
        let lines = "return ['restore-reason', 'restore-done'].map(id => \
                     document.querySelector(`[data-testid=\"${id}\"]:not([hidden])`)?.dataset.testid ?? null)";
        window.script_until(lines, told).await;
        assert_eq!(desk.ann.list("").await["total"], 1);
        window.click("restore").await;
    };
    let is_seen = async |id: &str| {
        let script = format!(
            "const at = document.querySelector('[data-testid=\"{id}\"]').getBoundingClientRect(); \
             return at.top >= 0 && at.bottom <= innerHeight"
        );
        window.script_until(&script, json!(true)).await;
    };
    // What was meant for one file is not for another.
    window.choose("restore-files", &[&sealed]).await;
    window.click("restore").await;
    window.text("restore", "Sure?").await;
    window.choose("restore-files", &[&text]).await;
    window.text("restore", "Restore a backup").await;
    confirm(json!([null, null])).await;
    said("restore-reason", "This is no backup.").await;
    is_seen("restore-reason").await;
    window.choose("restore-files", &[&increment, &sealed]).await;
    window.fill("restore-passphrase", "another one of these").await;
    confirm(json!([null, null])).await;
    said("restore-reason", "It was encrypted for another passphrase or key").await;
    window.fill("restore-passphrase", words).await;
    confirm(json!(["restore-reason", null])).await;
    window.text("restore-done", "2 messages were put back. Read states were taken over.").await;
    is_seen("restore-done").await;
    window.script_until("return document.querySelector('#restore-passphrase').value", json!("")).await;
    window.click("to-inbox").await;
    window.listed(&[("two", true), ("one", false), ("here", true)]).await;
}
