//! The authenticator as second factor, and the codes that take its place.

use super::sure::Sure;
use crate::link::link;
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::{ApiError, json};
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::error::ErrorType;
use hongyan_wire::profile::{RecoveryCodes, TotpOffer, TotpProof};
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/auth/totp";

#[component]
pub fn Totp() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (offer, codes) = (RwSignal::new(None::<TotpOffer>), RwSignal::new(None::<Vec<String>>));
    let (trouble, code) = (RwSignal::new(None::<Trouble>), NodeRef::<Input>::new());
    let busy = RwSignal::new(false);
    let words = move || state.words().account;
    let is_on =
        move || ways.security.with(|security| security.as_ref().is_some_and(|security| security.totp));
    let left = move || {
        ways.security.with(|security| security.as_ref().map_or(0, |security| security.recovery_codes))
    };
    let begin = move |_| {
        trouble.set(None);
        spawn_local(async move {
            match link.call::<TotpOffer>(Method::Post, PATH, None).await {
                Ok(offered) => offer.set(Some(offered)),
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
        });
    };
    let show = move |event: SubmitEvent| {
        event.prevent_default();
        let shown = code.get_untracked().map(|input| input.value()).unwrap_or_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let Ok(body) = json(&TotpProof { code: shown }) else { return };
            match link.call::<RecoveryCodes>(Method::Put, PATH, Some(body)).await {
                Ok(made) => {
                    offer.set(None);
                    codes.set(Some(made.recovery_codes));
                    ways.look_again();
                }
                Err(ApiError::Refused(ErrorType::ValidationFailed)) => trouble.set(Some(Trouble::WrongOtp)),
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
            busy.set(false);
        });
    };
    let off = move |()| {
        codes.set(None);
        spawn_local(async move {
            if let Err(error) = link.call::<Done>(Method::Delete, PATH, None).await {
                trouble.set(Some(Trouble::of(&error)));
            }
            ways.look_again();
        });
    };
    let picture = move || {
        offer.with(|offer| {
            offer
                .as_ref()
                .map(|offer| format!("data:image/svg+xml,{}", js_sys::encode_uri_component(&offer.qr)))
        })
    };
    let secret = move || offer.with(|offer| offer.as_ref().map(|offer| offer.secret.clone()));
    view! {
        <div>
            <h3>{move || words().totp}</h3>
            <p class="lead">{move || if is_on() { words().totp_on_lead } else { words().totp_off_lead }}</p>
            <TroubleLine trouble />
            <Show when=move || !is_on() && offer.with(Option::is_none)>
                <button type="button" data-testid="totp-start" on:click=begin>{move || words().totp_start}</button>
            </Show>
            <Show when=move || offer.with(Option::is_some)>
                <form novalidate on:submit=show>
                    <p>{move || words().totp_scan}</p>
                    <img class="qr" src=picture alt="" />
                    <code data-testid="totp-secret">{secret}</code>
                    <label for="totp-code">{move || words().otp}</label>
                    <input id="totp-code" data-testid="totp-code" inputmode="numeric" autocomplete="one-time-code" node_ref=code />
                    <button class="primary" type="submit" data-testid="totp-confirm">{move || words().turn_on}</button>
                </form>
            </Show>
            <Show when=move || codes.with(Option::is_some)>
                <h4>{move || words().recovery}</h4>
                <p>{move || words().recovery_lead}</p>
                <pre data-testid="recovery-codes">{move || codes.get().unwrap_or_default().join("\n")}</pre>
            </Show>
            <Show when=is_on>
                <p class="lead">{move || (words().codes_left)(left())}</p>
                <Sure label=Signal::derive(move || words().turn_off) testid="totp-off" on_sure=Callback::new(off) />
            </Show>
        </div>
    }
}
