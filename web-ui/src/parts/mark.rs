//! The sign of Hongyan: a wild goose that carries a letter.

use leptos::prelude::*;

#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 64 64" aria-hidden="true" focusable="false">
            <path class="goose" d="M4 30c10 0 15 2 19 6l-9-20c12 2 21 9 26 20 3-4 8-7 14-7 3 0 5 1 6 3-5 0-8 2-11 7-5 8-13 12-22 12C16 51 8 44 4 30z" />
            <path class="letter" d="M40 44l15 3-2 11-15-3z" />
            <path class="fold" d="M40 44l6 8 9-5" />
        </svg>
    }
}
