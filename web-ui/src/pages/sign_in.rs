//! Signing in with username and password.

use crate::link::link;
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::state::page;
use crate::words::Words;
use hongyan_client::api::ApiError;
use hongyan_wire::error::ErrorType;
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// Why signing in has not worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Empty,
    Wrong,
    Off,
    Busy,
    Unreachable,
    NotUnderstood,
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused(ErrorType::Unauthenticated) => Self::Wrong,
            ApiError::Refused(ErrorType::PermissionDenied) => Self::Off,
            ApiError::Refused(ErrorType::ValidationFailed) => Self::Wrong,
            ApiError::Unreachable { retry_after_ms: Some(_) } => Self::Busy,
            ApiError::Unreachable { retry_after_ms: None } => Self::Unreachable,
            ApiError::Refused(_) | ApiError::Unexpected(_) => Self::NotUnderstood,
        }
    }
}

impl Trouble {
    fn told(self, words: &Words) -> &'static str {
        match self {
            Self::Empty => words.fill_in_both,
            Self::Wrong => words.wrong_password,
            Self::Off => words.local_login_off,
            Self::Busy => words.too_often,
            Self::Unreachable => words.unreachable,
            Self::NotUnderstood => words.not_understood,
        }
    }
}

#[component]
pub fn SignIn() -> impl IntoView {
    let (state, link) = (page(), link());
    let trouble = RwSignal::new(None::<Trouble>);
    let busy = RwSignal::new(false);
    let username = NodeRef::<Input>::new();
    let password = NodeRef::<Input>::new();

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let value =
            |field: NodeRef<Input>| field.get_untracked().map(|input| input.value()).unwrap_or_default();
        let (name, secret) = (value(username), value(password));
        if name.trim().is_empty() || secret.is_empty() {
            trouble.set(Some(Trouble::Empty));
            return;
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let result = link.sign_in(name.trim(), &secret).await;
            // After a success this page, and its signals with it, is gone.
            if let Err(error) = result {
                busy.set(false);
                trouble.set(Some(error.into()));
                if let Some(input) = password.get_untracked() {
                    input.select();
                }
            }
        });
    };

    view! {
        <main class="sign-in">
            <form class="card" novalidate on:submit=submit>
                <Mark />
                <h1>"鸿雁"</h1>
                <p class="lead">{move || state.words().sign_in_lead}</p>
                <label for="username">{move || state.words().username}</label>
                <input
                    id="username"
                    name="username"
                    data-testid="username"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    autofocus
                    node_ref=username
                />
                <label for="password">{move || state.words().password}</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    data-testid="password"
                    autocomplete="current-password"
                    node_ref=password
                />
                <p class="error" role="alert" data-testid="error" hidden=move || trouble.get().is_none()>
                    {move || trouble.get().map(|trouble| trouble.told(state.words()))}
                </p>
                <button class="primary" type="submit" data-testid="sign-in" disabled=move || busy.get()>
                    {move || if busy.get() { state.words().signing_in } else { state.words().sign_in }}
                </button>
            </form>
            <LanguageSwitch />
        </main>
    }
}
