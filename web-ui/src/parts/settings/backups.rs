//! Backups of the person's own messages: made, downloaded, taken away.

use super::sure::Sure;
use crate::link::{browser, link};
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::json;
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::backup::{Backup, BackupLink, BackupList, BackupRequest, LinkRequest};
use hongyan_wire::limits::PASSPHRASE_MIN;
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/backup";
const LINKS: &str = "/api/v3/backup/links";

#[component]
pub fn Backups() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (backups, trouble) = (RwSignal::new(Vec::<Backup>::new()), RwSignal::new(None::<Trouble>));
    let (busy, passphrase) = (RwSignal::new(false), NodeRef::<Input>::new());
    let words = move || state.words().account;
    let look = move || {
        spawn_local(async move {
            match link.call::<BackupList>(Method::Get, PATH, None).await {
                Ok(list) => {
                    backups.set(list.backups);
                    trouble.set(None);
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
        });
    };
    ways.on_change(look);
    // A browser sends no header of ours with a download: it goes by a link that is good by itself for a while.
    let fetch = move |request: LinkRequest| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let Ok(body) = json(&request) else { return };
            match link.call::<BackupLink>(Method::Post, LINKS, Some(body)).await {
                Ok(made) => {
                    if let Some(input) = passphrase.try_get_untracked().flatten() {
                        input.set_value("");
                    }
                    browser::leave_for(&made.url);
                    look();
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
            busy.set(false);
        });
    };
    let make = move |event: SubmitEvent| {
        event.prevent_default();
        let given = passphrase.get_untracked().map(|input| input.value()).unwrap_or_default();
        if !given.is_empty() && given.chars().count() < PASSPHRASE_MIN {
            return trouble.set(Some(Trouble::PassphraseTooShort));
        }
        let make = BackupRequest {
            compress: Some("gzip".into()),
            passphrase: Some(given).filter(|given| !given.is_empty()),
            ..BackupRequest::default()
        };
        fetch(LinkRequest { make: Some(make), ..LinkRequest::default() });
    };
    let remove = move |id: String| {
        spawn_local(async move {
            if let Err(error) = link.call::<Done>(Method::Delete, &format!("{PATH}/{id}"), None).await {
                trouble.set(Some(Trouble::of(&error)));
            }
            look();
        });
    };
    let line = move |backup: Backup| {
        let (id, again) = (backup.id.clone(), backup.id.clone());
        let (messages, size, until) = (backup.messages, size(backup.size), backup.expires_at.to_string());
        let until = until[..16].replace('T', " ");
        let what = move || (words().backup_of)(messages, &size, &until);
        view! {
            <li data-testid="backup-item">
                <div>
                    <strong>{backup.name.clone()}</strong>
                    <p class="lead">{what}</p>
                </div>
                <div class="row">
                    <button
                        class="quiet"
                        type="button"
                        data-testid="backup-download"
                        on:click=move |_| fetch(LinkRequest { backup: Some(again.clone()), ..LinkRequest::default() })
                    >
                        {move || words().download}
                    </button>
                    <Sure label=Signal::derive(move || words().remove) testid="backup-remove" on_sure=Callback::new(move |()| remove(id.clone())) />
                </div>
            </li>
        }
    };
    view! {
        <section>
            <h2>{move || words().backups}</h2>
            <p class="lead">{move || words().backups_lead}</p>
            <TroubleLine trouble />
            <ul class="lines">
                <For each=move || backups.get() key=|backup| backup.id.clone() children=line />
            </ul>
            <form novalidate on:submit=make>
                <label for="backup-passphrase">{move || words().backup_passphrase}</label>
                <input
                    id="backup-passphrase"
                    data-testid="backup-passphrase"
                    type="password"
                    autocomplete="off"
                    maxlength="1024"
                    node_ref=passphrase
                />
                <button type="submit" data-testid="backup-make" disabled=move || busy.get()>
                    {move || if busy.get() { words().backup_making } else { words().backup_make }}
                </button>
            </form>
        </section>
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in ["KB", "MB", "GB", "TB"] {
        if size < 1_000.0 {
            break;
        }
        (size, unit) = (size / 1_000.0, larger);
    }
    if unit == "B" { format!("{size} {unit}") } else { format!("{size:.1} {unit}") }
}
