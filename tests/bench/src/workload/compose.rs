//! Other ways to send: by a template, a thousand at once; what is checked of each; and what waits for its time.

use crate::http::{Client, Pool};
use crate::report::{Bound, Report};
use crate::rooms::Rooms;
use crate::series::Series;
use crate::server::Server;
use crate::setting::Setting;
use anyhow::{Context, Result};
use hongyan_server::auth::Caller;
use hongyan_server::config::Rates;
use hongyan_server::log::record::{Audience, Change, GroupKey, Record, Sealed, ServicePut};
use hongyan_server::send::{Meters, permit};
use hongyan_wire::admin::{RateLimit, ServiceStatus, ServiceType};
use hongyan_wire::message::SendMessageRequest;
use hongyan_wire::template::TemplateCategory;
use hongyan_wire::{ChannelId, ServiceId, Timestamp, UserId};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 64;
const USERS: usize = 1_000;
/// Messages in a batch: as many as may be.
const BATCH: usize = 1_000;

/// A template's message beside the same message, written out.
pub async fn template(setting: &Setting, report: &mut Report) -> Result<()> {
    let sends = setting.size(20_000, 500);
    let server = Server::start(setting, &[]).await?;
    server.import(USERS).await?;
    let variables = json!({
        "sender_name": "Li Lei", "file_name": "quarterly report.pdf", "file_size": "2.5 MB",
        "share_time": "2026-01-15 10:30:00",
    });
    let by_template = json!({ "template_id": "file_share", "variables": variables });
    let shown = server.ask_to_preview(&by_template).await?;
    let message = &shown["message"];
    let written_out = json!({
        "title": message["title"], "content": message["content"], "message_type": message["message_type"],
        "priority": message["priority"], "actions": message["actions"],
    });
    let requests = |what: &serde_json::Value| -> Arc<[Vec<u8>]> {
        (0..USERS).map(|number| server.send_as(number, what)).collect()
    };
    let (filled, plain) = (requests(&by_template), requests(&written_out));
    let mut pool = Pool::connect(server.user, IN_FLIGHT).await?;
    pool.load(&filled, USERS).await?;
    pool.load(&plain, USERS).await?;
    let (mut ours, mut yardstick) = (Series::default(), Series::default());
    for _ in 0..setting.rounds() {
        let ((), spent) = server.process.cost(pool.load(&filled, sends)).await?;
        ours.add_rate(sends, spent);
        let ((), spent) = server.process.cost(pool.load(&plain, sends)).await?;
        yardstick.add_rate(sends, spent);
    }
    report.compare(
        "template: beside the same written out",
        "a cpu second",
        &ours,
        &yardstick,
        Bound::AtLeast(0.8),
    )
}

/// Batches beside single sends, each one after the other on one connection, by the clock.
pub async fn batch(setting: &Setting, report: &mut Report) -> Result<()> {
    let (batches, sends) = (setting.size(40, 2), setting.size(2_000, 100));
    let server = Server::start(setting, &[]).await?;
    server.import(USERS).await?;
    let singles: Arc<[Vec<u8>]> = (0..USERS).map(|number| server.send_to(number)).collect();
    let batch = server.send_batch(BATCH);
    let mut one = Pool::connect(server.user, 1).await?;
    let mut many = Pool::connect(server.user, IN_FLIGHT).await?;
    let mut client = Client::connect(server.user).await?;
    many.load(&singles, USERS).await?;
    client.ask(&batch).await?;
    let (mut ours, mut yardstick) = (Series::default(), Series::default());
    let (mut cost, mut in_flight) = (Series::default(), Series::default());
    for _ in 0..setting.rounds() {
        let began = Instant::now();
        let ((), spent) = server
            .process
            .cost(async {
                for _ in 0..batches {
                    client.ask(&batch).await?;
                }
                ours.add_rate(batches * BATCH, began.elapsed());
                Ok(())
            })
            .await?;
        cost.add_cost(batches * BATCH, spent);
        let began = Instant::now();
        one.load(&singles, sends).await?;
        yardstick.add_rate(sends, began.elapsed());
        let began = Instant::now();
        many.load(&singles, 10 * sends).await?;
        in_flight.add_rate(10 * sends, began.elapsed());
    }
    report.compare(
        "batch: of 1,000, beside one single after the other",
        "a second",
        &ours,
        &yardstick,
        Bound::AtLeast(10.0),
    )?;
    report.note("batch: singles, 64 in flight", "a second", in_flight.median())?;
    report.note("batch: a message of it", "cpu us", cost.median())
}

