//! The two pages.

pub mod inbox;
pub mod sign_in;
