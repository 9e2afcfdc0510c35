//! One message to 2,000 sockets, and 16 in a row.

use crate::crowd::{Arrivals, Crowd, open_bare};
use crate::http::{self, Client};
use crate::process::Process;
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use crate::socket::Socket;
use crate::yardstick::Yardstick;
use anyhow::Result;

const LIMITS: &[(&str, &str)] = &[("WS_MAX_CONNECTIONS_PER_ADDRESS", "10000")];
/// Processor time that one turn should take at least, in deliveries.
const DELIVERIES: usize = 128_000;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let sockets = setting.size(2_000, 200);
    let server = Server::start(setting, LIMITS).await?;
    server.import(sockets + 1).await?;
    let request = server.send_to_all();
    let frame = frame(&server, &request, sockets).await?;
    let welcomed = Arrivals::new(&server, 0..sockets)?.come(server.user).await?;
    let crowd = Crowd::listen(welcomed.into_iter().map(|welcomed| welcomed.socket));
    let ours = Side { process: &server.process, crowd, client: Client::connect(server.user).await?, request };

    let (tasks, at) = Yardstick::FanoutTasks.start()?;
    let broadcast = http::post("/broadcast", "none", "application/json", &frame);
    let crowd = Crowd::listen(open_bare(at[0], sockets).await?);
    let tasks =
        Side { process: &tasks, crowd, client: Client::connect(at[1]).await?, request: broadcast.clone() };

    let (single, at) = Yardstick::FanoutLoop.start()?;
    let crowd = Crowd::listen(open_bare(at[0], sockets).await?);
    let single = Side { process: &single, crowd, client: Client::connect(at[1]).await?, request: broadcast };

    let mut sides = [ours, tasks, single];
    let deliveries = setting.size(DELIVERIES, 16 * sockets);
    for (name, row) in [
        (format!("fanout: 1 message to {sockets} sockets"), 1),
        (format!("fanout: 16 in a row to {sockets}"), 16),
    ] {
        let mut rates: [Series; 3] = Default::default();
        for _ in 0..setting.rounds() {
            for (side, rate) in sides.iter_mut().zip(&mut rates) {
                side.turn(row, deliveries / row / sockets, rate).await?;
            }
        }
        let [ours, tasks, single] = rates;
        report.compare(&name, "deliveries a cpu second", &ours, &tasks, Bound::AtLeast(1.2))?;
        report.compare(
            &format!("{name}, beside one loop"),
            "deliveries a cpu second",
            &ours,
            &single,
            None,
        )?;
    }
    Ok(())
}

/// One of those that take turns.
struct Side<'a> {
    process: &'a Process,
    crowd: Crowd,
    client: Client,
    request: Vec<u8>,
}

impl Side<'_> {
    /// So many rows of messages, each row sent at once and waited for.
    async fn turn(&mut self, row: usize, rows: usize, rate: &mut Series) -> Result<()> {
        let Self { process, crowd, client, request } = self;
        let work = async {
            for _ in 0..rows.max(1) {
                let send = async {
                    for _ in 0..row {
                        client.ask(request).await?;
                    }
                    Ok(())
                };
                crowd.hear(row, send).await?;
            }
            Ok(())
        };
        let ((), spent) = process.cost(work).await?;
        rate.add_rate(rows.max(1) * row * crowd.len(), spent);
        Ok(())
    }
}

/// The frame that a message becomes, as one more user gets it.
async fn frame(server: &Server, request: &[u8], user: usize) -> Result<bytes::Bytes> {
    let mut socket = Socket::open(server.user, &server.socket(user)?).await?;
    socket.say(r#"{"type":"hello","data":{"device_id":"first"}}"#).await?;
    socket.hear().await?;
    Client::connect(server.user).await?.ask(request).await?;
    socket.hear().await
}
