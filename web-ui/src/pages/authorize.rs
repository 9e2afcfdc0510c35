//! A program of the person's own waits to be signed in: they allow it, or not.

use crate::link::{browser, link};
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::account::{RedirectTo, SignInDecision, SignInRequest};
use hongyan_wire::error::ErrorType;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// How far it has got.
#[derive(Clone, PartialEq)]
enum Stage {
    Asking,
    Waiting(SignInRequest),
    Gone,
    Done,
}

#[component]
pub fn Authorize(id: String) -> impl IntoView {
    let (state, link) = (page(), link());
    let (stage, trouble) = (RwSignal::new(Stage::Asking), RwSignal::new(None::<Trouble>));
    let busy = RwSignal::new(false);
    let words = move || state.words().account;
    let path = StoredValue::new(format!("/api/v3/auth/requests/{id}"));
    let failed = move |error: ApiError| match error {
        ApiError::Refused(ErrorType::NotFound) => stage.set(Stage::Gone),
        error => trouble.set(Some(Trouble::of(&error))),
    };
    spawn_local(async move {
        match link.call::<SignInRequest>(Method::Get, &path.get_value(), None).await {
            Ok(request) => stage.set(Stage::Waiting(request)),
            Err(error) => failed(error),
        }
    });
    let decide = move |allow: bool| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let Ok(body) = json(&SignInDecision { allow }) else { return };
            match link.call::<RedirectTo>(Method::Post, &path.get_value(), Some(body)).await {
                Ok(to) => {
                    stage.set(Stage::Done);
                    browser::leave_for(&to.redirect_to);
                }
                Err(error) => failed(error),
            }
            busy.set(false);
        });
    };
    let who =
        move || state.profile.with(|profile| profile.as_ref().map(|p| p.name.clone()).unwrap_or_default());
    let question = move || match stage.get() {
        Stage::Waiting(request) => {
            let program =
                if request.client_id == "desktop" { words().desktop } else { words().admin_console };
            (words().wants)(program, &request.device_name, &who())
        }
        Stage::Gone => words().request_gone.to_owned(),
        Stage::Done => words().may_close.to_owned(),
        Stage::Asking => state.words().loading.to_owned(),
    };
    view! {
        <main class="sign-in">
            <div class="card">
                <Mark />
                <h1>{move || words().authorize}</h1>
                <p data-testid="question">{question}</p>
                <TroubleLine trouble />
                <Show when=move || matches!(stage.get(), Stage::Waiting(_))>
                    <div class="ways">
                        <button class="primary" type="button" data-testid="allow" on:click=move |_| decide(true)>
                            {move || words().allow}
                        </button>
                        <button type="button" data-testid="deny" on:click=move |_| decide(false)>
                            {move || words().deny}
                        </button>
                        <button class="quiet" type="button" data-testid="other-account" on:click=move |_| link.sign_out_here()>
                            {move || words().other_account}
                        </button>
                    </div>
                </Show>
            </div>
            <LanguageSwitch />
        </main>
    }
}
