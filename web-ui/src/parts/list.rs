//! The list of messages, newest first; what to see when there are none, and how to get older ones.

use crate::link::{Link, link};
use crate::parts::item::Item;
use crate::state::{Filter, More, PageState, page};
use hongyan_client::engine::Older;
use hongyan_client::engine::request::Input;
use leptos::prelude::*;
use std::collections::HashSet;

#[component]
pub fn List() -> impl IntoView {
    let state = page();
    let listed = Memo::new(move |_| state.listed());
    let is_empty = Memo::new(move |_| listed.with(Vec::is_empty));
    let unread = Memo::new(move |_| {
        listed.with(|messages| {
            let unread = messages.iter().filter(|shown| !shown.is_read);
            unread.map(|shown| shown.message.id.clone()).collect::<HashSet<_>>()
        })
    });
    // What is looked for and not here is fetched, page after page, until it is found or there is no more.
    let link = link();
    Effect::new(move |_| {
        if state.is_looking_for_older() {
            load_older(state, link);
        }
    });
    view! {
        <section class="list" aria-label=move || state.words().inbox>
            <ul data-testid="message-list" aria-busy=move || (!state.loaded.get()).to_string()>
                <For each=move || listed.get() key=|shown| shown.message.id.clone() let(shown)>
                    <Item message=shown.message unread />
                </For>
            </ul>
            <Show when=move || is_empty.get()>
                <Empty />
            </Show>
            <OlderMessages is_empty />
        </section>
    }
}

#[component]
fn Empty() -> impl IntoView {
    let state = page();
    let told = move || {
        let words = state.words();
        match (state.loaded.get() && !state.is_looking_for_older(), state.filter.get()) {
            (false, _) => (words.loading, ""),
            (true, Filter::All) => (words.empty_inbox, words.empty_inbox_lead),
            (true, Filter::Unread) => (words.empty_unread, ""),
            (true, Filter::Channel(_)) => (words.empty_channel, ""),
        }
    };
    view! {
        <div class="empty" data-testid="empty">
            <p>{move || told().0}</p>
            <p class="lead">{move || told().1}</p>
        </div>
    }
}

/// Has older messages come: into what is held live as long as there is room, then for what is looked at.
fn load_older(state: PageState, link: Link) {
    match (state.older.get_untracked(), untrack(|| state.more_beyond())) {
        (Older::Some, _) => link.tell(Input::LoadOlder),
        (Older::Full, More::Unasked | More::Some | More::Failed) => link.load_beyond(),
        _ => {}
    }
}

#[component]
fn OlderMessages(is_empty: Memo<bool>) -> impl IntoView {
    let (state, link) = (page(), link());
    let can_load = move || match state.older.get() {
        Older::Some | Older::Loading => true,
        Older::Full => !matches!(state.more_beyond(), More::None | More::Full),
        Older::None => false,
    };
    let is_loading = move || {
        state.older.get() == Older::Loading
            || state.older.get() == Older::Full && state.more_beyond() == More::Loading
    };
    let told = move || match (state.older.get(), state.more_beyond()) {
        (Older::None, _) | (Older::Full, More::None) if is_empty.get() => "",
        (Older::None, _) | (Older::Full, More::None) => state.words().no_older,
        (Older::Loading, _) | (Older::Full, More::Loading) => state.words().loading,
        (Older::Full, More::Full) => state.words().window_full,
        (Older::Full, More::Failed) => state.words().unreachable,
        (Older::Some | Older::Full, _) => state.words().load_older,
    };
    view! {
        <div class="older" data-testid="older">
            <Show when=can_load fallback=move || view! { <p class="lead">{told}</p> }>
                <button
                    class="quiet"
                    type="button"
                    data-testid="load-older"
                    disabled=is_loading
                    on:click=move |_| load_older(state, link)
                >
                    {told}
                </button>
            </Show>
        </div>
    }
}
