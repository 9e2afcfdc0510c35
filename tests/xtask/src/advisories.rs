//! Known security problems of the dependencies. Apart from the other checks, because the database
//! has to be fetched and its answer changes from day to day.

use anyhow::{Result, bail};

use crate::call;
use crate::places::Places;

pub fn check(places: &Places) -> Result<()> {
    if !call::succeeds(call::cargo(&places.root).args(["deny", "--version"])) {
        bail!(
            "cargo-deny is missing. Install it with `cargo install --locked cargo-deny` (it compiles for several minutes), then run `cargo xtask advisories` again"
        );
    }
    call::run(call::cargo(&places.root).args(["deny", "check", "advisories"]))
}
