//! Measuring: the server as it is shipped, and the program that loads it.

use anyhow::Result;

use crate::places::Places;
use crate::{call, server};

pub fn run(places: &Places, arguments: &[String]) -> Result<()> {
    let program = server::build(places)?;
    eprintln!("==> bench");
    call::run(
        call::cargo(&places.root)
            .args(["run", "--release", "--package", "hongyan-bench", "--"])
            .args(arguments)
            .env("HONGYAN_SERVER_BIN", program),
    )
}
