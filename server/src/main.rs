//! The program `hongyan-server`.

mod commands;

use clap::{Parser, ValueEnum};
use commands::Command;
use hongyan_server::app::{Gateways, Running, start};
use hongyan_server::config::{Config, Setting, all_settings};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A message is made on one thread, written on another and let go of on a third: with the system's allocator they
/// wait for each other. SQLite takes its memory from here too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit status for a setting that cannot be used.
const BAD_SETTING: u8 = 2;

/// Hongyan, a self-hosted message and notification service.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The TOML file with the settings; environment variables win over it.
    #[arg(long, env = "HONGYAN_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Only one of the two gateways.
    #[arg(long, global = true)]
    only: Option<Only>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Only {
    User,
    Admin,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let offline = match arguments.command {
        Some(Command::Settings) => {
            // Who reads may have read enough.
            let _ = print_settings();
            return ExitCode::SUCCESS;
        }
        Some(Command::Completion { shell }) => {
            commands::complete::<Arguments>(shell);
            return ExitCode::SUCCESS;
        }
        Some(Command::Offline(command)) => Some(command),
        Some(Command::Serve) | None => None,
    };
    let gateways = match arguments.only {
        Some(Only::User) => Gateways::User,
        Some(Only::Admin) => Gateways::Admin,
        None => Gateways::Both,
    };
    let config = match Config::of_process(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    if let Err(error) = hongyan_server::telemetry::init(&config.log_level, config.secrets()) {
        return refuse(&error);
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => match offline {
            Some(command) => runtime
                .block_on(async {
                    // On a thread of the runtime's own, which may block.
                    tokio::spawn(async move { commands::perform(&config, command).await }).await
                })
                .unwrap_or_else(|error| refuse(&error.to_string())),
            None => runtime.block_on(serve(config, gateways)),
        },
        Err(error) => refuse(&error.to_string()),
    }
}

async fn serve(config: Config, gateways: Gateways) -> ExitCode {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return refuse("signals cannot be received") };
    // Where files may not grow beyond a limit, a write is to fail like one on a full disk and not to end
    // the process: whoever receives the signal is not ended by it.
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let Ok(_full) = signal(limit) else { return refuse("signals cannot be received") };
    let running = match start(config, gateways).await {
        Ok(running) => running,
        Err(error) => return refuse(&format!("{error:#}")),
    };
    announce(&running);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("stopping");
    running.stop().await;
    ExitCode::SUCCESS
}

fn announce(running: &Running) {
    if let Some(address) = running.user {
        println!("user gateway   http://{address}/");
        println!("in a browser   {}/", running.public_url);
    }
    if let Some(address) = running.admin {
        println!("admin gateway  http://{address}/");
    }
    if let Some(made) = &running.bootstrapped {
        match &made.password {
            Some(password) => {
                println!("first administrator: {} with password {password} (shown only now)", made.username);
            }
            None => println!("first administrator: {} with the password that was set", made.username),
        }
    }
    println!("ready");
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("hongyan-server: {reason}");
    ExitCode::from(BAD_SETTING)
}

fn print_settings() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "| setting | default | meaning |\n| --- | --- | --- |")?;
    all_settings().try_for_each(|Setting { name, default, meaning }| {
        writeln!(out, "| `{name}` | {default} | {meaning} |")
    })
}
