//! The web UI: one page that shows a person's inbox and keeps itself up to date.
//!
//! What always holds: nothing from a message reaches the page as anything but text; nothing is fetched from
//! elsewhere than the page's own server; no style or script is inline.

mod app;
mod link;
mod moment;
mod pages;
mod parts;
mod route;
mod state;
mod words;

fn main() {
    leptos::mount::mount_to_body(app::App);
}
