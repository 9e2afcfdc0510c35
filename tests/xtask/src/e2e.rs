//! The end-to-end tests: they start the server as a program and drive it from outside.

use std::process::Command;

use anyhow::{Result, bail};

use crate::places::Places;
use crate::{browser, call};

/// Which of the end-to-end tests to run.
pub enum Choice<'a> {
    All,
    /// One file or folder of `tests/e2e/tests`.
    Target(&'a str),
    /// Tests with this in their name.
    Named(&'a str),
}

pub fn run(places: &Places, choice: &Choice<'_>) -> Result<()> {
    call::run(call::cargo(&places.root).args(["build", "--package", "hongyan-server"]))?;
    match choice {
        Choice::All => call::run(&mut tests(places)?),
        Choice::Target(target) => call::run(tests(places)?.args(["--test", target])),
        Choice::Named(part) => {
            let list = call::output(tests(places)?.args(["--", part, "--list", "--format", "terse"]))?;
            if !list.lines().any(|line| line.ends_with(": test")) {
                bail!(
                    "no step, no file of tests/e2e/tests and no end-to-end test is called `{part}`; the files are: {}",
                    targets(places).join(", ")
                );
            }
            call::run(tests(places)?.args(["--", part]))
        }
    }
}

/// The test programs, by the names that `--only` takes.
pub fn targets(places: &Places) -> Vec<String> {
    let Ok(entries) = places.root.join("tests/e2e/tests").read_dir() else { return Vec::new() };
    let mut targets: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            match name.strip_suffix(".rs") {
                Some(target) => Some(target.to_owned()),
                None => entry.path().join("main.rs").is_file().then_some(name),
            }
        })
        .collect();
    targets.sort();
    targets
}

fn tests(places: &Places) -> Result<Command> {
    let mut command = call::cargo(&places.root);
    command
        .args(["test", "--package", "hongyan-e2e"])
        .env("HONGYAN_SERVER_BIN", places.target.join("debug/hongyan-server"))
        .env("CHROMIUM", browser::chromium()?)
        .env("CHROMEDRIVER", browser::chromedriver()?);
    Ok(command)
}
