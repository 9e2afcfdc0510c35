//! Programs that others wrote, which the test command installs.

use std::process::Stdio;
use tokio::process::Command;

/// The program that an environment variable names, ended when it is dropped, with its output to be read.
pub fn program_of_others(variable: &str) -> Command {
    let program = std::env::var_os(variable);
    let program = program.unwrap_or_else(|| panic!("{variable} is not set; `cargo xtask test` sets it"));
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
