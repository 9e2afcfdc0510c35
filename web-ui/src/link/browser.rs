//! What the browser tells the page (network, visibility, address, time) and what the page shows outside of
//! itself (title, language).

use super::{Link, others};
use crate::route::{self, Route};
use crate::state::PageState;
use hongyan_client::engine::request::Input;
use hongyan_wire::MessageId;
use hongyan_wire::frame::PresenceState;
use leptos::ev;
use leptos::prelude::*;
use std::time::Duration;

/// Listens for as long as the page lives.
pub fn listen(state: PageState, link: Link) {
    let _online = window_event_listener(ev::online, move |_| link.tell(Input::NetworkOnline));
    let _offline = window_event_listener(ev::offline, move |_| link.tell(Input::NetworkOffline));
    let _address = window_event_listener(ev::hashchange, move |_| look_at(state));
    others::listen(link);
    let visibility = leptos::ev::Custom::<web_sys::Event>::new("visibilitychange");
    let _visibility = window_event_listener(visibility, move |_| {
        let presence = if is_seen() { PresenceState::Active } else { PresenceState::Idle };
        link.tell(Input::Presence(presence));
        // Timers of a hidden page are late, so look at the clock now.
        link.tell(Input::Tick);
    });
    look_at(state);
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
    go(&id.map_or_else(|| "#/".to_owned(), |id| format!("{}{id}", route::MESSAGE)));
}

/// Who signs in has put behind them what went wrong before.
pub fn forget_refusal(state: PageState) {
    if state.route.with_untracked(|route| matches!(route, Route::SignIn(Some(_)))) {
        open(None);
    }
}

fn look_at(state: PageState) {
    let route = route::read(&window().location().hash().unwrap_or_default());
    state.open.set(match &route {
        Route::Inbox(open) => open.clone(),
        _ => None,
    });
    if state.route.with_untracked(|before| *before != route) {
        state.route.set(route);
    }
}

/// Goes to another page of ours.
pub fn go(hash: &str) {
    if let Err(error) = window().location().set_hash(hash) {
        leptos::logging::warn!("the address cannot be changed: {error:?}");
    }
}

/// Takes a secret out of the address and out of the way back.
pub fn hide_address() {
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some("/"));
    }
}

/// Where to come back to for a page, as a provider's address takes it.
pub fn wanted(route: &Route) -> String {
    let hash = match route {
        Route::Inbox(_) | Route::Settings(_) | Route::Authorize(_) => {
            window().location().hash().unwrap_or_default()
        }
        Route::SignIn(_) | Route::Invited(_) => String::new(),
    };
    // What went wrong before is over.
    let path = hash.split('?').next().unwrap_or_default();
    js_sys::encode_uri_component(&format!("/{path}")).into()
}

/// Leaves for another address altogether.
pub fn leave_for(address: &str) {
    if let Err(error) = window().location().assign(address) {
        leptos::logging::warn!("the address cannot be opened: {error:?}");
    }
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
    hongyan_wire::account::browser_name(&window().navigator().user_agent().ok()?)
}
