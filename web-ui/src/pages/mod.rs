//! The pages.

pub mod authorize;
pub mod inbox;
pub mod invited;
pub mod settings;
pub mod sign_in;
