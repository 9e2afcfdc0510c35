//! The settings: profile, devices, ways to sign in, tokens.

use crate::link::{Link, link};
use crate::pages::sign_in::told;
use crate::parts::language::LanguageSwitch;
use crate::parts::mark::Mark;
use crate::parts::settings::backups::Backups;
use crate::parts::settings::devices::Devices;
use crate::parts::settings::identities::Identities;
use crate::parts::settings::passkeys::Passkeys;
use crate::parts::settings::password::Password;
use crate::parts::settings::profile::ProfileSection;
use crate::parts::settings::restore::Restore;
use crate::parts::settings::tokens::Tokens;
use crate::parts::settings::totp::Totp;
use crate::parts::trouble::{Trouble, TroubleLine};
use crate::route::Route;
use crate::state::page;
use hongyan_client::engine::State as Connection;
use hongyan_client::platform::Method;
use hongyan_wire::account::ProviderList;
use hongyan_wire::profile::Security;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// How the person can sign in, for the sections that show parts of it; asked for again after each change.
#[derive(Clone, Copy)]
pub struct Ways {
    link: Link,
    pub security: RwSignal<Option<Security>>,
    pub providers: RwSignal<ProviderList>,
    trouble: RwSignal<Option<Trouble>>,
    /// Counts the changes after which everything is asked for again.
    changes: RwSignal<u32>,
}

impl Ways {
    pub fn look_again(self) {
        self.changes.update(|changes| *changes = changes.wrapping_add(1));
    }

    /// Calls `look` now, and whenever what the sections show may have changed.
    pub fn on_change(self, look: impl Fn() + 'static) {
        Effect::new(move || {
            self.changes.track();
            untrack(&look);
        });
    }

    fn look(self) {
        spawn_local(async move {
            let security = self.link.call(Method::Get, "/api/v3/auth/security", None).await;
            let providers = self.link.call_open(Method::Get, "/api/v3/auth/providers", None).await;
            self.trouble.set(security.as_ref().err().or(providers.as_ref().err()).map(Trouble::of));
            if let Ok(security) = security {
                self.security.set(Some(security));
            }
            if let Ok(providers) = providers {
                self.providers.set(providers);
            }
        });
    }
}

#[component]
pub fn Settings() -> impl IntoView {
    let (state, link) = (page(), link());
    let ways = Ways {
        link,
        security: RwSignal::default(),
        providers: RwSignal::default(),
        trouble: RwSignal::default(),
        changes: RwSignal::default(),
    };
    provide_context(ways);
    ways.on_change(move || ways.look());
    // What could not be had while the server was away is had once it is back.
    Effect::new(move || {
        if state.connection.get() == Connection::Online && ways.trouble.get_untracked().is_some() {
            ways.look_again();
        }
    });
    let words = move || state.words().account;
    let refusal = move || match state.route.get() {
        Route::Settings(Some(refusal)) | Route::SignIn(Some(refusal)) => {
            Some(told(&refusal, Some(&ways.providers.get()), words()))
        }
        _ => None,
    };
    view! {
        <div class="settings">
            <header class="top">
                <Mark />
                <h1>{move || words().settings}</h1>
                <span class="space"></span>
                <LanguageSwitch />
                <a class="button quiet" href="#/" data-testid="to-inbox">{move || words().back_to_inbox}</a>
            </header>
            <main>
                <p class="error" role="alert" data-testid="refusal" hidden=move || refusal().is_none()>{refusal}</p>
                <TroubleLine trouble=ways.trouble />
                <ProfileSection />
                <Devices />
                <section>
                    <h2>{move || words().security}</h2>
                    <Password />
                    <Show when=move || ways.providers.with(|ways| ways.local_login)>
                        <Totp />
                    </Show>
                    <Passkeys />
                    <Identities />
                </section>
                <Tokens />
                <Backups />
                <Restore />
            </main>
        </div>
    }
}

/// How the person can sign in.
pub fn ways() -> Ways {
    expect_context::<Ways>()
}
