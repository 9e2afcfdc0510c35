//! The world that the engine is tried in.

pub mod server;
pub mod world;
