//! The storage, opened: log, directory, inboxes and counts, and what follows the log. What the server stands on, and
//! what an operator's command works with while no server runs.

use crate::account::{Accounts, Pictures};
use crate::admin::Administration;
use crate::auth::Auth;
use crate::backup::sets::{self, Parts, Plan, Sets};
use crate::backup::{Backups, JobFiles, Jobs, Shelf};
use crate::config::{Config, Secret};
use crate::directory::Directory;
use crate::faults::Faults;
use crate::follow::Follower;
use crate::guard::Guard;
use crate::hub::Hub;
use crate::inbox::{Folders, Inboxes, Pending};
use crate::log::Journal;
use crate::log::local::Local;
use crate::report::Ledger;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Another process has the storage.
#[derive(Debug, thiserror::Error)]
#[error("SYSTEM_STORAGE_PATH: a server that runs uses {}", .0.display())]
pub struct InUse(PathBuf);

/// The opened storage, for one process at a time.
pub struct Core {
    pub directory: Arc<Directory>,
    pub journal: Journal,
    pub inboxes: Arc<Inboxes>,
    pub auth: Arc<Auth>,
    pub administration: Arc<Administration>,
    pub sets: Arc<Sets>,
    pub(super) backups: Arc<Backups>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) pending: Arc<Pending>,
    pub(super) hub: Arc<Hub>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) guard: Arc<Guard>,
    /// True ends everything that waits.
    pub(super) stop: watch::Sender<bool>,
    log: Arc<Local>,
    follower: JoinHandle<()>,
    _lock: fs::File,
}

impl Core {
    /// Opens the storage or makes it, and applies what stands in the log and nowhere else yet. `handles`: how many
    /// inboxes stay open.
    pub fn open(config: &Config, handles: usize) -> Result<Self> {
        config.make_folders()?;
        let lock = lock(&config.system_storage)?;
        if sets::is_unfinished(&config.system_storage) {
            // Half of what is there is of another server: what it would take for orphans are people.
            bail!("a restore was cut off here; run `hongyan-server restore` again");
        }
        sets::clear_unpacked(&config.user_storage, &config.system_storage)
            .context("what a restore has left that was cut off")?;
        let (log, tail) =
            Local::open(&config.system_storage.join("log.db")).context("SYSTEM_STORAGE_PATH: log.db")?;
        let log = Arc::new(log);
        let directory = Directory::open(&config.system_storage.join("directory.db"));
        let directory = Arc::new(directory.context("SYSTEM_STORAGE_PATH: directory.db")?);
        let pending = Arc::new(Pending::default());
        let hub = Arc::new(Hub::default());
        let ledger = Ledger::open(&config.system_storage.join("reports.db"), &*log, &directory);
        let ledger = Arc::new(ledger.context("SYSTEM_STORAGE_PATH: reports.db")?);
        let (applied, applied_through) = watch::channel(0);
        let (stop, stopping) = watch::channel(false);
        let follower = Follower {
            directory: directory.clone(),
            pending: pending.clone(),
            hub: hub.clone(),
            ledger: ledger.clone(),
            applied,
            stop: stopping,
            faults: Faults::default(),
        };
        tokio::task::block_in_place(|| follower.replay(&*log)).context("the log cannot be replayed")?;
        let follower = follower.spawn(tail)?;

        let journal = Journal::new(log.clone(), applied_through);
        let folders = Folders::open(&config.user_storage, Faults::default()).context("USER_STORAGE_PATH")?;
        let inboxes =
            Arc::new(Inboxes::new(folders, journal.clone(), directory.clone(), pending.clone(), handles));
        let shelf = Shelf::open(config.backups.join("people"), config.backup_quota);
        let shelf = shelf.context("DATABASE_BACKUP_PATH")?;
        let backups = Arc::new(Backups::new(
            inboxes.clone(),
            directory.clone(),
            shelf,
            config.backup_keep,
            stop.subscribe(),
        ));
        let kept = JobFiles::open(config.backups.join("jobs")).context("DATABASE_BACKUP_PATH")?;
        let told = hub.clone();
        let jobs = Arc::new(Jobs::new(
            backups.clone(),
            directory.clone(),
            journal.clone(),
            kept,
            Box::new(move |user, job| told.tell_job(user, job)),
            stop.subscribe(),
        ));
        let plan = Plan {
            every: config.backup_interval,
            most: config.backup_sets_max,
            keep: config.backup_sets_keep,
        };
        let parts = Parts {
            inboxes: inboxes.clone(),
            directory: directory.clone(),
            ledger: ledger.clone(),
            journal: journal.clone(),
            storage: config.system_storage.clone(),
        };
        let sets = Arc::new(Sets::new(&config.backups, plan, parts, stop.subscribe()));
        let auth = Arc::new(Auth::new(config, &secret(config)?, directory.clone(), journal.clone())?);
        let guard = Arc::new(Guard::new(config.callback_hosts.iter().cloned()));
        let administration = Arc::new(Administration::new(
            directory.clone(),
            journal.clone(),
            auth.clone(),
            inboxes.clone(),
            jobs.clone(),
            ledger.clone(),
            guard.clone(),
        ));
        let pictures = Pictures::new(directory.clone(), journal.clone(), Arc::new(Guard::default()));
        let accounts = Arc::new(Accounts::new(
            config,
            directory.clone(),
            journal.clone(),
            auth.clone(),
            administration.clone(),
            pictures.context("the client for pictures")?,
        ));
        Ok(Self {
            directory,
            journal,
            inboxes,
            auth,
            administration,
            sets,
            backups,
            jobs,
            accounts,
            pending,
            hub,
            ledger,
            guard,
            stop,
            log,
            follower,
            _lock: lock,
        })
    }

    /// Writes everything and closes the storage. Nothing may use it any more.
    pub async fn close(self) {
        let Self { log, directory, ledger, follower, inboxes, .. } = self;
        let closed = tokio::task::spawn_blocking(move || {
            inboxes.write_devices();
            log.close();
            // Its end of the log is closed: it follows to the end and ends.
            if follower.join().is_err() {
                tracing::error!("the follower ended by a panic");
            }
            if let Err(error) = ledger.settle(&*log) {
                tracing::warn!(%error, "the counts will be brought up to date by the next start");
            }
            directory.flush()
        });
        match closed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the directory will be brought up to date by the next start")
            }
            Err(error) => tracing::error!(%error, "the end of the server failed"),
        }
    }
}

/// One server a storage: two would write over each other. It is held as long as what this gives.
///
/// # Errors
/// [`InUse`] while another holds it.
pub fn lock(storage: &Path) -> Result<fs::File> {
    let path = storage.join(".lock");
    let file = fs::File::create(&path).with_context(|| format!("SYSTEM_STORAGE_PATH: {}", path.display()))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(InUse(storage.to_owned()).into());
    }
    Ok(file)
}

/// The secret that signs tokens: the one that is set, or one that is made once and kept.
fn secret(config: &Config) -> Result<Secret> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(secret) = &config.jwt_secret {
        return Ok(secret.clone());
    }
    let path = config.system_storage.join("jwt_secret");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(Secret::new(text.trim())),
        Ok(_) => bail!("JWT_SECRET: {} holds fewer than 32 bytes", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("JWT_SECRET: {}", path.display())),
    }
    let secret = crate::auth::secrets::random::<48>()?;
    let half = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    fs::rename(&half, &path)?;
    Ok(Secret::new(secret))
}
