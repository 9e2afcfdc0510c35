//! The state of the connection: a quiet dot while all is well, a line that says what to expect otherwise.

use crate::link::link;
use crate::state::page;
use hongyan_client::engine::State;
use hongyan_client::engine::request::Input;
use leptos::prelude::*;

fn name(state: State) -> &'static str {
    match state {
        State::SignedOut => "signed-out",
        State::Connecting => "connecting",
        State::Syncing => "syncing",
        State::Online => "online",
        State::Offline { .. } => "offline",
        State::Restarting { .. } => "restarting",
        State::Replaced => "replaced",
    }
}

#[component]
pub fn Banner() -> impl IntoView {
    let (state, link) = (page(), link());
    let connection = state.connection;
    let told = move || {
        let words = state.words();
        match connection.get() {
            State::SignedOut | State::Connecting => words.connecting,
            State::Syncing => words.syncing,
            State::Online => words.online,
            State::Offline { .. } => words.offline,
            State::Restarting { .. } => words.restarting,
            State::Replaced => words.replaced,
        }
    };
    let wait = Memo::new(move |_| match connection.get() {
        State::Offline { retry_at } => {
            // Rounded up, so that it counts down to one and not to nothing.
            let left = (retry_at.millis() - state.clock.get()).max(0);
            Some((left + 999) / 1_000)
        }
        _ => None,
    });
    let button = move || match connection.get() {
        State::Offline { .. } | State::Restarting { .. } => Some(state.words().retry_now),
        State::Replaced => Some(state.words().use_here),
        _ => None,
    };
    view! {
        <div class="banner" role="status" data-testid="connection" data-state=move || name(connection.get())>
            <span class="dot" aria-hidden="true"></span>
            <span>{told}</span>
            <span>{move || wait.get().map(|seconds| (state.words().retry_in)(seconds))}</span>
            <span>
                {move || {
                    let waiting = state.unconfirmed.get();
                    let offline = !matches!(connection.get(), State::Online | State::Syncing);
                    (waiting > 0 && offline).then(|| (state.words().unconfirmed)(waiting))
                }}
            </span>
            <Show when=move || button().is_some()>
                <button type="button" data-testid="retry" on:click=move |_| link.tell(Input::Reconnect)>
                    {button}
                </button>
            </Show>
        </div>
    }
}
