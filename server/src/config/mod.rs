//! The settings: the only reader of the environment and of the configuration file.
//!
//! Every setting has one name, as an environment variable in capitals and as a key of the TOML file in
//! small letters; the environment wins. What cannot be understood ends the start with one line.

mod folders;

use crate::auth::providers::{self, CustomSettings};
use folders::Folders;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The longest that an access token may live: for so long what was ended is remembered.
pub const ACCESS_LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the largest message may be set to, in bytes: half of what a value in a backup may have.
const MESSAGE_MAX_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often one may call in a minute where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Messages of a person.
    pub user: u32,
    /// Messages of an external service.
    pub external: u32,
    /// Requests from one address that come with nothing but a secret to be tried: refreshing, codes, links.
    pub strangers: u32,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct ConfigError {
    pub setting: String,
    pub reason: String,
}

impl ConfigError {
    pub fn new(setting: &str, reason: &str) -> Self {
        error(setting, reason)
    }
}

/// One row of the table of settings.
pub struct Setting {
    pub name: &'static str,
    /// As shown to people.
    pub default: &'static str,
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($name:literal, $default:literal, $meaning:literal;)*) => {
        /// All settings, in the order in which they are documented.
        pub const SETTINGS: &[Setting] =
            &[$(Setting { name: $name, default: $default, meaning: $meaning }),*];
    };
}

settings! {
    "USER_SERVER_PORT", "8080", "Port of the user gateway; 0 lets the system choose.";
    "ADMIN_SERVER_PORT", "8081", "Port of the admin gateway; 0 lets the system choose.";
    "BIND_ADDRESS", "127.0.0.1", "Address that both gateways listen on; 0.0.0.0 behind a proxy.";
    "PUBLIC_URL", "http://localhost:8080", "Where people reach the user gateway; base of links and of the addresses that providers send browsers back to. Unset, it has the port that is used.";
    "USER_STORAGE_PATH", "data/user_storage", "One folder a user, and nothing else: the next two must not be within it. A folder that is named must exist, or its parent must.";
    "SYSTEM_STORAGE_PATH", "system, beside USER_STORAGE_PATH", "The log, the directory and the secret: everything that is no single user's.";
    "DATABASE_BACKUP_PATH", "backups, beside USER_STORAGE_PATH", "Where backups are kept; in its people, jobs and sets must be nothing else.";
    "BACKUP_KEEP", "24h", "How long a backup that a person asked for can be fetched.";
    "BACKUP_QUOTA", "10737418240", "Bytes that the backups of one person may have together (the oldest go first), and that are put back at once.";
    "BACKUP_INTERVAL", "24h", "How often a set of everything is made, from which the server can be restored; 0 or off: never by itself.";
    "BACKUP_SETS_MAX", "14", "Sets that are kept; the oldest go first.";
    "BACKUP_SETS_KEEP", "720h", "For how long sets are kept; the newest complete one always stays.";
    "JWT_SECRET", "made on the first start", "At least 32 bytes; signs access tokens.";
    "JWT_SECRET_PREVIOUS", "none", "Still verifies access tokens, for a change of JWT_SECRET.";
    "JWT_EXPIRE_TIME", "2h", "Life of an access token; at most 24h.";
    "REFRESH_TOKEN_EXPIRE_TIME", "720h", "Life of a refresh token.";
    "SESSION_MAX_TIME", "2160h", "Life of a session, however often its tokens are renewed.";
    "BOOTSTRAP_ADMIN_USERNAME", "admin", "The first administrator, made when there is none.";
    "BOOTSTRAP_ADMIN_PASSWORD", "random, printed once", "The first administrator's password.";
    "LOCAL_LOGIN", "true", "Whether people can sign in with a password.";
    "SIGN_UP", "open", "Who may come by a provider and is not known yet: open, domain, invitation (with a link of an administrator), closed.";
    "SIGN_UP_DOMAINS", "none", "For SIGN_UP=domain: the domains of checked e-mail addresses, separated by commas.";
    "CORS_ALLOWED_ORIGINS", "none", "Origins besides our own that browsers may call from, separated by commas.";
    "TRUSTED_PROXIES", "none", "Addresses and networks (172.16.0.0/12, fd00::/8) of proxies whose X-Forwarded-For is believed, separated by commas.";
    "SEND_RATE_USER", "120", "Messages that a person may send in a minute.";
    "AUTH_RATE_PER_ADDRESS", "1200", "Requests in a minute from one address that renew or begin a sign-in: refresh, codes, links, callbacks, passkeys.";
    "SEND_RATE_EXTERNAL", "60", "Messages that an external service without a limit of its own may send in a minute.";
    "CALLBACK_ALLOWED_HOSTS", "none", "Hosts of the private network that services may have as callback_url, separated by commas.";
    "WS_MAX_CONNECTIONS", "10000", "Sockets open at one time.";
    "WS_MAX_CONNECTIONS_PER_ADDRESS", "1000", "Sockets open at one time from one address, or one /56 network of IPv6.";
    "WS_PING_INTERVAL", "30s", "Time between pings; a socket silent for two is closed.";
    "WS_READ_BUFFER_SIZE", "1024", "Bytes that each socket keeps for reading; longer frames get more while they are read.";
    "WS_WRITE_BUFFER_SIZE", "4096", "Bytes of protocol frames (pongs) gathered for each socket before they are written.";
    "MESSAGE_MAX_BYTES", "262144", "Largest message as JSON; 8388608 at most.";
    "RECIPIENTS_MAX", "100000", "Most recipients listed in one request.";
    "INBOX_HANDLES", "from the limit of open files", "Inboxes kept open, six files each.";
    "INBOX_WALK_INTERVAL", "1m", "How often the inboxes of those who do not come are brought up to date.";
    "LOG_RETENTION", "168h", "For how long the log keeps what every inbox already has.";
    "LOG_LEVEL", "info", "What is logged: error, warn, info, debug, or a filter such as info,hyper=warn.";
}

