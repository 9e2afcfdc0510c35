//! The composition root: the only place that picks implementations and the only one that sees all parts.

use crate::admin::{Administration, Bootstrapped};
use crate::auth::Auth;
use crate::callback::{Callbacks, Guard};
use crate::config::{Config, Secret};
use crate::directory::Directory;
use crate::faults::Faults;
use crate::follow::Follower;
use crate::http::serve::{CONNECTIONS_BESIDE, Room};
use crate::http::{AdminGateway, UserGateway, UserParts, serve};
use crate::hub::{Hub, Limits};
use crate::inbox::{Folders, Inboxes, Pending, Walker};
use crate::log::Journal;
use crate::log::local::Local;
use crate::report::{Ledger, Reports};
use crate::send::{Gate, Meters, Scheduler};
use crate::socket::Sockets;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long requests that are being served may take once the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Files that are not inboxes: sockets have their own limit beside this.
const OTHER_FILES: u64 = 512;
/// Files that an open inbox costs: two databases with log and shared memory.
const FILES_PER_INBOX: u64 = 6;

/// Which gateways run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gateways {
    #[default]
    Both,
    User,
    Admin,
}

/// A server that runs.
pub struct Running {
    /// Where the user gateway listens.
    pub user: Option<SocketAddr>,
    /// Where the admin gateway listens.
    pub admin: Option<SocketAddr>,
    /// The administrator that was made by this start.
    pub bootstrapped: Option<Bootstrapped>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    hub: Arc<Hub>,
    limits: Arc<Limits>,
    inboxes: Arc<Inboxes>,
    log: Arc<Local>,
    directory: Arc<Directory>,
    ledger: Arc<Ledger>,
    follower: JoinHandle<()>,
    _storage: fs::File,
}

/// Starts the server; when this answers, it serves.
pub async fn start(config: Config, gateways: Gateways) -> Result<Running> {
    let handles = raise_file_limit(&config)?;
    let storage = lock(&config.system_storage)?;
    let user_listener =
        listen(&config, gateways != Gateways::Admin, "USER_SERVER_PORT", config.user_port).await?;
    let admin_listener =
        listen(&config, gateways != Gateways::User, "ADMIN_SERVER_PORT", config.admin_port).await?;
    let (log, tail) =
        Local::open(&config.system_storage.join("log.db")).context("SYSTEM_STORAGE_PATH: log.db")?;
    let log = Arc::new(log);
    let directory = Directory::open(&config.system_storage.join("directory.db"));
    let directory = Arc::new(directory.context("SYSTEM_STORAGE_PATH: directory.db")?);
    let pending = Arc::new(Pending::default());
    let hub = Arc::new(Hub::default());
    let ledger = Ledger::open(&config.system_storage.join("reports.db"), &*log);
    let ledger = Arc::new(ledger.context("SYSTEM_STORAGE_PATH: reports.db")?);
    let (applied, applied_through) = watch::channel(0);
    let (stop, stopping) = watch::channel(false);
    let follower = Follower {
        directory: directory.clone(),
        pending: pending.clone(),
        hub: hub.clone(),
        ledger: ledger.clone(),
        applied,
        stop: stopping.clone(),
        faults: Faults::default(),
    };
    tokio::task::block_in_place(|| follower.replay(&*log)).context("the log cannot be replayed")?;
    let follower = follower.spawn(tail)?;

    let journal = Journal::new(log.clone(), applied_through);
    let folders = Folders::open(&config.user_storage, Faults::default()).context("USER_STORAGE_PATH")?;
    let inboxes =
        Arc::new(Inboxes::new(folders, journal.clone(), directory.clone(), pending.clone(), handles));
    let secret = secret(&config)?;
    let auth = Arc::new(Auth::new(&config, &secret, directory.clone(), journal.clone())?);
    let guard = Arc::new(Guard::new(config.callback_hosts.iter().cloned()));
    let callbacks = Callbacks::new(directory.clone(), journal.clone(), guard.clone());
    let callbacks = Arc::new(callbacks.context("the client for callback_url")?);
    let administration = Arc::new(Administration::new(
        directory.clone(),
        journal.clone(),
        auth.clone(),
        inboxes.clone(),
        ledger.clone(),
        guard.clone(),
    ));
    let password = config.admin_password.as_ref().map(Secret::expose);
    let bootstrapped = administration.bootstrap(&config.admin_username, password).await;
    let bootstrapped =
        bootstrapped.map_err(|error| anyhow::anyhow!("the first administrator: {}", error.message))?;
    administration
        .make_built_in_templates()
        .await
        .map_err(|error| anyhow::anyhow!("the first templates: {}", error.message))?;
    let gate = Arc::new(Gate::new(
        journal.clone(),
        directory.clone(),
        pending.clone(),
        config.message_bytes,
        config.recipients,
    ));
    let swept = inboxes.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = swept.remove_orphans() {
            tracing::warn!(%error, "folders of users who were deleted could not be looked for");
        }
    });
    let sockets = Arc::new(Sockets {
        hub: hub.clone(),
        inboxes: inboxes.clone(),
        directory: directory.clone(),
        ledger: ledger.clone(),
        journal: journal.clone(),
        ping_interval: config.ping_interval,
        read_buffer: config.read_buffer,
        write_buffer: config.write_buffer,
    });
    let reports = Arc::new(Reports {
        ledger: ledger.clone(),
        hub: hub.clone(),
        directory: directory.clone(),
        inboxes: inboxes.clone(),
        journal: journal.clone(),
    });

    let mut tasks = JoinSet::new();
    let limits = Limits::new(config.sockets_max, config.sockets_per_address);
    let user = user_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = user_listener {
        let gateway = UserGateway::new(UserParts {
            auth: auth.clone(),
            gate: gate.clone(),
            meters: Arc::new(Meters::new(config.rates)),
            administration: administration.clone(),
            inboxes: inboxes.clone(),
            directory: directory.clone(),
            hub: hub.clone(),
            reports: reports.clone(),
            journal: journal.clone(),
            sockets,
            limits: limits.clone(),
            origins: crate::http::Origins::new(&config),
            body_max: body_max(&config),
        });
        tasks.spawn(serve::run(listener, gateway.router(), stopping.clone(), Room::beside_sockets(&config)));
    }
    let admin = admin_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = admin_listener {
        let gateway = AdminGateway {
            auth,
            administration,
            gate: gate.clone(),
            directory: directory.clone(),
            reports: reports.clone(),
            journal: journal.clone(),
        };
        tasks.spawn(serve::run(listener, gateway.router(), stopping.clone(), Room::without_sockets(&config)));
    }
    tasks.spawn(
        Walker::new(inboxes.clone(), config.walk_interval, config.log_retention).run(stopping.clone()),
    );
    tasks.spawn(Scheduler(gate).run(stopping.clone()));
    tasks.spawn(callbacks.run(stopping.clone()));
    tasks.spawn(reports.run(stopping.clone()));
    tasks.spawn(beat(hub.clone(), config.ping_interval, stopping));
    Ok(Running {
        user,
        admin,
        bootstrapped,
        stop,
        tasks,
        hub,
        limits,
        inboxes,
        log,
        directory,
        ledger,
        follower,
        _storage: storage,
    })
}

