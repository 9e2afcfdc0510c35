//! Where a message leads, and what it asks: its attachments, its links, its buttons. Links only to `http` and `https`,
//! in a window that learns nothing about this one.

use crate::link::link;
use crate::state::page;
use hongyan_client::api::ApiError;
use hongyan_client::engine::Shown;
use hongyan_client::links::safe;
use hongyan_wire::error::ErrorType;
use hongyan_wire::message::{ActionInfo, ActionStyle, ActionType, AttachmentInfo, Message, Pressed};
use leptos::prelude::*;
use std::sync::Arc;
use wasm_bindgen_futures::spawn_local;

#[component]
pub fn Attachments(attachments: Vec<AttachmentInfo>) -> impl IntoView {
    let state = page();
    let shown: Vec<_> =
        attachments.into_iter().filter_map(|a| safe(&a.url).map(str::to_owned).map(|url| (url, a))).collect();
    (!shown.is_empty()).then(|| {
        view! {
            <h3>{move || state.words().attachments}</h3>
            <ul class="attachments" data-testid="attachments">
                {shown
                    .into_iter()
                    .map(|(url, attachment)| {
                        let size = attachment.size;
                        view! {
                            <li>
                                <a href=url target="_blank" rel="noopener noreferrer nofollow">{attachment.name}</a>
                                {(size > 0)
                                    .then(|| view! { <span class="lead">{move || (state.words().size)(size)}</span> })}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        }
    })
}

#[component]
pub fn Actions(message: Arc<Message>) -> impl IntoView {
    let links: Vec<_> = message
        .actions
        .iter()
        .filter(|action| action.action_type == ActionType::Link)
        .filter_map(|action| safe(&action.url).map(|url| (url.to_owned(), action.clone())))
        .collect();
    let is_answered = message.actions.iter().any(|action| action.action_type != ActionType::Link);
    (!links.is_empty() || is_answered).then(|| {
        view! {
            <p class="actions" data-testid="actions">
                {links
                    .into_iter()
                    .map(|(url, action)| {
                        view! {
                            <a class=look(action.style) href=url target="_blank" rel="noopener noreferrer nofollow">
                                {action.text}
                            </a>
                        }
                    })
                    .collect_view()}
            </p>
            {is_answered.then(|| view! { <Answers message /> })}
        }
    })
}

/// The buttons of a message, until one of them is pressed; then which it was.
#[component]
fn Answers(message: Arc<Message>) -> impl IntoView {
    let (state, link) = (page(), link());
    let id = message.id.clone();
    let pressed = Memo::new(move |_| {
        let of = |shown: &Shown| shown.message.id == id;
        state
            .messages
            .with(|all| all.iter().find(|shown| of(shown)).and_then(|shown| shown.message.pressed.clone()))
    });
    // What waits to be confirmed, whether one is under way, and whether the last one failed.
    let asked = RwSignal::new(None::<String>);
    let is_sending = RwSignal::new(false);
    let failed = RwSignal::new(false);
    let message = StoredValue::new(message);
    let press = move |action: &ActionInfo| {
        if action.action_type == ActionType::Confirm && asked.get_untracked().as_ref() != Some(&action.action)
        {
            asked.set(Some(action.action.clone()));
            return;
        }
        let (id, action) = (message.with_value(|message| message.id.clone()), action.action.clone());
        is_sending.set(true);
        failed.set(false);
        spawn_local(async move {
            let sent = link.press(&id, &action).await;
            is_sending.set(false);
            asked.set(None);
            // That another answer counts is shown by the answer itself.
            failed.set(!matches!(sent, Ok(()) | Err(ApiError::Refused(ErrorType::AlreadyAnswered))));
        });
    };
    let buttons = move || {
        let actions = message.with_value(|message| message.actions.clone());
        let pressable = actions.into_iter().filter(|action| action.action_type != ActionType::Link);
        pressable
            .map(|action| {
                let (style, text) = (action.style, action.text.clone());
                let name = action.action.clone();
                let is_asked = Memo::new(move |_| asked.with(|asked| asked.as_ref() == Some(&name)));
                view! {
                    <button
                        class=look(style)
                        type="button"
                        data-testid="answer"
                        prop:disabled=is_sending
                        on:click=move |_| press(&action)
                    >
                        {move || if is_asked.get() { (state.words().really)(&text) } else { text.clone() }}
                    </button>
                }
            })
            .collect_view()
    };
    let cancel = move || {
        let shown = asked.with(Option::is_some) && !is_sending.get();
        shown.then(|| {
            view! {
                <button class="quiet" type="button" on:click=move |_| asked.set(None)>
                    {move || state.words().cancel}
                </button>
            }
        })
    };
    let answer = move |pressed: Pressed| {
        let actions = message.with_value(|message| message.actions.clone());
        let text =
            actions.into_iter().find(|action| action.action == pressed.action).map(|action| action.text);
        let text = text.unwrap_or_else(|| pressed.action.clone());
        let is_own = state.profile.with(|profile| profile.as_ref().is_some_and(|own| own.id == pressed.by));
        match is_own {
            true => (state.words().pressed_by_you)(&text),
            false => (state.words().pressed_by)(&pressed.name, &text),
        }
    };
    view! {
        <p class="actions" aria-live="polite">
            {move || match pressed.get() {
                Some(pressed) => {
                    view! { <span class="lead" data-testid="answered">{answer(pressed)}</span> }.into_any()
                }
                None => view! { {buttons()} {cancel} }.into_any(),
            }}
        </p>
        {move || failed.get().then(|| view! { <p class="error" role="alert">{move || state.words().press_failed}</p> })}
    }
}

const fn look(style: ActionStyle) -> &'static str {
    match style {
        ActionStyle::Primary => "button primary",
        ActionStyle::Secondary => "button",
        ActionStyle::Danger => "button danger",
    }
}
