//! Notifications of the browser: only if the person has turned them on, and is not looking.

use super::browser;
use hongyan_wire::message::Message;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Notification, NotificationOptions, NotificationPermission};

const KEY: &str = "hongyan.notify";
/// As much of a message as a notification shows.
const BODY_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bell {
    /// This browser has no notifications, or not for pages over plain HTTP.
    Missing,
    Off,
    On,
    /// Switched off in the browser's settings.
    Denied,
}

pub fn bell() -> Bell {
    // Asking a browser that has no such thing for its permission would be an error.
    if !js_sys::Reflect::has(&window(), &"Notification".into()).unwrap_or(false)
        || !window().is_secure_context()
    {
        return Bell::Missing;
    }
    match Notification::permission() {
        NotificationPermission::Denied => Bell::Denied,
        NotificationPermission::Granted if is_wanted() => Bell::On,
        _ => Bell::Off,
    }
}

/// Turns notifications on or off; asks for the permission if it was not given yet. Only for a click.
pub async fn turn(on: bool) -> Bell {
    if on
        && Notification::permission() != NotificationPermission::Granted
        && let Ok(asked) = Notification::request_permission()
    {
        // What the person said is looked up below.
        let _ = JsFuture::from(asked).await;
    }
    if let Ok(Some(kept)) = window().local_storage() {
        let _ = if on { kept.set_item(KEY, "on") } else { kept.remove_item(KEY) };
    }
    bell()
}

fn is_wanted() -> bool {
    let kept = window().local_storage().ok().flatten();
    kept.and_then(|kept| kept.get_item(KEY).ok().flatten()).is_some()
}

pub fn show(message: &Message) {
    if bell() != Bell::On || browser::is_seen() {
        return;
    }
    let options = NotificationOptions::new();
    options.set_body(&message.content.chars().take(BODY_MAX).collect::<String>());
    // Several windows announce the same message: the browser shows one.
    options.set_tag(message.id.as_str());
    let Ok(notification) = Notification::new_with_options(&message.title, &options) else { return };
    let id = message.id.clone();
    let closing = notification.clone();
    let clicked = Closure::once_into_js(move || {
        let _ = window().focus();
        browser::open(Some(&id));
        closing.close();
    });
    notification.set_onclick(Some(clicked.unchecked_ref()));
}
