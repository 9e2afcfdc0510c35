//! Signing in: what checking a token costs, how soon many ended sessions are refused, and whether those who sign in keep
//! messages waiting.

use crate::crowd::Arrivals;
use crate::http::{self, Client};
use crate::report::{Bound, Report};
use crate::rooms::Rooms;
use crate::series::{Series, quantile};
use crate::server::{Server, name};
use crate::setting::Setting;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hongyan_server::auth::jwt::{Gateway, Jwt};
use hongyan_server::config::Secret;
use hongyan_server::log::record::{Kept, Record, SessionOpened};
use hongyan_wire::account::DeviceType;
use hongyan_wire::{DeviceId, SessionId, Timestamp, UserId};
use serde_json::json;
use sha2::Sha256;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

const PASSWORD: &str = "measured and thrown away";
/// Who sign in at one time.
const STORMING: usize = 16;

pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    verify(setting, report)?;
    end(setting, report).await?;
    storm(setting, report).await
}

/// A token checked by ours, beside its signature alone.
fn verify(setting: &Setting, report: &mut Report) -> Result<()> {
    const SECRET: &str = "measured and thrown away, at least 32 bytes";
    let jwt = Jwt::new(&Secret::new(SECRET), None);
    let token = crate::server::token(&jwt, 1)?;
    let count = setting.size(200_000, 1_000);
    let (mut ours, mut bare) = (Series::default(), Series::default());
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    for _ in 0..setting.rounds() {
        let began = Instant::now();
        for _ in 0..count {
            jwt.verify(black_box(&token), Gateway::User)?;
        }
        ours.add_cost(count, began.elapsed());
        let began = Instant::now();
        for _ in 0..count {
            let (signed, signature) = black_box(&token).rsplit_once('.').context("no signature")?;
            let mut mac = key.clone();
            mac.update(signed.as_bytes());
            mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature)?)?;
        }
        bare.add_cost(count, began.elapsed());
    }
    report.compare(
        "sign-in: a token verified, beside its signature",
        "us each",
        &ours,
        &bare,
        Bound::AtMost(3.0),
    )
}

/// Ten thousand sessions are ended in one call; each is refused the next time it asks.
async fn end(setting: &Setting, report: &mut Report) -> Result<()> {
    let count = setting.size(10_000, 100);
    let server = Server::start(setting, &[]).await?;
    server.import(count).await?;
    let (server, opened) = server.restart_after(async |system| open(system, count).await).await?;
    anyhow::ensure!(opened == count, "{opened} sessions were opened");
    let path = "/api/v3/messages/unread-count";
    let mut client = Client::connect(server.user).await?;
    client.ask(&server.get(path, 0)?).await?;
    let (answer, took) = server.delete("sessions").await?;
    let mut let_in = 0;
    for number in 0..count {
        let_in += usize::from(client.status(&server.get(path, number)?).await? != 401);
    }
    let ended = answer["ended"].as_u64().unwrap_or_default();
    let what = format!("{ended} ended in {} ms, {let_in} let in afterwards", took.as_millis());
    let holds = ended >= count as u64 && let_in == 0 && took <= Duration::from_secs(1);
    report.check("sign-in: 10,000 sessions ended in one call", &what, holds)
}

/// Opens a session for each user as their tokens name it: signing in ten thousand times would take minutes.
async fn open(system: &std::path::Path, count: usize) -> Result<usize> {
    let mut rooms = Rooms::open(system)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let opened = |number: usize| -> Result<Record> {
        Ok(Record::SessionOpened(Box::new(SessionOpened {
            id: SessionId::new(&format!("session-{number}"))?,
            user: UserId::new(&name(number))?,
            device: DeviceId::new(&format!("device-{number}"))?,
            device_type: DeviceType::Web,
            device_name: String::new(),
            provider: "local".into(),
            kept: Kept::Client,
            address: None,
            family_hash: "none".into(),
            refresh_hash: "none".into(),
            at: Timestamp::from_millis(now - 1_000),
            expires_at: Timestamp::from_millis(now + 3_600_000),
        })))
    };
    for number in 0..count {
        rooms.append(opened(number)?).await?;
    }
    rooms.close();
    Ok(count)
}

/// One message after the other to one socket, with nobody else there and while many sign in.
async fn storm(setting: &Setting, report: &mut Report) -> Result<()> {
    let server = Server::start(setting, &[]).await?;
    server.import(2).await?;
    for number in 0..STORMING {
        let name = stormer(number);
        let user = json!({ "id": name, "username": name, "name": "S", "password": PASSWORD }).to_string();
        server.administer("users", "application/json", user.as_bytes()).await?;
    }
    let welcomed = Arrivals::new(&server, 0..1)?.come(server.user).await?;
    let mut socket = welcomed.into_iter().next().context("nobody came")?.socket;
    let mut client = Client::connect(server.user).await?;
    let count = setting.size(400, 20);
    let (mut calm, mut stormy) = (Vec::new(), Vec::new());
    let signed_in = Arc::new(AtomicUsize::new(0));
    for round in 0..setting.rounds() * 2 {
        let mut logins = JoinSet::new();
        let is_stormy = round % 2 == 1;
        if is_stormy {
            for number in 0..STORMING {
                let body = json!({ "username": stormer(number), "password": PASSWORD }).to_string();
                let request = http::post("/api/v3/auth/local/login", "", "application/json", body.as_bytes());
                let (address, signed_in) = (server.user, signed_in.clone());
                logins.spawn(async move {
                    let mut client = Client::connect(address).await?;
                    while client.status(&request).await? == 200 {
                        signed_in.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::bail!("a login was refused")
                });
            }
        }
        for _ in 0..count {
            let began = Instant::now();
            client.ask(&server.send_to(0)).await?;
            socket.hear().await?;
            let took = began.elapsed().as_secs_f64() * 1e6;
            if is_stormy { stormy.push(took) } else { calm.push(took) }
        }
        let ended: Option<Result<()>> = logins.try_join_next().transpose()?;
        ended.transpose()?;
        logins.shutdown().await;
    }
    anyhow::ensure!(signed_in.load(Ordering::Relaxed) > 0, "nobody signed in meanwhile");
    for (name, part) in [("median", 0.5), ("p99", 0.99)] {
        let (mut ours, mut bare) = (Series::default(), Series::default());
        ours.add(quantile(&mut stormy, part));
        bare.add(quantile(&mut calm, part));
        let name = format!("sign-in: {STORMING} sign in at once, a message meanwhile, {name}");
        report.compare(&name, "us, beside nobody", &ours, &bare, Bound::AtMost(2.0))?;
    }
    Ok(())
}

fn stormer(number: usize) -> String {
    format!("stormer-{number}")
}
