//! The socket: what arrives, in which order, on which devices, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod delivery;
mod endings;
mod recalls;
mod resuming;
