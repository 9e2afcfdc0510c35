//! What is measured, one file each.

mod announce;
mod backup;
mod catch_up;
mod compose;
mod fanout;
mod memory;
mod read;
mod reconnect;
mod send;
mod sign_in;

use crate::report::Report;
use crate::setting::Setting;
use anyhow::{Context, Result};
use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Durable sends over HTTP.
    Send,
    /// Sends by a template.
    Template,
    /// A thousand sends in one request.
    Batch,
    /// Permissions and limits.
    Checks,
    /// Messages that wait for their time.
    Scheduled,
    /// A send to everyone.
    Announce,
    /// An inbox that takes in what it missed.
    CatchUp,
    /// Lists and counts.
    Read,
    /// One message to many sockets.
    Fanout,
    /// What an idle socket holds.
    Memory,
    /// Sockets that come again with nothing missed.
    Reconnect,
    /// Tokens, ended sessions, and many who sign in at once.
    SignIn,
    /// Backups of one inbox.
    Backup,
}

impl Workload {
    /// Those that were named, or all.
    pub fn chosen(named: &[Self]) -> &[Self] {
        if named.is_empty() { Self::value_variants() } else { named }
    }

    pub async fn measure(self, setting: &Setting, report: &mut Report) -> Result<()> {
        let measured = match self {
            Self::Send => send::measure(setting, report).await,
            Self::Template => compose::template(setting, report).await,
            Self::Batch => compose::batch(setting, report).await,
            Self::Checks => compose::checks(setting, report).await,
            Self::Scheduled => compose::scheduled(setting, report).await,
            Self::Announce => announce::measure(setting, report).await,
            Self::CatchUp => catch_up::measure(setting, report).await,
            Self::Read => read::measure(setting, report).await,
            Self::Fanout => fanout::measure(setting, report).await,
            Self::Memory => memory::measure(setting, report).await,
            Self::Reconnect => reconnect::measure(setting, report).await,
            Self::SignIn => sign_in::measure(setting, report).await,
            Self::Backup => backup::measure(setting, report).await,
        };
        let name = self.to_possible_value();
        measured.with_context(|| name.map(|name| name.get_name().to_owned()).unwrap_or_default())
    }
}
