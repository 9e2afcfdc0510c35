//! The resources of :8081, one file each.

pub mod audit;
pub mod auth;
pub mod channels;
pub mod health;
pub mod import;
pub mod roles;
pub mod services;
pub mod users;

use super::messages::{search, window};
use crate::directory::Window;
use crate::error::Result;
use hongyan_wire::api::Meta;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of a list, and what is searched for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Counted from 1.
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    size: Option<u32>,
    /// Text in ids and names; at most 200 characters.
    q: Option<String>,
}

impl PageQuery {
    fn window(self) -> Result<Window> {
        let (page, size) = window(self.page, self.size)?;
        Ok(Window { page, size, q: search(self.q)? })
    }
}

fn meta(window: &Window, total: u64) -> Meta {
    Meta::page(window.page, window.size, total)
}
