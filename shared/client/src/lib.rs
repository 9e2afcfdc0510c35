//! The client: a sync engine that decides, and the loop that does what it decides.
//!
//! `engine` knows what the reader sees and what to ask next; it does no I/O and reads no clock. `run` is the
//! one loop that performs its effects, through `api` and `socket` over a `platform`, and writes the kept
//! copy to a `mirror`. Only `platform` knows whether this is a browser.

pub mod api;
pub mod engine;
pub mod links;
pub mod mirror;
pub mod platform;
pub mod run;
pub mod socket;
