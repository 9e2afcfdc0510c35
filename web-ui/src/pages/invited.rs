//! A one-time link of an administrator: with it a person sets a password, or links an account at a provider.

use crate::link::{browser, link};
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::parts::provider::{ProviderMark, naming};
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::account::{LoginUrl, ProviderList};
use hongyan_wire::api::Done;
use hongyan_wire::error::ErrorType;
use hongyan_wire::limits::is_password;
use hongyan_wire::profile::{LinkInfo, LinkPassword, LinkProvider, LinkRequest};
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// `None` while it is asked; then whose it is, or nobody's.
type Whose = Option<Option<LinkInfo>>;

#[component]
pub fn Invited(token: String) -> impl IntoView {
    let (state, link) = (page(), link());
    let (whose, trouble) = (RwSignal::new(Whose::None), RwSignal::new(None::<Trouble>));
    let (done, ways) = (RwSignal::new(false), RwSignal::new(ProviderList::default()));
    let (first, second) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let (token, busy) = (StoredValue::new(token), RwSignal::new(false));
    let words = move || state.words().account;
    let failed = move |error: ApiError| match error {
        ApiError::Refused(ErrorType::NotFound) => whose.set(Some(None)),
        error => trouble.set(Some(Trouble::of(&error))),
    };
    // Nobody finds it in the address or on the way back.
    browser::hide_address();
    spawn_local(async move {
        if let Ok(list) = link.call_open(Method::Get, "/api/v3/auth/providers", None).await {
            ways.set(list);
        }
        let Ok(body) = json(&LinkRequest { token: token.get_value() }) else { return };
        match link.call_open::<LinkInfo>(Method::Post, "/api/v3/auth/link", Some(body)).await {
            Ok(info) => whose.set(Some(Some(info))),
            Err(error) => failed(error),
        }
    });
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        let value =
            |field: NodeRef<Input>| field.get_untracked().map(|input| input.value()).unwrap_or_default();
        let (password, again) = (value(first), value(second));
        if !is_password(&password) {
            return trouble.set(Some(Trouble::TooShort));
        }
        if password != again {
            return trouble.set(Some(Trouble::NotTheSame));
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let Ok(body) = json(&LinkPassword { token: token.get_value(), password }) else { return };
            match link.call_open::<Done>(Method::Put, "/api/v3/auth/link/password", Some(body)).await {
                Ok(Done {}) => done.set(true),
                Err(error) => failed(error),
            }
            busy.set(false);
        });
    };
    let go_to = move |provider: String| {
        spawn_local(async move {
            let Ok(body) = json(&LinkProvider { token: token.get_value(), provider }) else { return };
            match link.call_open::<LoginUrl>(Method::Post, "/api/v3/auth/link/identity", Some(body)).await {
                Ok(to) => browser::leave_for(&to.auth_url),
                Err(error) => failed(error),
            }
        });
    };
    let is_open = move || matches!(whose.get(), Some(Some(_))) && !done.get();
    let heading = move || match whose.get() {
        Some(Some(info)) => (words().greeting)(&info.name),
        _ => "鸿雁".to_owned(),
    };
    let username = move || match whose.get() {
        Some(Some(info)) => info.username,
        _ => String::new(),
    };
    view! {
        <main class="sign-in">
            <form class="card" novalidate on:submit=save>
                <Mark />
                <h1>{heading}</h1>
                <p data-testid="notice">
                    {move || match whose.get() {
                        None => state.words().loading,
                        Some(None) => words().link_gone,
                        Some(Some(_)) if done.get() => words().saved,
                        Some(Some(_)) => words().link_lead,
                    }}
                </p>
                <TroubleLine trouble />
                <Show when=move || is_open() && ways.with(|ways| ways.local_login)>
                    <label for="link-username">{move || state.words().username}</label>
                    <input id="link-username" data-testid="link-username" autocomplete="username" readonly prop:value=username />
                    <label for="link-password">{move || words().new_password}</label>
                    <input
                        id="link-password" type="password" data-testid="link-password" autocomplete="new-password"
                        node_ref=first
                    />
                    <label for="link-password-again">{move || words().again}</label>
                    <input
                        id="link-password-again" type="password" data-testid="link-password-again"
                        autocomplete="new-password" node_ref=second
                    />
                    <button class="primary" type="submit" data-testid="link-save">{move || words().save}</button>
                </Show>
                <div class="ways">
                    <Show when=is_open>
                        <For each=move || ways.get().providers key=|provider| provider.id.clone() let:provider>
                            <button
                                type="button"
                                data-testid=format!("link-provider-{}", provider.id)
                                on:click={let id = provider.id.clone(); move |_| go_to(id.clone())}
                            >
                                <ProviderMark kind=provider.kind />
                                {naming(&provider, |words| words.sign_in_with)}
                            </button>
                        </For>
                    </Show>
                    <Show when=move || !is_open() && whose.get().is_some()>
                        <a class="button" href="#/" data-testid="to-sign-in">
                            {move || state.words().sign_in}
                        </a>
                    </Show>
                </div>
            </form>
            <LanguageSwitch />
        </main>
    }
}
