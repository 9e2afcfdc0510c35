//! A browser: fetch, WebSocket, timers, local storage and locks.

use super::{
    Body, CALL_TIMEOUT_MS, Call, Method, NoReply, Platform, Reply, SOCKET_QUEUE, Session, Socket,
    SocketEvent, Speaker,
};
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use hongyan_wire::Timestamp;
use js_sys::{Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, CloseEvent, Headers, MessageEvent, RequestInit, Response, WebSocket, Window};

/// In the storage of the browser, while the server has not heard that somebody signed out.
const LEAVING: &str = "hongyan.leaving";
/// The lock under which tokens are renewed.
const REFRESH_LOCK: &str = "hongyan.refresh";
/// Where the name of this window is kept.
const WINDOW_KEY: &str = "hongyan.window";
/// What a socket that ends without a word ends with (RFC 6455).
const ABNORMAL: u16 = 1006;

/// The page's own window.
#[derive(Clone)]
pub struct Browser {
    window: Window,
    /// Nobody is signed in, as the server has said. Before it is asked nobody here can tell: the cookie is out of reach.
    nobody: Rc<Cell<bool>>,
}

impl Browser {
    /// `None` where there is no window, as in a worker.
    pub fn new() -> Option<Self> {
        web_sys::window().map(|window| Self { window, nobody: Rc::default() })
    }

    /// A name for this window that no other has, and that a reload keeps. A window that was duplicated has
    /// the other's storage, but cannot have its lock.
    pub async fn window_name(&self) -> String {
        let storage = self.window.session_storage().ok().flatten();
        let kept = storage.as_ref().and_then(|storage| storage.get_item(WINDOW_KEY).ok().flatten());
        if let Some(kept) = kept.filter(|name| hongyan_wire::ids::check(name).is_ok())
            && self.hold(&format!("{WINDOW_KEY}.{kept}")).await
        {
            return kept;
        }
        let name = format!("web-{:016x}", self.random());
        if let Some(storage) = storage {
            // A name that is not kept only costs a new one after a reload.
            let _ = storage.set_item(WINDOW_KEY, &name);
        }
        self.hold(&format!("{WINDOW_KEY}.{name}")).await;
        name
    }

    pub fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        match self.window.crypto().and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes)) {
            Ok(_) => u64::from_le_bytes(bytes),
            Err(_) => js_sys::Math::random().to_bits() ^ js_sys::Date::now().to_bits(),
        }
    }

    /// The browser's locks; pages that came over plain HTTP have none.
    fn locks(&self) -> Option<JsValue> {
        let locks = Reflect::get(&self.window.navigator(), &"locks".into()).ok()?;
        locks.is_object().then_some(locks)
    }

    /// Holds a lock for as long as the window lives; false when another window has it.
    async fn hold(&self, name: &str) -> bool {
        match self.locks() {
            Some(locks) => match lock(&locks, name, true).await {
                Some(held) => {
                    std::mem::forget(held);
                    true
                }
                None => false,
            },
            None => true,
        }
    }
}

impl Platform for Browser {
    type Socket = BrowserSocket;

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(js_sys::Date::now() as i64)
    }

    async fn sleep(&self, millis: u32) {
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        let promise = Promise::new(&mut |resolve, _| {
            // A timer that cannot be set is one that is over.
            if self.window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis).is_err() {
                let _ = resolve.call0(&JsValue::UNDEFINED);
            }
        });
        let _ = JsFuture::from(promise).await;
    }

    async fn call(&self, call: Call) -> Result<Reply, NoReply> {
        let abort = AbortController::new().map_err(|_| NoReply)?;
        let reply = self.fetch(&call, &abort);
        let timeout = self.sleep(CALL_TIMEOUT_MS);
        futures_util::pin_mut!(reply, timeout);
        match futures_util::future::select(reply, timeout).await {
            futures_util::future::Either::Left((reply, _)) => reply.map_err(|_| NoReply),
            futures_util::future::Either::Right(_) => {
                abort.abort();
                Err(NoReply)
            }
        }
    }

    fn open(&self, path: &str) -> Result<BrowserSocket, NoReply> {
        let location = self.window.location();
        let (protocol, host) = (location.protocol(), location.host());
        let (Ok(protocol), Ok(host)) = (protocol, host) else { return Err(NoReply) };
        let scheme = if protocol == "https:" { "wss" } else { "ws" };
        BrowserSocket::open(&format!("{scheme}://{host}{path}")).map_err(|_| NoReply)
    }

    fn has_cookies(&self) -> bool {
        true
    }

    fn session(&self) -> Session {
        if self.nobody.get() { Session::None } else { Session::Cookie }
    }

    fn keep_session(&self, session: &Session) {
        self.nobody.set(*session == Session::None);
    }

    fn leaving(&self) -> Option<String> {
        self.storage().and_then(|storage| storage.get_item(LEAVING).ok()?)
    }

    fn keep_leaving(&self, session: Option<&str>) {
        // Without a storage the session ends when its cookie does.
        let Some(storage) = self.storage() else { return };
        let _ = match session {
            Some(session) => storage.set_item(LEAVING, session),
            None => storage.remove_item(LEAVING),
        };
    }

    async fn alone<T>(&self, work: impl Future<Output = T>) -> T {
        let _held = match self.locks() {
            Some(locks) => lock(&locks, REFRESH_LOCK, false).await,
            None => None,
        };
        work.await
    }
}

