//! The sections of the settings, one to a file.

pub mod backups;
pub mod devices;
pub mod identities;
mod jobs;
pub mod passkeys;
pub mod password;
pub mod profile;
pub mod restore;
pub mod sure;
pub mod tokens;
pub mod totp;
