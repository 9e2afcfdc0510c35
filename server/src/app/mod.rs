//! The composition root: the only place that picks implementations and the only one that sees all parts.

mod core;

pub use self::core::{Core, InUse, lock};

use crate::admin::Bootstrapped;
use crate::auth::providers::Provider;
use crate::auth::{Logins, Native};
use crate::callback::Callbacks;
use crate::config::{Config, Secret, SignUp};
use crate::http::serve::{CONNECTIONS_BESIDE, Room};
use crate::http::{AdminGateway, Cookies, Origins, UserGateway, UserParts, serve};
use crate::hub::{Hub, Limits};
use crate::inbox::Walker;
use crate::report::Reports;
use crate::send::{Gate, Meters, Scheduler};
use crate::socket::Sockets;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
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
    /// Where people open the page.
    pub public_url: String,
    /// The administrator that was made by this start.
    pub bootstrapped: Option<Bootstrapped>,
    tasks: JoinSet<()>,
    limits: Arc<Limits>,
    core: Core,
}

/// Starts the server; when this answers, it serves.
pub async fn start(mut config: Config, gateways: Gateways) -> Result<Running> {
    let providers = crate::auth::providers::all(&config.providers)?;
    let handles = raise_file_limit(&config)?;
    let user_listener = listen(&config, gateways != Gateways::Admin, "USER_SERVER_PORT", config.user_port)?;
    let admin_listener = listen(&config, gateways != Gateways::User, "ADMIN_SERVER_PORT", config.admin_port)?;
    if config.public_url.is_empty() {
        let bound = user_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        config.public_url =
            format!("http://localhost:{}", bound.map_or(config.user_port, |bound| bound.port()));
    }
    warn_of_open_doors(&config, &providers);
    serve::warn_of_short_backlog();
    let core = Core::open(&config, handles)?;
    let Core {
        directory,
        pending,
        hub,
        ledger,
        journal,
        inboxes,
        backups,
        jobs,
        auth,
        accounts,
        guard,
        administration,
        sets,
        ..
    } = &core;
    let stopping = core.stop.subscribe();
    let callbacks = Callbacks::new(directory.clone(), journal.clone(), guard.clone());
    let callbacks = Arc::new(callbacks.context("the client for callback_url")?);
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
    // Before anyone brings more.
    if let Err(error) = inboxes.finish_restores().await {
        tracing::warn!(%error, "backups that were being put back could not be looked for");
    }
    let (swept, unowned) = (inboxes.clone(), backups.clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = swept.remove_orphans() {
            tracing::warn!(%error, "folders of users who were deleted could not be looked for");
        }
        if let Err(error) = unowned.remove_orphans() {
            tracing::warn!(%error, "backups of users who were deleted could not be looked for");
        }
    });
    let sockets = Arc::new(Sockets {
        hub: hub.clone(),
        auth: auth.clone(),
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

    let native = Arc::new(Native::default());
    let mut tasks = JoinSet::new();
    let limits = Limits::new(config.sockets_max, config.sockets_per_address);
    let user = user_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = user_listener {
        let gateway = UserGateway::new(UserParts {
            auth: auth.clone(),
            accounts: accounts.clone(),
            gate: gate.clone(),
            meters: Arc::new(Meters::new(config.rates)),
            administration: administration.clone(),
            inboxes: inboxes.clone(),
            directory: directory.clone(),
            hub: hub.clone(),
            reports: reports.clone(),
            backups: backups.clone(),
            jobs: jobs.clone(),
            journal: journal.clone(),
            sockets,
            limits: limits.clone(),
            origins: Origins::new(&config),
            cookies: Cookies::new(&config),
            providers: providers.clone(),
            logins: Logins::default(),
            native: native.clone(),
            public_url: config.public_url.clone(),
            body_max: body_max(&config),
            message_bytes: config.message_bytes,
        });
        tasks.spawn(serve::run(listener, gateway.router(), stopping.clone(), Room::beside_sockets(&config)));
    }
    let admin = admin_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = admin_listener {
        let gateway = AdminGateway {
            auth: auth.clone(),
            administration: administration.clone(),
            sets: sets.clone(),
            gate: gate.clone(),
            directory: directory.clone(),
            reports: reports.clone(),
            journal: journal.clone(),
            origins: Origins::new(&config),
            accounts: accounts.clone(),
            native: native.clone(),
            providers,
            public_url: config.public_url.clone(),
        };
        tasks.spawn(serve::run(listener, gateway.router(), stopping.clone(), Room::without_sockets(&config)));
    }
    tasks.spawn(
        Walker::new(inboxes.clone(), config.walk_interval, config.log_retention).run(stopping.clone()),
    );
    tasks.spawn(Scheduler(gate).run(stopping.clone()));
    tasks.spawn(callbacks.run(stopping.clone()));
    tasks.spawn(backups.clone().run(stopping.clone()));
    tasks.spawn(jobs.clone().run(stopping.clone()));
    tasks.spawn(sets.clone().run(stopping.clone()));
    tasks.spawn(reports.run(stopping.clone()));
    tasks.spawn(beat(hub.clone(), config.ping_interval, stopping));
    Ok(Running { user, admin, public_url: config.public_url, bootstrapped, tasks, limits, core })
}

impl Running {
    /// Stops: sockets are asked to come back, what is being served is finished, everything is written.
    pub async fn stop(mut self) {
        self.core.stop.send_replace(true);
        self.core.hub.restart();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, finished).await.is_err() {
            tracing::warn!("some requests were cut off");
            self.tasks.shutdown().await;
        }
        // Those who came in while the others were being asked.
        self.core.hub.restart();
        if tokio::time::timeout(STOP_PATIENCE, self.limits.emptied()).await.is_err() {
            tracing::warn!("some sockets were cut off");
        }
        self.core.close().await;
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

/// Says what an administrator may not have meant.
fn warn_of_open_doors(config: &Config, providers: &[Arc<dyn Provider>]) {
    for about in providers.iter().map(|provider| provider.about()) {
        if about.is_public && config.sign_up == SignUp::Open {
            tracing::warn!(provider = %about.id, "anyone who has an account there gets one here; SIGN_UP can change that");
        }
    }
    for path in &config.open_files {
        tracing::warn!(path = %path.display(), "everyone on this machine can read this file, which may hold secrets; chmod 600 changes that");
    }
    if is_reached_openly(&config.public_url) {
        tracing::warn!(
            url = config.public_url,
            "PUBLIC_URL is not https: passwords and tokens can be read on their way; put a proxy with TLS before it"
        );
    }
    if config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        tracing::warn!(
            "TRUSTED_PROXIES has every address: any client can say with X-Forwarded-For where it comes from"
        );
    }
    if providers.is_empty() && !config.local_login {
        tracing::warn!("LOCAL_LOGIN is false and no provider is set up: nobody can sign in");
    }
}

/// Whether people come over a network without TLS.
fn is_reached_openly(public_url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(public_url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    url.scheme() == "http" && !address.map_or(host == "localhost", |address| address.is_loopback())
}

fn listen(config: &Config, wanted: bool, setting: &str, port: u16) -> Result<Option<TcpListener>> {
    if !wanted {
        return Ok(None);
    }
    let address = SocketAddr::new(config.bind, port);
    let listener = serve::listen(address);
    Ok(Some(listener.with_context(|| format!("{setting}: cannot listen on {address}"))?))
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
