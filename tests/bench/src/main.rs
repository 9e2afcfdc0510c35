//! Measures the server against yardsticks that run beside it, in the same minute on the same machine.
//!
//! Figures are counted for each second of processor time that the measured process spends, so that the
//! programs which make the load do not count. Ours and the yardstick take turns, and medians are shown.

mod crowd;
mod http;
mod process;
mod report;
mod rooms;
mod series;
mod server;
mod setting;
mod socket;
mod workload;
mod yardstick;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use setting::Setting;
use std::path::PathBuf;
use std::process::ExitCode;
use workload::Workload;
use yardstick::Yardstick;

/// Measures Hongyan's server.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to measure; everything when left out.
    workloads: Vec<Workload>,
    /// Small sizes: shows that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// The server's program, built for release.
    #[arg(long, env = "HONGYAN_SERVER_BIN")]
    server: Option<PathBuf>,
    /// Where the servers keep their data while they are measured: a real disk. Beside this program when left out.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Subcommand)]
enum Hidden {
    /// One of the servers that ours is compared with; it ends with its standard input.
    #[command(subcommand, hide = true)]
    Yardstick(Yardstick),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hongyan-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    setting::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(Hidden::Yardstick(yardstick)) = arguments.hidden {
            return yardstick.serve().await;
        }
        let setting = Setting::new(arguments.server, arguments.folder, arguments.quick)?;
        let mut report = Report::new(arguments.quick);
        for workload in Workload::chosen(&arguments.workloads) {
            workload.measure(&setting, &mut report).await?;
        }
        report.end()
    })
}