/// All settings, those of the providers among them.
pub fn all_settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(providers::BUILT_IN.iter().flat_map(|provider| provider.settings))
}

/// Who may come that nobody knows yet, once a provider has said who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// Everyone.
    Open,
    /// Who has an address of one of the domains, as the provider has checked.
    Domain,
    /// Who has a one-time link of an administrator.
    Invitation,
    /// Nobody, not even with a link.
    Closed,
}

impl FromStr for SignUp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "open" => Ok(Self::Open),
            "domain" => Ok(Self::Domain),
            "invitation" => Ok(Self::Invitation),
            "closed" => Ok(Self::Closed),
            _ => Err(()),
        }
    }
}

/// What is set of the providers: they look for themselves what they need.
#[derive(Clone, Default)]
pub struct ProviderSettings {
    values: BTreeMap<String, String>,
    pub custom: Vec<CustomSettings>,
}

impl ProviderSettings {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// An id and its secret: both or none.
    pub fn client(&self, id: &str, secret: &str) -> Result<Option<(String, Secret)>, ConfigError> {
        match (self.text(id), self.text(secret)) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => Ok(Some((id.to_owned(), Secret::new(secret)))),
            (Some(_), None) => Err(error(secret, &format!("is missing; {id} needs it"))),
            (None, Some(_)) => Err(error(id, &format!("is missing; {secret} is of no use without it"))),
        }
    }

    /// Every client's secret.
    fn secrets(&self) -> impl Iterator<Item = String> {
        let built_in =
            self.values.iter().filter(|(name, _)| name.ends_with("_SECRET")).map(|(_, value)| value.clone());
        built_in.chain(self.custom.iter().filter_map(CustomSettings::secret))
    }

    /// An address, without the slash at its end.
    pub fn address(&self, name: &str, default: &str) -> Result<String, ConfigError> {
        let address = providers::address(name, self.text(name).unwrap_or(default), false)?;
        Ok(address.trim_end_matches('/').to_owned())
    }
}

