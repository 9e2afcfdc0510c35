//! One line of the list.

use crate::link::browser;
use crate::moment::Ago;
use crate::parts::detail::sender_name;
use crate::state::page;
use hongyan_wire::MessageId;
use hongyan_wire::message::Message;
use leptos::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// From this priority on, a message is marked.
pub const HIGH_PRIORITY: u8 = 8;
/// A message that came so short ago slides in.
const FRESH_MS: i64 = 10_000;
/// As much of the content as a line can show.
const PREVIEW_MAX: usize = 140;

#[component]
pub fn Item(message: Arc<Message>, unread: Memo<HashSet<MessageId>>) -> impl IntoView {
    let state = page();
    let id = StoredValue::new(message.id.clone());
    let is_read = Memo::new(move |_| !unread.with(|unread| id.with_value(|id| unread.contains(id))));
    let is_open = Memo::new(move |_| state.open.with(|open| id.with_value(|id| open.as_ref() == Some(id))));
    let now = state.clock.get_untracked() + state.clock_offset.get_untracked();
    let fresh = now - message.created_at.millis() < FRESH_MS;
    let channel = message.channel_id.clone();
    let sender = message.clone();
    let preview: String = message.content.chars().take(PREVIEW_MAX).collect();
    view! {
        <li
            class="item"
            class:fresh=fresh
            class:unread=move || !is_read.get()
            data-testid="message-item"
            data-message-id=message.id.to_string()
            data-unread=move || (!is_read.get()).to_string()
        >
            <button
                type="button"
                aria-current=move || is_open.get().then_some("true")
                on:click=move |_| id.with_value(|id| browser::open(Some(id)))
            >
                <span class="dot" aria-hidden="true"></span>
                <span class="line">
                    <span class="sender">{move || sender_name(&sender, state.words())}</span>
                    {channel.map(|channel| view! { <span class="tag">{move || state.channel_name(&channel)}</span> })}
                    <Ago at=message.created_at />
                </span>
                <span class="line">
                    {(message.priority >= HIGH_PRIORITY)
                        .then(|| view! { <span class="priority" title=move || state.words().high_priority>"!"</span> })}
                    <span class="title">{message.title.clone()}</span>
                    <span class="hidden-text">{move || if is_read.get() { "" } else { state.words().unread }}</span>
                </span>
                <span class="preview">{preview}</span>
            </button>
        </li>
    }
}
