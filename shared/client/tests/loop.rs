//! The loop and the calls, against a server of the test's own: real JSON, a real order of things, no real time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

#[path = "model/far.rs"]
mod far;

use far::{Far, FarSocket};
use futures_channel::mpsc;
use futures_util::StreamExt;
use hongyan_client::api::Api;
use hongyan_client::engine::request::Input;
use hongyan_client::engine::{Engine, Setup, State};
use hongyan_client::mirror::Memory;
use hongyan_client::platform::{Body, Call, NoReply, Platform, Reply, Session};
use hongyan_client::run::{News, run};
use hongyan_wire::DeviceId;
use hongyan_wire::account::DeviceType;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

const CURSOR: &str = "h1.0000000000000001.10.0";

fn good(data: Value, meta: Value) -> Result<Reply, NoReply> {
    let body = json!({"code": 200, "message": "success", "data": data, "meta": meta}).to_string();
    Ok(Reply { status: 200, retry_after_ms: None, body })
}

fn bad(status: u16, error: &str) -> Result<Reply, NoReply> {
    let error = json!({"type": error});
    let body =
        json!({"code": status, "message": "no", "error": error, "meta": {"request_id": "r"}}).to_string();
    Ok(Reply { status, retry_after_ms: None, body })
}

fn tokens(refresh: Option<&str>, user: &str) -> Result<Reply, NoReply> {
    let user =
        json!({"id": user, "username": user, "name": "", "email": null, "department_id": null, "roles": []});
    let tokens = json!({
        "access_token": "access-next", "refresh_token": refresh, "token_type": "Bearer",
        "expires_in": 60, "session_id": "s", "device_id": "d", "user": user,
    });
    good(tokens, json!({}))
}

fn message(number: u64) -> Value {
    json!({
        "id": format!("msg-{number}"), "pos": number, "channel_id": null, "title": "t", "content": "c",
        "message_type": "text", "priority": 5, "sender": "x",
        "sender_info": {"id": "x", "type": "service", "name": "x", "avatar": ""},
        "created_at": "2027-01-15T08:00:00.000Z", "expire_at": null, "metadata": {}, "attachments": [],
        "actions": [], "is_read": false, "read_at": null, "version": 0,
    })
}

/// A server with one message, which can be read.
fn server(call: &Call) -> Result<Reply, NoReply> {
    match call.path.split('?').next().unwrap() {
        "/api/v3/auth/refresh" => tokens(Some("next"), "anna"),
        _ if call.bearer.as_deref() != Some("access-next") => bad(401, "unauthenticated"),
        "/api/v3/messages" => {
            let list = json!({"messages": [message(10)], "unread_count": 1, "total": 1});
            good(list, json!({"page": 1, "size": 50, "total_pages": 1, "cursor": CURSOR}))
        }
        "/api/v3/messages/unread-count" => {
            good(json!({"total": 1, "by_channel": {}}), json!({"cursor": CURSOR}))
        }
        "/api/v3/auth/ws-ticket" => good(json!({"ticket": "T-1", "expires_in": 30}), json!({})),
        "/api/v3/messages/msg-10/read" => {
            let at = "2027-01-15T08:00:01.000Z";
            let state = json!({"message_id": "msg-10", "is_read": true, "read_at": at, "version": 1, "unread_count": 0});
            good(state, json!({}))
        }
        path => panic!("{path} is not asked for"),
    }
}

fn old() -> Session {
    Session::Token("old".into())
}

