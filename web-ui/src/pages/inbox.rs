//! The inbox: header, banner, filters, list, and the open message beside it or, on a phone, instead of it.

use crate::link::{browser, link};
use crate::parts::banner::Banner;
use crate::parts::detail::Detail;
use crate::parts::filters::Filters;
use crate::parts::header::Header;
use crate::parts::list::List;
use crate::state::page;
use leptos::ev;
use leptos::prelude::*;

#[component]
pub fn Inbox() -> impl IntoView {
    let (state, link) = (page(), link());

    // Opening marks read what is not, once; taking it back while it is open stays taken back.
    let opened = Memo::new(move |_| state.opened().map(|shown| shown.message.id.clone()));
    Effect::new(move || {
        if let Some(id) = opened.get()
            && untrack(|| state.opened()).is_some_and(|shown| !shown.is_read)
        {
            link.mark(id, true);
        }
    });
    // What is open and not here is asked for by itself, however old it is.
    Effect::new(move || {
        let is_missing = state.loaded.get() && state.opened().is_none();
        if let Some(id) = state.open.get().filter(|_| is_missing) {
            link.look_up(id);
        }
    });
    let escape = window_event_listener(ev::keydown, move |event| {
        if event.key() == "Escape" && state.open.with_untracked(Option::is_some) {
            browser::open(None);
        }
    });
    on_cleanup(move || escape.remove());

    view! {
        <div class="inbox" class:reading=move || state.open.with(Option::is_some)>
            <Header />
            <Banner />
            <Filters />
            <List />
            <Detail />
        </div>
    }
}
