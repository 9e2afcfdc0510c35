//! The resources of :8081, one file each.

pub mod announcements;
pub mod audit;
pub mod auth;
pub mod backups;
pub mod callbacks;
pub mod channels;
pub mod credentials;
pub mod deliveries;
pub mod departments;
pub mod health;
pub mod import;
mod members;
pub mod roles;
pub mod services;
pub mod sessions;
pub mod templates;
pub mod users;

pub use super::PageQuery;
use crate::directory::Window;
use hongyan_wire::api::Meta;

fn meta(window: &Window, total: u64) -> Meta {
    Meta::page(window.page, window.size, total)
}