struct Watched {
    inputs: mpsc::Sender<Input>,
    sockets: mpsc::Receiver<FarSocket>,
    far: Far,
    /// The state, the number of messages, and the unread total, after each change.
    seen: mpsc::Receiver<(State, usize, u64)>,
    announced: Rc<RefCell<Vec<String>>>,
    ended: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn start(session: Session, answer: impl FnMut(&Call) -> Result<Reply, NoReply> + 'static) -> Self {
        let (far, sockets) = Far::new(session, answer);
        let (inputs, receiver) = mpsc::channel(16);
        let (mut sender, seen) = mpsc::channel(1_000);
        let announced = Rc::new(RefCell::new(Vec::new()));
        let engine = Engine::new(Setup {
            device_id: DeviceId::new("window-1").unwrap(),
            device_type: DeviceType::Web,
            device_name: None,
            window: 100,
            page: 50,
            seed: 1,
        });
        let (platform, told) = (far.clone(), announced.clone());
        let ended = tokio::task::spawn_local(async move {
            let api = Api::new(platform);
            run(&api, engine, Memory::default(), receiver, |engine, news| match news {
                News::Changed(_) => {
                    sender
                        .try_send((engine.state(), engine.messages().len(), engine.unread().total))
                        .unwrap();
                }
                News::BackupJob(job) => panic!("{job:?}"),
                News::Notify(message) => told.borrow_mut().push(message.id.to_string()),
                News::NotKept(reason) => panic!("{reason}"),
            })
            .await;
        });
        Self { inputs, sockets, far, seen, announced, ended }
    }

    async fn until(&mut self, wanted: (State, usize, u64)) {
        while let Some(seen) = self.seen.next().await {
            if seen == wanted {
                return;
            }
        }
        panic!("{wanted:?} was never seen");
    }

