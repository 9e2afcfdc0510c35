//! Turns the built web UI into a table in Rust source.
//!
//! It only reads a folder: `cargo xtask web` fills it, and without it the table is empty, so that a
//! plain `cargo build` works in a fresh clone.

mod table;

use std::path::PathBuf;
use std::{env, fs, io};

#[allow(clippy::disallowed_methods, reason = "a build script is told where to work by its environment")]
fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=HONGYAN_WEB_DIR");
    let folder = match env::var_os("HONGYAN_WEB_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/web-ui")),
    };
    // Cargo would run this script on every build while a folder that it watches is missing.
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rerun-if-changed=table.rs");

    let out = env::var_os("OUT_DIR")
        .ok_or_else(|| io::Error::other("OUT_DIR is not set: run this through cargo"))?;
    fs::write(PathBuf::from(out).join("assets.rs"), table::source(&table::read(&folder)?))
}
