//! The composition: state, link and events of the browser; signing in, or the inbox.

use crate::link::Link;
use crate::link::browser;
use crate::pages::inbox::Inbox;
use crate::pages::sign_in::SignIn;
use crate::state::PageState;
use leptos::prelude::*;

#[component]
pub fn App() -> impl IntoView {
    let state = PageState::new(js_sys::Date::now() as i64);
    provide_context(state);
    let Some(link) = Link::new(state) else { return ().into_any() };
    provide_context(link);

    browser::listen(state, link);
    Effect::new(move || browser::show_language(state.words().code));
    Effect::new(move || {
        let unread = if state.signed_in.get() { state.unread.with(|unread| unread.total) } else { 0 };
        browser::show_title(unread);
    });
    link.resume();

    view! {
        <Show when=move || state.signed_in.get() fallback=SignIn>
            <Inbox />
        </Show>
    }
    .into_any()
}
