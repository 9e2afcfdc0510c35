//! The switch between Chinese and English.

use crate::state::page;
use leptos::prelude::*;

#[component]
pub fn LanguageSwitch() -> impl IntoView {
    let state = page();
    let switch = move |_| {
        let chosen = state.language.get_untracked().other();
        chosen.remember();
        state.language.set(chosen);
    };
    view! {
        <button
            class="quiet language"
            type="button"
            data-testid="language"
            lang=move || state.language.get().other().words().code
            on:click=switch
        >
            {move || state.words().other_language}
        </button>
    }
}
