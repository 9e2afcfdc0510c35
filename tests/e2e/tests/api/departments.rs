//! Departments as a tree; channels and departments with those who look after them.

use hongyan_harness::{Admin, Reply, Setup};
use reqwest::Method;
use serde_json::{Value, json};

async fn department(admin: &Admin, id: &str, parent: Option<&str>) -> Reply {
    let mut body = json!({ "id": id, "name": id.to_uppercase() });
    if let Some(parent) = parent {
        body["parent_id"] = parent.into();
    }
    admin.post("departments", body).await
}

async fn change(admin: &Admin, path: &str, body: Value) -> Reply {
    Reply::of(admin.api.request(Method::PUT, &format!("/admin/api/v3/{path}")).json(&body)).await
}

fn ids(list: &Value, what: &str) -> Vec<String> {
    list[what].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_message_to_a_department_reaches_those_below_it_as_the_tree_was_then() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    for (id, parent) in
        [("firm", None), ("sales", Some("firm")), ("north", Some("sales")), ("labs", Some("firm"))]
    {
        department(&admin, id, parent).await.data();
    }
    for (user, of) in [("ann", "north"), ("bob", "labs"), ("cid", "firm")] {
        let user = json!({ "id": user, "username": user, "name": user, "department_id": of });
        admin.post("users", user).await.data();
    }
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|id| admin.known(id, "d"));
    let sender = admin.sender("ci").await;
    let send = async |to: &str, title: &str| {
        let body = json!({ "title": title, "recipients": [to], "recipient_type": "department" });
        sender.send(body).await.data()["recipients"].as_u64().unwrap()
    };
    let mut online = ann.connect().await;
    assert_eq!(send("sales", "to sales").await, 1);
    assert_eq!(online.frame("message").await["title"], "to sales");
    assert_eq!(send("firm", "to all of us").await, 3);
    // North moves to the labs, with ann.
    let moved = change(&admin, "departments/north", json!({ "parent_id": "labs" })).await.data();
    assert_eq!((&moved["parent_id"], &moved["name"]), (&json!("labs"), &json!("NORTH")));
    assert_eq!(send("sales", "nobody").await, 0);
    assert_eq!(send("labs", "to the labs").await, 2);
    assert_eq!(online.frame("message").await["title"], "to all of us");
    assert_eq!(online.frame("message").await["title"], "to the labs");
    // Ann moves to sales herself; north goes, and what was in it is in the labs.
    change(&admin, "users/ann", json!({ "department_id": "sales" })).await.data();
    admin.api.put("/admin/api/v3/departments/north/members/cid").await.data();
    admin.api.delete("/admin/api/v3/departments/north").await.data();
    assert_eq!(admin.get("users/cid").await.data()["department_id"], "labs");
    assert_eq!(send("labs", "again").await, 2);
    admin.api.delete("/admin/api/v3/departments/labs/members/cid").await.data();
    assert_eq!(admin.get("users/cid").await.data()["department_id"], Value::Null);
    assert_eq!(send("firm", "the last").await, 2);
    assert_eq!(ann.titles("").await, ["the last", "to the labs", "to all of us", "to sales"]);
    assert_eq!(bob.titles("").await, ["the last", "again", "to the labs", "to all of us"]);
    assert_eq!(cid.titles("").await, ["again", "to all of us"]);
    let again = server.start_again().await;
    let ann = again.admin().await.known("ann", "other");
    assert_eq!(ann.titles("").await.len(), 4);
}

