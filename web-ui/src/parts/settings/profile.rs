//! What a person says of themself: name, address, picture.

use crate::link::link;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::json;
use hongyan_client::platform::{Body, Method};
use hongyan_wire::limits::PICTURE_MAX;
use hongyan_wire::profile::{Profile, ProfileUpdate};
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

const PATH: &str = "/api/v3/auth/profile";
const AVATAR: &str = "/api/v3/auth/profile/avatar";

#[component]
pub fn ProfileSection() -> impl IntoView {
    let (state, link) = (page(), link());
    let (trouble, saved) = (RwSignal::new(None::<Trouble>), RwSignal::new(false));
    let (name, email, file) = (NodeRef::<Input>::new(), NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let words = move || state.words().account;
    let change = move |method: Method, path: &'static str, body: Option<Body>| {
        trouble.set(None);
        saved.set(false);
        spawn_local(async move {
            match link.call::<Profile>(method, path, body).await {
                Ok(profile) => {
                    link.set_profile(profile);
                    saved.set(true);
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
        });
    };
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        let value = |field: NodeRef<Input>| field.get_untracked().map(|input| input.value());
        let update = ProfileUpdate { name: value(name), email: value(email) };
        if let Ok(body) = json(&update) {
            change(Method::Put, PATH, Some(body));
        }
    };
    let choose = move |_| {
        let chosen = file.get_untracked().and_then(|input| input.files()).and_then(|files| files.get(0));
        let Some(chosen) = chosen else { return };
        if let Some(input) = file.get_untracked() {
            // The same file may be chosen again.
            input.set_value("");
        }
        if chosen.size() > PICTURE_MAX as f64 {
            saved.set(false);
            return trouble.set(Some(Trouble::TooLarge));
        }
        spawn_local(async move {
            let Ok(bytes) = JsFuture::from(chosen.array_buffer()).await else { return };
            let bytes = js_sys::Uint8Array::new(&bytes).to_vec();
            let kind = Some(chosen.type_()).filter(|kind| !kind.is_empty());
            let kind = kind.unwrap_or_else(|| "application/octet-stream".into());
            change(Method::Put, AVATAR, Some(Body::File { kind, bytes }));
        });
    };
    let of = move |read: fn(&Profile) -> String| {
        // Only what has changed is written into the form, over what is being typed.
        Memo::new(move |_| state.profile.with(|profile| profile.as_ref().map(read).unwrap_or_default()))
    };
    let (known_name, known_email) =
        (of(|profile| profile.name.clone()), of(|profile| profile.email.clone().unwrap_or_default()));
    let avatar =
        move || state.profile.with(|profile| profile.as_ref().and_then(|profile| profile.avatar.clone()));
    view! {
        <section>
            <h2>{move || words().profile}</h2>
            <div class="row">
                <Show when=move || avatar().is_some()>
                    <img class="avatar large" data-testid="avatar" src=avatar alt="" />
                </Show>
                <label class="button">
                    {move || words().choose_picture}
                    <input
                        class="hidden-text" type="file" accept="image/png,image/jpeg,image/gif,image/webp"
                        data-testid="settings-picture" node_ref=file on:change=choose
                    />
                </label>
                <Show when=move || avatar().is_some()>
                    <button class="quiet" type="button" data-testid="picture-remove" on:click=move |_| change(Method::Delete, AVATAR, None)>
                        {move || words().remove_picture}
                    </button>
                </Show>
            </div>
            <form novalidate on:submit=save>
                <label for="settings-name">{move || words().name}</label>
                <input id="settings-name" data-testid="settings-name" autocomplete="name" node_ref=name
                    prop:value=known_name />
                <label for="settings-email">{move || words().email}</label>
                <input id="settings-email" type="email" data-testid="settings-email" autocomplete="email" node_ref=email
                    prop:value=known_email />
                <TroubleLine trouble />
                <p class="good" role="status" data-testid="notice" hidden=move || !saved.get()>{move || saved.get().then(|| words().saved)}</p>
                <button class="primary" type="submit" data-testid="settings-save">{move || words().save}</button>
            </form>
        </section>
    }
}
