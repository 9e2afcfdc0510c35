//! The HTTP of both gateways, resource by resource.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod accounts;
mod actions;
mod admin;
mod batches;
mod departments;
mod depth;
mod documents;
mod door_edges;
mod doors;
mod envelope;
mod guards;
mod permissions;
mod reading;
mod receipts;
mod scheduling;
mod sending;
mod signing_in;
mod templates;
