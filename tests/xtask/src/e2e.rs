//! The end-to-end tests: they start the server as a program and drive it from outside.

use std::process::Command;

use anyhow::{Result, bail};

use crate::packages::{TESTED, TestPrograms, selected};
use crate::places::Places;
use crate::{browser, call, providers, senders};

/// All of them; or, with a name, the test program or else the tests that it means.
pub fn run(places: &Places, only: Option<&str>) -> Result<()> {
    let mut programs = TestPrograms::find(places)?.end_to_end;
    if programs.is_empty() {
        bail!("there are no end-to-end tests in tests/e2e/tests");
    }
    let part = match only {
        Some(name) if programs.iter().any(|program| program == name) => {
            programs = vec![name.to_owned()];
            None
        }
        part => part,
    };
    let mut build = call::cargo(&places.root);
    build
        .arg("build")
        .args(TESTED)
        .args(["--bin", "hongyan-server", "--bin", "hongyan"])
        .args(selected(&programs));
    call::run(&mut build)?;

    let mut tests = tests(places, &programs)?;
    if let Some(part) = part {
        let mut listing = self::tests(places, &programs)?;
        let list = call::output(listing.args(["--", part, "--list", "--format", "terse"]))?;
        if !list.lines().any(|line| line.ends_with(": test")) {
            bail!(
                "no step and no end-to-end test is called `{part}`; the files of tests/e2e/tests are: {}",
                programs.join(", ")
            );
        }
        tests.args(["--", part]);
    }
    call::run(&mut tests)
}

fn tests(places: &Places, programs: &[String]) -> Result<Command> {
    let mut command = call::cargo(&places.root);
    command
        .arg("test")
        .args(TESTED)
        .args(selected(programs))
        // One run tells of everything that is wrong.
        .arg("--no-fail-fast")
        .env("HONGYAN_SERVER_BIN", places.target.join("debug/hongyan-server"))
        .envs(browser::variables()?)
        .envs(providers::variables(places)?)
        .env("APPRISE_PYTHON", senders::apprise(places)?)
        .env("ALERTMANAGER", senders::alertmanager()?);
    Ok(command)
}
