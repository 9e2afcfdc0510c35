//! A send to everyone beside the same send to one; and what it costs to bring it to those who do not come.

use crate::http::{Client, Pool};
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const IN_FLIGHT: usize = 64;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let users = setting.size(100_000, 2_000);
    let sends = setting.size(10_000, 500);
    let server = Server::start(setting, &[]).await?;
    server.import(users).await?;
    let to_all: Arc<[Vec<u8>]> = [server.send_to_all()].into();
    let to_one: Arc<[Vec<u8>]> = [server.send_to(users / 2)].into();
    let mut pool = Pool::connect(server.user, IN_FLIGHT).await?;
    pool.load(&to_one, sends / 2).await?;
    let (mut all, mut one) = (Series::default(), Series::default());
    for _ in 0..setting.rounds() {
        let ((), spent) = server.process.cost(pool.load(&to_all, sends)).await?;
        all.add_cost(sends, spent);
        let ((), spent) = server.process.cost(pool.load(&to_one, sends)).await?;
        one.add_cost(sends, spent);
    }
    let name = format!("announce: to {users} users, beside 1");
    report.compare(&name, "cpu us a send", &all, &one, Bound::AtMost(1.5))?;
    walk(setting, report).await
}

/// One message to everyone, brought to every inbox: first to people who have none, then to the same again.
async fn walk(setting: &Setting, report: &mut Report) -> Result<()> {
    let users = setting.size(3_000, 200);
    let server = Server::start(setting, &[("INBOX_WALK_INTERVAL", "500ms")]).await?;
    server.import(users).await?;
    let mut client = Client::connect(server.user).await?;
    let request = server.send_to_all();
    let log = server.system().join("log.db");
    for (name, times) in [("announce: walker, a first inbox", 1), ("announce: walker, one message more", 3)] {
        let mut costs = Series::default();
        for _ in 0..times {
            let work = async {
                client.ask(&request).await?;
                walked(&log).await
            };
            let ((), spent) = server.process.cost(work).await?;
            costs.add_cost(users, spent);
        }
        report.note(name, "cpu us a user", costs.median())?;
    }
    Ok(())
}

/// Waits until every inbox has what stands in the log.
async fn walked(log: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(120);
    const STEP: Duration = Duration::from_millis(50);
    let log = Connection::open_with_flags(log, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql =
        "SELECT coalesce(max(pos), 0) <= (SELECT through FROM consumer WHERE name = 'inboxes') FROM record";
    let walked = async {
        while !log.query_row(sql, [], |row| row.get::<_, Option<bool>>(0))?.unwrap_or(false) {
            tokio::time::sleep(STEP).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, walked).await.context("the walker did not get through")?
}