    /// Accepts the next socket up to its welcome.
    async fn accept(&mut self, welcome_cursor: &str, unread: u64) -> (FarSocket, Value) {
        let mut socket = self.sockets.next().await.unwrap();
        assert_eq!(socket.path, "/ws?ticket=T-1");
        socket.open();
        let hello = socket.heard().await;
        assert_eq!(hello["type"], "hello");
        let welcome = json!({"type": "welcome", "data": {
            "session_id": "s", "device_id": "window-1", "server_time": "2027-01-15T08:00:00.000Z",
            "cursor": welcome_cursor, "unread_count": unread, "ping_interval": 30,
        }});
        socket.send_text(&welcome.to_string());
        assert_eq!(socket.heard().await["type"], "ping");
        socket.send_text(r#"{"type":"pong"}"#);
        (socket, hello)
    }
}

async fn local(test: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_kept_session_comes_online_hears_news_and_reads() {
    local(async {
        let mut watched = Watched::start(old(), server);
        let (mut socket, hello) = watched.accept(CURSOR, 1).await;
        assert_eq!(hello["data"]["cursor"], CURSOR);
        assert_eq!(hello["data"]["device_id"], "window-1");
        watched.until((State::Online, 1, 1)).await;

        socket.send_text(r#"{"type":"something_new","data":{"x":1}}"#);
        socket.send_text(&json!({"type": "message", "data": message(12)}).to_string());
        watched.until((State::Online, 2, 2)).await;
        assert_eq!(*watched.announced.borrow(), ["msg-12"]);

        let id = hongyan_wire::MessageId::new("msg-10").unwrap();
        watched.inputs.try_send(Input::Read(vec![id])).unwrap();
        watched.until((State::Online, 2, 1)).await;
        let asked = watched.far.calls.borrow().iter().filter(|call| call.path.ends_with("/read")).count();
        assert_eq!(asked, 1);

        socket.send_text(r#"{"type":"ping"}"#);
        assert_eq!(socket.heard().await["type"], "pong");
        assert_eq!(watched.far.session(), Session::Token("next".into()));
        watched.inputs.try_send(Input::Stop).unwrap();
        watched.ended.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_restarting_server_and_a_silent_one_are_come_back_to() {
    local(async {
        let mut watched = Watched::start(old(), server);
        let (mut socket, _) = watched.accept(CURSOR, 1).await;
        watched.until((State::Online, 1, 1)).await;
        socket.send_text(&json!({"type": "message", "data": message(12)}).to_string());
        watched.until((State::Online, 2, 2)).await;
        socket.close(1012);
        let (_silent, hello) = watched.accept("h1.0000000000000001.12.0", 2).await;
        assert_eq!(
            hello["data"]["cursor"], "h1.0000000000000001.12.0",
            "goes on from the last message heard"
        );
        watched.until((State::Online, 2, 2)).await;
        // Two intervals without a word, and the connection counts as lost.
        watched.accept("h1.0000000000000001.12.0", 2).await;
        watched.until((State::Online, 2, 2)).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn replaced_by_the_same_device_it_stays_away_until_asked() {
    local(async {
        let mut watched = Watched::start(old(), server);
        let (mut socket, _) = watched.accept(CURSOR, 1).await;
        watched.until((State::Online, 1, 1)).await;
        socket.close(4009);
        watched.until((State::Replaced, 1, 1)).await;
        tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
        assert!(watched.sockets.try_recv().is_err());
        watched.inputs.try_send(Input::Reconnect).unwrap();
        watched.accept(CURSOR, 1).await;
        watched.until((State::Online, 1, 1)).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_page_goes_on_with_a_session_whose_token_it_never_sees() {
    local(async {
        let mut watched = Watched::start(Session::Cookie, |call| match call.path.as_str() {
            "/api/v3/auth/refresh" => {
                assert_eq!(call.body, Some(Body::Json("{}".into())));
                tokens(None, "anna")
            }
            _ => server(call),
        });
        watched.accept(CURSOR, 1).await;
        watched.until((State::Online, 1, 1)).await;
        assert_eq!(watched.far.session(), Session::Cookie);
        let refreshes =
            watched.far.calls.borrow().iter().filter(|call| call.path.ends_with("/refresh")).count();
        assert_eq!(refreshes, 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_session_that_is_over_ends_the_loop_and_forgets_its_token() {
    local(async {
        let watched = Watched::start(old(), |_| bad(401, "unauthenticated"));
        watched.ended.await.unwrap();
        assert_eq!(watched.far.session(), Session::None);
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn twenty_calls_that_find_the_token_too_old_renew_it_once() {
    local(async {
        let (far, _sockets) = Far::new(Session::Cookie, server);
        let api = Api::new(far.clone());
        let all = (0..20).map(|_| api.list(""));
        for list in futures_util::future::join_all(all).await {
            assert_eq!(list.unwrap().total, 1);
        }
        let refreshes = || far.calls.borrow().iter().filter(|call| call.path.ends_with("/refresh")).count();
        assert_eq!(refreshes(), 1);
        api.list("").await.unwrap();
        assert_eq!(refreshes(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_has_signed_out_unheard_stays_so_and_whoever_comes_after_is_let_in() {
    local(async {
        for (left, logs_out, comes_in) in [("s", true, false), ("", true, false), ("another", false, true)] {
            let (far, _sockets) = Far::new(Session::Cookie, |call| match call.path.as_str() {
                "/api/v3/auth/refresh" => tokens(None, "anna"),
                "/api/v3/auth/logout" => good(json!({}), json!({})),
                _ => server(call),
            });
            *far.left.borrow_mut() = Some(left.to_owned());
            let api = Api::new(far.clone());
            assert_eq!(api.resume().await, comes_in, "{left}");
            let told = far.calls.borrow().iter().any(|call| call.path.ends_with("/logout"));
            assert_eq!((told, far.left.borrow().clone()), (logs_out, None), "{left}");
        }
        // Not reached, nobody is in, and it is told another time; also where something else answers for the server.
        for answer in [Err(NoReply), bad(404, "not_found")] {
            let (far, _sockets) = Far::new(Session::Cookie, move |call| match call.path.as_str() {
                "/api/v3/auth/refresh" if answer.is_ok() => tokens(None, "anna"),
                _ => answer.clone(),
            });
            *far.left.borrow_mut() = Some("s".to_owned());
            assert!(!Api::new(far.clone()).resume().await);
            assert_eq!(far.left.borrow().as_deref(), Some("s"));
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_signs_out_while_tokens_are_renewed_is_signed_out() {
    local(async {
        let (far, _sockets) = Far::new(Session::Cookie, |call| match call.path.as_str() {
            "/api/v3/auth/refresh" => tokens(None, "anna"),
            "/api/v3/auth/logout" => good(json!({}), json!({})),
            _ => server(call),
        });
        let api = Api::new(far.clone());
        let (list, ()) = futures_util::future::join(api.list(""), async { api.leave().await }).await;
        assert!(list.is_err());
        assert_eq!((far.session(), api.profile()), (Session::None, None));
    })
    .await;
}