impl Running {
    /// Stops: sockets are asked to come back, what is being served is finished, everything is written.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.hub.restart();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, finished).await.is_err() {
            tracing::warn!("some requests were cut off");
            self.tasks.shutdown().await;
        }
        // Those who came in while the others were being asked.
        self.hub.restart();
        if tokio::time::timeout(STOP_PATIENCE, self.limits.emptied()).await.is_err() {
            tracing::warn!("some sockets were cut off");
        }
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

/// The heart: pings, silences, expired tokens.
async fn beat(hub: Arc<Hub>, interval: Duration, mut stop: watch::Receiver<bool>) {
    let millis = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let mut ticks = tokio::time::interval(interval / Hub::BEATS);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for beat in 0usize.. {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => hub.beat(beat, millis, crate::clock::now()),
        }
    }
}

async fn listen(config: &Config, wanted: bool, setting: &str, port: u16) -> Result<Option<TcpListener>> {
    if !wanted {
        return Ok(None);
    }
    let address = SocketAddr::new(config.bind, port);
    let listener = TcpListener::bind(address).await;
    Ok(Some(listener.with_context(|| format!("{setting}: cannot listen on {address}"))?))
}

/// One server a storage: two would write over each other.
fn lock(storage: &Path) -> Result<fs::File> {
    let path = storage.join(".lock");
    let file = fs::File::create(&path).with_context(|| format!("SYSTEM_STORAGE_PATH: {}", path.display()))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("SYSTEM_STORAGE_PATH: another server uses {}", storage.display());
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

/// Raises the limit of open files as far as it goes, and gives how many inboxes may stay open.
fn raise_file_limit(config: &Config) -> Result<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // More would cost memory, and SQLite looks through all open files at each opening.
    const HANDLES_MAX: u64 = 512;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let sockets = config.sockets_max as u64;
    let connections = 2 * CONNECTIONS_BESIDE as u64;
    let left = files.saturating_sub(OTHER_FILES + sockets + connections) / FILES_PER_INBOX;
    if left < 16 {
        bail!(
            "WS_MAX_CONNECTIONS: {sockets} sockets need more than the {files} open files that this process may have; raise `ulimit -n` or lower it"
        );
    }
    Ok(config.inbox_handles.unwrap_or(left.min(HANDLES_MAX) as usize))
}

/// The largest body that can be a good request.
fn body_max(config: &Config) -> usize {
    const LISTED_RECIPIENT: usize = 80;
    config.message_bytes * 2 + config.recipients * LISTED_RECIPIENT
}