/// The settings, checked.
#[derive(Clone)]
pub struct Config {
    pub user_port: u16,
    pub admin_port: u16,
    pub bind: IpAddr,
    pub public_url: String,
    pub user_storage: PathBuf,
    pub system_storage: PathBuf,
    pub backups: PathBuf,
    pub backup_keep: Duration,
    pub backup_quota: u64,
    /// `None`: none is made by itself.
    pub backup_interval: Option<Duration>,
    pub backup_sets_max: usize,
    pub backup_sets_keep: Duration,
    pub jwt_secret: Option<Secret>,
    pub jwt_secret_previous: Option<Secret>,
    pub access_life: Duration,
    pub refresh_life: Duration,
    pub session_life: Duration,
    pub admin_username: String,
    pub admin_password: Option<Secret>,
    pub local_login: bool,
    pub providers: ProviderSettings,
    pub sign_up: SignUp,
    /// In small letters.
    pub sign_up_domains: Vec<String>,
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub rates: Rates,
    pub callback_hosts: Vec<String>,
    pub sockets_max: usize,
    pub sockets_per_address: usize,
    pub ping_interval: Duration,
    pub read_buffer: usize,
    pub write_buffer: usize,
    pub message_bytes: usize,
    pub recipients: usize,
    pub inbox_handles: Option<usize>,
    pub walk_interval: Duration,
    pub log_retention: Duration,
    pub log_level: String,
    /// Files with secrets that others on this machine can read.
    pub open_files: Vec<PathBuf>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// Reads the file, if one is named, and this process's environment, and checks everything.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process(file: Option<&Path>) -> Result<Self, ConfigError> {
        // A variable that is no UTF-8 is none of ours.
        let variables = std::env::vars_os();
        Self::load(
            file,
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Takes the file, if one is named, and an environment, and checks everything.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        let mut custom = Vec::new();
        if let Some(file) = file {
            custom = read_file(file, &mut values)?;
        }
        for (name, value) in environment {
            if all_settings().any(|setting| setting.name == name) {
                values.insert(name, value);
            } else if name == "NATS_URL" {
                return Err(error("NATS_URL", "this version runs as one node; leave it unset"));
            }
        }
        let secret_files = custom.iter().filter_map(|provider| provider.secret_file().map(Path::to_owned));
        let open_files =
            file.map(Path::to_owned).into_iter().chain(secret_files).filter(|path| is_open(path));
        let open_files = open_files.collect();
        let providers = ProviderSettings { values: values.clone(), custom };
        Ok(Self { open_files, ..Self::check(&Values(values), providers)? })
    }

