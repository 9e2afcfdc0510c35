//! The devices on which the person is signed in; each can be signed out from here.

use super::sure::Sure;
use crate::link::link;
use crate::pages::settings::ways;
use crate::parts::provider::name as name_of;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::platform::Method;
use hongyan_wire::account::{EndedAnswer, Session, SessionList};
use hongyan_wire::api::Done;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/auth/sessions";

#[component]
pub fn Devices() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (sessions, trouble) = (RwSignal::new(Vec::<Session>::new()), RwSignal::new(None::<Trouble>));
    let words = move || state.words().account;
    let look = move || {
        spawn_local(async move {
            match link.call::<SessionList>(Method::Get, PATH, None).await {
                Ok(list) => {
                    sessions.set(list.sessions);
                    trouble.set(None);
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
        });
    };
    ways.on_change(look);
    let end = move |session: Session| {
        if session.current {
            return link.sign_out();
        }
        spawn_local(async move {
            let path = format!("{PATH}/{}", session.id);
            if let Err(error) = link.call::<Done>(Method::Delete, &path, None).await {
                trouble.set(Some(Trouble::of(&error)));
            }
            look();
        });
    };
    let end_others = move |()| {
        spawn_local(async move {
            if let Err(error) = link.call::<EndedAnswer>(Method::Delete, PATH, None).await {
                trouble.set(Some(Trouble::of(&error)));
            }
            look();
        });
    };
    let line = move |session: Session| {
        let name =
            if session.device_name.is_empty() { "–".to_owned() } else { session.device_name.clone() };
        let (seen, address) = (session.refreshed_at, session.address.clone().unwrap_or_default());
        let (id, current, provider) = (session.id.to_string(), session.current, session.provider.clone());
        let ago = move || {
            let seconds = (state.clock.get() - seen.millis()).max(0) / 1_000;
            format!("{}{}", words().last_seen, (state.words().ago)(seconds))
        };
        let how = move || match provider.as_str() {
            "local" => words().by_password.to_owned(),
            "passkey" => words().by_passkey.to_owned(),
            id => ways.providers.with(|ways| {
                let known = ways.providers.iter().find(|provider| provider.id == id);
                known.map_or_else(|| id.to_owned(), |provider| name_of(provider, words()))
            }),
        };
        view! {
            <li data-testid="device-item" data-session-id=id>
                <div>
                    <strong>{name}</strong>
                    " "
                    <span class="tag" hidden=!current>{move || words().this_device}</span>
                    <p class="lead">{ago}" · "{address}" · "{how}</p>
                </div>
                <Sure label=Signal::derive(move || words().end) testid="device-end" on_sure=Callback::new(move |()| end(session.clone())) />
            </li>
        }
    };
    view! {
        <section>
            <h2>{move || words().devices}</h2>
            <TroubleLine trouble />
            <ul class="lines">
                <For each=move || sessions.get() key=|session| (session.id.clone(), session.refreshed_at) children=line />
            </ul>
            <Show when=move || sessions.with(|sessions| sessions.len() > 1)>
                <Sure label=Signal::derive(move || words().end_others) testid="devices-end-others" on_sure=Callback::new(end_others) />
            </Show>
        </section>
    }
}
