//! The admin gateway.

use hongyan_harness::{Reply, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write;

#[tokio::test]
async fn users_are_made_found_and_never_twice() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.role("ops", &[]).await;
    let full = json!({
        "id": "user123", "username": "zhang", "name": "张三", "email": "zhang@example.com",
        "password": "a-good-password", "roles": ["ops"], "department_id": "sales",
    });
    let made = admin.post("users", full.clone()).await.data();
    assert_eq!(
        (&made["roles"], &made["has_password"], &made["status"]),
        (&json!(["ops"]), &json!(true), &json!("active"))
    );
    assert!(made.get("password").is_none());
    assert_eq!(admin.post("users", full).await.failure(409, "already_exists"), ["id"]);
    let same_name = json!({ "username": "ZHANG", "name": "Other" });
    assert_eq!(admin.post("users", same_name).await.failure(409, "already_exists"), ["username"]);
    let unnamed = admin.post("users", json!({ "username": "li", "name": "李四" })).await.data();
    assert!(!unnamed["id"].as_str().unwrap().is_empty());
    for (body, field) in [
        (json!({ "username": "a", "name": "A", "id": "../up" }), "id"),
        (json!({ "username": "a", "name": "A", "id": ".hidden" }), "id"),
        (json!({ "username": "a b", "name": "A" }), "username"),
        (json!({ "username": "a", "name": "" }), "name"),
        (json!({ "username": "a" }), "name"),
        (json!({ "username": "a", "name": "A", "email": "nowhere" }), "email"),
        (json!({ "username": "a", "name": "A", "password": "short" }), "password"),
        (json!({ "username": "a", "name": "A", "roles": ["none"] }), "roles[0]"),
        (json!({ "username": "a", "name": "A", "admin": true }), "admin"),
    ] {
        assert_eq!(
            admin.post("users", body.clone()).await.failure(422, "validation_failed"),
            [field],
            "{body}"
        );
    }
    let found = admin.get("users?q=%E5%BC%A0").await.data();
    assert_eq!((&found["total"], &found["users"][0]["id"]), (&json!(1), &json!("user123")));
    assert_eq!(admin.get("users").await.data()["total"], 3);
    assert_eq!(admin.get("users?size=1&page=3").await.data()["users"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("users/user123").await.data()["email"], "zhang@example.com");
    admin.get("users/nobody").await.failure(404, "not_found");
}

#[tokio::test]
async fn a_hundred_thousand_users_come_in_one_request_in_bounded_memory() {
    const USERS: usize = 100_000;
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let before = memory(&server, "VmRSS");
    let mut lines = String::new();
    for n in 0..USERS {
        writeln!(lines, "{{\"id\":\"u{n}\",\"username\":\"name{n}\",\"name\":\"User {n}\",\"email\":\"u{n}@example.com\"}}").unwrap();
    }
    lines.push_str("{\"username\":\"name7\",\"id\":\"thief\",\"name\":\"T\"}\nnot json\n{\"username\":\"x y\",\"name\":\"X\"}\n");
    let import = |lines: String| {
        let request = admin.api.request(Method::POST, "/admin/api/v3/users/import");
        Reply::of(request.header("content-type", "application/x-ndjson").body(lines))
    };
    let answer = import(lines).await.data();
    assert_eq!((&answer["created"], &answer["updated"]), (&json!(USERS), &json!(0)));
    let failed: Vec<u64> =
        answer["failed"].as_array().unwrap().iter().map(|f| f["line"].as_u64().unwrap()).collect();
    assert_eq!(failed, [100_001, 100_002, 100_003]);
    let grown = memory(&server, "VmHWM") - before;
    assert!(grown < 150_000, "it took {grown} kB more");
    let again =
        "{\"username\":\"name5\",\"name\":\"New name\"}\n{\"username\":\"fresh\",\"name\":\"Fresh\"}\n";
    let answer = import(again.into()).await.data();
    assert_eq!((&answer["created"], &answer["updated"]), (&json!(1), &json!(1)));
    assert_eq!(admin.get("users/u5").await.data()["name"], "New name");
    let sender = admin.sender("s").await;
    let sent = sender.send(json!({ "title": "t", "recipient_type": "all" })).await.data();
    assert_eq!(sent["recipients"], USERS + 2);
    assert_eq!(admin.known("u99999", "d").titles("").await, ["t"]);
}

fn memory(server: &Server, field: &str) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn groups_have_members_and_services_have_keys() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.user("ann").await;
    for kind in ["roles", "channels"] {
        admin.post(kind, json!({ "id": "g", "name": "Group", "members": ["ann"] })).await.data();
        assert_eq!(
            admin.post(kind, json!({ "id": "g", "name": "Group" })).await.failure(409, "already_exists"),
            ["id"]
        );
        let stranger = json!({ "id": "h", "name": "H", "members": ["ann", "nobody"] });
        assert_eq!(admin.post(kind, stranger).await.failure(422, "validation_failed"), ["members[1]"]);
        // What is sent to the name would go on reaching the one person.
        let same = json!({ "id": "ANN", "name": "All of ann" });
        assert_eq!(admin.post(kind, same).await.failure(422, "validation_failed"), ["id"]);
        let member = format!("/admin/api/v3/{kind}/g/members/ann");
        admin.api.put(&member).await.data();
        admin.api.delete(&member).await.data();
        admin.api.delete(&member).await.data();
        assert_eq!(admin.get(&format!("{kind}?q=g")).await.data()[kind][0]["member_count"], 0);
        admin.api.put(&format!("/admin/api/v3/{kind}/none/members/ann")).await.failure(404, "not_found");
        admin.api.put(&format!("/admin/api/v3/{kind}/g/members/nobody")).await.failure(404, "not_found");
    }
    let sender = admin.sender("drive").await;
    let listed = admin.get("services").await;
    let key = sender.api.authorization().unwrap().trim_start_matches("Service ").to_owned();
    assert!(!listed.text.contains(&key) && listed.text.contains(&key[2..14]));
    sender.send_to("ann", "before").await;
    admin.post(&format!("services/{}/suspend", sender.id), json!({})).await.data();
    let refused = sender.send(json!({ "title": "t", "recipients": ["ann"] })).await;
    refused.failure(401, "unauthenticated");
    assert!(refused.json()["message"].as_str().unwrap().contains("suspended"));
    admin.post(&format!("services/{}/resume", sender.id), json!({})).await.data();
    sender.send_to("ann", "after").await;
    assert_eq!(ann.titles("").await, ["after", "before"]);
    let unknown = json!({ "name": "s", "type": "external", "permissions": ["x"] });
    assert_eq!(admin.post("services", unknown).await.failure(422, "validation_failed"), ["permissions[0]"]);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    admin.user("ann").await;
    admin.role("ops", &[]).await;
    admin.channel("news", &[]).await;
    let sender = admin.sender("drive").await;
    admin.api.put("/admin/api/v3/roles/ops/members/ann").await.data();
    admin.api.delete("/admin/api/v3/roles/ops/members/ann").await.data();
    admin.post(&format!("services/{}/suspend", sender.id), json!({})).await.data();
    admin.post("users/ann/disable", json!({})).await.data();
    let audit = admin.get("audit?size=50").await;
    let entries = audit.data()["entries"].as_array().unwrap().clone();
    let by_admin: Vec<&str> =
        entries.iter().filter(|e| e["actor"] == "admin").map(|e| e["action"].as_str().unwrap()).collect();
    let wanted = [
        "user.disable",
        "service.suspend",
        "role.member.remove",
        "role.member.add",
        "service.create",
        "channel.create",
        "role.create",
        "user.create",
    ];
    assert_eq!(by_admin, wanted);
    assert!(!audit.text.contains("password\":\""));
    assert_eq!(admin.get("audit?q=service").await.data()["total"], 2);
    let at = entries[2]["at"].as_str().unwrap();
    for (filter, total) in [
        ("action=role".to_owned(), 4),
        ("action=role.create".into(), 2),
        ("action=rol".into(), 0),
        ("target=ann".into(), 2),
        ("actor=admin".into(), 8),
        ("actor=admin&target=ops&action=role.member".into(), 2),
        (format!("actor=admin&since={at}&until={at}"), 0),
        ("since=2100-01-01T00:00:00Z".into(), 0),
    ] {
        assert_eq!(admin.get(&format!("audit?{filter}")).await.data()["total"], total, "{filter}");
    }
    assert_eq!(admin.get("audit?since=soon").await.failure(422, "validation_failed"), ["since"]);
    let first: &Value = entries.last().unwrap();
    assert_eq!((&first["actor"], &first["action"]), (&json!("system"), &json!("role.create")));
}

