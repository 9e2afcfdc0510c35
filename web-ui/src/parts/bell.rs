//! The bell: turns notifications of the browser on and off. The permission is asked for only by its click.

use crate::link::notify::{self, Bell};
use crate::state::page;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

#[component]
pub fn BellButton() -> impl IntoView {
    let state = page();
    let bell = RwSignal::new(notify::bell());
    let told = move || match bell.get() {
        Bell::On => state.words().notify_off,
        Bell::Denied => state.words().notify_denied,
        Bell::Off | Bell::Missing => state.words().notify_on,
    };
    let click = move |_| {
        let on = bell.get_untracked() != Bell::On;
        spawn_local(async move {
            let now = notify::turn(on).await;
            // The inbox may have been left while the person was asked.
            bell.try_set(now);
        });
    };
    view! {
        <Show when=move || bell.get() != Bell::Missing>
            <button
                class="quiet bell"
                type="button"
                data-testid="bell"
                title=told
                aria-label=told
                aria-pressed=move || (bell.get() == Bell::On).to_string()
                disabled=move || bell.get() == Bell::Denied
                on:click=click
            >
                <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
                    <path d="M12 3a6 6 0 0 0-6 6v4l-2 4h16l-2-4V9a6 6 0 0 0-6-6z" />
                    <path d="M10 19a2 2 0 0 0 4 0" />
                </svg>
            </button>
        </Show>
    }
}