    fn check(values: &Values, providers: ProviderSettings) -> Result<Self, ConfigError> {
        let Folders { users: user_storage, system: system_storage, backups } = Folders::of(values)?;
        let config = Self {
            user_port: values.parsed("USER_SERVER_PORT", 8080, "a port from 0 to 65535")?,
            admin_port: values.parsed("ADMIN_SERVER_PORT", 8081, "a port from 0 to 65535")?,
            bind: values.parsed(
                "BIND_ADDRESS",
                IpAddr::from([127, 0, 0, 1]),
                "an IP address such as 0.0.0.0",
            )?,
            public_url: values.text("PUBLIC_URL").map(public_url).transpose()?.unwrap_or_default(),
            backup_keep: values.duration("BACKUP_KEEP", Duration::from_secs(24 * 3600))?,
            backup_quota: values.at_least("BACKUP_QUOTA", 10 << 30, 1_024)? as u64,
            backup_interval: match values.text("BACKUP_INTERVAL") {
                Some("0" | "off") => None,
                _ => Some(values.duration("BACKUP_INTERVAL", Duration::from_secs(24 * 3600))?),
            },
            backup_sets_max: values.at_least("BACKUP_SETS_MAX", 14, 1)?,
            backup_sets_keep: values.duration("BACKUP_SETS_KEEP", Duration::from_secs(720 * 3600))?,
            user_storage,
            system_storage,
            backups,
            jwt_secret: values.secret("JWT_SECRET")?,
            jwt_secret_previous: values.secret("JWT_SECRET_PREVIOUS")?,
            access_life: values.at_most("JWT_EXPIRE_TIME", Duration::from_secs(2 * 3600), ACCESS_LIFE_MAX)?,
            refresh_life: values.duration("REFRESH_TOKEN_EXPIRE_TIME", Duration::from_secs(720 * 3600))?,
            session_life: values.duration("SESSION_MAX_TIME", Duration::from_secs(2160 * 3600))?,
            admin_username: values.text("BOOTSTRAP_ADMIN_USERNAME").unwrap_or("admin").to_owned(),
            admin_password: values.text("BOOTSTRAP_ADMIN_PASSWORD").map(Secret::new),
            providers,
            sign_up: values.parsed("SIGN_UP", SignUp::Open, "open, domain, invitation or closed")?,
            sign_up_domains: values.list("SIGN_UP_DOMAINS", host)?,
            local_login: values.parsed("LOCAL_LOGIN", true, "true or false")?,
            cors_origins: values.list("CORS_ALLOWED_ORIGINS", |text| origin(text).map(str::to_owned))?,
            trusted_proxies: values.list("TRUSTED_PROXIES", network).map_err(|unread| {
                let reason = format!("{}; give addresses, or networks such as 172.16.0.0/12", unread.reason);
                ConfigError { reason, ..unread }
            })?,
            callback_hosts: values.list("CALLBACK_ALLOWED_HOSTS", host)?,
            rates: Rates {
                user: values.at_least("SEND_RATE_USER", 120, 1)? as u32,
                external: values.at_least("SEND_RATE_EXTERNAL", 60, 1)? as u32,
                strangers: values.at_least("AUTH_RATE_PER_ADDRESS", 1_200, 1)? as u32,
            },
            sockets_max: values.at_least("WS_MAX_CONNECTIONS", 10_000, 1)?,
            sockets_per_address: values.at_least("WS_MAX_CONNECTIONS_PER_ADDRESS", 1_000, 1)?,
            ping_interval: values.duration("WS_PING_INTERVAL", Duration::from_secs(30))?,
            read_buffer: values.at_least("WS_READ_BUFFER_SIZE", 1_024, 256)?,
            write_buffer: values.at_least("WS_WRITE_BUFFER_SIZE", 4_096, 256)?,
            message_bytes: values.within(
                "MESSAGE_MAX_BYTES",
                hongyan_wire::limits::MESSAGE_BYTES_MAX,
                1_024..=MESSAGE_MAX_BYTES_MAX,
            )?,
            recipients: values.at_least("RECIPIENTS_MAX", hongyan_wire::limits::RECIPIENTS_MAX, 1)?,
            inbox_handles: values
                .text("INBOX_HANDLES")
                .map(|_| values.at_least("INBOX_HANDLES", 1, 1))
                .transpose()?,
            walk_interval: values.duration("INBOX_WALK_INTERVAL", Duration::from_secs(60))?,
            log_retention: values.duration("LOG_RETENTION", Duration::from_secs(168 * 3600))?,
            log_level: values.text("LOG_LEVEL").unwrap_or("info").to_owned(),
            open_files: Vec::new(),
        };
        if config.sign_up == SignUp::Domain && config.sign_up_domains.is_empty() {
            return Err(error("SIGN_UP_DOMAINS", "is missing; SIGN_UP=domain needs it"));
        }
        let name = config.admin_username.as_str();
        if name.is_empty()
            || name.len() > hongyan_wire::limits::NAME_MAX
            || name.contains(char::is_whitespace)
        {
            return Err(error("BOOTSTRAP_ADMIN_USERNAME", "must be 1 to 100 characters without blanks"));
        }
        if let Some(password) = &config.admin_password
            && !hongyan_wire::limits::is_password(password.expose())
        {
            return Err(error(
                "BOOTSTRAP_ADMIN_PASSWORD",
                "must have at least 8 characters, and at most 256 bytes",
            ));
        }
        Ok(config)
    }
}

impl Config {
    /// Everything among the settings that must never be shown.
    pub fn secrets(&self) -> Vec<String> {
        let own = [&self.jwt_secret, &self.jwt_secret_previous, &self.admin_password];
        let own = own.into_iter().flatten().map(|secret| secret.expose().to_owned());
        own.chain(self.providers.secrets()).collect()
    }
}

