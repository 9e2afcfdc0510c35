//! `hongyan-server backup …` and `hongyan-server restore`

use super::{ACTOR, HANDLES, IN_USE, Outcome, REFUSED, Shown, print};
use crate::BAD_SETTING;
use anyhow::Context;
use clap::Subcommand;
use hongyan_server::app::{Core, InUse, lock};
use hongyan_server::backup::sets::{self, Proof, Scratch, SetError};
use hongyan_server::config::{Config, ConfigError, Secret};
use hongyan_wire::sets::LeftOut;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Subcommand)]
pub enum Backups {
    /// List the sets: id, when it was made, people, messages, bytes, complete or not. May run beside the server.
    List {
        #[command(flatten)]
        shown: Shown,
    },
    /// Make a set now. The server must not run; while it does, its admin gateway makes one.
    Make,
    /// Look through every file of a set. May run beside the server.
    Verify {
        /// An id, or a path to a set's folder; the newest complete one when left out.
        set: Option<String>,
    },
    /// Restore a set into a folder of its own, compare every inbox with the set, and remove it again. May run beside the
    /// server.
    Drill {
        /// An id, or a path to a set's folder; the newest complete one when left out.
        set: Option<String>,
    },
}

#[derive(clap::Args)]
pub struct Restore {
    /// An id, or a path to a set's folder; the newest complete one when left out.
    set: Option<String>,
    /// Move aside what is there.
    #[arg(long)]
    replace: bool,
}

impl Backups {
    pub async fn perform(self, config: &Config) -> ExitCode {
        let root = config.backups.join("sets");
        outcome(match self {
            Self::List { shown } => list(&root, &shown),
            Self::Make => make(config).await,
            Self::Verify { set } => verify(&root, set.as_deref()),
            Self::Drill { set } => drill(config, &root, set.as_deref()).await,
        })
    }
}

impl Restore {
    pub fn perform(self, config: &Config) -> ExitCode {
        outcome(restore(self, config))
    }
}

/// The exit status, once what is wrong was said.
fn outcome(outcome: Outcome) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    if error.is::<InUse>() {
        eprintln!("hongyan-server: {error}: stop it first (sets are made by its admin gateway too)");
        return ExitCode::from(IN_USE);
    }
    eprintln!("hongyan-server: {error:#}");
    if error.is::<ConfigError>() {
        return ExitCode::from(BAD_SETTING);
    }
    if let Some(SetError::NotWhole { problems, .. }) = error.downcast_ref::<SetError>() {
        problems.iter().for_each(|problem| eprintln!("  {problem}"));
    }
    ExitCode::from(REFUSED)
}

fn list(root: &Path, shown: &Shown) -> Outcome {
    let sets = sets::list(root)?;
    if sets.is_empty() {
        // A wrong folder has none either.
        let root = std::path::absolute(root)?;
        eprintln!("hongyan-server: there is no set in {} yet", root.display());
    }
    for set in sets {
        let [people, messages, size] = [set.people, set.messages, set.size].map(|n| n.to_string());
        let complete = if set.complete { "complete" } else { "incomplete" };
        print(shown, &set, &[&set.id, &set.made_at.to_string(), &people, &messages, &size, complete])?;
    }
    Ok(())
}

async fn make(config: &Config) -> Outcome {
    // A wrong folder is not to become a new server.
    let storage = &config.system_storage;
    anyhow::ensure!(
        storage.join("log.db").exists(),
        "SYSTEM_STORAGE_PATH: no server has run in {} yet",
        storage.display()
    );
    let core = Core::open(config, HANDLES)?;
    let made = core.sets.make(ACTOR).await;
    core.close().await;
    let made = made?;
    say_left_out(&made.left_out, "is not in it");
    println!("{}", made.id);
    Ok(())
}

fn verify(root: &Path, set: Option<&str>) -> Outcome {
    let folder = sets::find(root, set)?;
    let problems =
        sets::verify(&folder, root, &sets::while_room(root)).map_err(|error| sets::why(root, error))?;
    if !problems.is_empty() {
        return Err(SetError::NotWhole { id: folder.display().to_string(), problems }.into());
    }
    let left_out = sets::Manifest::read(&folder)?.left_out;
    say_left_out(&left_out, "is not in the set");
    println!("{} is whole{}", folder.display(), without(left_out.len()));
    Ok(())
}

fn restore(asked: Restore, config: &Config) -> Outcome {
    let folder = sets::find(&config.backups.join("sets"), asked.set.as_deref())?;
    config.make_folders()?;
    let _lock = lock(&config.system_storage)?;
    eprintln!("hongyan-server: restoring {}", folder.display());
    let restored = sets::restore(&folder, &config.user_storage, &config.system_storage, asked.replace);
    let restored = restored.map_err(|error| match error {
        error @ (SetError::NotWhole { .. } | SetError::Unusable { .. }) => {
            anyhow::Error::new(error).context("nothing was changed")
        }
        error => error.into(),
    })?;
    for aside in restored.aside {
        println!("what was there is in {}", aside.display());
    }
    say_left_out(&restored.left_out, "is not in the set, and is empty now");
    println!(
        "restored {} people and {} messages as of {} from {}",
        restored.people,
        restored.messages,
        restored.made_at,
        folder.display()
    );
    Ok(())
}

async fn drill(config: &Config, root: &Path, set: Option<&str>) -> Outcome {
    let began = Instant::now();
    let folder = sets::find(root, set)?;
    let scratch = Scratch::new(root)?;
    let drilled = drill_in(config, &folder, scratch.path()).await;
    let (manifest, proof) = drilled.map_err(|error| match error.downcast() {
        Ok(error) => sets::why(root, error).into(),
        Err(error) => error,
    })?;
    drop(scratch);
    let Proof { inboxes, messages, unread, faults } = proof;
    if !faults.is_empty() {
        return Err(SetError::NotWhole { id: manifest.id, problems: faults }.into());
    }
    say_left_out(&manifest.left_out, "is not in the set");
    println!(
        "{} can be restored{}: {} people, {inboxes} inboxes with {messages} messages, {unread} unread, each as it was; {} s",
        manifest.id,
        without(manifest.left_out.len()),
        manifest.people,
        began.elapsed().as_secs()
    );
    Ok(())
}

/// Restores into the folder, opens what was restored as the server does, but for its doors, and compares.
async fn drill_in(config: &Config, folder: &Path, scratch: &Path) -> anyhow::Result<(sets::Manifest, Proof)> {
    let within = |name: &str| -> anyhow::Result<PathBuf> {
        let path = scratch.join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    };
    let (users, system, backups) = (within("users")?, within("system")?, within("backups")?);
    // A server may go on beside it.
    let go_on = sets::while_room(scratch);
    let manifest = sets::build(folder, &users, &system, &go_on)?;
    let secret = hongyan_server::auth::secrets::random::<48>()?;
    let config = Config {
        user_storage: users,
        system_storage: system,
        backups,
        jwt_secret: Some(Secret::new(secret)),
        ..config.clone()
    };
    let core = Core::open(&config, HANDLES)?;
    let proof =
        sets::prove(folder, &manifest, &core.inboxes, &core.directory, &core.journal, scratch, &go_on).await;
    core.close().await;
    Ok((manifest, proof?))
}

/// What is said of a set that has not every inbox.
fn without(left_out: usize) -> String {
    if left_out == 0 { String::new() } else { format!(", without {left_out} inboxes that could not be read") }
}

fn say_left_out(left_out: &[LeftOut], what: &str) {
    for LeftOut { user, reason } in left_out {
        eprintln!("hongyan-server: the inbox of {user} {what}: {reason}");
    }
}