#[tokio::test]
async fn probes_answer_without_credentials_and_logout_ends() {
    let server = Setup::default().start().await;
    assert_eq!(server.admin_gateway().get("/healthz").await.text, "ok\n");
    assert_eq!(server.admin_gateway().get("/readyz").await.text, "ready\n");
    let admin = server.admin().await;
    admin.post("auth/logout", json!({})).await.data();
    admin.get("users").await.failure(401, "unauthenticated");
}

#[tokio::test]
async fn users_roles_and_channels_are_changed_and_deleted() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let put = |path: &str, body: serde_json::Value| {
        Reply::of(admin.api.request(Method::PUT, &format!("/admin/api/v3/{path}")).json(&body))
    };
    let changed = put("users/ann", json!({ "name": "Ann B.", "email": "ann@b.example" })).await.data();
    assert_eq!((&changed["name"], &changed["username"]), (&json!("Ann B."), &json!("ann")));
    ann.api.get("/api/v3/messages").await.data();
    put("users/ann", json!({ "password": "a-new-password" })).await.data();
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    assert_eq!(put("users/admin", json!({ "roles": [] })).await.failure(422, "validation_failed"), ["roles"]);
    assert_eq!(
        put("users/ann", json!({ "username": "admin" })).await.failure(409, "already_exists"),
        ["username"]
    );
    put("users/nobody", json!({ "name": "x" })).await.failure(404, "not_found");
    let bob = admin.user("bob").await;
    for kind in ["roles", "channels"] {
        admin.post(kind, json!({ "id": "g", "name": "G", "members": ["bob"] })).await.data();
        assert_eq!(put(&format!("{kind}/g"), json!({ "name": "Group" })).await.data()["name"], "Group");
        let members = admin.get(&format!("{kind}/g/members")).await.data();
        assert_eq!((&members["total"], &members["users"][0]["id"]), (&json!(1), &json!("bob")));
    }
    let sender = admin.sender("s").await;
    let to = |kind: &str| json!({ "title": kind, "recipients": ["g"], "recipient_type": kind });
    sender.send(to("channel")).await.data();
    let mut socket = bob.connect().await;
    for (kind, plural) in [("channel", "channels"), ("role", "roles")] {
        admin.api.delete(&format!("/admin/api/v3/{plural}/g")).await.data();
        sender.send(to(kind)).await.failure(422, "validation_failed");
        admin.get(&format!("{plural}/g")).await.failure(404, "not_found");
        // One of the same name is another one.
        admin.post(plural, json!({ "id": "g", "name": "New" })).await.data();
        assert_eq!(sender.send(to(kind)).await.data()["recipients"], 0);
    }
    sender.send_to("bob", "own").await;
    assert_eq!(socket.message().await, "own", "nothing of the new groups came before");
    assert_eq!(bob.titles("").await, ["own", "channel"]);
    admin.api.delete("/admin/api/v3/roles/admin").await.failure(422, "validation_failed");
    let announced = admin.post("announcements", json!({ "title": "Maintenance at noon" })).await.data();
    assert_eq!(announced["recipients"], 3);
    assert_eq!(socket.message().await, "Maintenance at noon");
}