/// Settings as they were given.
struct Values(BTreeMap<String, String>);

impl Values {
    /// An empty value is no value: that is how a variable is unset in many places.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&self, name: &str, default: T, wanted: &str) -> Result<T, ConfigError> {
        match self.text(name) {
            Some(text) => text.parse().map_err(|_| error(name, &format!("`{text}` is not {wanted}"))),
            None => Ok(default),
        }
    }

    fn at_least(&self, name: &str, default: usize, least: usize) -> Result<usize, ConfigError> {
        let value = self.parsed(name, default, "a whole number")?;
        if value < least { Err(error(name, &format!("must be at least {least}"))) } else { Ok(value) }
    }

    fn within(
        &self,
        name: &str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> Result<usize, ConfigError> {
        let value = self.at_least(name, default, *bounds.start())?;
        let most = bounds.end();
        if value > *most { Err(error(name, &format!("must be at most {most}"))) } else { Ok(value) }
    }

    fn duration(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        match self.text(name) {
            Some(text) => duration(text)
                .ok_or_else(|| error(name, &format!("`{text}` is not a duration such as 30s, 5m or 720h"))),
            None => Ok(default),
        }
    }

    fn at_most(&self, name: &str, default: Duration, most: Duration) -> Result<Duration, ConfigError> {
        let value = self.duration(name, default)?;
        let hours = most.as_secs() / 3_600;
        if value > most { Err(error(name, &format!("must be at most {hours}h"))) } else { Ok(value) }
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        match self.text(name) {
            Some(text) if text.len() < 32 => Err(error(name, "must have at least 32 bytes")),
            Some(text) => Ok(Some(Secret::new(text))),
            None => Ok(None),
        }
    }

    fn list<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ConfigError> {
        let items = self.text(name).into_iter().flat_map(|text| text.split(','));
        items
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| read(item).ok_or_else(|| error(name, &format!("`{item}` cannot be understood"))))
            .collect()
    }
}

fn error(setting: &str, reason: &str) -> ConfigError {
    ConfigError { setting: setting.into(), reason: reason.into() }
}

/// Reads the file's settings into `values`, and gives its providers.
fn read_file(path: &Path, values: &mut BTreeMap<String, String>) -> Result<Vec<CustomSettings>, ConfigError> {
    let at = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| error(&at, &e.to_string()))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| error(&at, e.message()))?;
    let mut custom = Vec::new();
    for (key, value) in table {
        if key == PROVIDERS {
            custom = value.try_into().map_err(|e: toml::de::Error| error(PROVIDERS, e.message()))?;
            continue;
        }
        let name = key.to_uppercase();
        if key != key.to_lowercase() || !all_settings().any(|setting| setting.name == name) {
            return Err(error(&key, &format!("is no setting; see the table of settings ({at})")));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                texts.ok_or_else(|| error(&key, "must be a list of texts"))?.join(",")
            }
            _ => return Err(error(&key, "must be a text, a number, true or false, or a list of texts")),
        };
        values.insert(name, text);
    }
    Ok(custom)
}

/// Whether everyone on this machine may read a file.
fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}

/// The tables of providers in the file: `[[providers]]`.
const PROVIDERS: &str = "providers";

/// A duration as `30s`, `5m`, `2h`, `7d` or `250ms`; longer than nothing, at most ten years.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
    (1..=10 * 366 * 86_400_000).contains(&millis).then(|| Duration::from_millis(millis))
}

/// A host as it stands in a URL: a name, or an address without brackets.
fn host(text: &str) -> Option<String> {
    let is_host = text.parse::<IpAddr>().is_ok()
        || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    is_host.then(|| text.to_owned())
}

/// A network, or a single address as one. IPv4 within IPv6 becomes IPv4, as the addresses of peers do.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).ok()?;
    match network {
        IpNet::V6(v6) => Some(match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(length)) => Ipv4Net::new(v4, length).ok()?.into(),
            _ => network,
        }),
        IpNet::V4(_) => Some(network),
    }
}

/// The origin of a URL that is one: `https://host` or `https://host:port`, nothing more.
fn origin(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let plain = !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
    plain.then_some(text)
}

