//! What the browser tells the page (network, visibility, address, time) and what the page shows outside of
//! itself (title, language).

use super::Link;
use crate::state::PageState;
use hongyan_client::engine::request::Input;
use hongyan_client::platform::TOKEN_KEY;
use hongyan_wire::MessageId;
use hongyan_wire::frame::PresenceState;
use leptos::ev;
use leptos::prelude::*;
use std::time::Duration;

/// Before the id of the open message in the address.
const MESSAGE: &str = "#/message/";

/// Listens for as long as the page lives.
pub fn listen(state: PageState, link: Link) {
    let _online = window_event_listener(ev::online, move |_| link.tell(Input::NetworkOnline));
    let _offline = window_event_listener(ev::offline, move |_| link.tell(Input::NetworkOffline));
    let _address = window_event_listener(ev::hashchange, move |_| state.open.set(address()));
    // Signed out in another window: here too, and at once.
    let storage = leptos::ev::Custom::<web_sys::StorageEvent>::new("storage");
    let _storage = window_event_listener(storage, move |event| {
        if event.key().as_deref() == Some(TOKEN_KEY) && event.new_value().is_none() {
            link.tell(Input::Stop);
        }
    });
    let visibility = leptos::ev::Custom::<web_sys::Event>::new("visibilitychange");
    let _visibility = window_event_listener(visibility, move |_| {
        let presence = if is_seen() { PresenceState::Active } else { PresenceState::Idle };
        link.tell(Input::Presence(presence));
        // Timers of a hidden page are late, so look at the clock now.
        link.tell(Input::Tick);
    });
    state.open.set(address());
    let tick = move || state.clock.set(js_sys::Date::now() as i64);
    if set_interval_with_handle(tick, Duration::from_secs(1)).is_err() {
        leptos::logging::warn!("no timer: times that are shown stand still");
    }
}

pub fn is_seen() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Visible
}

/// Opens a message, or none, by the address: so that the way back of the browser closes it.
pub fn open(id: Option<&MessageId>) {
    let hash = id.map_or_else(|| "#/".to_owned(), |id| format!("{MESSAGE}{id}"));
    if let Err(error) = window().location().set_hash(&hash) {
        leptos::logging::warn!("the address cannot be changed: {error:?}");
    }
}

fn address() -> Option<MessageId> {
    let hash = window().location().hash().ok()?;
    MessageId::new(hash.strip_prefix(MESSAGE)?).ok()
}

pub fn show_title(unread: u64) {
    document().set_title(&if unread > 0 { format!("({unread}) 鸿雁") } else { "鸿雁".to_owned() });
}

pub fn show_language(code: &str) {
    if let Some(root) = document().document_element() {
        // Only fonts and screen readers care.
        let _ = root.set_attribute("lang", code);
    }
}

/// What this browser is called in lists of devices.
pub fn device_name() -> Option<String> {
    let agent = window().navigator().user_agent().ok()?;
    let known = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    let browser =
        known(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = known(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => Some(format!("{browser}, {system}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}
