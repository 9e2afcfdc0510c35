//! The link between the page and the sync engine: starts and ends the loop, passes on what the person does,
//! and puts what the engine knows into the page's state.

pub mod browser;
pub mod notify;
mod others;
pub mod passkeys;
mod upload;

use crate::state::{Beyond, Filter, More, PageState, Single};
use futures_channel::{mpsc, oneshot};
use hongyan_client::api::{Api, ApiError};
use hongyan_client::engine::request::{Input, Request};
use hongyan_client::engine::{Engine, Setup, Shown, State as Connection};
use hongyan_client::mirror::Memory;
use hongyan_client::platform::{Body, Browser, Method, Platform, Session};
use hongyan_client::run::{News, run};
use hongyan_wire::account::{DeviceInfo, DeviceType, LoginRequest};
use hongyan_wire::backup::BackupRequest;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::{PasskeyAnswer, PasskeyLogin, Profile};
use hongyan_wire::{ChannelId, DeviceId, MessageId};
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen_futures::spawn_local;

/// What the person has done and the loop has not taken in yet.
const INPUTS: usize = 256;
/// Messages held by the page.
const WINDOW: usize = 1_000;
const PAGE: u32 = 50;
/// Messages fetched beyond those.
const BEYOND_MAX: usize = 2_000;
/// Not more often than this, when messages name channels that are not known here.
const CHANNELS_PAUSE_MS: i64 = 10_000;

/// A handle on the one link of the page.
#[derive(Clone, Copy)]
pub struct Link(StoredValue<Rc<Inner>, LocalStorage>);

struct Inner {
    state: PageState,
    api: Api<Browser>,
    inputs: RefCell<Option<mpsc::Sender<Input>>>,
    /// The person has asked to be signed out.
    leaving: Cell<bool>,
    /// The page that is open is to be shown again to whoever signs in next.
    staying: Cell<bool>,
    channels_asked: Cell<i64>,
    /// They will be asked for, or are being asked for.
    channels_awaited: Cell<bool>,
    /// All who wait for the person to show who they are.
    confirming: RefCell<Vec<oneshot::Sender<bool>>>,
}

impl Link {
    pub fn new(state: PageState) -> Option<Self> {
        let inner = Inner {
            state,
            api: Api::new(Browser::new()?),
            inputs: RefCell::new(None),
            leaving: Cell::new(false),
            staying: Cell::new(false),
            channels_asked: Cell::new(0),
            channels_awaited: Cell::new(false),
            confirming: RefCell::default(),
        };
        Some(Self(StoredValue::new_local(Rc::new(inner))))
    }

    fn inner(self) -> Rc<Inner> {
        self.0.get_value()
    }

    /// Goes on with the session that this browser has, if it has one.
    pub fn resume(self) {
        let inner = self.inner();
        if inner.inputs.borrow().is_some() {
            return;
        }
        inner.api.platform().keep_session(&Session::Cookie);
        spawn_local(async move {
            let is_there = inner.api.resume().await;
            inner.state.is_asking.set(false);
            if is_there && inner.inputs.borrow().is_none() {
                inner.start();
            }
        });
    }

    /// The same, once someone has signed in in another window.
    pub fn resume_after_sign_in(self) {
        browser::forget_refusal(self.inner().state);
        self.resume();
    }

    pub async fn sign_in(self, username: &str, password: &str, otp: Option<String>) -> Result<(), ApiError> {
        let inner = self.inner();
        let request = LoginRequest {
            username: username.into(),
            password: password.into(),
            otp,
            device: Some(self.device()),
            cookie: false,
        };
        inner.api.login(request).await?;
        inner.signed_in();
        Ok(())
    }

    /// Signs in with a passkey that the browser has shown.
    pub async fn sign_in_by_passkey(self, answer: PasskeyAnswer) -> Result<(), ApiError> {
        let inner = self.inner();
        let PasskeyAnswer { challenge_id, credential } = answer;
        let login = PasskeyLogin { challenge_id, credential, device: Some(self.device()), cookie: true };
        inner.api.sign_in("/api/v3/auth/passkey/login", &login).await?;
        inner.signed_in();
        Ok(())
    }

