//! Backups of one's own inbox, opened with the programs that everyone has: sqlite3, gzip, zstd, age, curl.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use hongyan_harness::{
    Browser, Exit, Person, Reply, Sender, Server, Setup, eventually, growing, later, the_moment,
};
use hongyan_wire::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::process::Command;

const URL: &str = "/api/v3/backup/database";

struct Desk {
    server: Server,
    ann: Person,
    sender: Sender,
    dir: TempDir,
}

impl Desk {
    async fn start(change: impl FnOnce(Setup) -> Setup) -> Self {
        let server = change(Setup::default()).start().await;
        let admin = server.admin().await;
        let (ann, sender) = (admin.person("ann").await, admin.sender("drive").await);
        Self { server, ann, sender, dir: tempfile::tempdir().unwrap() }
    }

    /// Downloads with curl, as a person's script does.
    async fn curl(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let file = self.dir.path().join(name);
        let exit = Exit::of(Command::new("curl").args(self.words(&file)).args(arguments), "").await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
        file
    }

    fn words(&self, file: &Path) -> Vec<String> {
        words_of(&self.ann, file)
    }

    fn url(&self, query: &str) -> String {
        format!("{}{URL}{query}", self.server.url())
    }
}

/// What curl is told to download to a file as somebody.
fn words_of(person: &Person, file: &Path) -> Vec<String> {
    let authorization = format!("Authorization: {}", person.api.authorization().unwrap());
    ["-sS", "--fail", "-H", &authorization, "-o", file.to_str().unwrap()].map(str::to_owned).to_vec()
}

/// What a program prints; it must succeed.
async fn printed(program: &str, arguments: &[&str], piped: &str) -> String {
    let exit = Exit::of(Command::new(program).args(arguments), piped).await;
    assert_eq!(exit.code, Some(0), "{program} {arguments:?}: {}", exit.stderr);
    exit.stdout
}

/// Text of which no two parts are the same, so that it cannot be made much smaller.
fn noise(n: u64, length: usize) -> String {
    let parts = (0..).map(|m: u64| format!("{:x}", (n * 7_919 + m * 104_729) ^ (m * m * (n + 1))));
    let mut text = String::new();
    for part in parts {
        if text.len() >= length {
            break;
        }
        text.push_str(&part);
    }
    text
}

/// How large a file is, if it is there.
fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |file| file.len())
}

async fn sqlite(file: &Path, sql: &str) -> String {
    printed("sqlite3", &[file.to_str().unwrap(), sql], "").await.trim().to_owned()
}

#[tokio::test]
async fn a_backup_is_one_file_that_sqlite3_opens_and_shows_what_the_inbox_shows() {
    let desk = Desk::start(|setup| setup).await;
    let first = desk.sender.send_to("ann", "one").await;
    desk.sender
        .send(json!({ "title": "it's \"two\"", "content": "二\n🌸", "priority": 9, "recipients": ["ann"] }))
        .await
        .data();
    desk.ann.read(&first).await;
    let socket = desk.ann.connect().await;
    socket.close().await;
    let file = desk.curl("full.db", &[&desk.url("")]).await;
    assert_eq!(sqlite(&file, "PRAGMA integrity_check").await, "ok");
    let shown = sqlite(&file, "SELECT title, is_read, sender, priority FROM inbox").await;
    assert_eq!(shown, "it's \"two\"|0|drive|9\none|1|drive|5");
    assert_eq!(sqlite(&file, "SELECT content FROM inbox LIMIT 1").await, "二\n🌸");
    assert_eq!(
        sqlite(&file, "SELECT value FROM about WHERE key IN ('kind', 'user') ORDER BY key").await,
        "full\nann"
    );
    assert_eq!(sqlite(&file, "SELECT count(*) FROM status").await, "1");
    // It is a file for itself: nothing else is needed, nor made.
    assert_eq!(sqlite(&file, "PRAGMA journal_mode").await, "delete");
    // What was taken back is in no page of it.
    let secret = format!("taken-back-{}", "0123456789".repeat(300));
    let gone =
        desk.sender.send(json!({ "title": "t", "content": secret, "recipients": ["ann"] })).await.data();
    assert_eq!(desk.ann.list("").await["total"], 3);
    let path = format!("/api/v3/messages/{}/recall", gone["message_id"].as_str().unwrap());
    desk.sender.api.post(&path, &json!({})).await.data();
    assert_eq!(desk.ann.list("").await["total"], 2);
    let file = desk.curl("after.db", &[&desk.url("")]).await;
    let bytes = std::fs::read(file).unwrap();
    assert!(!bytes.windows(10).any(|part| part == b"taken-back"));
    let messages = desk.server.url().to_owned() + "/api/v3/backup/messages";
    let file = desk.curl("messages.db", &[&messages]).await;
    assert_eq!(sqlite(&file, "SELECT count(*), (SELECT count(*) FROM status) FROM message").await, "2|0");
}

