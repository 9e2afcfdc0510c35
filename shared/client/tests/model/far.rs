//! A platform for tests: a server that answers from a script's state, and sockets that the test holds the
//! other end of. Time is tokio's, which the tests let stand still.

use futures_channel::mpsc;
use futures_util::StreamExt;
use hongyan_client::platform::{Call, NoReply, Platform, Reply, Session, Socket, SocketEvent, Speaker};
use hongyan_wire::Timestamp;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The server's end of a socket.
pub struct FarSocket {
    pub path: String,
    events: mpsc::Sender<SocketEvent>,
    said: mpsc::Receiver<String>,
}

impl FarSocket {
    pub fn send_text(&mut self, text: &str) {
        self.events.try_send(SocketEvent::Text(text.into())).unwrap();
    }

    pub fn open(&mut self) {
        self.events.try_send(SocketEvent::Opened).unwrap();
    }

    pub fn close(&mut self, code: u16) {
        self.events.try_send(SocketEvent::Closed(code)).unwrap();
    }

    /// The next frame of the client.
    pub async fn heard(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.said.next().await.unwrap()).unwrap()
    }
}

pub struct NearSocket {
    events: mpsc::Receiver<SocketEvent>,
    said: mpsc::Sender<String>,
}

impl Socket for NearSocket {
    fn speaker(&self) -> Speaker {
        let said = RefCell::new(self.said.clone());
        Box::new(move |text| said.borrow_mut().try_send(text.to_owned()).unwrap_or_default())
    }

    async fn next(&mut self) -> SocketEvent {
        self.events.next().await.unwrap_or(SocketEvent::Closed(1006))
    }
}

type Answerer = Box<dyn FnMut(&Call) -> Result<Reply, NoReply>>;

#[derive(Clone)]
pub struct Far {
    answer: Rc<RefCell<Answerer>>,
    sockets: mpsc::Sender<FarSocket>,
    pub calls: Rc<RefCell<VecDeque<Call>>>,
    session: Rc<RefCell<Session>>,
    /// The session that was left while the server did not hear it.
    pub left: Rc<RefCell<Option<String>>>,
}

impl Far {
    pub fn new(
        session: Session,
        answer: impl FnMut(&Call) -> Result<Reply, NoReply> + 'static,
    ) -> (Self, mpsc::Receiver<FarSocket>) {
        let (sockets, opened) = mpsc::channel(8);
        let far = Self {
            answer: Rc::new(RefCell::new(Box::new(answer))),
            sockets,
            calls: Rc::default(),
            session: Rc::new(RefCell::new(session)),
            left: Rc::default(),
        };
        (far, opened)
    }
}

impl Platform for Far {
    type Socket = NearSocket;

    fn now(&self) -> Timestamp {
        let since = tokio::time::Instant::now().duration_since(start());
        Timestamp::from_millis(1_800_000_000_000).plus_millis(since.as_millis() as i64)
    }

    async fn sleep(&self, millis: u32) {
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
    }

    async fn call(&self, call: Call) -> Result<Reply, NoReply> {
        self.calls.borrow_mut().push_back(call.clone());
        tokio::task::yield_now().await;
        (self.answer.borrow_mut())(&call)
    }

    fn open(&self, path: &str) -> Result<NearSocket, NoReply> {
        let (near_events, events) = mpsc::channel(64);
        let (said, far_said) = mpsc::channel(64);
        let far = FarSocket { path: path.into(), events: near_events, said: far_said };
        self.sockets.clone().try_send(far).map_err(|_| NoReply)?;
        Ok(NearSocket { events, said })
    }

    fn leaving(&self) -> Option<String> {
        self.left.borrow().clone()
    }

    fn keep_leaving(&self, session: Option<&str>) {
        *self.left.borrow_mut() = session.map(str::to_owned);
    }

    fn has_cookies(&self) -> bool {
        matches!(*self.session.borrow(), Session::Cookie)
    }

    fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    fn keep_session(&self, session: &Session) {
        *self.session.borrow_mut() = session.clone();
    }

    async fn alone<T>(&self, work: impl Future<Output = T>) -> T {
        work.await
    }
}

fn start() -> tokio::time::Instant {
    thread_local!(static START: tokio::time::Instant = tokio::time::Instant::now());
    START.with(|start| *start)
}
