//! Signing in, and what is one's own of it; one file for each of its parts.

pub mod link;
pub mod native;
pub mod passkeys;
pub mod profile;
pub mod providers;
pub mod security;
pub mod sessions;
pub mod tokens;