/// What permissions and limits cost a send.
pub async fn checks(setting: &Setting, report: &mut Report) -> Result<()> {
    // All rounds together stay below the limit, which is the highest there is.
    let times = setting.size(150_000, 10_000);
    let scratch = setting.scratch()?;
    let mut rooms = Rooms::open(scratch.path())?;
    let service = ServicePut {
        id: ServiceId::new("bench")?,
        name: "bench".into(),
        service_type: ServiceType::Internal,
        owner: None,
        key_prefix: "abcdef012345".into(),
        key_hash: "-".into(),
        status: ServiceStatus::Active,
        permissions: None,
        rate_limit: Some(RateLimit { per_minute: 1_000_000 }),
        default_recipients: Vec::new(),
        callback_url: None,
        callback_secret: Sealed(String::new()),
    };
    let change = Change { actor: "bench".into(), at: Timestamp::default(), what: service };
    rooms.append(Record::ServicePut(Box::new(change))).await?;
    let known = rooms.directory.service_by_prefix(&"abcdef012345".into())?.context("no service")?;
    let caller = Caller::Service(known);
    let meters = Arc::new(Meters::new(Rates { user: 1, external: 1, strangers: 1 }));
    let request = SendMessageRequest { message_type: Some("alert".into()), ..SendMessageRequest::default() };
    let audience = Audience {
        everyone: false,
        users: vec![UserId::new("someone")?],
        groups: vec![GroupKey::channel(&ChannelId::new("ops")?)],
    };
    let mut costs = Series::default();
    for _ in 0..setting.rounds() {
        let began = Instant::now();
        for _ in 0..times {
            let metered = meters.begin(&caller).map_err(|error| anyhow::anyhow!(error.message))?;
            let category = permit::category(Some(TemplateCategory::Business), "alert");
            permit::content(&caller, &request, category)
                .and_then(|()| permit::audience(&caller, &audience, &rooms.directory))
                .map_err(|error| anyhow::anyhow!(error.message))?;
            drop(std::hint::black_box(metered));
        }
        costs.add_cost(times, began.elapsed());
    }
    let cost = costs.median();
    report.note("checks: permissions and limits of a send", "us", cost)?;
    report.check("checks: a send pays at most 5 us for them", &format!("{cost:.2} us"), cost <= 5.0)
}

/// What a million messages that wait for their time cost a server that does nothing else.
pub async fn scheduled(setting: &Setting, report: &mut Report) -> Result<()> {
    /// The kernel counts processor time in ticks of this length.
    const TICK: Duration = Duration::from_millis(10);
    let count = setting.size(1_000_000, 3_000);
    let idle = Duration::from_secs(setting.size(20, 1) as u64);
    let server = Server::start(setting, &[]).await?;
    let empty = Server::start(setting, &[]).await?;
    server.import(USERS).await?;
    empty.import(USERS).await?;
    let batch = server.schedule_batch(BATCH)?;
    let mut client = Client::connect(server.user).await?;
    let began = Instant::now();
    for _ in 0..count / BATCH {
        client.ask(&batch).await?;
    }
    report.note("scheduled: taken in", "a second", count as f64 / began.elapsed().as_secs_f64())?;
    let wait = || async {
        tokio::time::sleep(idle).await;
        Ok(())
    };
    // What was taken in is still being folded into the databases.
    server.process.cost(wait()).await?;
    let ((), ours) = server.process.cost(wait()).await?;
    let ((), yardstick) = empty.process.cost(wait()).await?;
    let what = format!("{ours:?} of processor time in {idle:?}, {yardstick:?} with none");
    report.check(
        &format!("scheduled: an idle server with {count} waiting"),
        &what,
        ours <= yardstick + 2 * TICK,
    )
}
