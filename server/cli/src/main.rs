//! The program `hongyan`: sends from a shell, and sees what became of it. It speaks to a server's user gateway with a
//! service's key.

mod backup;
mod gateway;
mod send;
mod settings;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use gateway::{Failure, Gateway};
use hongyan_wire::MessageId;
use hongyan_wire::message::RecallAnswer;
use hongyan_wire::receipt::Receipts;
use settings::Settings;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sends messages, and sees what became of them.
///
/// Exit status: 0 done; 1 refused, and refused again if tried again; 2 the command line or the settings are wrong;
/// 75 the server could not be reached or is busy: try again later.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    to: To,
    #[command(subcommand)]
    command: Command,
}

/// Which server, and as whom.
#[derive(Args)]
struct To {
    /// The server's user gateway; else `url` in the file of settings, else http://127.0.0.1:8080.
    #[arg(long, env = "HONGYAN_URL", global = true)]
    url: Option<String>,
    /// A file whose first line is the service's key; else the environment variable HONGYAN_KEY, else `key` in the file
    /// of settings. Never on the command line, which others on the machine can see.
    #[arg(long, global = true)]
    key_file: Option<PathBuf>,
    /// The file of settings, TOML with `url` and `key`; ~/.config/hongyan/config.toml when left out.
    #[arg(long, env = "HONGYAN_CLIENT_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Print the server's whole answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Send a message and print its id.
    Send(Box<send::Send>),
    /// Take a message back.
    Recall { message: MessageId },
    /// See how far a message has got: meant, delivered, read.
    Receipts { message: MessageId },
    /// Backups: join increments to a full one. Needs no server.
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Print what a shell needs to complete commands: bash, zsh, fish, …
    Completion { shell: Shell },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { to, command } = Arguments::parse();
    match perform(to, command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hongyan: {failure}");
            failure.exit_code()
        }
    }
}

async fn perform(to: To, command: Command) -> Result<(), Failure> {
    if let Command::Completion { shell } = command {
        clap_complete::generate(shell, &mut Arguments::command(), "hongyan", &mut std::io::stdout());
        return Ok(());
    }
    if let Command::Backup(command) = command {
        return command.perform();
    }
    let settings = Settings::gather(to.url, to.key_file.as_deref(), to.config.as_deref());
    let gateway = Gateway::new(&settings.map_err(Failure::Usage)?).map_err(Failure::Usage)?;
    match command {
        Command::Completion { .. } | Command::Backup(_) => Ok(()),
        Command::Send(send) => send.perform(&gateway, to.json).await,
        Command::Recall { message } => {
            let path = format!("/api/v3/messages/{message}/recall");
            let (_, text) = gateway.post::<RecallAnswer>(&path, &serde_json::json!({}), None).await?;
            if to.json {
                println!("{text}");
            }
            Ok(())
        }
        Command::Receipts { message } => {
            let path = format!("/api/v3/messages/{message}/receipts");
            let (receipts, text) = gateway.get::<Receipts>(&path).await?;
            match to.json {
                true => println!("{text}"),
                false => print_receipts(&receipts),
            }
            Ok(())
        }
    }
}

fn print_receipts(receipts: &Receipts) {
    let Receipts { recipients, delivered, read, pressed, .. } = receipts;
    println!("recipients\t{recipients}\ndelivered\t{delivered}\nread\t{read}");
    for press in pressed {
        println!("pressed {}\t{}", press.action, press.count);
    }
}
