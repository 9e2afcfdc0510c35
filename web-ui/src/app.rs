//! The composition: state, link and events of the browser; signing in, the inbox, the settings.

use crate::link::Link;
use crate::link::browser;
use crate::pages::authorize::Authorize;
use crate::pages::inbox::Inbox;
use crate::pages::invited::Invited;
use crate::pages::settings::Settings;
use crate::pages::sign_in::SignIn;
use crate::parts::confirm::Confirm;
use crate::route::Route;
use crate::state::PageState;
use leptos::prelude::*;

/// What is shown.
#[derive(Clone, PartialEq, Eq)]
enum Page {
    Invited(String),
    SignIn,
    Settings,
    Authorize(String),
    Inbox,
}

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

    // Opening a message is no other page.
    let shown = Memo::new(move |_| match (state.route.get(), state.signed_in.get()) {
        (Route::Invited(token), _) => Page::Invited(token),
        (_, false) => Page::SignIn,
        // Who is signed in has linked an account, and it went wrong too late to know that.
        (Route::Settings(_) | Route::SignIn(Some(_)), true) => Page::Settings,
        (Route::Authorize(id), true) => Page::Authorize(id),
        (Route::Inbox(_) | Route::SignIn(None), true) => Page::Inbox,
    });

    view! {
        // What lies behind the dialog cannot be reached meanwhile.
        <div class="page" inert=move || state.is_confirming.get()>
        <Show when=move || !state.is_asking.get()>
            {move || match shown.get() {
                Page::Invited(token) => view! { <Invited token /> }.into_any(),
                Page::SignIn => view! { <SignIn /> }.into_any(),
                Page::Settings => view! { <Settings /> }.into_any(),
                Page::Authorize(id) => view! { <Authorize id /> }.into_any(),
                Page::Inbox => view! { <Inbox /> }.into_any(),
            }}
        </Show>
        </div>
        <Confirm />
    }
    .into_any()
}