#[tokio::test]
async fn the_tree_is_made_changed_and_searched_and_stays_a_tree() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    department(&admin, "a", None).await.data();
    department(&admin, "b", Some("a")).await.data();
    let made = admin.post("departments", json!({ "name": "No id" })).await.data();
    assert!(made["id"].as_str().unwrap().starts_with("dep-"));
    assert_eq!(made["parent_id"], Value::Null);
    department(&admin, "a", None).await.failure(409, "already_exists");
    let refused = [
        (json!({ "name": "x", "parent_id": "nowhere" }), "parent_id"),
        (json!({ "name": "" }), "name"),
        (json!({ "id": "..", "name": "x" }), "id"),
        (json!({ "id": "x" }), "name"),
        (json!({ "name": "x", "members": [] }), "members"),
    ];
    for (body, field) in refused {
        assert_eq!(admin.post("departments", body).await.failure(422, "validation_failed"), [field]);
    }
    for parent in ["a", "b"] {
        let refused = change(&admin, "departments/a", json!({ "parent_id": parent })).await;
        assert_eq!(refused.failure(422, "validation_failed"), ["parent_id"]);
    }
    // Ten levels and no more, also when a branch is moved.
    for (n, level) in ('c'..='j').enumerate() {
        let parent = char::from(b'b' + n as u8).to_string();
        department(&admin, &level.to_string(), Some(&parent)).await.data();
    }
    department(&admin, "k", Some("j")).await.failure(422, "validation_failed");
    department(&admin, "top", None).await.data();
    change(&admin, "departments/a", json!({ "parent_id": "top" })).await.failure(422, "validation_failed");
    change(&admin, "departments/b", json!({ "parent_id": null })).await.data();
    change(&admin, "departments/a", json!({ "parent_id": "top", "name": "A" })).await.data();
    assert_eq!(ids(&admin.get("departments?parent_id=top").await.data(), "departments"), ["a"]);
    let roots = admin.get("departments?parent_id=").await.data();
    assert_eq!(ids(&roots, "departments"), ["b", made["id"].as_str().unwrap(), "top"]);
    assert_eq!(admin.get("departments?q=no%20id").await.data()["total"], 1);
    assert_eq!(admin.get("departments?size=5").await.data()["total"], 12);
    admin.api.delete("/admin/api/v3/departments/top").await.failure(422, "validation_failed");
    admin.api.delete("/admin/api/v3/departments/none").await.failure(404, "not_found");
    // One that a user brings along is made.
    let user = json!({ "id": "u", "username": "u", "name": "u", "department_id": "new" });
    admin.post("users", user).await.data();
    let new = admin.get("departments/new").await.data();
    assert_eq!(
        (&new["name"], &new["parent_id"], &new["member_count"]),
        (&json!("new"), &Value::Null, &json!(1))
    );
    assert_eq!(ids(&admin.get("departments/new/members").await.data(), "users"), ["u"]);
    let sender = admin.sender("ci").await;
    let to_none = json!({ "title": "t", "recipients": ["none"], "recipient_type": "department" });
    sender.send(to_none).await.failure(422, "validation_failed");
}

#[tokio::test]
async fn who_looks_after_a_channel_says_who_is_in_it() {
    let server = Setup::default().start().await;
    let admin = server.admin().await;
    let (ann, bob) = (admin.user("ann").await, admin.user("bob").await);
    let ops = json!({ "id": "ops", "name": "Ops", "kind": "private", "members": ["ann"] });
    admin.post("channels", ops).await.data();
    let (members, bobs) = ("/api/v3/channels/ops/members", "/api/v3/channels/ops/members/bob");
    for person in [&ann, &bob] {
        person.api.get(members).await.failure(404, "not_found");
        person.api.put(bobs).await.failure(404, "not_found");
    }
    admin.api.put("/admin/api/v3/channels/ops/owners/ann").await.data();
    admin.api.put("/admin/api/v3/channels/ops/owners/ann").await.data();
    assert_eq!(admin.get("channels/ops").await.data()["owners"], json!(["ann"]));
    assert_eq!(ann.api.get("/api/v3/channels").await.data()["channels"][0]["is_owner"], true);
    ann.api.put(bobs).await.data();
    let list = ann.api.get(members).await.data();
    assert_eq!(
        (ids(&list, "members"), &list["members"][0]["email"]),
        (vec!["ann".into(), "bob".into()], &Value::Null)
    );
    assert_eq!(bob.api.get("/api/v3/channels").await.data()["channels"][0]["is_owner"], false);
    let send = json!({ "title": "from ann", "channel_id": "ops", "recipients": ["ops"], "recipient_type": "channel" });
    ann.api.post("/api/v3/messages/send", &send).await.data();
    bob.api.post("/api/v3/messages/send", &send).await.failure(403, "permission_denied");
    assert_eq!(bob.titles("channel_id=ops").await, ["from ann"]);
    ann.api.delete(bobs).await.data();
    assert_eq!(admin.get("channels/ops").await.data()["member_count"], 1);
    ann.api.put("/api/v3/channels/ops/members/nobody").await.failure(404, "not_found");
    assert_eq!(admin.get("audit?actor=ann").await.data()["total"], 2);
    // Who is deleted looks after nothing, nor does anyone after what is deleted.
    admin.api.delete("/admin/api/v3/users/ann").await.data();
    assert_eq!(admin.get("channels/ops").await.data()["owners"], json!([]));
    admin.api.put("/admin/api/v3/channels/ops/owners/bob").await.data();
    admin.api.delete("/admin/api/v3/channels/ops").await.data();
    admin.post("channels", json!({ "id": "ops", "name": "Ops" })).await.data();
    bob.api.get(members).await.failure(404, "not_found");
    admin.api.put("/admin/api/v3/channels/ops/owners/nobody").await.failure(404, "not_found");
    admin.api.put("/admin/api/v3/channels/none/owners/bob").await.failure(404, "not_found");
}
