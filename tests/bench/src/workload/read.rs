//! A list of 20 from an inbox of 10,000, and its count of unread messages.

use crate::http::{Client, Pool};
use crate::process::Process;
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use crate::yardstick::{COUNT_ANSWER, LIST_ANSWER, Yardstick};
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const SENDING: usize = 64;
const READING: usize = 16;
const LIST: &str = "/api/v3/messages?size=20";
const COUNT: &str = "/api/v3/messages/unread-count";

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let messages = setting.size(10_000, 300);
    let server = Server::start(setting, &[]).await?;
    server.import(1).await?;
    Pool::connect(server.user, SENDING).await?.load(&[server.send_to(0)].into(), messages).await?;

    // What ours answers is what the yardstick answers, from a copy of the same inbox.
    let copy = setting.scratch()?;
    let mut client = Client::connect(server.user).await?;
    for (path, file) in [(LIST, LIST_ANSWER), (COUNT, COUNT_ANSWER)] {
        fs::write(copy.path().join(file), client.ask(&server.get(path, 0)?).await?)?;
    }
    for name in ["messages.db", "read_status.db"] {
        vacuum(&server.inbox(0).join(name), &copy.path().join(name))?;
    }
    let (yardstick, addresses) = Yardstick::Query { folder: copy.path().to_owned() }.start()?;
    let mut ours = Pool::connect(server.user, READING).await?;
    let mut bare = Pool::connect(addresses[0], READING).await?;

    for (name, path, full) in [
        (format!("read: list of 20 from {messages}"), LIST, 20_000),
        (format!("read: unread-count of {messages}"), COUNT, 40_000),
    ] {
        let requests: Arc<[Vec<u8>]> = [server.get(path, 0)?].into();
        let reads = setting.size(full, 500);
        let (mut listed, mut queried) = (Series::default(), Series::default());
        ours.load(&requests, reads / 5).await?;
        bare.load(&requests, reads / 5).await?;
        for _ in 0..setting.rounds() {
            turn(&server.process, &mut ours, &requests, reads, &mut listed).await?;
            turn(&yardstick, &mut bare, &requests, reads, &mut queried).await?;
        }
        report.compare(&name, "cpu us a request", &listed, &queried, Bound::AtMost(2.0))?;
    }
    Ok(())
}

async fn turn(
    process: &Process,
    pool: &mut Pool,
    requests: &Arc<[Vec<u8>]>,
    reads: usize,
    costs: &mut Series,
) -> Result<()> {
    let ((), spent) = process.cost(pool.load(requests, reads)).await?;
    costs.add_cost(reads, spent);
    Ok(())
}

/// Copies a database that is in use.
fn vacuum(from: &Path, to: &Path) -> Result<()> {
    let database = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.execute("VACUUM INTO ?1", [to.to_str().context("the folder's name")?])?;
    Ok(())
}