    /// The session is shared by all windows of this browser; each window names itself to the socket. So a window hears
    /// of what another one does, and none replaces another.
    fn device(self) -> DeviceInfo {
        DeviceInfo { id: None, name: browser::device_name(), device_type: DeviceType::Web }
    }

    pub fn sign_out(self) {
        let inner = self.inner();
        inner.leaving.set(true);
        spawn_local(async move {
            let told = inner.api.leave();
            inner.tell(Input::Stop);
            // At once: by the time the server has answered, someone may have signed in again.
            others::tell_signed_out();
            told.await;
        });
    }

    /// Signs out, and stays on the page: someone else is to sign in for it.
    pub fn sign_out_here(self) {
        self.inner().staying.set(true);
        self.sign_out();
    }

    /// The person has signed out in another window.
    pub fn signed_out_elsewhere(self) {
        let inner = self.inner();
        inner.leaving.set(true);
        inner.api.forget();
        inner.tell(Input::Stop);
    }

    /// Calls without saying who calls.
    pub async fn call_open<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        self.inner().api.call_open(method, path, body).await
    }

    /// Calls for the person. Where it takes someone who has just signed in, they are asked to show it, and it goes on.
    pub async fn call<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        let inner = self.inner();
        match inner.api.call(method, path, body.clone()).await {
            Err(ApiError::Refused(ErrorType::RecentSignInRequired)) if inner.confirm().await => {
                inner.api.call(method, path, body).await
            }
            called => called,
        }
    }

    /// Calls for the person and asks for nothing else.
    pub async fn call_once<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<T, ApiError> {
        self.inner().api.call_once(method, path, body).await
    }

    /// The person has shown once more who they are, or does not want to.
    pub fn confirmed(self, yes: bool) {
        self.inner().confirmed(yes);
    }

    /// The person has changed what is said of them.
    pub fn set_profile(self, profile: Profile) {
        let inner = self.inner();
        inner.api.keep_profile(profile.clone());
        inner.state.profile.set(Some(profile));
    }

    /// Presses an action of a message. What counts then comes with the live changes.
    pub async fn press(self, id: &MessageId, action: &str) -> Result<(), ApiError> {
        let inner = self.inner();
        let pressed = match inner.api.press(id, action).await {
            Err(ApiError::Refused(ErrorType::Unauthenticated)) => {
                // The token was too old: once more with another.
                let _ = inner.api.perform(Request::Refresh).await;
                inner.api.press(id, action).await
            }
            pressed => pressed,
        };
        if pressed.is_ok() && !inner.state.is_held(id) {
            // Nothing live tells of it.
            inner.look_up(id.clone()).await;
        }
        pressed.map(drop)
    }

    /// Has a backup made in the background; how it gets on is seen in the state. Gives its id.
    pub async fn create_job(self, request: &BackupRequest) -> Result<String, ApiError> {
        let inner = self.inner();
        let job = inner.api.create_job(request).await?;
        let id = job.id.clone();
        // By now the socket may have told more.
        if inner.state.jobs.with_untracked(|jobs| jobs.iter().all(|known| known.id != id)) {
            inner.state.take_job(job);
        }
        Ok(id)
    }

    /// Looks up how the person's backups in the background stand.
    pub async fn look_at_jobs(self) -> Result<(), ApiError> {
        let inner = self.inner();
        let list = inner.api.jobs().await?;
        if inner.inputs.borrow().is_some() {
            list.jobs.into_iter().for_each(|job| inner.state.take_job(job));
        }
        Ok(())
    }

    /// Cancels a backup that waits or is being made.
    pub async fn cancel_job(self, id: &str) -> Result<(), ApiError> {
        let inner = self.inner();
        inner.api.cancel_job(id).await?;
        // Where it had ended already, it is off the list now.
        if let Ok(job) = inner.api.job(id).await {
            inner.state.take_job(job);
        }
        Ok(())
    }

    /// Marks a message read, or takes it back, wherever it is.
    pub fn mark(self, id: MessageId, is_read: bool) {
        let inner = self.inner();
        inner.state.mark_beyond(&id, is_read);
        inner.tell(if is_read { Input::Read(vec![id]) } else { Input::Unread(id) });
    }

    /// Fetches a message that is open and not held here.
    pub fn look_up(self, id: MessageId) {
        let inner = self.inner();
        let single = inner.state.single;
        let is_known = single.with_untracked(|single| match single {
            Single::None => false,
            Single::Loading(known) | Single::Missing(known) => *known == id,
            Single::Found(shown) => shown.message.id == id,
        });
        if !is_known {
            single.set(Single::Loading(id.clone()));
            spawn_local(async move { inner.look_up(id).await });
        }
    }

    /// Fetches the next older messages of what is looked at, beyond those that are held here.
    pub fn load_beyond(self) {
        let inner = self.inner();
        spawn_local(async move { inner.load_beyond().await });
    }

    /// Passes on what the person or the browser does. Where nobody is signed in, nobody needs to know.
    pub fn tell(self, input: Input) {
        self.inner().tell(input);
    }
}

