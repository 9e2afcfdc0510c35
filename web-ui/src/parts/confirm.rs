//! Asks the person to show once more who they are, over whatever page needs it.

use crate::link::{link, passkeys};
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::account::ProviderList;
use hongyan_wire::api::Done;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::{ConfirmRequest, PasskeyChallenge};
use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

#[component]
pub fn Confirm() -> impl IntoView {
    let (state, link) = (page(), link());
    let (trouble, wants_otp) = (RwSignal::new(None::<Trouble>), RwSignal::new(false));
    let (password, otp) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let (busy, is_local) = (RwSignal::new(false), RwSignal::new(true));
    let words = move || state.words().account;
    // Each time it is asked anew.
    Effect::new(move |_| {
        if !state.is_confirming.get() {
            return;
        }
        trouble.set(None);
        wants_otp.set(false);
        // `autofocus` counts only while a page is loaded.
        request_animation_frame(move || {
            if let Some(input) = password.try_get_untracked().flatten() {
                let _ = input.focus();
            }
        });
        spawn_local(async move {
            // Without an answer a password may still do.
            if let Ok(ways) =
                link.call_open::<ProviderList>(Method::Get, "/api/v3/auth/providers", None).await
            {
                is_local.set(ways.local_login);
            }
        });
    });
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            link.confirmed(false);
        }
    };
    let show = move |request: ConfirmRequest| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        let was_given = request.otp.is_some();
        spawn_local(async move {
            let Ok(body) = json(&request) else { return };
            match link.call_once::<Done>(Method::Post, "/api/v3/auth/confirm", Some(body)).await {
                Ok(Done {}) => link.confirmed(true),
                Err(ApiError::Refused(ErrorType::SecondFactorRequired)) => {
                    wants_otp.set(true);
                    trouble.set(was_given.then_some(Trouble::WrongOtp));
                }
                Err(error) => trouble.set(Some(Trouble::of_proof(&error))),
            }
            busy.set(false);
        });
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let value = |field: NodeRef<Input>| {
            field.get_untracked().map(|input| input.value()).filter(|value| !value.is_empty())
        };
        show(ConfirmRequest { password: value(password), otp: value(otp), passkey: None });
    };
    let by_passkey = move |_| {
        spawn_local(async move {
            let path = "/api/v3/auth/passkey/options";
            let challenge = match link.call_open::<PasskeyChallenge>(Method::Post, path, None).await {
                Ok(challenge) => challenge,
                Err(error) => return trouble.set(Some(Trouble::of(&error))),
            };
            match passkeys::get(challenge).await {
                Some(answer) => show(ConfirmRequest { passkey: Some(answer), ..ConfirmRequest::default() }),
                None => trouble.set(Some(Trouble::Passkey)),
            }
        });
    };
    view! {
        <Show when=move || state.is_confirming.get()>
            <div class="over" role="dialog" aria-modal="true" aria-labelledby="confirm-title" on:keydown=on_key>
                <form class="card" novalidate on:submit=submit>
                    <h2 id="confirm-title">{move || words().confirm_title}</h2>
                    <p class="lead">{move || words().confirm_lead}</p>
                    <Show when=move || is_local.get()>
                        <label for="confirm-password">{move || state.words().password}</label>
                        <input id="confirm-password" type="password" data-testid="confirm-password"
                            autocomplete="current-password" node_ref=password />
                        <div class="field" hidden=move || !wants_otp.get()>
                            <label for="confirm-otp">{move || words().otp}</label>
                            <input id="confirm-otp" data-testid="confirm-otp" autocomplete="one-time-code" node_ref=otp />
                        </div>
                    </Show>
                    <TroubleLine trouble />
                    <Show when=move || is_local.get()>
                        <button class="primary" type="submit" data-testid="confirm-ok">{move || words().confirm}</button>
                    </Show>
                    <div class="ways">
                        <Show when=move || is_local.get() && passkeys::are_there()>
                            <button type="button" data-testid="confirm-passkey" on:click=by_passkey>
                                {move || words().with_passkey}
                            </button>
                        </Show>
                        <button class="quiet" type="button" data-testid="confirm-sign-in-again"
                            on:click=move |_| { link.confirmed(false); link.sign_out_here(); }>
                            {move || words().sign_in_again}
                        </button>
                        <button class="quiet" type="button" data-testid="confirm-cancel" on:click=move |_| link.confirmed(false)>
                            {move || state.words().cancel}
                        </button>
                    </div>
                </form>
            </div>
        </Show>
    }
}
