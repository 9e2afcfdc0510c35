//! Calling other programs: what is called is shown, and a failure names it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::places;

/// The Cargo that runs this tool, in the workspace.
pub fn cargo(root: &Path) -> Command {
    let cargo = places::variable("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    // Build scripts run in folders of their own: a relative path would mean another one there.
    if let Some(folder) = places::variable("HONGYAN_WEB_DIR")
        && let Ok(folder) = std::path::absolute(folder)
    {
        command.env("HONGYAN_WEB_DIR", folder);
    }
    command
}

/// Runs the command with the terminal as its own.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    eprintln!("    $ {line}");
    let status = command.status().with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// What the command prints; its errors go to the terminal.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not print text"))
}

/// Whether the command can be started and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
