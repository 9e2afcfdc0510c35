//! What tests drive: the real server as a process of its own, its HTTP and sockets as programs see them,
//! and a real browser.
//!
//! Nothing here waits for time: every wait is for a condition and has a bound after which the test fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

mod api;
mod browser;
mod oidc;
mod people;
mod port;
mod programs;
pub mod providers;
mod raw;
mod receiver;
mod server;
mod socket;
mod time;
mod tls;
mod visitor;
mod wait;

pub use api::{Api, Reply, http_client};
pub use browser::Browser;
pub use oidc::{OidcFault, OidcKind, OidcServer};
pub use people::{Admin, Person, Sender, signed};
pub use port::Port;
pub use programs::program_of_others;
pub use providers::Providers;
pub use raw::{Raw, SOCKET_KEY};
pub use receiver::{Receiver, Told};
pub use server::{Exit, Server, Setup};
pub use socket::{Heard, Socket};
pub use time::later;
pub use tls::TlsDocument;
pub use visitor::Visitor;
pub use wait::{PATIENCE, eventually, growing, the_moment, within};
