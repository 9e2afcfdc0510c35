//! Tokens for scripts of the person's own.

use super::sure::Sure;
use crate::link::link;
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::json;
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::profile::{NewToken, PersonalToken, PersonalTokenList, Scope, TokenRequest};
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/auth/tokens";
/// What is offered; longer or without end goes over the interface.
const DAYS: u32 = 90;

#[component]
pub fn Tokens() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (tokens, made) = (RwSignal::new(Vec::<PersonalToken>::new()), RwSignal::new(None::<String>));
    let (trouble, name) = (RwSignal::new(None::<Trouble>), NodeRef::<Input>::new());
    let boxes = [Scope::Read, Scope::Write, Scope::SendSelf].map(|scope| (scope, NodeRef::<Input>::new()));
    let busy = RwSignal::new(false);
    let words = move || state.words().account;
    let look = move || {
        spawn_local(async move {
            match link.call::<PersonalTokenList>(Method::Get, PATH, None).await {
                Ok(list) => {
                    tokens.set(list.tokens);
                    trouble.set(None);
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
        });
    };
    ways.on_change(look);
    let make = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        made.set(None);
        let chosen =
            boxes.iter().filter(|(_, field)| field.get_untracked().is_some_and(|input| input.checked()));
        let request = TokenRequest {
            name: name.get_untracked().map(|input| input.value()).unwrap_or_default(),
            scopes: chosen.map(|(scope, _)| *scope).collect(),
            expires_in_days: Some(DAYS),
        };
        spawn_local(async move {
            let Ok(body) = json(&request) else { return };
            match link.call::<NewToken>(Method::Post, PATH, Some(body)).await {
                Ok(new) => {
                    made.set(Some(new.token));
                    for field in boxes.iter().map(|(_, field)| field).chain([&name]) {
                        if let Some(input) = field.try_get_untracked().flatten() {
                            input.set_value("");
                            input.set_checked(false);
                        }
                    }
                    look();
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
            busy.set(false);
        });
    };
    let end = move |token: PersonalToken| {
        spawn_local(async move {
            if let Err(error) = link.call::<Done>(Method::Delete, &format!("{PATH}/{}", token.id), None).await
            {
                trouble.set(Some(Trouble::of(&error)));
            }
            look();
        });
    };
    let named = move |scope: Scope| match scope {
        Scope::Read => words().scope_read,
        Scope::Write => words().scope_write,
        Scope::SendSelf => words().scope_self,
    };
    let line = move |token: PersonalToken| {
        let (scopes, until) = (token.scopes.clone(), token.expires_at);
        let allows =
            move || scopes.iter().map(|scope| named(*scope)).collect::<Vec<_>>().join(words().scopes_between);
        let ends = move || match until {
            Some(until) => format!("{}{}", words().until, &until.to_string()[..10]),
            None => words().never_expires.to_owned(),
        };
        view! {
            <li data-testid="token-item">
                <div>
                    <strong>{token.name.clone()}</strong>
                    <p class="lead">{allows}" · "{ends}</p>
                </div>
                <Sure label=Signal::derive(move || words().remove) testid="token-end" on_sure=Callback::new(move |()| end(token.clone())) />
            </li>
        }
    };
    let choice = move |(scope, field): (Scope, NodeRef<Input>)| {
        view! {
            <label class="choice">
                <input type="checkbox" data-testid=format!("token-scope-{}", scope.as_str().replace(':', "-")) node_ref=field />
                {move || named(scope)}
            </label>
        }
    };
    view! {
        <section>
            <h2>{move || words().tokens}</h2>
            <p class="lead">{move || words().tokens_lead}</p>
            <TroubleLine trouble />
            <ul class="lines">
                <For each=move || tokens.get() key=|token| token.id.clone() children=line />
            </ul>
            <Show when=move || made.with(Option::is_some)>
                <p>{move || words().token_once}</p>
                <pre data-testid="token-new">{move || made.get()}</pre>
            </Show>
            <form novalidate on:submit=make>
                <label for="token-name">{move || words().label}</label>
                <input id="token-name" data-testid="token-name" maxlength="100" node_ref=name />
                <div class="row">{boxes.map(choice).collect_view()}</div>
                <button type="submit" data-testid="token-make">{move || words().make}</button>
            </form>
        </section>
    }
}
