//! Pages of lists: their bounds, and the query that most lists take.

use crate::directory::Window;
use crate::error::{Error, Result};
use hongyan_wire::limits::{PAGE_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, SEARCH_MAX};
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
    pub fn window(self) -> Result<Window> {
        let (page, size) = window(self.page, self.size)?;
        Ok(Window { page, size, q: search(self.q)? })
    }
}

/// A page number and size within their bounds.
pub fn window(page: Option<u32>, size: Option<u32>) -> Result<(u32, u32)> {
    let (page, size) = (page.unwrap_or(1), size.unwrap_or(PAGE_SIZE_DEFAULT));
    if !(1..=PAGE_MAX).contains(&page) {
        return Err(Error::field("page", "must be from 1 to 100000"));
    }
    if !(1..=PAGE_SIZE_MAX).contains(&size) {
        return Err(Error::field("size", "must be from 1 to 100"));
    }
    Ok((page, size))
}

/// A search text within its bounds; an empty one is none.
pub fn search(q: Option<String>) -> Result<Option<String>> {
    match q {
        Some(q) if q.chars().count() > SEARCH_MAX => {
            Err(Error::field("q", "must have at most 200 characters"))
        }
        Some(q) if q.contains(char::is_control) => {
            Err(Error::field("q", "must not contain control characters"))
        }
        q => Ok(q.filter(|q| !q.is_empty())),
    }
}