#[tokio::test]
async fn its_name_tells_what_it_is_and_the_usual_programs_unpack_it() {
    let desk = Desk::start(|setup| setup).await;
    for n in 0..50 {
        desk.sender
            .send(json!({ "title": format!("m{n}"), "content": "x".repeat(2_000), "recipients": ["ann"] }))
            .await
            .data();
    }
    let plain = desk.curl("plain.db", &[&desk.url("?compress=none")]).await;
    let rows = sqlite(&plain, "SELECT * FROM message").await;
    for (query, program, ending) in
        [("?compress=gzip", "gzip", ".db.gz"), ("?compress=zstd", "zstd", ".db.zst")]
    {
        let file = desk.curl(&format!("{program}{ending}"), &[&desk.url(query)]).await;
        let reply = desk.ann.api.get(&format!("{URL}{query}")).await;
        let name = reply.header("content-disposition").unwrap();
        assert!(name.ends_with(&format!("{ending}\"")) && name.contains("hongyan-ann-full-"), "{name}");
        assert_eq!(reply.header("content-encoding"), None);
        assert!(file.metadata().unwrap().len() * 2 < plain.metadata().unwrap().len());
        printed(program, &["-d", "-q", file.to_str().unwrap()], "").await;
        assert_eq!(sqlite(&file.with_extension(""), "SELECT * FROM message").await, rows);
    }
    // In transit, as the client can: curl undoes it, and the name is that of what is left.
    let file = desk.curl("transit.db", &["--compressed", &desk.url("")]).await;
    assert_eq!(sqlite(&file, "SELECT * FROM message").await, rows);
    let asked = desk.ann.api.request(Method::HEAD, URL).header("accept-encoding", "gzip");
    let head = Reply::of(asked).await;
    assert_eq!((head.status, head.header("content-encoding")), (200, Some("gzip")));
    assert!(head.header("content-disposition").unwrap().ends_with(".db\""));
    // For who knows a passphrase, and for who has a key; with the plain age program.
    let key = printed("age-keygen", &[], "").await;
    let recipient = key.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let header = format!("X-Backup-Recipient: {recipient}");
    let file = desk.curl("x.db.gz.age", &["-H", &header, &desk.url("?compress=gzip")]).await;
    let identity = desk.dir.path().join("key.txt");
    std::fs::write(&identity, &key).unwrap();
    let opened = desk.dir.path().join("opened.db.gz");
    let (identity, opened) = (identity.to_str().unwrap(), opened.to_str().unwrap());
    printed("age", &["-d", "-i", identity, "-o", opened, file.to_str().unwrap()], "").await;
    printed("gzip", &["-d", opened], "").await;
    assert_eq!(sqlite(&desk.dir.path().join("opened.db"), "SELECT * FROM message").await, rows);
    let header = "X-Backup-Passphrase: correct horse battery staple";
    let file = desk.curl("y.db.age", &["-H", header, &desk.url("?compress=none&encrypt=passphrase")]).await;
    assert!(std::fs::read(&file).unwrap().starts_with(b"age-encryption.org/v1\n-> scrypt "));
    // It asks for the passphrase at a terminal.
    let opened = desk.dir.path().join("y.db");
    let open = format!("age -d -o '{}' '{}'", opened.display(), file.display());
    printed("script", &["-qec", &open, "/dev/null"], "correct horse battery staple\n").await;
    assert_eq!(sqlite(&opened, "SELECT * FROM message").await, rows);
    // What is asked wrongly; what has no place in an address is not said again.
    let get = async |query: &str| desk.ann.api.get(&format!("{URL}{query}")).await;
    for (query, field) in [
        ("?type=all", "type"),
        ("?compress=rar", "compress"),
        ("?encrypt=my-secret-word", "encrypt"),
        ("?encrypt=passphrase", "passphrase"),
        ("?encrypt=recipient", "recipient"),
        ("?type=incremental", "since"),
        ("?since=5", "since"),
        ("?type=incremental&since=yesterday", "since"),
        ("?type=incremental&since=b1.0000000000000001.1.1.1", "since"),
        // Milliseconds, where a place or a time is meant; and what is not over yet.
        ("?type=incremental&since=1795640436565", "since"),
        ("?type=incremental&since=2999-01-01T00:00:00Z", "since"),
    ] {
        let reply = get(query).await;
        assert_eq!(reply.failure(422, "validation_failed"), [field], "{query}");
        assert!(!reply.text.contains("my-secret-word"));
    }
    assert!(!desk.server.stderr().contains("horse"));
    desk.server.user().get(URL).await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_and_is_the_same_file() {
    let desk = Desk::start(|setup| setup).await;
    for n in 0..40 {
        let body = json!({ "title": format!("m{n}"), "content": noise(n, 30_000), "recipients": ["ann"] });
        desk.sender.send(body).await.data();
    }
    let url = desk.url("?compress=gzip");
    let admin = desk.server.admin().await;
    // Those of before are still there.
    desk.curl("before.gz", &[&url]).await;
    desk.sender.send_to("ann", "since then").await;
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("the seed is {random}");
    let (whole, etag) = growing("a download that breaks off", 1, async |slowness| {
        let whole = std::fs::read(desk.curl("whole.gz", &[&url]).await).unwrap();
        let etag = desk.ann.api.get(&format!("{URL}?compress=gzip")).await.header("etag").unwrap().to_owned();
        // At several places, in their order.
        let mut places = [(); 4].map(|()| {
            // Marsaglia's xorshift.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            1 + random % (whole.len() as u64 - 1)
        });
        places.sort_unstable();
        println!("cut at {places:?} of {}", whole.len());
        let name = format!("part{slowness}.gz");
        let part = desk.dir.path().join(&name);
        // That has begun nothing else.
        let script = admin.sign_in_person("ann", &name).await;
        let rate = (400_000 / slowness).to_string();
        let (mut cut, mut is_whole) = (0, false);
        for place in places {
            let mut curl = Command::new("curl");
            curl.args(words_of(&script, &part))
                .args(["--limit-rate", &rate, "-C", "-", &url])
                .kill_on_drop(true);
            let mut curl = curl.spawn().unwrap();
            the_moment("so much of the file", || {
                length(&part) >= place || curl.try_wait().unwrap().is_some()
            })
            .await;
            // It may have ended.
            let _ = curl.kill().await;
            is_whole = length(&part) == whole.len() as u64;
            if is_whole {
                break;
            }
            cut += 1;
            // Something new comes; curl goes on with what it has.
            desk.sender.send_to("ann", "meanwhile").await;
        }
        if !is_whole {
            let mut curl = Command::new("curl");
            let exit = Exit::of(curl.args(words_of(&script, &part)).args(["-C", "-", &url]), "").await;
            assert_eq!(exit.code, Some(0), "{exit:?}");
        }
        assert!(std::fs::read(&part).unwrap() == whole, "cut {cut} times");
        (cut > 0).then_some((whole, etag))
    })
    .await;
    let get = |headers: &[(&str, &str)]| {
        let request = desk.ann.api.request(Method::GET, &format!("{URL}?compress=gzip"));
        Reply::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    let length = whole.len();
    for (range, status, content_range) in [
        ("bytes=0-0", 206, Some(format!("bytes 0-0/{length}"))),
        ("bytes=-1", 206, Some(format!("bytes {}-{}/{length}", length - 1, length - 1))),
        ("bytes=10-19", 206, Some(format!("bytes 10-19/{length}"))),
        (&format!("bytes={length}-"), 416, Some(format!("bytes */{length}"))),
        ("bytes=0-1,4-5", 200, None),
    ] {
        let reply = get(&[("range", range), ("if-range", &etag)]).await;
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (status, content_range.as_deref()),
            "{range}"
        );
    }
    // Who goes on with what is not there any more is told so: a part of another would spoil the file.
    for backup in desk.ann.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap() {
        if backup["id"] != json!(etag.trim_matches('"')) {
            desk.ann.api.delete(&format!("/api/v3/backup/{}", backup["id"].as_str().unwrap())).await.data();
        }
    }
    let lost =
        desk.ann.api.request(Method::GET, &format!("{URL}?compress=zstd")).header("range", "bytes=100-");
    assert_eq!(Reply::of(lost).await.failure(409, "version_conflict"), ["Range"]);
    // By now it is another one, and who has the former in part begins anew; so does who names none that there can be.
    let odd = desk.ann.api.request(Method::GET, &format!("{URL}?compress=gzip")).header("range", "bytes=5-9");
    let odd = Reply::of(odd.header("if-range", HeaderValue::from_bytes(b"\"x\xe9\"").unwrap())).await;
    assert_eq!((odd.status, odd.header("content-range")), (200, None));
    let other = get(&[("range", "bytes=5-9"), ("if-range", "\"another\"")]).await;
    assert_eq!((other.status, other.header("content-range")), (200, None));
    let now = other.header("etag").unwrap().to_owned();
    assert_ne!(now, etag);
    assert_eq!(get(&[("if-none-match", &now)]).await.status, 304);
    assert_eq!(get(&[("if-match", "\"another\"")]).await.status, 412);
    // Also after a restart, by who asks for the former by its tag. What is not known any more is not guessed.
    let Desk { server, ann, .. } = desk;
    let server = server.start_again().await;
    let api = server.user().with(ann.api.authorization().unwrap());
    let part = || api.request(Method::GET, &format!("{URL}?compress=gzip")).header("range", "bytes=10-19");
    assert_eq!(Reply::of(part().header("if-range", &etag)).await.status, 206);
    Reply::of(part()).await.failure(409, "version_conflict");
    // Nor is it that of one that is begun now: it may be of one of before.
    assert_eq!(api.get(&format!("{URL}?compress=gzip")).await.status, 200);
    Reply::of(part()).await.failure(409, "version_conflict");
}

#[tokio::test]
async fn increments_joined_to_a_full_backup_are_the_inbox() {
    let desk = Desk::start(|setup| setup).await;
    let admin = desk.server.admin().await;
    let old = desk.sender.send_to("ann", "old").await;
    let gone = desk.sender.send_to("ann", "to be taken back").await;
    let full = desk.curl("full.db.zst", &[&desk.url("?compress=zstd")]).await;
    let head = Reply::of(desk.ann.api.request(Method::HEAD, &format!("{URL}?compress=zstd"))).await;
    let mut cursor = head.header("x-backup-cursor").unwrap().to_owned();
    let mut parts = vec![full.to_str().unwrap().to_owned()];
    for n in 0..3 {
        desk.sender.send_to("ann", &format!("new {n}")).await;
        if n == 1 {
            desk.ann.read(&old).await;
            let path = format!("/api/v3/messages/{gone}/recall");
            desk.sender.api.post(&path, &json!({})).await.data();
        }
        let query = format!("?type=incremental&since={cursor}");
        let url = desk.url(&query);
        let file = desk.curl(&format!("inc{n}.db"), &[&url]).await;
        let head = Reply::of(desk.ann.api.request(Method::HEAD, &format!("{URL}{query}"))).await;
        cursor = head.header("x-backup-cursor").unwrap().to_owned();
        parts.push(file.to_str().unwrap().to_owned());
    }
    let joined = desk.dir.path().join("joined.db");
    let mut arguments = vec!["backup", "apply", "--out", joined.to_str().unwrap()];
    arguments.extend(parts.iter().map(String::as_str));
    let exit = desk.server.hongyan("", &arguments, "").await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let now = desk.curl("now.db", &[&desk.url("")]).await;
    for table in ["message", "status", "amended"] {
        let sql = format!("SELECT * FROM {table} ORDER BY pos");
        assert_eq!(sqlite(&joined, &sql).await, sqlite(&now, &sql).await, "{table}");
    }
    assert_eq!(sqlite(&joined, "SELECT title, is_read FROM inbox").await, "new 2|0\nnew 1|0\nnew 0|0\nold|1");
    // One is missing: said, and nothing is made.
    let apart = desk.dir.path().join("apart.db");
    let arguments = ["backup", "apply", "--out", apart.to_str().unwrap(), &parts[0], &parts[3]];
    let exit = desk.server.hongyan("", &arguments, "").await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains("does not join") && !apart.exists(), "{}", exit.stderr);
    // Of someone else neither.
    let bob = admin.person("bob").await;
    let authorization = format!("Authorization: {}", bob.api.authorization().unwrap());
    let foreign = desk.dir.path().join("foreign.db");
    let foreign = foreign.to_str().unwrap();
    let url = desk.url("?type=incremental&since=0");
    printed("curl", &["-sS", "--fail", "-H", &authorization, "-o", foreign, &url], "").await;
    for (words, reason) in [
        ([&parts[0], foreign], "of another person, bob"),
        ([&parts[1], &parts[2]], "a full backup is needed first"),
        ([&parts[0], &parts[0]], "it is no increment"),
        ([desk.dir.path().join("key.txt").to_str().unwrap(), &parts[1]], ""),
    ] {
        let mut arguments = vec!["backup", "apply", "--out", apart.to_str().unwrap()];
        arguments.extend(words);
        let exit = desk.server.hongyan("", &arguments, "").await;
        assert_eq!(exit.code, Some(1), "{exit:?}");
        assert!(exit.stderr.contains(reason) && !apart.exists(), "{}", exit.stderr);
    }
    let arguments = ["backup", "apply", "--out", joined.to_str().unwrap(), &parts[0]];
    let exit = desk.server.hongyan("", &arguments, "").await;
    assert_eq!((exit.code, exit.stderr.contains("is there already")), (Some(2), true), "{}", exit.stderr);
}