impl Inner {
    fn signed_in(self: &Rc<Self>) {
        browser::forget_refusal(self.state);
        self.start();
        others::tell_signed_in();
    }

    async fn confirm(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.confirming.borrow_mut().push(sender);
        self.state.is_confirming.set(true);
        receiver.await.unwrap_or(false)
    }

    fn confirmed(&self, yes: bool) {
        self.state.is_confirming.set(false);
        for waiting in self.confirming.take() {
            let _ = waiting.send(yes);
        }
    }

    fn tell(&self, input: Input) {
        if let Some(inputs) = self.inputs.borrow_mut().as_mut() {
            // Full only if the loop hangs; then one more click is no use either.
            let _ = inputs.try_send(input);
        }
    }

    fn start(self: &Rc<Self>) {
        if self.inputs.borrow().is_some() {
            // Another window was faster.
            return;
        }
        let (sender, inputs) = mpsc::channel(INPUTS);
        *self.inputs.borrow_mut() = Some(sender);
        self.leaving.set(false);
        self.channels_asked.set(0);
        self.state.signed_in.set(true);
        self.state.profile.set(self.api.profile());
        self.state.connection.set(Connection::Connecting);
        let this = self.clone();
        spawn_local(async move { this.follow(inputs).await });
    }

    /// Runs the loop until nobody is signed in any more.
    async fn follow(self: Rc<Self>, inputs: mpsc::Receiver<Input>) {
        let browser = self.api.platform();
        let name = browser.window_name().await;
        let Ok(device_id) = DeviceId::new(&name) else { return self.state.forget() };
        let engine = Engine::new(Setup {
            device_id,
            device_type: DeviceType::Web,
            device_name: browser::device_name(),
            window: WINDOW,
            page: PAGE,
            seed: browser.random(),
        });
        let watching = self.clone();
        run(&self.api, engine, Memory::default(), inputs, move |engine, news| watching.watch(engine, news))
            .await;

        *self.inputs.borrow_mut() = None;
        self.confirmed(false);
        self.state.forget();
        // What is open is nobody else's; another page asks who it is for.
        if !self.staying.replace(false)
            && (self.leaving.get() || self.state.open.with_untracked(Option::is_some))
        {
            browser::open(None);
        }
        // Another person has signed in, in another window of this browser: now it is their inbox.
        if !self.leaving.get() && self.api.has_session() {
            self.start();
        }
    }

    fn watch(self: &Rc<Self>, engine: &Engine, news: News) {
        match news {
            News::Changed(changed) => {
                self.state.update(engine, changed);
                if let Some(successor) = self.state.successor_of_opened() {
                    browser::open(Some(&successor));
                }
                if changed.connection && engine.state() == Connection::Online {
                    self.state.profile.set(self.api.profile());
                    self.fetch_channels();
                } else if changed.inbox && self.names_unknown_channel() {
                    self.fetch_channels();
                }
            }
            News::Notify(message) => notify::show(&message),
            News::BackupJob(job) => self.state.take_job(*job),
            News::NotKept(reason) => leptos::logging::warn!("not kept: {reason}"),
        }
    }

