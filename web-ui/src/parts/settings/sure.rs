//! A button for what cannot be taken back: it asks once more.

use crate::state::page;
use leptos::prelude::*;

#[component]
pub fn Sure(
    /// What it says before it is pressed; follows the language.
    #[prop(into)]
    label: Signal<&'static str>,
    #[prop(into)] testid: String,
    on_sure: Callback<()>,
) -> impl IntoView {
    let state = page();
    let is_asking = RwSignal::new(false);
    let press = move |_| {
        if is_asking.get_untracked() {
            is_asking.set(false);
            on_sure.run(());
        } else {
            is_asking.set(true);
        }
    };
    view! {
        <button
            class="quiet"
            class:danger=move || is_asking.get()
            type="button"
            data-testid=testid
            on:click=press
            on:blur=move |_| is_asking.set(false)
        >
            {move || if is_asking.get() { state.words().account.sure } else { label.get() }}
        </button>
    }
}
