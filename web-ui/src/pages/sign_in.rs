//! Signing in: with a password and, where it is asked for, a second factor; with a passkey; at a provider.

use crate::link::{browser, link, passkeys};
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::parts::provider::{ProviderMark, name, naming};
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::route::{Refusal, Route};
use crate::state::page;
use crate::words::AccountWords;
use hongyan_client::api::ApiError;
use hongyan_client::platform::Method;
use hongyan_wire::account::ProviderList;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::PasskeyChallenge;
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

#[component]
pub fn SignIn() -> impl IntoView {
    let (state, link) = (page(), link());
    let trouble = RwSignal::new(None::<Trouble>);
    let (busy, wants_otp) = (RwSignal::new(false), RwSignal::new(false));
    let ways = RwSignal::new(None::<ProviderList>);
    let (username, password, otp) = (NodeRef::<Input>::new(), NodeRef::new(), NodeRef::<Input>::new());
    let words = move || state.words().account;

    spawn_local(async move {
        let asked = link.call_open::<ProviderList>(Method::Get, "/api/v3/auth/providers", None).await;
        if let Err(error) = &asked {
            trouble.set(Some(Trouble::of(error)));
        }
        // Without an answer a password may still do.
        ways.set(Some(asked.unwrap_or(ProviderList { local_login: true, ..ProviderList::default() })));
    });

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let value =
            |field: NodeRef<Input>| field.get_untracked().map(|input| input.value()).unwrap_or_default();
        let (user, secret, code) = (value(username), value(password), value(otp));
        if user.trim().is_empty() || secret.is_empty() {
            trouble.set(Some(Trouble::Empty));
            return;
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let code = Some(code.trim().to_owned()).filter(|code| !code.is_empty());
            let was_given = code.is_some();
            let result = link.sign_in(user.trim(), &secret, code).await;
            // After a success this page, and its signals with it, is gone.
            let Err(error) = result else { return };
            busy.set(false);
            let is_otp = matches!(error, ApiError::Refused(ErrorType::SecondFactorRequired));
            if is_otp && !wants_otp.get_untracked() {
                wants_otp.set(true);
                // It takes the focus once it can be seen.
                request_animation_frame(move || {
                    if let Some(input) = otp.try_get_untracked().flatten() {
                        let _ = input.focus();
                    }
                });
                return;
            }
            // What is wrong is told last: by then nothing moves under who types.
            if let Some(input) = if is_otp { otp } else { password }.get_untracked() {
                let _ = input.focus();
                input.select();
            }
            trouble.set(match is_otp {
                true => was_given.then_some(Trouble::WrongOtp),
                false => Some(Trouble::of_login(&error)),
            });
        });
    };
    let by_passkey = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let path = "/api/v3/auth/passkey/options";
            let result = match link.call_open::<PasskeyChallenge>(Method::Post, path, None).await {
                Err(error) => Err(Trouble::of(&error)),
                Ok(challenge) => match passkeys::get(challenge).await {
                    None => Err(Trouble::Passkey),
                    Some(answer) => link.sign_in_by_passkey(answer).await.map_err(|_| Trouble::Passkey),
                },
            };
            if let Err(told) = result {
                busy.set(false);
                trouble.set(Some(told));
            }
        });
    };
    let refusal = move || match state.route.get() {
        Route::SignIn(Some(refusal)) => Some(told(&refusal, ways.get().as_ref(), words())),
        _ => None,
    };
    let has = move |way: fn(&ProviderList) -> bool| ways.with(|ways| ways.as_ref().is_some_and(way));
    let providers =
        move || ways.with(|ways| ways.as_ref().map(|ways| ways.providers.clone()).unwrap_or_default());

    view! {
        <main class="sign-in">
            <form class="card" novalidate on:submit=submit>
                <Mark />
                <h1>"鸿雁"</h1>
                <p class="lead">{move || state.words().sign_in_lead}</p>
                <p class="error" role="alert" data-testid="refusal" hidden=move || refusal().is_none()>
                    {refusal}
                </p>
                <Show when=move || has(|ways| ways.local_login)>
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
                    <div class="field" hidden=move || !wants_otp.get()>
                        <label for="otp">{move || words().otp}</label>
                        <p class="lead">{move || words().otp_lead}</p>
                        <input
                            id="otp"
                            name="otp"
                            data-testid="otp"
                            autocomplete="one-time-code"
                            autocapitalize="none"
                            spellcheck="false"
                            node_ref=otp
                        />
                    </div>
                    <TroubleLine trouble />
                    <button class="primary" type="submit" data-testid="sign-in" disabled=move || busy.get()>
                        {move || if busy.get() { state.words().signing_in } else { state.words().sign_in }}
                    </button>
                </Show>
                <Show when=move || !has(|ways| ways.local_login)>
                    <TroubleLine trouble />
                </Show>
                <div class="ways">
                    <Show when=move || has(|ways| ways.passkeys) && passkeys::are_there()>
                        <button type="button" data-testid="passkey-sign-in" on:click=by_passkey>
                            {move || words().with_passkey}
                        </button>
                    </Show>
                    <For each=providers key=|provider| provider.id.clone() let:provider>
                        <a
                            class="button"
                            data-testid=format!("provider-{}", provider.id)
                            href=move || format!("{}?return_to={}", provider.login_url, browser::wanted(&state.route.get()))
                        >
                            <ProviderMark kind=provider.kind />
                            {naming(&provider, |words| words.sign_in_with)}
                        </a>
                    </For>
                </div>
                <p class="lead" hidden=move || {
                    ways.with(|ways| ways.as_ref().is_none_or(|ways| ways.local_login || !ways.providers.is_empty()))
                }>{move || words().no_way_in}</p>
            </form>
            <LanguageSwitch />
        </main>
    }
}

/// What a person is told when a provider's sign-in has ended without one.
pub fn told(refusal: &Refusal, ways: Option<&ProviderList>, words: &AccountWords) -> String {
    let sentence = match refusal.code.as_str() {
        "denied" => words.denied,
        "expired" => words.expired,
        "foreign_browser" => words.foreign_browser,
        "too_often" => words.too_often,
        "provider_unreachable" => words.provider_unreachable,
        "provider_error" => words.provider_error,
        "not_a_member" => words.not_a_member,
        "not_invited" => words.not_invited,
        "account_disabled" => words.account_disabled,
        "already_linked" => words.already_linked,
        "wrong_account" => words.wrong_account,
        _ => words.went_wrong,
    };
    let known =
        |ways: &ProviderList| ways.providers.iter().find(|provider| provider.id == refusal.provider).cloned();
    match ways.and_then(known) {
        Some(provider) => (words.at)(&name(&provider, words), sentence),
        None => sentence.to_owned(),
    }
}
