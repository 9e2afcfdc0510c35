//! The steps of `cargo xtask test`, in their order: the cheap ones that fail most often come first.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::packages::{TESTED, TestPrograms, selected};
use crate::places::Places;
use crate::setup::{self, Need};
use crate::{browser, call, e2e, licences, providers, web};

struct Step {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    perform: fn(&Places) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "setup", about: "what the other steps need", needs: EVERYTHING, perform: |_| Ok(()) },
    Step { name: "fmt", about: "the layout of the code", needs: &[Need::Formatter], perform: fmt },
    Step { name: "lint", about: "clippy, warnings are errors", needs: LINTER, perform: lint },
    Step { name: "licences", about: "licences and origins", needs: &[], perform: licences::check },
    Step { name: "web", about: "the web UI", needs: &[], perform: web::build },
    Step { name: "unit", about: "tests inside the packages", needs: BESIDE, perform: unit },
    Step { name: "e2e", about: "the whole, from outside", needs: OUTSIDE, perform: end_to_end },
];

const EVERYTHING: &[Need] = &[
    Need::Formatter,
    Need::Linter,
    Need::WasmTarget,
    Need::Make,
    Need::Browser,
    Need::Apprise,
    Need::Alertmanager,
    Need::Node,
    Need::NodeSignInServers,
    Need::PythonSignInServer,
    Need::Archivers,
];
const LINTER: &[Need] = &[Need::Linter, Need::WasmTarget, Need::Make];
/// Tests beside the code of the harness drive what the end-to-end tests drive, but for the server.
const BESIDE: &[Need] =
    &[Need::Make, Need::Browser, Need::Node, Need::NodeSignInServers, Need::PythonSignInServer];
const OUTSIDE: &[Need] = &[
    Need::Make,
    Need::Browser,
    Need::Apprise,
    Need::Alertmanager,
    Need::Node,
    Need::NodeSignInServers,
    Need::PythonSignInServer,
    Need::Archivers,
];

/// Runs every step and stops at the first that fails.
pub fn all(places: &Places) -> Result<()> {
    let mut done = Vec::new();
    for step in STEPS {
        let started = Instant::now();
        // Everything is set up by the first step.
        let needs = if step.name == "setup" { step.needs } else { &[] };
        let result = announced(places, step.name, step.about, needs, step.perform);
        done.push((step.name, started.elapsed(), result.is_ok()));
        if result.is_err() {
            summary(&done);
            return result;
        }
    }
    summary(&done);
    eprintln!(
        "    not part of this, because it needs the advisory database from the network: cargo xtask advisories"
    );
    Ok(())
}

/// Runs the step of this name, or else the end-to-end tests that it means.
pub fn only(places: &Places, name: &str) -> Result<()> {
    let part = match STEPS.iter().find(|step| step.name == name) {
        Some(step) if name != "e2e" => {
            return announced(places, step.name, step.about, step.needs, step.perform);
        }
        Some(_) => None,
        None => Some(name),
    };
    announced(places, "web", "the web UI, which the server embeds", &[], web::build)?;
    announced(places, "e2e", name, OUTSIDE, |places| e2e::run(places, part))
}

fn announced(
    places: &Places,
    name: &str,
    about: &str,
    needs: &[Need],
    perform: impl FnOnce(&Places) -> Result<()>,
) -> Result<()> {
    eprintln!("==> {name}: {about}");
    let started = Instant::now();
    let result = setup::provide(places, needs).and_then(|()| perform(places));
    let outcome = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!("    {name}: {outcome} in {}", seconds(started.elapsed()));
    result.with_context(|| format!("step `{name}`"))
}

fn summary(done: &[(&str, Duration, bool)]) {
    eprintln!("==> summary");
    for (name, took, passed) in done {
        eprintln!("    {name:10} {:6} {:>9}", if *passed { "ok" } else { "FAILED" }, seconds(*took));
    }
    for step in &STEPS[done.len()..] {
        eprintln!("    {:10} not run", step.name);
    }
    let total = done.iter().map(|(_, took, _)| *took).sum();
    eprintln!("    {:10} {:6} {:>9}", "together", "", seconds(total));
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn fmt(places: &Places) -> Result<()> {
    call::run(call::cargo(&places.root).args(["fmt", "--all", "--check"]))
        .context("the layout differs; `cargo fmt --all` puts it right")
}

/// What others write is text: nothing makes markup of it, on any page.
fn no_markup_from_text(places: &Places) -> Result<()> {
    const WAYS: &str = "inner_html|outer_html|insert_adjacent_html|document.write";
    let mut search = std::process::Command::new("git");
    search.current_dir(&places.root).args(["grep", "-nE", WAYS, "--", "web-ui/src", "shared/client/src"]);
    // It ends with 1 when there is none.
    match search.status()?.code() {
        Some(1) => Ok(()),
        Some(0) => anyhow::bail!("markup is made of text in these places; write views instead"),
        _ => anyhow::bail!("`git grep` could not search the web UI"),
    }
}

fn lint(places: &Places) -> Result<()> {
    no_markup_from_text(places)?;
    call::run(call::cargo(&places.root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--exclude",
        "hongyan-web",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    // In the profile that it is built with, so that both share their macros.
    call::run(call::cargo(&places.root).args([
        "clippy",
        "--package",
        "hongyan-web",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        "web",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn unit(places: &Places) -> Result<()> {
    let beside = TestPrograms::find(places)?.beside;
    let mut tests = call::cargo(&places.root);
    tests.arg("test").args(TESTED).args(["--lib", "--bins"]).args(selected(&beside));
    tests.envs(browser::variables()?).envs(providers::variables(places)?);
    call::run(&mut tests)?;
    call::run(call::cargo(&places.root).arg("test").args(TESTED).arg("--doc"))?;
    call::run(call::cargo(&places.root).args(["test", "--profile", "xtask", "--package", "hongyan-xtask"]))
}

fn end_to_end(places: &Places) -> Result<()> {
    e2e::run(places, None)
}
