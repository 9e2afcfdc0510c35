//! What the tests are built from, always selected in the same words.
//!
//! Cargo chooses the features of a dependency by the packages that are selected together: another
//! selection would compile half of them once more. So a step never selects fewer packages, it only
//! names the programs that it wants of them.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::call;
use crate::places::Places;

/// Without the web UI (another target), the benchmarks (another profile) and this tool (its own).
pub const TESTED: [&str; 7] =
    ["--workspace", "--exclude", "hongyan-web", "--exclude", "hongyan-bench", "--exclude", "hongyan-xtask"];

const END_TO_END: &str = "hongyan-e2e";

/// The test programs of the packages; unit tests are not among them.
pub struct TestPrograms {
    /// Those of the package of the end-to-end tests.
    pub end_to_end: Vec<String>,
    /// Those that lie beside the code they test.
    pub beside: Vec<String>,
}

impl TestPrograms {
    pub fn find(places: &Places) -> Result<Self> {
        let metadata = call::output(call::cargo(&places.root).args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ]))?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
        let mut programs = Self { end_to_end: Vec::new(), beside: Vec::new() };
        for package in packages {
            let name = package["name"].as_str().unwrap_or_default();
            if TESTED.contains(&name) {
                continue;
            }
            let list = if name == END_TO_END { &mut programs.end_to_end } else { &mut programs.beside };
            let targets = package["targets"].as_array().into_iter().flatten();
            let tests = targets.filter(|target| target["kind"][0] == "test");
            list.extend(tests.filter_map(|target| target["name"].as_str()).map(str::to_owned));
        }
        Ok(programs)
    }
}

/// `--test NAME` for each of them.
pub fn selected(programs: &[String]) -> impl Iterator<Item = &str> {
    programs.iter().flat_map(|program| ["--test", program.as_str()])
}
