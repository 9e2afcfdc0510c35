//! The person's passkeys.

use super::sure::Sure;
use crate::link::{browser, link, passkeys};
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::{PasskeyChallenge, PasskeyInfo, PasskeyRequest};
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/auth/passkeys";

#[component]
pub fn Passkeys() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (trouble, name) = (RwSignal::new(None::<Trouble>), NodeRef::<Input>::new());
    let words = move || state.words().account;
    let listed = move || {
        ways.security.with(|security| security.as_ref().map(|s| s.passkeys.clone()).unwrap_or_default())
    };
    let add = move |_| {
        trouble.set(None);
        let typed = name.get_untracked().map(|input| input.value()).unwrap_or_default();
        let called = Some(typed.trim().to_owned()).filter(|name| !name.is_empty());
        let called = called.or_else(browser::device_name).unwrap_or_else(|| "passkey".into());
        spawn_local(async move {
            let offered = link.call::<PasskeyChallenge>(Method::Post, &format!("{PATH}/options"), None).await;
            let challenge = match offered {
                Ok(challenge) => challenge,
                Err(error) => return trouble.set(Some(Trouble::of(&error))),
            };
            let Some(answer) = passkeys::create(challenge).await else {
                return trouble.set(Some(Trouble::Passkey));
            };
            let request = PasskeyRequest {
                name: called,
                challenge_id: answer.challenge_id,
                credential: answer.credential,
            };
            let Ok(body) = json(&request) else { return };
            match link.call::<PasskeyInfo>(Method::Post, PATH, Some(body)).await {
                Ok(_) => ways.look_again(),
                Err(_) => trouble.set(Some(Trouble::Passkey)),
            }
        });
    };
    let remove = move |id: String| {
        spawn_local(async move {
            match link.call::<Done>(Method::Delete, &format!("{PATH}/{id}"), None).await {
                Ok(Done {}) => trouble.set(None),
                Err(ApiError::Refused(ErrorType::ValidationFailed)) => trouble.set(Some(Trouble::LastWay)),
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
            ways.look_again();
        });
    };
    let line = move |key: PasskeyInfo| {
        let id = key.id.clone();
        view! {
            <li data-testid="passkey-item">
                <strong>{key.name.clone()}</strong>
                <Sure label=Signal::derive(move || words().remove) testid="passkey-delete" on_sure=Callback::new(move |()| remove(id.clone())) />
            </li>
        }
    };
    view! {
        <Show when=move || ways.providers.with(|list| list.passkeys) && passkeys::are_there()>
            <div>
                <h3>{move || words().passkeys}</h3>
                <p class="lead">{move || words().passkeys_lead}</p>
                <TroubleLine trouble />
                <ul class="lines">
                    <For each=listed key=|key| key.id.clone() children=line />
                </ul>
                <div class="row">
                    <input data-testid="passkey-name" maxlength="100" aria-label=move || words().label
                        placeholder=move || words().label node_ref=name />
                    <button type="button" data-testid="passkey-add" on:click=add>{move || words().add}</button>
                </div>
            </div>
        </Show>
    }
}
