//! Durable sends over HTTP, 64 in flight, to one person each.

use crate::http::{Client, Pool};
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use crate::yardstick::Yardstick;
use anyhow::Result;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;

const IN_FLIGHT: usize = 64;
const USERS: usize = 1_000;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let sends = setting.size(20_000, 500);
    let server = Server::start(setting, &[]).await?;
    server.import(USERS).await?;
    let requests: Arc<[Vec<u8>]> = (0..USERS).map(|number| server.send_to(number)).collect();
    let mut ours = Pool::connect(server.user, IN_FLIGHT).await?;
    ours.load(&requests, USERS).await?;

    let scratch = setting.scratch()?;
    let bytes = record_bytes(&server.system().join("log.db"))?;
    let answer = Client::connect(server.user).await?.ask(&requests[0]).await?.len();
    let file = scratch.path().join("appended");
    let (yardstick, addresses) = Yardstick::Append { file, bytes, answer }.start()?;
    let mut bare = Pool::connect(addresses[0], IN_FLIGHT).await?;
    bare.load(&requests, USERS).await?;

    let (mut sent, mut appended) = (Series::default(), Series::default());
    for _ in 0..setting.rounds() {
        let ((), spent) = server.process.cost(ours.load(&requests, sends)).await?;
        sent.add_rate(sends, spent);
        let ((), spent) = yardstick.cost(bare.load(&requests, sends)).await?;
        appended.add_rate(sends, spent);
    }
    report.compare("send: durable, 64 in flight", "a cpu second", &sent, &appended, Bound::AtLeast(0.5))?;
    report.say("send: a record in the log", &format!("{bytes} bytes, as many for the yardstick"))?;
    Ok(())
}

/// The average length of the last records.
fn record_bytes(log: &Path) -> Result<usize> {
    let log = Connection::open_with_flags(log, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT avg(length(body)) FROM (SELECT body FROM record ORDER BY pos DESC LIMIT 100)";
    let average: f64 = log.query_row(sql, [], |row| row.get(0))?;
    Ok(average.round() as usize)
}
