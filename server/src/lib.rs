//! Hongyan's server. Everything that changes is a record in one log; the directory, the inboxes and the
//! hub follow it. `app` puts the rooms together.

pub mod account;
pub mod admin;
pub mod app;
pub mod auth;
pub mod backup;
pub mod callback;
pub mod clock;
pub mod config;
pub mod directory;
pub mod error;
pub mod faults;
mod follow;
mod guard;
pub mod http;
pub mod hub;
pub mod inbox;
mod lanes;
pub mod log;
pub mod report;
pub mod send;
#[cfg(test)]
mod simulation;
pub mod socket;
pub mod telemetry;