impl Browser {
    fn storage(&self) -> Option<web_sys::Storage> {
        self.window.local_storage().ok()?
    }

    async fn fetch(&self, call: &Call, abort: &AbortController) -> Result<Reply, JsValue> {
        let headers = Headers::new()?;
        headers.set("accept", "application/json")?;
        // What a form on a foreign page cannot send: cookies count only with it.
        headers.set("x-requested-with", "hongyan")?;
        if let Some(bearer) = &call.bearer {
            headers.set("authorization", &format!("Bearer {bearer}"))?;
        }
        let init = RequestInit::new();
        init.set_method(match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        });
        match &call.body {
            Some(Body::Json(text)) => {
                headers.set("content-type", "application/json")?;
                init.set_body(&text.into());
            }
            Some(Body::File { kind, bytes }) => {
                headers.set("content-type", kind)?;
                init.set_body(&js_sys::Uint8Array::from(bytes.as_slice()).into());
            }
            None => {}
        }
        init.set_headers(&headers);
        init.set_signal(Some(&abort.signal()));
        let response = JsFuture::from(self.window.fetch_with_str_and_init(&call.path, &init)).await?;
        let response: Response = response.dyn_into()?;
        let retry_after = response.headers().get("retry-after")?.and_then(|text| text.parse::<i64>().ok());
        let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
        let retry_after_ms = retry_after.map(|seconds| seconds.saturating_mul(1_000));
        Ok(Reply { status: response.status(), retry_after_ms, body })
    }
}

/// A lock that is held until this is dropped.
struct Held {
    release: Function,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

/// Asks for a lock; `None` when it cannot be had.
async fn lock(locks: &JsValue, name: &str, only_if_free: bool) -> Option<Held> {
    let request: Function = Reflect::get(locks, &"request".into()).ok()?.dyn_into().ok()?;
    let (granted, answer) = oneshot::channel();
    let mut release = None;
    let held = Promise::new(&mut |resolve, _| release = Some(resolve));
    let held_until = Held { release: release? };
    let granted = Closure::once_into_js(move |lock: JsValue| -> JsValue {
        let is_granted = lock.is_object();
        let _ = granted.send(is_granted);
        if is_granted { held.into() } else { JsValue::UNDEFINED }
    });
    let options = js_sys::Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &only_if_free.into()).ok()?;
    let asked = request.call3(locks, &name.into(), &options, &granted).ok()?;
    // Its end is ours to bring about; that it may fail before is seen by `answer`.
    drop(asked);
    answer.await.ok().filter(|is_granted| *is_granted).map(|_| held_until)
}

/// The browser's socket, with its events in a bounded queue.
pub struct BrowserSocket {
    socket: WebSocket,
    events: mpsc::Receiver<SocketEvent>,
    closed: Rc<RefCell<Option<u16>>>,
    _opened: Closure<dyn FnMut()>,
    _text: Closure<dyn FnMut(MessageEvent)>,
    _ended: Closure<dyn FnMut(CloseEvent)>,
}

impl BrowserSocket {
    fn open(url: &str) -> Result<Self, JsValue> {
        let socket = WebSocket::new(url)?;
        let (sender, events) = mpsc::channel(SOCKET_QUEUE);
        let sender = Rc::new(RefCell::new(Some(sender)));
        let closed = Rc::new(RefCell::new(None));
        let put = {
            let (sender, closed, socket) = (sender.clone(), closed.clone(), socket.clone());
            move |event| {
                let full = sender.borrow_mut().as_mut().is_some_and(|sender| sender.try_send(event).is_err());
                if full {
                    // Ending the queue ends the socket for its reader, after what is in it.
                    sender.borrow_mut().take();
                    closed.borrow_mut().get_or_insert(ABNORMAL);
                    let _ = socket.close();
                }
            }
        };
        let opened = {
            let put = put.clone();
            Closure::<dyn FnMut()>::new(move || put(SocketEvent::Opened))
        };
        let text = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string() {
                put(SocketEvent::Text(text));
            }
        });
        let ended = {
            let closed = closed.clone();
            Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
                closed.borrow_mut().get_or_insert(event.code());
                sender.borrow_mut().take();
            })
        };
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(text.as_ref().unchecked_ref()));
        socket.set_onclose(Some(ended.as_ref().unchecked_ref()));
        Ok(Self { socket, events, closed, _opened: opened, _text: text, _ended: ended })
    }
}

impl Socket for BrowserSocket {
    fn speaker(&self) -> Speaker {
        let socket = self.socket.clone();
        Box::new(move |text| {
            if socket.ready_state() == WebSocket::OPEN {
                // If it fails, the close that follows says so.
                let _ = socket.send_with_str(text);
            }
        })
    }

    async fn next(&mut self) -> SocketEvent {
        match self.events.next().await {
            Some(event) => event,
            None => SocketEvent::Closed(self.closed.borrow().unwrap_or(ABNORMAL)),
        }
    }
}

impl Drop for BrowserSocket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}
