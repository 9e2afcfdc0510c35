//! Moments as people read them: in the browser's time zone and the chosen language.

use crate::state::{PageState, page};
use hongyan_wire::Timestamp;
use leptos::prelude::*;
use wasm_bindgen::JsValue;

/// The whole date and time.
fn whole(at: Timestamp, language: &str) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.millis() as f64));
    date.to_locale_string(language, &JsValue::UNDEFINED).into()
}

/// How long ago, by the server's clock.
fn ago(state: PageState, at: Timestamp) -> String {
    let now = state.clock.get() + state.clock_offset.get();
    (state.words().ago)((now - at.millis()) / 1_000)
}

/// How long ago it was; the whole date and time when pointed at.
#[component]
pub fn Ago(at: Timestamp) -> impl IntoView {
    let state = page();
    let told = Memo::new(move |_| ago(state, at));
    view! {
        <time datetime=at.to_string() title=move || whole(at, state.words().code)>
            {told}
        </time>
    }
}

/// The whole date and time.
#[component]
pub fn Whole(at: Timestamp) -> impl IntoView {
    let state = page();
    view! { <time datetime=at.to_string()>{move || whole(at, state.words().code)}</time> }
}
