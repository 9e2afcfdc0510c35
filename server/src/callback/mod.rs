//! Telling services what happened to their messages: signed as Standard Webhooks has it, tried again for three days, then
//! kept until it is replayed. What is to be told is a record in the log before anyone is told, and so is each try.

mod sign;

use crate::directory::{Directory, DueCallback, Room};
use crate::guard::{self, Guard, cause};
use crate::log::record::{CallbackTried, Record};
use crate::log::{Journal, Pos};
use hongyan_wire::admin::CallbackState;
use hongyan_wire::{ServiceId, Timestamp};
use parking_lot::Mutex;
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often it is looked whether something is due; idle that is one number in memory.
const LOOK: Duration = Duration::from_millis(250);
/// How long a service may take for its answer (Standard Webhooks: 15 to 30 seconds).
const PATIENCE: Duration = Duration::from_secs(15);
/// How long until the connection stands.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Told at one time: one that is slow keeps none of the others waiting.
const AT_ONCE: Room = Room { each: 4, all: 64 };
/// After what was done could not be written, or what is due not be read.
const RECOVERY: Duration = Duration::from_secs(5);
/// Waits after each try, in seconds; after the last one nothing is tried any more (Standard Webhooks, "Deliverability
/// and reliability").
const WAITS: [i64; 9] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];
/// Longest words kept of what went wrong, in characters.
const OUTCOME_MAX: usize = 200;

/// Tells services.
pub struct Callbacks {
    directory: Arc<Directory>,
    journal: Journal,
    guard: Arc<Guard>,
    client: reqwest::Client,
    /// What is being told, and how much of it to each service.
    under_way: Mutex<HashMap<Pos, ServiceId>>,
}

impl Callbacks {
    /// Fails when the system allows no sockets at all.
    pub fn new(
        directory: Arc<Directory>,
        journal: Journal,
        guard: Arc<Guard>,
    ) -> Result<Self, reqwest::Error> {
        let client = guard::client(&guard, |client| {
            client.connect_timeout(CONNECT_PATIENCE).timeout(PATIENCE).pool_max_idle_per_host(1)
        })?;
        Ok(Self { directory, journal, guard, client, under_way: Mutex::default() })
    }

    /// Tells what is due until told to stop. What is under way then is tried again by the next start.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut telling = JoinSet::new();
        loop {
            // Whoever was told may have more waiting.
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Some(_) = telling.join_next() => {}
                _ = ticks.tick() => {}
            }
            let now = crate::clock::now();
            if self.directory.next_callback().is_none_or(|next| next > now) {
                continue;
            }
            let under_way = self.under_way.lock().clone();
            match tokio::task::block_in_place(|| self.directory.due_callbacks(now, &under_way, AT_ONCE)) {
                Ok(due) => {
                    for callback in due {
                        self.under_way.lock().insert(callback.id, callback.service.clone());
                        let this = self.clone();
                        telling.spawn(async move { this.tell(callback).await });
                    }
                }
                Err(error) => {
                    tracing::error!(target: "hongyan::error", %error, "what services are to be told cannot be read");
                    ticks.reset_after(RECOVERY);
                }
            }
        }
    }

    async fn tell(&self, callback: DueCallback) {
        let began_at = Some(crate::clock::now());
        let outcome = self.post(&callback).await;
        let (state, at) = (outcome.state(callback.tries), crate::clock::now());
        let next_at = match state {
            CallbackState::Due => outcome.next(callback.tries, at),
            CallbackState::Delivered | CallbackState::Dead => at,
        };
        let outcome = outcome.words();
        let record = CallbackTried { callback: callback.id, state, began_at, at, next_at, outcome };
        // Untold, it is tried once more: services know a repeat by its id.
        if let Err(error) = self.journal.append_applied(Record::CallbackTried(Box::new(record))).await {
            tracing::warn!(%error, callback = callback.id, "what came of a callback could not be written");
            tokio::time::sleep(RECOVERY).await;
        }
        self.under_way.lock().remove(&callback.id);
    }

    async fn post(&self, callback: &DueCallback) -> Outcome {
        let Some(url) = &callback.url else {
            return Outcome::Never("the service has no callback_url any more".into());
        };
        if let Some(reason) = self.guard.refuses(url) {
            return Outcome::Never(format_smolstr!("its address {reason}"));
        }
        let (id, now) = (format!("msg_{}", callback.id), crate::clock::now());
        let Some(signature) = sign::signature(&callback.secrets, &id, now, &callback.body) else {
            return Outcome::Never("the service's secret cannot be used".into());
        };
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", sign::seconds(now))
            .header("webhook-signature", signature)
            .body(callback.body.clone());
        match request.send().await {
            Ok(response) => Outcome::Answered(response.status().as_u16()),
            Err(error) => Outcome::Failed(cause(&error)),
        }
    }
}

/// What came of a try.
enum Outcome {
    Answered(u16),
    Failed(SmolStr),
    /// What will not be otherwise however often it is tried.
    Never(SmolStr),
}

impl Outcome {
    fn state(&self, tries_before: u32) -> CallbackState {
        match self {
            Self::Answered(200..=299) => CallbackState::Delivered,
            // Gone: the service wants no more of it.
            Self::Answered(410) | Self::Never(_) => CallbackState::Dead,
            _ if tries_before as usize >= WAITS.len() => CallbackState::Dead,
            _ => CallbackState::Due,
        }
    }

    fn next(&self, tries_before: u32, at: Timestamp) -> Timestamp {
        let wait = WAITS.get(tries_before as usize).or(WAITS.last()).copied().unwrap_or_default();
        at.plus_millis(wait * 1_000)
    }

    fn words(&self) -> SmolStr {
        match self {
            Self::Answered(status) => format_smolstr!("status {status}"),
            Self::Failed(words) | Self::Never(words) => words.chars().take(OUTCOME_MAX).collect(),
        }
    }
}
