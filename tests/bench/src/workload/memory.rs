//! What an idle socket holds, from 2,000 to 10,000 of them.

use crate::crowd::{Arrivals, open_echoing};
use crate::http::Client;
use crate::process::Process;
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use crate::socket::Socket;
use crate::yardstick::Yardstick;
use anyhow::Result;
use std::time::Duration;

const WANTED: usize = 10_000;
/// What is given back after a burst of connections takes a moment.
const SETTLING: Duration = Duration::from_secs(2);
/// By how much the second half may grow faster than the first.
const FLAT: f64 = 1.15;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let most = setting.sockets(setting.size(WANTED, 600));
    if most < WANTED {
        report.say(
            "memory: sockets",
            &format!("{most}, as many as this limit of open files and these sizes allow"),
        )?;
    }
    let steps = [most / 5, most * 3 / 5, most];
    let limit = (most + 100).to_string();
    let limits = [
        ("WS_MAX_CONNECTIONS", limit.as_str()),
        ("WS_MAX_CONNECTIONS_PER_ADDRESS", limit.as_str()),
        // What is let go of is given back to the system at once, so that what is held is what is counted.
        ("MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0"),
        // Open inboxes are bounded and counted apart: here are as many at the beginning as at the end.
        ("INBOX_HANDLES", "64"),
    ];

    let server = Server::start(setting, &limits).await?;
    server.import(most).await?;
    let mut sockets: Vec<Socket> = Vec::with_capacity(most);
    let mut ours = Vec::new();
    for step in steps {
        let arrivals = Arrivals::new(&server, sockets.len()..step)?;
        sockets.extend(arrivals.come(server.user).await?.into_iter().map(|welcomed| welcomed.socket));
        ours.push(settled(&server.process).await?);
    }
    drop(sockets);
    drop(server);

    let (echo, addresses) = Yardstick::Echo.start()?;
    let mut sockets = Vec::with_capacity(most);
    let mut bare = Vec::new();
    for step in steps {
        sockets.extend(open_echoing(addresses[0], step - sockets.len()).await?);
        bare.push(settled(&echo).await?);
    }

    let each = |resident: &[u64], from: usize, to: usize| {
        let mut series = Series::default();
        series.add(resident[to].saturating_sub(resident[from]) as f64 / (steps[to] - steps[from]) as f64);
        series
    };
    let [few, half, all] = steps;
    let name = format!("memory: an idle socket, {few} to {all}");
    report.compare(&name, "bytes resident", &each(&ours, 0, 2), &each(&bare, 0, 2), Bound::AtMost(1.0))?;
    let (first, second) = (each(&ours, 0, 1), each(&ours, 1, 2));
    let name = format!("memory: {half} to {all}, beside {few} to {half}");
    report.compare(&name, "bytes resident", &second, &first, Bound::AtMost(FLAT))?;
    report.note(
        &format!("memory: the server with {few} sockets"),
        "MiB resident",
        ours[0] as f64 / 1_048_576.0,
    )?;
    handles(setting, report).await
}

/// What an inbox holds while it is kept open.
async fn handles(setting: &Setting, report: &mut Report) -> Result<()> {
    let count = setting.size(1_000, 100);
    let server = Server::start(setting, &[]).await?;
    server.import(count).await?;
    let mut client = Client::connect(server.user).await?;
    let mut resident = Vec::new();
    for range in [0..count / 2, count / 2..count] {
        for number in range {
            client.ask(&server.get("/api/v3/messages", number)?).await?;
        }
        resident.push(settled(&server.process).await?);
    }
    let each = (resident[1].saturating_sub(resident[0])) as f64 / (count - count / 2) as f64;
    report.note("memory: an open inbox", "bytes resident", each)?;
    Ok(())
}

async fn settled(process: &Process) -> Result<u64> {
    tokio::time::sleep(SETTLING).await;
    process.resident()
}
