//! Measuring: the server as it is shipped, and the program that loads it.

use anyhow::Result;

use crate::call;
use crate::places::Places;
use crate::server::{self, Build};

pub fn run(places: &Places, arguments: &[String]) -> Result<()> {
    let program = server::build(places, Build::Dist)?;
    eprintln!("==> bench");
    call::run(
        call::cargo(&places.root)
            .args(["run", "--profile", Build::Dist.profile(), "--package", "hongyan-bench", "--"])
            .args(arguments)
            .env("HONGYAN_SERVER_BIN", program),
    )
}
