//! A backup of one's inbox: how long it takes, what it holds in memory, and whether it keeps messages waiting.

use crate::http::{self, Client, Pool};
use crate::report::{Bound, Report};
use crate::series::{Series, quantile};
use crate::server::{Server, name};
use crate::setting::Setting;
use anyhow::{Context, Result, ensure};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Content of each message, in bytes: of 16 KiB, an inbox of two gigabytes has some 120,000.
const CONTENT: usize = 16 * 1024;
const SENDING: usize = 16;
/// Memory beyond what the server has without a backup, in MiB.
const MEMORY_MAX: f64 = 16.0;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let messages = setting.size(120_000, 200);
    // Each is made anew: nothing of the one before is kept.
    let server =
        Server::start(setting, &[("BACKUP_QUOTA", "100000000000"), ("SEND_RATE_USER", "1000000")]).await?;
    server.import(1).await?;
    let content: String = (0..CONTENT).map(|n| char::from(b'a' + (n * n % 26) as u8)).collect();
    let sends: Vec<Vec<u8>> = (0..64)
        .map(|n| server.send_as(0, &json!({ "title": format!("message {n}"), "content": &content[n * 7..] })))
        .collect();
    Pool::connect(server.user, SENDING).await?.load(&sends.into(), messages).await?;
    let mut client = Client::connect(server.user).await?;
    client.ask(&server.post("/api/v3/messages/read-batch", 0, &json!({ "all": true }))?).await?;
    let inbox = server.inbox(0).join("messages.db");
    let size = std::fs::metadata(&inbox)?.len() as f64 / 1e6;
    report.say("backup: the inbox", &format!("{messages} messages, all read, {size:.0} MB"))?;

    let scratch = setting.scratch()?;
    let (mut ours, mut bare) = (Series::default(), Series::default());
    let (mut packed, mut piped) = (Series::default(), Series::default());
    for round in 0..setting.rounds() {
        // Whoever comes second finds memory that the first has just given back, and whoever comes first may have to take it
        // from the machine: they take turns, and leave nothing behind.
        for n in [round, round + 1] {
            if n.is_multiple_of(2) {
                bare.add(bare_copy(&inbox, &scratch.path().join("bare.db"))?.as_secs_f64() * 1e3);
            } else {
                ours.add(made(&server, &mut client, "none").await?.as_secs_f64() * 1e3);
            }
        }
        for n in [round, round + 1] {
            if n.is_multiple_of(2) {
                piped.add(piped_copy(&inbox, scratch.path())?.as_secs_f64() * 1e3);
            } else {
                packed.add(made(&server, &mut client, "gzip").await?.as_secs_f64() * 1e3);
            }
        }
    }
    // Ours in 1 / 0.8 of its time is 0.8 of its speed.
    report.compare("backup: full, beside SQLite's backup", "ms", &ours, &bare, Bound::AtMost(1.25))?;
    report.compare(
        "backup: with gzip, beside sqlite3 .backup | gzip",
        "ms",
        &packed,
        &piped,
        Bound::AtMost(1.25),
    )?;
    memory(&server, &mut client, report).await?;
    sends_meanwhile(setting, &server, report).await
}

/// Makes one and gives how long that took. A message first, so that there is something new to make it of.
async fn made(server: &Server, client: &mut Client, compress: &str) -> Result<Duration> {
    client.ask(&server.send_to(0)).await?;
    let request = server.post("/api/v3/backup/links", 0, &json!({ "make": { "compress": compress } }))?;
    let began = Instant::now();
    client.ask(&request).await?;
    let took = began.elapsed();
    let listed = client.ask(&server.get("/api/v3/backup", 0)?).await?;
    let listed: serde_json::Value = serde_json::from_slice(listed)?;
    let id = listed["data"]["backups"][0]["id"].as_str().context("no backup is listed")?;
    let delete = http::delete(&format!("/api/v3/backup/{id}"), &server.bearer(0)?);
    ensure!(client.status(&delete).await? == 200, "the backup could not be taken away");
    Ok(took)
}

/// SQLite's backup of the same file, durable as ours is.
fn bare_copy(from: &Path, to: &Path) -> Result<Duration> {
    let from = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let began = Instant::now();
    let mut copy = Connection::open(to)?;
    Backup::new(&from, &mut copy)?.step(-1)?;
    copy.close().map_err(|(_, error)| error)?;
    std::fs::File::open(to)?.sync_all()?;
    let took = began.elapsed();
    std::fs::remove_file(to)?;
    Ok(took)
}

fn piped_copy(from: &Path, scratch: &Path) -> Result<Duration> {
    let (copy, packed) = (scratch.join("piped.db"), scratch.join("piped.db.gz"));
    let began = Instant::now();
    let line = format!(".backup '{}'", copy.display());
    ensure!(
        Command::new("sqlite3").arg(from).arg(line).status()?.success(),
        "sqlite3 could not make its backup"
    );
    let to = std::fs::File::create(&packed)?;
    ensure!(
        Command::new("gzip").arg("-c").arg(&copy).stdout(to).status()?.success(),
        "gzip could not pack it"
    );
    std::fs::File::open(&packed)?.sync_all()?;
    let took = began.elapsed();
    std::fs::remove_file(&copy)?;
    std::fs::remove_file(&packed)?;
    Ok(took)
}

/// What the server holds while it makes one, beyond what it holds without.
async fn memory(server: &Server, client: &mut Client, report: &mut Report) -> Result<()> {
    let before = server.process.resident()?;
    let mut peak = before;
    let making = made(server, client, "gzip");
    tokio::pin!(making);
    loop {
        tokio::select! {
            made = &mut making => {
                made?;
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => peak = peak.max(server.process.resident()?),
        }
    }
    let extra = peak.saturating_sub(before) as f64 / 1024.0 / 1024.0;
    report.check(
        "backup: memory while one is made",
        &format!("{extra:.1} MiB more, wanted <= 16"),
        extra <= MEMORY_MAX,
    )
}

/// One message after the other to the person whose inbox it is, with and without a backup being made.
async fn sends_meanwhile(setting: &Setting, server: &Server, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(server.user).await?;
    let (mut calm, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..setting.size(2_000, 50) {
        calm.push(timed(&mut client, server).await?);
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut maker = Client::connect(server.user).await?;
    let request = server.post("/api/v3/backup/links", 0, &json!({ "make": { "compress": "gzip" } }))?;
    let finished = done.clone();
    let making = tokio::spawn(async move {
        let made = maker.ask(&request).await.map(drop);
        finished.store(true, Ordering::Relaxed);
        made
    });
    while !done.load(Ordering::Relaxed) {
        busy.push(timed(&mut client, server).await?);
    }
    making.await??;
    for (label, part) in [("median", 0.5), ("p99", 0.99)] {
        let (mut ours, mut bare) = (Series::default(), Series::default());
        ours.add(quantile(&mut busy, part));
        bare.add(quantile(&mut calm, part));
        let what = format!("backup: a send to {} while one is made, {label}", name(0));
        report.compare(&what, "us, beside none", &ours, &bare, Bound::AtMost(2.0))?;
    }
    Ok(())
}

async fn timed(client: &mut Client, server: &Server) -> Result<f64> {
    let began = Instant::now();
    client.ask(&server.send_to(0)).await?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}
