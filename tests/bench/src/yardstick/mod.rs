//! The servers that ours is compared with: each does the least that its workload needs, and runs as a
//! process of its own, so that what it spends is counted as ours is.

mod append;
mod echo;
mod fanout;
mod query;

pub use query::{COUNT_ANSWER, LIST_ANSWER};

use crate::process::Process;
use anyhow::{Context, Result};
use clap::Subcommand;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Bytes of a socket's buffers.
const BUFFER: usize = 4_096;

#[derive(Debug, Clone, Subcommand)]
pub enum Yardstick {
    /// Appends so many bytes a request to a file, with group commit.
    Append { file: PathBuf, bytes: usize, answer: usize },
    /// Asks an inbox with bare SQL and answers with prepared bytes.
    Query { folder: PathBuf },
    /// Hands messages to a task for each socket, which feeds what waits and flushes once.
    FanoutTasks,
    /// Feeds and flushes every socket from one loop.
    FanoutLoop,
    /// Echoes what sockets say.
    Echo,
}

impl Yardstick {
    /// Serves until standard input ends.
    pub async fn serve(self) -> Result<()> {
        let serving = async {
            match self {
                Self::Append { file, bytes, answer } => append::serve(&file, bytes, answer).await,
                Self::Query { folder } => query::serve(&folder).await,
                Self::FanoutTasks => fanout::serve_with_tasks().await,
                Self::FanoutLoop => fanout::serve_with_a_loop().await,
                Self::Echo => echo::serve().await,
            }
        };
        tokio::select! {
            served = serving => served,
            () = orphaned() => Ok(()),
        }
    }

    fn arguments(&self) -> Vec<std::ffi::OsString> {
        match self {
            Self::Append { file, bytes, answer } => {
                vec!["append".into(), file.into(), bytes.to_string().into(), answer.to_string().into()]
            }
            Self::Query { folder } => vec!["query".into(), folder.into()],
            Self::FanoutTasks => vec!["fanout-tasks".into()],
            Self::FanoutLoop => vec!["fanout-loop".into()],
            Self::Echo => vec!["echo".into()],
        }
    }

    /// Starts this yardstick as a process; gives where it listens.
    pub fn start(&self) -> Result<(Process, Vec<SocketAddr>)> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        command.arg("yardstick").args(self.arguments());
        let mut process = Process::start(command)?;
        let lines = process.lines_until("ready")?;
        let line = lines.last().context("a yardstick said nothing")?;
        let addresses = line.split_ascii_whitespace().skip(1).map(str::parse);
        Ok((process, addresses.collect::<Result<_, _>>().context("a yardstick's addresses")?))
    }
}

/// Listens on a port that is free.
async fn listen() -> Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}

/// Says where it listens.
fn announce(listeners: &[&TcpListener]) -> Result<()> {
    let addresses = listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let addresses = addresses.collect::<Result<Vec<_>>>()?.join(" ");
    Ok(writeln!(std::io::stdout().lock(), "ready {addresses}")?)
}

/// Standard input ends with the process that started this one.
async fn orphaned() {
    let mut input = tokio::io::stdin();
    let mut byte = [0];
    while matches!(input.read(&mut byte).await, Ok(1)) {}
}

fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER)
}
