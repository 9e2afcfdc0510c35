//! Backups of the person's own messages: made, downloaded, taken away.

use super::jobs::Jobs;
use super::sure::Sure;
use crate::link::{browser, link};
use crate::moment::Whole;
use crate::pages::settings::ways;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::state::page;
use hongyan_client::api::json;
use hongyan_client::engine::State as Connection;
use hongyan_client::platform::Method;
use hongyan_wire::api::Done;
use hongyan_wire::backup::{Backup, BackupLink, BackupList, BackupRequest, JobState, LinkRequest};
use hongyan_wire::limits::PASSPHRASE_MIN;
use leptos::ev::SubmitEvent;
use leptos::html::{Input, Select};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

const PATH: &str = "/api/v3/backup";
const LINKS: &str = "/api/v3/backup/links";

#[component]
pub fn Backups() -> impl IntoView {
    let (state, link, ways) = (page(), link(), ways());
    let (backups, trouble) = (RwSignal::new(Vec::<Backup>::new()), RwSignal::new(None::<Trouble>));
    let (busy, passphrase, format) =
        (RwSignal::new(false), NodeRef::<Input>::new(), NodeRef::<Select>::new());
    // Those that were asked for here and have not been fetched yet.
    let own = RwSignal::new(Vec::<String>::new());
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
    // What was made while nothing was heard.
    Effect::new(move |was_online: Option<bool>| {
        let is_online = state.connection.get() == Connection::Online;
        if is_online && was_online == Some(false) {
            look();
        }
        is_online
    });
    // A browser sends no header of ours with a download: it goes by a link that is good by itself for a while.
    let fetch = move |request: LinkRequest| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let Ok(body) = json(&request) else { return busy.set(false) };
            match link.call::<BackupLink>(Method::Post, LINKS, Some(body)).await {
                Ok(made) => browser::leave_for(&made.url),
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
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        let format = format.get_untracked().map(|select| select.value());
        // A page is opened as it is.
        let packing = if format.as_deref() == Some("html") { "none" } else { "gzip" };
        let request = BackupRequest {
            compress: Some(packing.into()),
            format,
            lang: Some(state.language.get_untracked().words().code.into()),
            passphrase: Some(given).filter(|given| !given.is_empty()),
            ..BackupRequest::default()
        };
        spawn_local(async move {
            match link.create_job(&request).await {
                Ok(id) => {
                    if let Some(input) = passphrase.try_get_untracked().flatten() {
                        input.set_value("");
                    }
                    own.update(|own| own.push(id));
                }
                Err(error) => trouble.set(Some(Trouble::of(&error))),
            }
            busy.set(false);
        });
    };
    // What is done is listed; what was asked for here is fetched at once.
    let done = Memo::new(move |_| {
        state.jobs.with(|jobs| {
            let done = jobs.iter().filter(|job| job.state == JobState::Done);
            done.map(|job| (job.id.clone(), job.backup.as_ref().map(|backup| backup.id.clone())))
                .collect::<Vec<_>>()
        })
    });
    Effect::new(move |seen: Option<Vec<(String, Option<String>)>>| {
        let done = done.get();
        if seen.is_some_and(|seen| seen != done) {
            look();
        }
        let is_own = |job: &String| own.with(|own| own.contains(job));
        if !busy.get()
            && let Some((job, backup)) = done.iter().find(|(job, _)| is_own(job)).cloned()
        {
            own.update(|own| own.retain(|other| *other != job));
            if backup.is_some() {
                fetch(LinkRequest { backup, ..LinkRequest::default() });
            }
        }
        done
    });
    let remove = move |id: String| {
        spawn_local(async move {
            if let Err(error) = link.call::<Done>(Method::Delete, &format!("{PATH}/{id}"), None).await {
                trouble.set(Some(Trouble::of(&error)));
            }
            look();
        });
    };
    let line = move |backup: Backup| {
        let fetch = Callback::new(move |backup| {
            fetch(LinkRequest { backup: Some(backup), ..LinkRequest::default() })
        });
        view! { <Line backup fetch remove=Callback::new(remove) /> }
    };
    view! {
        <section>
            <h2>{move || words().backups}</h2>
            <p class="lead">{move || words().backups_lead}</p>
            <form novalidate on:submit=make>
                <label for="backup-format">{move || words().backup_format}</label>
                <select id="backup-format" data-testid="backup-format" node_ref=format>
                    <option value="database">{move || words().format_database}</option>
                    <option value="html">{move || words().format_html}</option>
                    <option value="jsonl">{move || words().format_jsonl}</option>
                </select>
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
                    {move || words().backup_make}
                </button>
            </form>
            <TroubleLine trouble />
            <Jobs own trouble />
            <ul class="lines">
                <For each=move || backups.get() key=|backup| backup.id.clone() children=line />
            </ul>
        </section>
    }
}

/// A backup that can be fetched. Both callbacks take its id.
#[component]
fn Line(backup: Backup, fetch: Callback<String>, remove: Callback<String>) -> impl IntoView {
    let state = page();
    let words = move || state.words().account;
    let (id, again) = (backup.id.clone(), backup.id.clone());
    let (messages, size, until) = (backup.messages, size(backup.size), backup.expires_at);
    let what = move || (words().backup_of)(messages, &size);
    view! {
        <li data-testid="backup-item">
            <div>
                <strong>{backup.name.clone()}</strong>
                <p class="lead">{what} " · " {move || words().until} <Whole at=until /></p>
            </div>
            <div class="row">
                <button class="quiet" type="button" data-testid="backup-download" on:click=move |_| fetch.run(again.clone())>
                    {move || words().download}
                </button>
                <Sure
                    label=Signal::derive(move || words().remove)
                    testid="backup-remove"
                    on_sure=Callback::new(move |()| remove.run(id.clone()))
                />
            </div>
        </li>
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
