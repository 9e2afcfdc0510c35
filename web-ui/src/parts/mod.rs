//! The parts of the pages, one to a file.

pub mod actions;
pub mod banner;
pub mod bell;
pub mod confirm;
pub mod detail;
pub mod filters;
pub mod header;
pub mod item;
pub mod language;
pub mod list;
pub mod mark;
pub mod provider;
pub mod settings;
pub mod trouble;
