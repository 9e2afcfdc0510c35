//! The password: changed, or set for the first time.

use crate::link::link;
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::json;
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::limits::is_password;
use hongyan_wire::profile::PasswordChange;
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

#[component]
pub fn Password() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (trouble, saved) = (RwSignal::new(None::<Trouble>), RwSignal::new(false));
    let (current, new) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let words = move || state.words().account;
    let has_one =
        move || ways.security.with(|security| security.as_ref().is_none_or(|security| security.has_password));
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        let value = |field: NodeRef<Input>| field.get_untracked().map(|input| input.value());
        let password = value(new).unwrap_or_default();
        saved.set(false);
        if !is_password(&password) {
            return trouble.set(Some(Trouble::TooShort));
        }
        trouble.set(None);
        let change = PasswordChange { current: value(current).filter(|_| has_one()), new: password };
        let has_current = change.current.is_some();
        spawn_local(async move {
            let Ok(body) = json(&change) else { return };
            let path = "/api/v3/auth/password";
            // A wrong one is refused as a bad token is, and is not to be tried twice.
            let changed = match has_current {
                true => link.call_once::<Done>(Method::Put, path, Some(body)).await,
                false => link.call::<Done>(Method::Put, path, Some(body)).await,
            };
            match changed {
                Ok(Done {}) => {
                    for field in [current, new] {
                        if let Some(input) = field.try_get_untracked().flatten() {
                            input.set_value("");
                        }
                    }
                    saved.set(true);
                    ways.look_again();
                }
                Err(error) => trouble.set(Some(Trouble::of_proof(&error))),
            }
        });
    };
    view! {
        <Show when=move || ways.providers.with(|list| list.local_login)>
            <form novalidate on:submit=save>
                <h3>{move || if has_one() { words().change_password } else { words().set_password }}</h3>
                <Show when=has_one>
                    <label for="password-current">{move || words().current_password}</label>
                    <input id="password-current" type="password" data-testid="password-current"
                        autocomplete="current-password" node_ref=current />
                </Show>
                <label for="password-new">{move || words().new_password}</label>
                <input id="password-new" type="password" data-testid="password-new" autocomplete="new-password" node_ref=new />
                <TroubleLine trouble />
                <p class="good" role="status" data-testid="password-saved" hidden=move || !saved.get()>
                    {move || saved.get().then(|| words().password_changed)}
                </p>
                <button type="submit" data-testid="password-save">{move || words().save}</button>
            </form>
        </Show>
    }
}
