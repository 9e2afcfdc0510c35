//! The one loop: waits for whatever happens first, tells the engine, and does what it says.
//!
//! What always holds: the engine is told of one thing at a time; each request is answered to it exactly once;
//! there is one socket and one timer.

use crate::api::Api;
use crate::engine::Engine;
use crate::engine::request::{Changed, Effect, Input, SocketId};
use crate::mirror::Mirror;
use crate::platform::{Platform, Socket as _, Speaker};
use crate::socket::{self, Event};
use futures_channel::mpsc;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use hongyan_wire::backup::BackupJob;
use hongyan_wire::frame::close;
use hongyan_wire::message::Message;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// What those who look on are told; the engine itself is there to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Changed(Changed),
    Notify(Arc<Message>),
    BackupJob(Box<BackupJob>),
    /// What is known could not be kept; it will be fetched again next time.
    NotKept(String),
}

/// What the loop waits for.
enum Happened<S> {
    Input(Input),
    /// On the socket, which is given back to be listened to again.
    Socket(SocketId, S, Event),
    Time,
    /// Nobody has anything to tell us any more.
    Over,
}

struct Loop<'a, P: Platform, M> {
    api: &'a Api<P>,
    mirror: M,
    calls: FuturesUnordered<LocalBoxFuture<'a, Input>>,
    listening: Option<LocalBoxFuture<'a, Happened<P::Socket>>>,
    speaker: Option<Speaker>,
    timer: Option<LocalBoxFuture<'a, ()>>,
}

/// Runs until the person is signed out. `inputs` is what the person and the system do; when its other end
/// is gone, the loop ends.
pub async fn run<P, M>(
    api: &Api<P>,
    mut engine: Engine,
    mut mirror: M,
    mut inputs: mpsc::Receiver<Input>,
    mut watch: impl FnMut(&Engine, News),
) where
    P: Platform,
    M: Mirror,
{
    let kept = mirror.load().unwrap_or_else(|error| {
        watch(&engine, News::NotKept(error.to_string()));
        None
    });
    let mut at =
        Loop { api, mirror, calls: FuturesUnordered::new(), listening: None, speaker: None, timer: None };
    let mut input = Input::Start(kept.map(Box::new));
    loop {
        for effect in engine.handle(api.platform().now(), input) {
            match effect {
                Effect::SignedOut => return,
                Effect::Changed(changed) => watch(&engine, News::Changed(changed)),
                Effect::Notify(message) => watch(&engine, News::Notify(message)),
                Effect::BackupJob(job) => watch(&engine, News::BackupJob(job)),
                Effect::Keep(writes) => {
                    if let Err(error) = at.mirror.write(&writes) {
                        watch(&engine, News::NotKept(error.to_string()));
                    }
                }
                effect => at.perform(effect),
            }
        }
        input = match at.next(&mut inputs).await {
            Happened::Input(input) => input,
            Happened::Time => Input::Tick,
            Happened::Socket(id, socket, Event::Opened) => {
                at.speaker = Some(socket.speaker());
                at.listen(id, socket);
                Input::SocketOpened(id)
            }
            Happened::Socket(id, socket, Event::Frame(frame)) => {
                at.listen(id, socket);
                Input::Frame(id, frame)
            }
            Happened::Socket(id, _, Event::Closed(code)) => {
                at.speaker = None;
                Input::SocketClosed(id, code)
            }
            Happened::Over => return,
        };
    }
}

impl<'a, P: Platform, M> Loop<'a, P, M> {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Request(id, request) => {
                let api = self.api;
                self.calls.push(Box::pin(async move { Input::Answer(id, api.perform(request).await) }));
            }
            Effect::OpenSocket(id, ticket) => match socket::open(self.api.platform(), &ticket) {
                Ok(socket) => self.listen(id, socket),
                Err(_) => {
                    self.listening = None;
                    self.calls.push(Box::pin(async move { Input::SocketClosed(id, close::POLICY) }));
                }
            },
            Effect::Send(frame) => {
                if let Some(speaker) = &self.speaker {
                    socket::say(speaker, &frame);
                }
            }
            // Letting go of a socket closes it.
            Effect::CloseSocket => (self.listening, self.speaker) = (None, None),
            Effect::WakeAt(at) => {
                let platform = self.api.platform();
                let wait = at.millis().saturating_sub(platform.now().millis()).max(0);
                // Early is harmless: the engine asks again.
                let wait = u32::try_from(wait).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs());
                self.timer = Some(Box::pin(platform.sleep(wait)));
            }
            Effect::Keep(_)
            | Effect::Changed(_)
            | Effect::Notify(_)
            | Effect::BackupJob(_)
            | Effect::SignedOut => {}
        }
    }

    fn listen(&mut self, id: SocketId, mut socket: P::Socket) {
        self.listening = Some(Box::pin(async move {
            let event = socket::next(&mut socket).await;
            Happened::Socket(id, socket, event)
        }));
    }

    /// Whatever happens first. What the person does comes first, so that no flood of frames delays it.
    async fn next(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Happened<P::Socket> {
        poll_fn(|cx| {
            match inputs.poll_next_unpin(cx) {
                Poll::Ready(Some(input)) => return Poll::Ready(Happened::Input(input)),
                Poll::Ready(None) => return Poll::Ready(Happened::Over),
                Poll::Pending => {}
            }
            if let Poll::Ready(Some(input)) = self.calls.poll_next_unpin(cx) {
                return Poll::Ready(Happened::Input(input));
            }
            if let Some(listening) = &mut self.listening
                && let Poll::Ready(happened) = listening.as_mut().poll(cx)
            {
                self.listening = None;
                return Poll::Ready(happened);
            }
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_ready()
            {
                self.timer = None;
                return Poll::Ready(Happened::Time);
            }
            Poll::Pending
        })
        .await
    }
}