#[tokio::test]
async fn backups_are_listed_linked_to_taken_away_and_their_owners_alone() {
    let desk = Desk::start(|setup| setup).await;
    let admin = desk.server.admin().await;
    let bob = admin.person("bob").await;
    desk.sender.send_to("ann", "one").await;
    let body = json!({ "make": { "compress": "gzip" }, "expires_in": 60 });
    let link = desk.ann.api.post("/api/v3/backup/links", &body).await.data();
    let (url, id) = (link["url"].as_str().unwrap(), link["backup"]["id"].as_str().unwrap().to_owned());
    let path = url
        .strip_prefix(&format!("http://localhost:{}", desk.server.url().rsplit(':').next().unwrap()))
        .unwrap();
    // Without any header of one's own.
    let fetched = desk.server.user().get(path).await;
    assert_eq!(fetched.status, 200);
    assert!(fetched.header("cache-control").unwrap().starts_with("public, max-age="));
    let part = desk.server.user().request(Method::GET, path).header("range", "bytes=0-1");
    assert_eq!(Reply::of(part).await.status, 206);
    for wrong in [
        path.replace("signature=", "signature=x"),
        path.replace("/ann/", "/bob/"),
        path.replace("expires=", "expires=9"),
        path.replace("&by=", "&by=x"),
        path.split('?').next().unwrap().to_owned() + "?expires=99999999999&by=&signature=",
    ] {
        desk.server.user().get(&wrong).await.failure(404, "not_found");
    }
    let listed = desk.ann.api.get("/api/v3/backup").await.data();
    assert_eq!((&listed["backups"][0]["id"], &listed["backups"][0]["messages"]), (&json!(id), &json!(1)));
    // Nobody else's.
    assert_eq!(bob.api.get("/api/v3/backup").await.data()["backups"], json!([]));
    bob.api.delete(&format!("/api/v3/backup/{id}")).await.failure(404, "not_found");
    let named = json!({ "backup": id });
    bob.api.post("/api/v3/backup/links", &named).await.failure(404, "not_found");
    desk.ann.api.post("/api/v3/backup/links", &named).await.data();
    // A link ends with the session that made it.
    let thief = admin.sign_in_person("ann", "thief").await;
    let stolen = thief.api.post("/api/v3/backup/links", &named).await.data();
    let stolen = stolen["url"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    assert_eq!(desk.server.user().get(&format!("/api/{stolen}")).await.status, 200);
    desk.ann.api.delete("/api/v3/auth/sessions").await.data();
    desk.server.user().get(&format!("/api/{stolen}")).await.failure(404, "not_found");
    desk.ann.api.delete(&format!("/api/v3/backup/{id}")).await.data();
    desk.server.user().get(path).await.failure(404, "not_found");
    // Who is deleted leaves none behind.
    desk.ann.api.get(URL).await;
    let folder = desk.server.users().parent().unwrap().join("backups/people/ann");
    assert!(folder.exists());
    admin.api.delete("/admin/api/v3/users/ann").await.data();
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_link_is_to_what_its_headers_seal_and_ends_with_the_session() {
    let desk = Desk::start(|setup| setup.set("SESSION_MAX_TIME", "10m")).await;
    let link = |body: Value, header: (&str, &str)| {
        let request = desk.ann.api.request(Method::POST, "/api/v3/backup/links").json(&body);
        Reply::of(request.header(header.0, header.1))
    };
    let passphrase = ("x-backup-passphrase", "a good passphrase");
    for path in ["links", "jobs"] {
        let twice = json!({ "passphrase": "a good passphrase" });
        let twice = if path == "links" { json!({ "make": twice }) } else { twice };
        let request = desk.ann.api.request(Method::POST, &format!("/api/v3/backup/{path}")).json(&twice);
        let refused = Reply::of(request.header(passphrase.0, passphrase.1)).await;
        assert_eq!(refused.failure(422, "validation_failed"), ["passphrase"], "{path}");
    }
    let twice = desk.ann.api.request(Method::GET, URL).header(passphrase.0, passphrase.1);
    let twice = Reply::of(twice.header(passphrase.0, "another passphrase")).await;
    assert_eq!(twice.failure(422, "validation_failed"), [passphrase.0]);
    let sealed = link(json!({}), passphrase).await.data();
    assert!(sealed["backup"]["name"].as_str().unwrap().ends_with(".db.age"), "{sealed}");
    let open = link(json!({ "expires_in": 86_400 }), ("x-other", "x")).await.data();
    assert!(open["backup"]["name"].as_str().unwrap().ends_with(".db"), "{open}");
    // Nobody's session is good for longer than this.
    let parsed = |text: &str| Timestamp::parse(text).unwrap();
    let last = parsed(&later(Duration::from_secs(600)));
    assert!(parsed(open["expires_at"].as_str().unwrap()) <= last, "{open}");
}

#[tokio::test]
async fn links_end_with_all_sessions_and_new_ones_to_the_same_backup_do_not() {
    let desk = Desk::start(|setup| setup).await;
    let admin = desk.server.admin().await;
    let link = async |person: &Person, body: &Value| {
        let link = person.api.post("/api/v3/backup/links", body).await.data();
        let path = link["url"].as_str().unwrap().split_once("/api/").unwrap().1;
        (format!("/api/{path}"), link["backup"]["id"].clone())
    };
    let (before, id) = link(&desk.ann, &json!({ "make": { "compress": "gzip" } })).await;
    assert_eq!(desk.server.user().get(&before).await.status, 200);
    admin.api.delete("/admin/api/v3/users/ann/sessions").await.data();
    desk.server.user().get(&before).await.failure(404, "not_found");
    let again = admin.sign_in_person("ann", "again").await;
    let (after, same) = link(&again, &json!({ "backup": id })).await;
    assert_eq!(same, id);
    assert_eq!(desk.server.user().get(&after).await.status, 200);
    desk.server.user().get(&before).await.failure(404, "not_found");
}

#[tokio::test]
async fn no_file_is_ever_put_together_of_two_backups() {
    let desk = Desk::start(|setup| setup).await;
    let admin = desk.server.admin().await;
    let (phone, newcomer) =
        (admin.sign_in_person("ann", "phone").await, admin.sign_in_person("ann", "newcomer").await);
    let get_as = |person: &Person, range: Option<&str>, if_range: Option<&str>| {
        let mut request = person.api.request(Method::GET, &format!("{URL}?compress=none"));
        for (name, value) in [("range", range), ("if-range", if_range)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        async move { request.send().await.unwrap() }
    };
    let get = |range, if_range| get_as(&desk.ann, range, if_range);
    desk.sender.send_to("ann", "one").await;
    let first = get(None, None).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let first = first.bytes().await.unwrap();
    desk.sender.send_to("ann", "two").await;
    // Who says nothing of what they have goes on with what they have begun, whatever others fetch meanwhile.
    let rest = get(Some("bytes=5000-"), None).await;
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.bytes().await.unwrap(), first.slice(5_000..));
    let second = get_as(&phone, None, None).await;
    let second_id = second.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let second = second.bytes().await.unwrap();
    assert_ne!(first, second);
    for (person, begun) in [(&desk.ann, &first), (&phone, &second), (&desk.ann, &first)] {
        let rest = get_as(person, Some("bytes=5000-"), None).await;
        assert_eq!(rest.status(), 206);
        assert_eq!(rest.bytes().await.unwrap(), begun.slice(5_000..));
    }
    // By its tag it is nothing that is begun.
    for (if_range, begun) in [(Some(&*tag), &first), (None, &second)] {
        let rest = get_as(&phone, Some("bytes=5000-"), if_range).await;
        assert_eq!(rest.status(), 206);
        assert_eq!(rest.bytes().await.unwrap(), begun.slice(5_000..));
    }
    // Who has begun with neither could have a part of either.
    assert_eq!(get_as(&newcomer, Some("bytes=5000-"), None).await.status(), 409);
    // What was begun is gone: no other takes its place, however often it is asked for, until one is begun.
    desk.ann.api.delete(&format!("/api/v3/backup/{}", tag.trim_matches('"'))).await.data();
    for _ in 0..2 {
        assert_eq!(get(Some("bytes=5000-"), None).await.status(), 409);
    }
    let whole = get(Some("bytes=5000-"), Some(&tag)).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), second);
    assert_eq!(get(Some("bytes=5000-"), None).await.status(), 409);
    // What is packed on the way only comes to lie there as any other, and its parts are of something else.
    assert_eq!(get(None, None).await.status(), 200);
    let coded = desk.ann.api.request(Method::GET, URL).header("accept-encoding", "gzip");
    let coded = Reply::of(coded).await;
    assert_eq!((coded.status, coded.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(get(Some("bytes=5000-"), None).await.status(), 409);
    assert_eq!(get_as(&newcomer, Some("bytes=0-9"), None).await.status(), 206);
    let rest = get_as(&newcomer, Some("bytes=5000-"), None).await;
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.bytes().await.unwrap(), second.slice(5_000..));
    // Begun with a second one, it has a part of either; curl leaves what it has as it is.
    desk.sender.send_to("ann", "three").await;
    assert_eq!(get_as(&newcomer, None, None).await.status(), 200);
    let part = desk.dir.path().join("part.db");
    std::fs::write(&part, &second[..5_000]).unwrap();
    let mut curl = Command::new("curl");
    curl.args(words_of(&newcomer, &part)).args(["-C", "-", &desk.url("?compress=none")]);
    let exit = Exit::of(&mut curl, "").await;
    assert_eq!((exit.code == Some(0), length(&part)), (false, 5_000), "{exit:?}");
    // A link is to one.
    let id = json!({ "backup": second_id });
    let link = newcomer.api.post("/api/v3/backup/links", &id).await.data();
    let port = desk.server.url().rsplit(':').next().unwrap().to_owned();
    let link =
        link["url"].as_str().unwrap().replace(&format!("localhost:{port}"), &format!("127.0.0.1:{port}"));
    let mut curl = Command::new("curl");
    curl.args(words_of(&newcomer, &part)).args(["-C", "-", &link]);
    let exit = Exit::of(&mut curl, "").await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(std::fs::read(&part).unwrap() == second);
}

#[tokio::test]
async fn there_is_only_so_much_and_only_for_so_long() {
    let desk = Desk::start(|setup| setup.set("BACKUP_QUOTA", "200000").set("BACKUP_KEEP", "10s")).await;
    desk.sender.send_to("ann", "one").await;
    assert_eq!(desk.ann.api.get(URL).await.status, 200);
    let count = async || -> usize {
        desk.ann.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 1);
    eventually("the end of the backup", || async { (count().await == 0).then_some(()) }).await;
    for n in 0..3 {
        desk.sender
            .send(json!({ "title": format!("{n}"), "content": "y".repeat(100_000), "recipients": ["ann"] }))
            .await
            .data();
    }
    let refused = desk.ann.api.get(&format!("{URL}?compress=none")).await;
    refused.failure(413, "too_large");
    assert_eq!(desk.ann.api.get(&format!("{URL}?compress=gzip")).await.status, 200);
    let left: Vec<Value> =
        desk.ann.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap().clone();
    assert_eq!(left.len(), 1, "{left:?}");
    // The oldest go, by their size and by their number.
    for n in 0..40 {
        desk.sender.send_to("ann", &format!("short {n}")).await;
    }
    let newest = desk.ann.list("size=1").await["messages"][0]["pos"].as_u64().unwrap();
    for n in newest - 40..newest {
        let reply = desk.ann.api.get(&format!("{URL}?compress=gzip&type=incremental&since={n}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let left = count().await;
    assert!((2..=32).contains(&left), "{left}");
}

/// Bytes of all files in a folder whose names end so.
fn lying(folder: &Path, ending: &str) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.to_str().unwrap().ends_with(ending)).map(|path| length(&path)).sum()
}

/// When a server is killed that makes a backup.
#[derive(Clone, Copy)]
enum Moment {
    /// So many bytes were copied.
    Copied(u64),
    /// So many were packed.
    Packed(u64),
    /// It is whole; perhaps it is not noted yet what it is.
    Whole,
}

#[tokio::test]
async fn a_kill_leaves_no_half_file_and_no_lock() {
    const CONTENT: u64 = 200_000;
    growing("a backup that is cut off", 60, async |messages| {
        let desk = Desk::start(|setup| setup).await;
        for n in 0..messages {
            let content = noise(n, CONTENT as usize);
            let body = json!({ "title": format!("m{n}"), "content": content, "recipients": ["ann"] });
            desk.sender.send(body).await.data();
        }
        let Desk { mut server, ann, sender, dir } = desk;
        let folder = server.users().parent().unwrap().join("backups/people/ann");
        let query = format!("{URL}?compress=gzip");
        let all = messages * CONTENT;
        let mut cut = 0;
        for (round, moment) in [
            Moment::Copied(1),
            Moment::Copied(all / 2),
            Moment::Copied(all),
            Moment::Packed(1),
            Moment::Packed(all / 4),
            Moment::Whole,
        ]
        .into_iter()
        .enumerate()
        {
            sender.send_to("ann", &format!("round {round}")).await;
            let (api, path) = (ann.api.clone(), query.clone());
            let asked = tokio::spawn(async move { Reply::try_of(api.request(Method::GET, &path)).await });
            the_moment("so much of the backup", || {
                let is_so_far = match moment {
                    Moment::Copied(bytes) => lying(&folder, ".plain.partial") >= bytes,
                    Moment::Packed(bytes) => lying(&folder, ".packed.partial") >= bytes,
                    Moment::Whole => lying(&folder, ".backup") > 0,
                };
                is_so_far || asked.is_finished()
            })
            .await;
            server.kill().await;
            let _ = asked.await;
            cut += u64::from(lying(&folder, ".partial") > 0);
            server = server.start_again().await;
            // The inbox is read and written as ever.
            assert_eq!(ann.titles("size=1").await, [format!("round {round}")]);
            let offered = ann.api.get("/api/v3/backup").await.data()["backups"].clone();
            let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
            assert_eq!(left, 2 * offered.as_array().unwrap().len(), "two files each, and no half one");
            // What is offered is what was asked for, to the last byte; else it is made now.
            let made = ann.api.request(Method::GET, &query).send().await.unwrap();
            assert_eq!(made.status(), 200);
            let packed = dir.path().join(format!("round{round}.db.gz"));
            std::fs::write(&packed, made.bytes().await.unwrap()).unwrap();
            printed("gzip", &["-d", packed.to_str().unwrap()], "").await;
            let plain = packed.with_extension("");
            assert_eq!(sqlite(&plain, "PRAGMA integrity_check").await, "ok");
            let titles = "SELECT count(*), max(title) FILTER (WHERE title LIKE 'round%') FROM message";
            let count = messages + round as u64 + 1;
            assert_eq!(sqlite(&plain, titles).await, format!("{count}|round {round}"));
            let conn = rusqlite::Connection::open(&plain).unwrap();
            let sql = "SELECT content FROM message WHERE title LIKE 'm%' ORDER BY pos";
            let mut statement = conn.prepare(sql).unwrap();
            let contents = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            for (n, content) in contents.enumerate() {
                assert!(content.unwrap() == noise(n as u64, CONTENT as usize), "m{n}");
            }
            for backup in ann.api.get("/api/v3/backup").await.data()["backups"].as_array().unwrap() {
                let path = format!("/api/v3/backup/{}", backup["id"].as_str().unwrap());
                ann.api.delete(&path).await.data();
            }
        }
        (cut > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_person_makes_and_removes_a_backup_in_the_settings() {
    let desk = Desk::start(|setup| setup).await;
    desk.sender.send_to("ann", "one").await;
    let window = Browser::start().await;
    window.open(desk.server.url()).await;
    window.sign_in("ann").await;
    window.click("settings").await;
    window.fill("backup-passphrase", "short").await;
    window.click("backup-make").await;
    let said = "return [...document.querySelectorAll('[data-testid=\"error\"]:not([hidden])')].map(line => line.textContent).join()";
    let short =
        "A passphrase needs at least 12 characters: whoever has the file may try for as long as they like.";
    window.script_until(said, json!(short)).await;
    window.fill("backup-passphrase", "correct horse battery").await;
    window.click("backup-make").await;
    let names = "return [...document.querySelectorAll('[data-testid=\"backup-item\"] strong')]\
                 .map(name => name.textContent.replace(/[0-9]/g, '').split('T')[1])";
    window.script_until(names, json!(["Z.db.gz.age"])).await;
    // The page stays, and nothing of the passphrase.
    window.script_until("return document.querySelector('#backup-passphrase').value", json!("")).await;
    let listed = desk.ann.api.get("/api/v3/backup").await.data();
    assert_eq!(
        (&listed["backups"][0]["encrypted"], &listed["backups"][0]["messages"]),
        (&json!(true), &json!(1))
    );
    // What was asked for here is fetched at once, and whenever it is asked for again.
    let id = listed["backups"][0]["id"].as_str().unwrap();
    let kept = desk.server.users().with_file_name("backups").join(format!("people/ann/{id}.backup"));
    let kept = std::fs::read(kept).unwrap();
    window.downloaded(1).await;
    window.click("backup-download").await;
    for file in window.downloaded(2).await {
        assert!(std::fs::read(&file).unwrap() == kept, "{}", file.display());
    }
    // A slip of the finger removes nothing.
    window.click("backup-remove").await;
    window.text("backup-remove", "Sure?").await;
    window.script_until(names, json!(["Z.db.gz.age"])).await;
    window.click("backup-remove").await;
    window.script_until(names, json!([])).await;
    assert_eq!(desk.ann.api.get("/api/v3/backup").await.data()["backups"], json!([]));
}
