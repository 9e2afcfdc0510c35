//! Commands for operators, on the storage of a server that does not run.

mod backups;
mod services;
mod templates;
mod users;

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;
use hongyan_server::app::{Core, InUse};
use hongyan_server::backup::sets::is_unfinished;
use hongyan_server::config::Config;
use hongyan_server::directory::{Page, Window};
use hongyan_server::error::Error;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Who changes something here, for the audit log.
const ACTOR: &str = "command-line";
/// Inboxes that stay open.
const HANDLES: usize = 16;
/// Rows read at once.
const PAGE_SIZE: u32 = 100;

/// Exit statuses besides 0; 2 is for a wrong command line or setting.
const REFUSED: u8 = 1;
/// `EX_TEMPFAIL` of sysexits.h: the same may succeed later.
const IN_USE: u8 = 75;

#[derive(Subcommand)]
pub enum Command {
    /// Serve; the default.
    Serve,
    /// Print the table of settings.
    Settings,
    /// Print what a shell needs to complete commands: bash, zsh, fish, …
    Completion { shell: Shell },
    #[command(flatten)]
    Offline(Offline),
}

/// What works on the storage itself. The server must not run meanwhile; while it does, the admin gateway does the same.
#[derive(Subcommand)]
pub enum Offline {
    /// Users: list, add, password, disable, enable, delete.
    #[command(subcommand)]
    User(users::Users),
    /// Services: list, add, rotate-key, approve, suspend, resume, delete.
    #[command(subcommand)]
    Service(services::Services),
    /// Templates: list, show, put, delete.
    #[command(subcommand)]
    Template(templates::Templates),
    /// Sets, from which the whole server can be restored: list, make, verify, drill.
    #[command(subcommand)]
    Backup(backups::Backups),
    /// Restore the whole server from a set.
    Restore(backups::Restore),
}

/// How what is found is printed.
#[derive(clap::Args)]
pub struct Shown {
    /// JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

type Outcome = anyhow::Result<()>;

/// Prints the completion for the program.
pub fn complete<P: CommandFactory>(shell: Shell) {
    clap_complete::generate(shell, &mut P::command(), "hongyan-server", &mut std::io::stdout());
}

/// Opens the storage, does what is asked, closes it.
pub async fn perform(config: &Config, command: Offline) -> ExitCode {
    let command = match command {
        // They open of the storage what they need.
        Offline::Backup(command) => return command.perform(config).await,
        Offline::Restore(command) => return command.perform(config),
        command => command,
    };
    // A wrong folder is not to become a new server.
    if !config.system_storage.join("log.db").exists() && !is_unfinished(&config.system_storage) {
        let folder = config.system_storage.display();
        eprintln!("hongyan-server: SYSTEM_STORAGE_PATH: no server has run in {folder} yet");
        return ExitCode::from(super::BAD_SETTING);
    }
    let core = match Core::open(config, HANDLES) {
        Ok(core) => core,
        Err(error) if error.is::<InUse>() => {
            eprintln!("hongyan-server: {error}: stop it first, or ask its admin gateway");
            return ExitCode::from(IN_USE);
        }
        Err(error) => {
            eprintln!("hongyan-server: {error:#}");
            return ExitCode::from(super::BAD_SETTING);
        }
    };
    let outcome = match command {
        Offline::User(command) => command.perform(&core).await,
        Offline::Service(command) => command.perform(&core).await,
        Offline::Template(command) => command.perform(&core).await,
        Offline::Backup(_) | Offline::Restore(_) => Ok(()),
    };
    core.close().await;
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("hongyan-server: {error:#}");
    if let Some(refused) = error.downcast_ref::<Error>()
        && refused.details.len() > 1
    {
        refused.details.iter().for_each(|fault| eprintln!("  {}: {}", fault.field, fault.reason));
    }
    ExitCode::from(REFUSED)
}

/// Everything that a list has, page by page.
fn every<T>(
    search: Option<String>,
    mut page: impl FnMut(&Window) -> anyhow::Result<Page<T>>,
    mut take: impl FnMut(T) -> Outcome,
) -> Outcome {
    let mut window = Window { page: 1, size: PAGE_SIZE, q: search };
    loop {
        let found = page(&window)?;
        let is_last = found.rows.len() < PAGE_SIZE as usize;
        found.rows.into_iter().try_for_each(&mut take)?;
        if is_last {
            return Ok(());
        }
        window.page += 1;
    }
}

/// Prints one thing: as JSON, or as these words, with tabs between.
fn print(shown: &Shown, thing: &impl Serialize, words: &[&str]) -> Outcome {
    let mut out = std::io::stdout().lock();
    match shown.json {
        true => writeln!(out, "{}", serde_json::to_string(thing)?)?,
        false => writeln!(out, "{}", words.join("\t"))?,
    }
    Ok(())
}

/// The name of one of a few in JSON, as `active`.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// An id, or why it is none.
fn id<T: std::str::FromStr>(text: &str, what: &str) -> anyhow::Result<T> {
    text.parse().map_err(|_| Error::not_found(what).into())
}