fn public_url(text: &str) -> Result<String, ConfigError> {
    let text = text.trim_end_matches('/');
    origin(text).map(str::to_owned).ok_or_else(|| {
        error("PUBLIC_URL", &format!("`{text}` is not a URL such as https://notify.example.com"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users").display().to_string();
        let mut all = vec![("USER_STORAGE_PATH".to_owned(), path)];
        all.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Config::load(None, all)
    }

    #[test]
    fn sets_are_made_daily_or_as_is_said_or_never() {
        let every = |value: &str| load(&[("BACKUP_INTERVAL", value)]).map(|config| config.backup_interval);
        assert_eq!(every("").unwrap(), Some(Duration::from_secs(24 * 3600)));
        assert_eq!(every("6h").unwrap(), Some(Duration::from_secs(6 * 3600)));
        assert_eq!((every("0").unwrap(), every("off").unwrap()), (None, None));
        assert_eq!(every("daily").unwrap_err().setting, "BACKUP_INTERVAL");
        assert_eq!(load(&[("BACKUP_SETS_MAX", "0")]).err().unwrap().setting, "BACKUP_SETS_MAX");
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies = |text: &str| load(&[("TRUSTED_PROXIES", text)]).map(|config| config.trusted_proxies);
        let known = proxies("127.0.0.1, 172.16.0.0/12,fd00::/8, ::1, ::ffff:10.0.0.0/104").unwrap();
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("172.31.255.254", true),
            ("172.32.0.1", false),
            ("fd12::1", true),
            ("::1", true),
            ("fe80::1", false),
            ("10.200.3.4", true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(known.iter().any(|network| network.contains(&address)), expected, "{address}");
        }
        for text in ["172.16.0.0/33", "10.0.0/8", "proxy.example", "10.0.0.0/8;::1", "fd00::/129"] {
            let error = proxies(text).unwrap_err();
            assert_eq!(error.setting, "TRUSTED_PROXIES", "{text}");
            assert!(error.reason.contains("172.16.0.0/12"), "{}", error.reason);
        }
    }

    #[test]
    fn what_cannot_be_understood_names_the_setting() {
        for (name, value) in [
            ("USER_SERVER_PORT", "eighty"),
            ("USER_SERVER_PORT", "70000"),
            ("WS_PING_INTERVAL", "30"),
            ("WS_PING_INTERVAL", "0s"),
            ("JWT_EXPIRE_TIME", "25h"),
            ("JWT_SECRET", "too short"),
            ("PUBLIC_URL", "example.com"),
            ("CORS_ALLOWED_ORIGINS", "https://a.example,*"),
            ("LOCAL_LOGIN", "yes"),
            ("USER_STORAGE_PATH", "/no/such/folder"),
            ("BIND_ADDRESS", "localhost"),
            ("MESSAGE_MAX_BYTES", "8388609"),
            ("NATS_URL", "nats://127.0.0.1"),
        ] {
            let error = load(&[(name, value)]).err().unwrap_or_else(|| panic!("{name}={value}"));
            assert_eq!(error.setting, name);
        }
        assert_eq!(load(&[("WS_PING_INTERVAL", "5m")]).unwrap().ping_interval, Duration::from_secs(300));
    }

    #[test]
    fn the_readme_has_the_table_of_settings() {
        let readme = include_str!("../../../README.md");
        for Setting { name, default, meaning } in all_settings() {
            assert!(readme.contains(&format!("| `{name}` | {default} | {meaning} |")), "{name}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hongyan.toml");
        let storage = dir.path().join("users");
        std::fs::write(
            &file,
            format!("user_storage_path = {storage:?}\nuser_server_port = 1\nadmin_server_port = 2\n"),
        )
        .unwrap();
        let config = Config::load(Some(&file), [("USER_SERVER_PORT".into(), "3".into())]).unwrap();
        assert_eq!((config.user_port, config.admin_port), (3, 2));
        std::fs::write(&file, "user_server_prot = 1").unwrap();
        let error = Config::load(Some(&file), []).err().unwrap();
        assert_eq!(error.setting, "user_server_prot");
    }
}
