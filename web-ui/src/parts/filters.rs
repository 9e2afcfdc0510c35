//! Which messages are listed: all, unread ones, or those of one channel.

use crate::link::browser;
use crate::state::{Filter, page};
use leptos::prelude::*;

#[component]
pub fn Filters() -> impl IntoView {
    let state = page();
    let channels = Memo::new(move |_| state.named_channels());
    view! {
        <nav class="filters" aria-label=move || state.words().filters>
            <Choice filter=Filter::All testid="filter-all" />
            <Choice filter=Filter::Unread testid="filter-unread" />
            <Show when=move || channels.with(|channels| !channels.is_empty())>
                <h2>{move || state.words().channels}</h2>
            </Show>
            <For each=move || channels.get() key=|channel| channel.clone() let((id, _name))>
                <Choice filter=Filter::Channel(id) testid="filter-channel" />
            </For>
        </nav>
    }
}

#[component]
fn Choice(filter: Filter, testid: &'static str) -> impl IntoView {
    let state = page();
    let channel = match &filter {
        Filter::Channel(channel) => Some(channel.clone()),
        Filter::All | Filter::Unread => None,
    };
    let filter = StoredValue::new(filter);
    let is_chosen = Memo::new(move |_| state.filter.get() == filter.get_value());
    let label = move || match filter.get_value() {
        Filter::All => state.words().all.to_owned(),
        Filter::Unread => state.words().unread.to_owned(),
        Filter::Channel(channel) => state.channel_name(&channel),
    };
    let unread = Memo::new(move |_| {
        state.unread.with(|unread| match filter.get_value() {
            Filter::All => 0,
            Filter::Unread => unread.total,
            Filter::Channel(channel) => unread.by_channel.get(&channel).copied().unwrap_or(0),
        })
    });
    let choose = move |_| {
        // What is open may not be among what is listed now.
        browser::open(None);
        state.filter.set(filter.get_value());
    };
    view! {
        <button
            class="choice"
            type="button"
            data-testid=testid
            data-channel-id=channel.map(|channel| channel.to_string())
            aria-pressed=move || is_chosen.get().to_string()
            on:click=choose
        >
            <span>{label}</span>
            <Show when=move || unread.get() != 0>
                <span class="count" aria-label=move || (state.words().unread_count)(unread.get())>{unread}</span>
            </Show>
        </button>
    }
}
