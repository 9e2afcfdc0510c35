//! The open message, whole. Its content is text, whatever stands in it.

use crate::link::{browser, link};
use crate::moment::{Ago, Whole};
use crate::parts::actions::{Actions, Attachments};
use crate::parts::item::HIGH_PRIORITY;
use crate::state::{Single, page};
use crate::words::Words;
use hongyan_client::links::{Piece, pieces};
use hongyan_wire::message::Message;
use leptos::prelude::*;
use std::sync::Arc;

/// What a sender is called.
pub fn sender_name(message: &Message, words: &Words) -> String {
    match (message.sender_info.name.as_str(), message.sender.as_str()) {
        ("", "") => words.system.to_owned(),
        ("", id) => id.to_owned(),
        (name, _) => name.to_owned(),
    }
}

#[component]
pub fn Detail() -> impl IntoView {
    let state = page();
    // The message itself never changes; whether it is read is looked up where it is shown.
    let message = Memo::new(move |_| state.opened().map(|shown| Unchanging(shown.message)));
    view! {
        <article class="detail">
            {move || match message.get() {
                Some(Unchanging(message)) => view! { <Opened message /> }.into_any(),
                None => view! { <Nothing /> }.into_any(),
            }}
        </article>
    }
}

/// Equal by what it is, not by how it stands.
#[derive(Clone)]
struct Unchanging(Arc<Message>);

impl PartialEq for Unchanging {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

/// A text with the links in it to be followed.
fn linked(text: &str) -> Vec<AnyView> {
    let view = |piece: Piece<'_>| match piece {
        Piece::Words(words) => words.to_owned().into_any(),
        Piece::Link(link) => {
            let (address, shown) = (link.to_owned(), link.to_owned());
            view! {
                <a href=address target="_blank" rel="noopener noreferrer nofollow">
                    {shown}
                </a>
            }
            .into_any()
        }
    };
    pieces(text).into_iter().map(view).collect()
}

#[component]
fn Nothing() -> impl IntoView {
    let state = page();
    let is_gone = move || state.open.with(Option::is_some) && state.loaded.get();
    view! {
        <Show when=is_gone>
            <BackButton />
        </Show>
        <p class="empty lead">
            {move || match is_gone() {
                false => state.words().choose,
                true => match state.single.get() {
                    Single::Missing(_) => state.words().gone,
                    Single::None | Single::Loading(_) | Single::Found(_) => state.words().loading,
                },
            }}
        </p>
    }
}

#[component]
fn BackButton() -> impl IntoView {
    let state = page();
    view! {
        <button class="quiet back" type="button" data-testid="back" on:click=move |_| browser::open(None)>
            "← "
            {move || state.words().back}
        </button>
    }
}

#[component]
fn Opened(message: Arc<Message>) -> impl IntoView {
    let (state, link) = (page(), link());
    let id = StoredValue::new(message.id.clone());
    let is_read = Memo::new(move |_| state.opened().is_some_and(|shown| shown.is_read));
    let turn = move |_| {
        let id = id.get_value();
        link.mark(id, !is_read.get_untracked());
    };
    let sender = message.clone();
    view! {
        <div class="bar">
            <BackButton />
            <span class="space"></span>
            <button class="quiet" type="button" data-testid="mark-unread" on:click=turn>
                {move || if is_read.get() { state.words().mark_unread } else { state.words().mark_read }}
            </button>
        </div>
        <div data-testid="message-detail" data-message-id=message.id.to_string()>
            {(message.priority >= HIGH_PRIORITY)
                .then(|| view! { <p class="priority-line">{move || state.words().high_priority}</p> })}
            <h2 data-testid="message-title">{message.title.clone()}</h2>
            <dl class="facts">
                <dt>{move || state.words().from}</dt>
                <dd>{move || sender_name(&sender, state.words())}</dd>
                {message
                    .channel_id
                    .clone()
                    .map(|channel| view! { <dd class="tag">{move || state.channel_name(&channel)}</dd> })}
                <dd>
                    <Ago at=message.created_at />
                </dd>
                <dd class="lead">
                    <Whole at=message.created_at />
                </dd>
                {message
                    .expire_at
                    .map(|at| {
                        view! {
                            <dt>{move || state.words().expires}</dt>
                            <dd>
                                <Whole at />
                            </dd>
                        }
                    })}
            </dl>
            <div class="content" data-testid="message-content">{linked(&message.content)}</div>
            <Attachments attachments=message.attachments.clone() />
            <Actions message=message.clone() />
        </div>
    }
}