    async fn look_up(&self, id: MessageId) {
        let found = self.api.message(&id).await;
        if self.inputs.borrow().is_none() {
            return;
        }
        let Ok(message) = found else { return self.state.single.set(Single::Missing(id)) };
        let shown = Shown { is_read: message.is_read, message: Arc::new(message) };
        self.state.beyond.update(|beyond| {
            if let Some(known) = beyond.messages.iter_mut().find(|known| known.message.id == id) {
                *known = shown.clone();
            }
        });
        self.state.single.set(Single::Found(shown));
    }

    async fn load_beyond(&self) {
        let state = self.state;
        let filter = state.filter.get_untracked();
        let mut beyond = state.beyond.get_untracked();
        if beyond.filter != filter {
            beyond = Beyond { filter: filter.clone(), ..Beyond::default() };
        }
        if beyond.more == More::Loading {
            return;
        }
        if beyond.from.is_none() {
            let last = |messages: &Vec<Shown>| messages.last().map(|last| last.message.clone());
            let Some(last) = state.messages.with_untracked(last) else { return };
            beyond.from = Some((last.created_at.plus_millis(1), last.pos));
        }
        let Some((until, before)) = beyond.from else { return };
        // What has gone or been read since moves the pages: so the next one begins where what is here ends.
        let still = |shown: &&Shown| filter != Filter::Unread || !shown.is_read;
        let known = beyond.messages.iter().filter(still).count() + beyond.passed;
        let page = known / PAGE as usize + 1;
        let wanted = match &filter {
            Filter::All => String::new(),
            Filter::Unread => "&is_read=false".to_owned(),
            Filter::Channel(channel) => format!("&channel_id={channel}"),
        };
        let query = format!("page={page}&size={PAGE}&until={until}{wanted}");
        beyond.more = More::Loading;
        state.beyond.set(beyond.clone());
        let list = self.api.list(&query).await;
        if self.inputs.borrow().is_none() || state.beyond.with_untracked(|now| now.filter != filter) {
            return;
        }
        state.beyond.update(|beyond| match list {
            Err(_) => beyond.more = More::Failed,
            Ok(list) => {
                let is_last = u64::from(PAGE) * page as u64 >= list.total;
                for message in list.messages {
                    if message.pos >= before {
                        beyond.passed += 1;
                    } else if !beyond.messages.iter().any(|known| known.message.id == message.id) {
                        beyond.messages.push(Shown { is_read: message.is_read, message: Arc::new(message) });
                    }
                }
                let is_full = beyond.messages.len() >= BEYOND_MAX;
                beyond.more = match (is_last, is_full) {
                    (true, _) => More::None,
                    (false, true) => More::Full,
                    (false, false) => More::Some,
                };
            }
        });
    }

    fn names_unknown_channel(&self) -> bool {
        let state = self.state;
        state.channels.with_untracked(|channels| {
            let known = |id: &ChannelId| channels.iter().any(|channel| channel.id == *id);
            state.messages.with_untracked(|messages| {
                messages.iter().filter_map(|shown| shown.message.channel_id.as_ref()).any(|id| !known(id))
            })
        })
    }

    fn fetch_channels(self: &Rc<Self>) {
        // Not too often; but what changed meanwhile is fetched once the pause is over.
        if self.channels_awaited.replace(true) {
            return;
        }
        let now = js_sys::Date::now() as i64;
        let pause = (self.channels_asked.get() + CHANNELS_PAUSE_MS - now).clamp(0, CHANNELS_PAUSE_MS);
        let this = self.clone();
        spawn_local(async move {
            if pause > 0 {
                this.api.platform().sleep(pause as u32).await;
            }
            this.channels_awaited.set(false);
            this.channels_asked.set(js_sys::Date::now() as i64);
            // Without the list, channels are called by their ids.
            if let Ok(list) = this.api.channels().await
                && this.inputs.borrow().is_some()
            {
                this.state.channels.set(list.channels);
            }
        });
    }
}

/// The link of the page that a part is in.
pub fn link() -> Link {
    expect_context::<Link>()
}
