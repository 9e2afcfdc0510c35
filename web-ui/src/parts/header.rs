//! The top of the inbox: whose it is, how much is unread, and what can be done with all of it.

use crate::link::link;
use crate::parts::bell::BellButton;
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::state::{Filter, page};
use hongyan_client::engine::request::Input;
use leptos::prelude::*;

#[component]
pub fn Header() -> impl IntoView {
    let (state, link) = (page(), link());
    let total = Memo::new(move |_| state.unread.with(|unread| unread.total));
    let name = move || {
        state.profile.with(|profile| {
            profile.as_ref().map(|p| if p.name.is_empty() { p.username.clone() } else { p.name.clone() })
        })
    };
    let avatar = move || state.profile.with(|profile| profile.as_ref().and_then(|p| p.avatar.clone()));
    let chosen = move || match state.filter.get() {
        Filter::Channel(channel) => Some(channel),
        Filter::All | Filter::Unread => None,
    };
    let nothing_unread = move || {
        state.unread.with(|unread| match chosen() {
            Some(channel) => unread.by_channel.get(&channel).copied().unwrap_or(0) == 0,
            None => unread.total == 0,
        })
    };
    view! {
        <header class="top">
            <Mark />
            <h1>{move || state.words().inbox}</h1>
            <span
                class="count"
                data-testid="unread-total"
                aria-label=move || (state.words().unread_count)(total.get())
                class:none=move || total.get() == 0
            >
                {total}
            </span>
            <span class="space"></span>
            <button
                class="quiet"
                type="button"
                data-testid="mark-all-read"
                disabled=nothing_unread
                on:click=move |_| link.tell(Input::ReadAll(chosen()))
            >
                {move || if chosen().is_some() { state.words().mark_channel_read } else { state.words().mark_all_read }}
            </button>
            <BellButton />
            <LanguageSwitch />
            <a class="button quiet person" href="#/settings" data-testid="settings" title=move || state.words().account.settings>
                <Show when=move || avatar().is_some()>
                    <img class="avatar" src=avatar alt="" />
                </Show>
                <span class="name" data-testid="profile-name">{name}</span>
                <span class="hidden-text">{move || state.words().account.settings}</span>
            </a>
            <button class="quiet" type="button" data-testid="sign-out" on:click=move |_| link.sign_out()>
                {move || state.words().sign_out}
            </button>
        </header>
    }
}
