//! Everyone comes again with the cursor that they were given, and nothing was missed.

use crate::crowd::{Arrivals, open_bare};
use crate::report::{Bound, Report};
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use crate::yardstick::Yardstick;
use anyhow::Result;

/// Sockets of a server that are no connections of clients.
const OTHERS: usize = 16;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let count = setting.sockets(setting.size(10_000, 300));
    let limit = (count + 100).to_string();
    let limits = [("WS_MAX_CONNECTIONS", limit.as_str()), ("WS_MAX_CONNECTIONS_PER_ADDRESS", limit.as_str())];
    let server = Server::start(setting, &limits).await?;
    server.import(count).await?;
    let welcomed = Arrivals::new(&server, 0..count)?.come(server.user).await?;
    let mut arrivals = Arrivals::again(&server, welcomed)?;
    let (echo, addresses) = Yardstick::Echo.start()?;
    drop(open_bare(addresses[0], count).await?);

    let databases = server.process.databases()?;
    let (mut ours, mut bare) = (Series::default(), Series::default());
    for _ in 0..setting.rounds() {
        server.process.sockets_gone(OTHERS).await?;
        let (welcomed, spent) = server.process.cost(arrivals.come(server.user)).await?;
        // This process has room for one crowd at a time.
        arrivals = Arrivals::again(&server, welcomed)?;
        ours.add_rate(count, spent);
        echo.sockets_gone(OTHERS).await?;
        let (sockets, spent) = echo.cost(open_bare(addresses[0], count)).await?;
        bare.add_rate(count, spent);
        drop(sockets);
    }
    let name = format!("reconnect: {count} with an unchanged cursor");
    report.compare(&name, "a cpu second", &ours, &bare, Bound::AtLeast(0.5))?;
    let opened = server.process.databases()?.difference(&databases).count();
    report.check("reconnect: databases opened meanwhile", &opened.to_string(), opened == 0)?;

    // Nothing is in memory after a restart.
    let server = server.restart(&limits)?;
    let (_welcomed, spent) = server.process.cost(arrivals.come(server.user)).await?;
    let mut after = Series::default();
    after.add_rate(count, spent);
    report.compare("reconnect: the same after a restart", "a cpu second", &after, &bare, None)?;
    let open = server.process.databases()?.len();
    report.say("reconnect: databases open after a restart", &open.to_string())?;
    Ok(())
}
