//! Backups in the background: how far each has got, and a way to give it up.

use crate::link::link;
use crate::parts::trouble::Trouble;
use crate::state::page;
use hongyan_client::engine::State as Connection;
use hongyan_wire::backup::{BackupJob, JobState};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// Those that wait or are being made. `own`: the ids of those that were asked for here, of which also a failure is shown.
#[component]
pub fn Jobs(own: RwSignal<Vec<String>>, trouble: RwSignal<Option<Trouble>>) -> impl IntoView {
    let (state, link) = (page(), link());
    let words = move || state.words().account;
    let look = move || {
        spawn_local(async move {
            // Without an answer it is asked again, or told.
            let _ = link.look_at_jobs().await;
        });
    };
    // What happened while nothing was heard is looked up: at the beginning, and once the socket is back.
    let is_live =
        Memo::new(move |_| matches!(state.connection.get(), Connection::Online | Connection::Syncing));
    Effect::new(move || {
        is_live.track();
        look();
    });
    let is_under_way =
        Memo::new(move |_| state.jobs.with(|jobs| jobs.iter().any(|job| !job.state.is_ended())));
    Effect::new(move || {
        state.clock.track();
        // The socket tells; while it is away, once a second.
        if is_under_way.get() && !is_live.get_untracked() {
            look();
        }
    });
    let shown = Memo::new(move |_| {
        let own = own.get();
        let is_shown = |job: &&BackupJob| {
            !job.state.is_ended() || job.state == JobState::Failed && own.contains(&job.id)
        };
        state.jobs.with(|jobs| jobs.iter().filter(is_shown).map(|job| job.id.clone()).collect::<Vec<_>>())
    });
    let line = move |id: String| {
        let (of, for_cancel) = (id.clone(), id.clone());
        let job = Memo::new(move |_| state.jobs.with(|jobs| jobs.iter().find(|job| job.id == of).cloned()));
        let told = move || match job.get() {
            Some(BackupJob { state: JobState::Waiting, .. }) => words().job_waiting.to_owned(),
            Some(BackupJob { state: JobState::Failed, error, .. }) => {
                (words().job_failed)(error.map(|error| error.error_type)).to_owned()
            }
            Some(job) => (words().job_running)((job.progress * 100.0) as u32),
            None => String::new(),
        };
        let has_ended = move || job.get().is_none_or(|job| job.state.is_ended());
        let cancel = move |_| {
            let id = for_cancel.clone();
            spawn_local(async move {
                if let Err(error) = link.cancel_job(&id).await {
                    trouble.set(Some(Trouble::of(&error)));
                }
            });
        };
        let bar = format!("backup-job-{id}");
        view! {
            <li data-testid="backup-job">
                <div>
                    <label for=bar.clone()>{told}</label>
                    <progress
                        id=bar
                        data-testid="backup-progress"
                        max="1"
                        hidden=has_ended
                        prop:value=move || job.get().map(|job| job.progress).unwrap_or_default()
                    />
                </div>
                <div class="row">
                    <button class="quiet" type="button" data-testid="backup-cancel" hidden=has_ended on:click=cancel>
                        {move || words().job_cancel}
                    </button>
                </div>
            </li>
        }
    };
    view! {
        <ul class="lines" aria-live="polite">
            <For each=move || shown.get() key=|id| id.clone() children=line />
        </ul>
    }
}
