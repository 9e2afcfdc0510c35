//! Signing in elsewhere: at providers, and for programs through the browser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

mod canary;
mod native;
mod oidc;
mod pages;
mod steps;
mod stubs;
