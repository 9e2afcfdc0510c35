//! Putting a backup back: chosen files, their passphrase, and once more whether it is meant.

use super::sure::Sure;
use crate::link::link;
use crate::parts::trouble::{Trouble, TroubleLine, into_sight};
use crate::state::page;
use hongyan_client::api::ApiError;
use hongyan_wire::backup::{RestoreAnswer, RestoreFault};
use hongyan_wire::error::ErrorType;
use leptos::ev::SubmitEvent;
use leptos::html::{Input, P};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

const PATH: &str = "/api/v3/backup/restore";
/// How a key of age begins, in place of a passphrase.
const KEY: &str = "AGE-SECRET-KEY-";

#[component]
pub fn Restore() -> impl IntoView {
    let (state, link) = (page(), link());
    let (files, passphrase) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let (trouble, fault) = (RwSignal::new(None::<Trouble>), RwSignal::new(None::<RestoreFault>));
    let (sent, done) = (RwSignal::new(None::<f64>), RwSignal::new(None::<RestoreAnswer>));
    // How many files, and which time they were chosen.
    let (chosen, choices) = (RwSignal::new(0u32), RwSignal::new(0u32));
    let (reason, good) = (NodeRef::<P>::new(), NodeRef::<P>::new());
    Effect::new(move || {
        // It stands below the line that says that it failed.
        if fault.get().is_some() {
            into_sight(reason);
        }
        if done.with(Option::is_some) {
            into_sight(good);
        }
    });
    let words = move || state.words().account;
    let choose = move |_| {
        let list = files.get_untracked().and_then(|input| input.files());
        chosen.set(list.map_or(0, |list| list.length()));
        choices.update(|choices| *choices += 1);
        trouble.set(None);
        fault.set(None);
        done.set(None);
    };
    let restore = move |()| {
        let Some(list) = files.get_untracked().and_then(|input| input.files()) else { return };
        let list: Vec<File> = (0..list.length()).filter_map(|n| list.get(n)).collect();
        if list.is_empty() || sent.get_untracked().is_some() {
            return;
        }
        let given = passphrase.get_untracked().map(|input| input.value()).unwrap_or_default();
        trouble.set(None);
        fault.set(None);
        done.set(None);
        sent.set(Some(0.0));
        spawn_local(async move {
            let name = if given.trim().starts_with(KEY) { "identity" } else { "passphrase" };
            let field = [(name, given.as_str())];
            let fields = if given.is_empty() { &field[..0] } else { &field[..] };
            match link.upload::<RestoreAnswer>(PATH, &list, fields, move |part| sent.set(Some(part))).await {
                Ok(answer) => {
                    done.set(Some(answer));
                    for field in [files, passphrase] {
                        if let Some(input) = field.try_get_untracked().flatten() {
                            input.set_value("");
                        }
                    }
                    chosen.set(0);
                }
                Err(refusal) => {
                    trouble.set(Some(match refusal.error {
                        ApiError::Refused(ErrorType::ValidationFailed) => Trouble::NoBackup,
                        ApiError::Refused(ErrorType::TooLarge) => Trouble::TooMuch,
                        error => Trouble::of(&error),
                    }));
                    fault.set(refusal.fault);
                }
            }
            sent.set(None);
        });
    };
    let told = move || done.get().map(|answer| (words().restored)(answer));
    let stage = move || {
        let sent = sent.get()?;
        Some(if sent < 1.0 { words().restore_sending } else { words().restore_working })
    };
    view! {
        <section>
            <h2>{move || words().restore}</h2>
            <p class="lead">{move || words().restore_lead}</p>
            // Enter sends nothing: it takes a second press.
            <form novalidate on:submit=move |event: SubmitEvent| event.prevent_default()>
                <label for="restore-files">{move || words().restore_files}</label>
                <input id="restore-files" data-testid="restore-files" type="file" multiple node_ref=files on:change=choose />
                <label for="restore-passphrase">{move || words().restore_passphrase}</label>
                <input
                    id="restore-passphrase"
                    data-testid="restore-passphrase"
                    type="password"
                    autocomplete="off"
                    maxlength="1024"
                    node_ref=passphrase
                />
                <div class="row" hidden=move || chosen.get() == 0 || sent.get().is_some()>
                    // Who chooses others is asked anew.
                    <For each=move || [choices.get()] key=|choices| *choices let:_choices>
                        <Sure
                            label=Signal::derive(move || words().restore)
                            testid="restore"
                            on_sure=Callback::new(restore)
                        />
                    </For>
                </div>
            </form>
            <TroubleLine trouble />
            <p class="lead" data-testid="restore-reason" node_ref=reason hidden=move || fault.get().is_none()>
                {move || fault.get().map(|fault| (words().restore_fault)(fault))}
            </p>
            <p class="good" role="status" data-testid="restore-done" node_ref=good hidden=move || told().is_none()>{told}</p>
            <Show when=move || sent.get().is_some()>
                <div>
                    <label for="restore-progress">{stage}</label>
                    // Without a value it moves to and fro: all has arrived, and is being put back.
                    <progress id="restore-progress" max="1" value=move || sent.get().filter(|sent| *sent < 1.0)></progress>
                </div>
            </Show>
        </section>
    }
}
