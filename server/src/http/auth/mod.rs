//! Signing in, and what is one's own of it; one file for each of its parts.

pub mod profile;
pub mod sessions;
pub mod tokens;
