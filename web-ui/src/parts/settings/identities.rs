//! The accounts at providers with which the person signs in.

use super::sure::Sure;
use crate::link::{browser, link};
use crate::pages::settings::ways;
use crate::parts::provider::{ProviderMark, name, naming};
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::account::LoginUrl;
use hongyan_wire::api::Done;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::{Identity, LinkIdentityRequest};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/auth/identities";

#[component]
pub fn Identities() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let trouble = RwSignal::new(None::<Trouble>);
    let words = move || state.words().account;
    let listed = move || {
        ways.security.with(|security| security.as_ref().map(|s| s.identities.clone()).unwrap_or_default())
    };
    let name_of = move |id: &str| {
        let named = |list: &hongyan_wire::account::ProviderList| {
            list.providers.iter().find(|provider| provider.id == id).map(|provider| name(provider, words()))
        };
        ways.providers.with(named).unwrap_or_else(|| id.to_owned())
    };
    let add = move |provider: String| {
        trouble.set(None);
        spawn_local(async move {
            let Ok(body) = json(&LinkIdentityRequest { provider }) else { return };
            match link.call::<LoginUrl>(Method::Post, PATH, Some(body)).await {
                Ok(to) => browser::leave_for(&to.auth_url),
                Err(error) => trouble.set(Some(Trouble::of(&error))),
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
    let line = move |identity: Identity| {
        let (id, provider) = (identity.id.clone(), identity.provider.clone());
        view! {
            <li data-testid="identity-item">
                <div>
                    <strong>{move || name_of(&provider)}</strong>
                    <p class="lead">{identity.name.clone()}</p>
                </div>
                <Sure label=Signal::derive(move || words().remove) testid="identity-delete" on_sure=Callback::new(move |()| remove(id.clone())) />
            </li>
        }
    };
    view! {
        <Show when=move || ways.providers.with(|list| !list.providers.is_empty())>
            <div>
                <h3>{move || words().identities}</h3>
                <TroubleLine trouble />
                <ul class="lines">
                    <For each=listed key=|identity| identity.id.clone() children=line />
                </ul>
                <div class="row">
                    <For each=move || ways.providers.get().providers key=|provider| provider.id.clone() let:provider>
                        <button
                            type="button"
                            data-testid=format!("identity-link-{}", provider.id)
                            on:click={let id = provider.id.clone(); move |_| add(id.clone())}
                        >
                            <ProviderMark kind=provider.kind />
                            {naming(&provider, |words| words.link_account)}
                        </button>
                    </For>
                </div>
            </div>
        </Show>
    }
}