#[tokio::test]
async fn sessions_are_seen_and_ended() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let ann = admin.person("ann").await;
    let listed = admin.get("sessions?q=ann").await.data();
    assert_eq!((&listed["total"], &listed["sessions"][0]["id"]), (&json!(1), &json!(ann.session)));
    admin.api.delete(&format!("/admin/api/v3/sessions/{}", ann.session)).await.data();
    ann.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    admin.api.delete(&format!("/admin/api/v3/sessions/{}", ann.session)).await.failure(404, "not_found");
}

#[tokio::test]
async fn nothing_of_a_deleted_user_is_left_on_the_disk() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let bob = admin.user("bob").await;
    let user = json!({ "id": "u-7", "username": "zz-secret-name", "name": "ZZ Secret", "email": "zz@secret.example",
        "password": "a-good-password" });
    admin.post("users", user.clone()).await.data();
    let zz = admin.sign_in_person("zz-secret-name", "their-secret-device").await;
    admin.channel("news", &["u-7", "bob"]).await;
    let sender = admin.sender("s").await;
    let private = sender.send_to("u-7", "for secret eyes only").await;
    sender.send(json!({ "title": "for both", "recipients": ["u-7", "bob"] })).await.data();
    zz.read(&private).await;
    zz.api.post("/api/v3/messages/send", &json!({ "title": "from zz", "recipients": ["bob"] })).await.data();
    let mut socket = zz.connect().await;
    admin.api.delete("/admin/api/v3/users/admin").await.failure(422, "validation_failed");
    admin.api.delete("/admin/api/v3/users/u-7").await.data();
    assert_eq!(socket.closed().await, Some(4001));
    zz.api.get("/api/v3/messages").await.failure(401, "unauthenticated");
    admin.get("users/u-7").await.failure(404, "not_found");
    assert!(!server.users().join("u-7").exists());
    assert_eq!(bob.list("").await["total"], 2, "what others got stays theirs");
    let storage = server.users().parent().unwrap().to_owned();
    let mut found = Vec::new();
    let mut folders = vec![storage];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                // What bob has is bob's.
                if path.file_name().unwrap() != "bob" {
                    folders.push(path);
                }
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in
                ["for secret eyes only", "zz@secret.example", "zz-secret-name", "their-secret-device"]
            {
                if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                    found.push((path.clone(), secret));
                }
            }
        }
    }
    assert_eq!(found, []);
    // Another one under the same id begins anew.
    let server = server.start_again().await;
    let admin = server.admin().await;
    admin.post("users", user).await.data();
    assert_eq!(admin.known("u-7", "d").list("").await["total"], 0);
    assert_eq!(bob.list("").await["total"], 2);
}
