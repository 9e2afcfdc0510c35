//! The parts of the pages, one to a file.

pub mod actions;
pub mod banner;
pub mod bell;
pub mod detail;
pub mod filters;
pub mod header;
pub mod item;
pub mod language;
pub mod list;
pub mod mark;
