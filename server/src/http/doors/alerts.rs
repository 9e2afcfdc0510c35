//! The webhooks of Alertmanager and Grafana. Each alert is a thread of its own: when it resolves, that takes the place
//! of what fired; and as long as nothing about it changes, a repeat within a day sends nothing.

use super::incoming::Taken;
use super::{Loose, Note, Sent};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hongyan_wire::api::Success;
use hongyan_wire::error::Failure;
use hongyan_wire::limits::BATCH_MAX;
use hongyan_wire::message::AttachmentType;
use serde::Serialize;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::fmt::Write;

/// Annotations that are shown first, in this order.
const TOLD: [&str; 3] = ["summary", "description", "message"];
/// How an alert without an end writes it.
const NEVER: &str = "0001-01-01";

/// What became of a webhook.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AlertsTaken {
    /// Alerts that were sent, or had been before.
    pub taken: usize,
}

/// Take Alertmanager's webhook: one message an alert.
///
/// Its `http_config.authorization` holds the service's key, as type `Service` or `Bearer`, or as the password of
/// `basic_auth`. Who gets it: `?to=`, else the service's default recipients.
#[utoipa::path(
    post, path = "/alertmanager", tag = "doors", security(("service" = [])),
    params(("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas")),
    responses(
        (status = 200, description = "Durable", body = Success<AlertsTaken>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "No alerts, or nobody to tell", body = Failure),
        (status = 503, description = "Not now; it is tried again", body = Failure),
    ),
)]
pub async fn alertmanager(State(gateway): State<UserGateway>, taken: Taken) -> Result<Response> {
    take(&gateway, taken, "alertmanager").await
}

/// Take Grafana's webhook: one message an alert, with links to dashboard, panel and silence.
#[utoipa::path(
    method(post, put), path = "/grafana", tag = "doors", security(("service" = [])),
    params(("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas")),
    responses(
        (status = 200, description = "Durable", body = Success<AlertsTaken>),
        (status = 401, description = "No or bad credentials", body = Failure),
        (status = 422, description = "No alerts, or nobody to tell", body = Failure),
        (status = 503, description = "Not now; it is tried again", body = Failure),
    ),
)]
pub async fn grafana(State(gateway): State<UserGateway>, taken: Taken) -> Result<Response> {
    take(&gateway, taken, "grafana").await
}

async fn take(gateway: &UserGateway, taken: Taken, from: &'static str) -> Result<Response> {
    let mut incoming = taken?;
    let body = incoming.json()?;
    let alerts = Loose(&body).get("alerts");
    if !(1..=BATCH_MAX).contains(&alerts.items().count()) {
        return Err(Error::field("alerts", "must hold 1 to 1000 alerts"));
    }
    let group = Group::of(from, &incoming.to, Loose(&body));
    let dropped = std::mem::take(&mut incoming.dropped);
    let notes = alerts.items().enumerate().map(|(n, alert)| Note {
        dropped: dropped.iter().filter(|path| path.starts_with(&format!("alerts[{n}]."))).cloned().collect(),
        ..group.note(alert)
    });
    let notes: Vec<Note> = notes.collect();
    let mut taken = 0;
    // One that failed fails the whole: it comes again, and those that were sent are known.
    for sent in gateway.notes(incoming, notes).await? {
        sent?;
        taken += 1;
    }
    Ok(Sent::naming(&dropped, Answer::new(AlertsTaken { taken }).into_response()))
}

/// What the alerts of one webhook share.
struct Group {
    from: &'static str,
    /// Whom the address names: the same alert may be sent to several, each in a thread of its own.
    to: String,
    status: Option<String>,
    title: Option<String>,
    key: Option<String>,
    receiver: Option<String>,
    external_url: String,
}

impl Group {
    fn of(from: &'static str, to: &[SmolStr], group: Loose<'_>) -> Self {
        let mut to: Vec<&str> = to.iter().map(SmolStr::as_str).collect();
        to.sort_unstable();
        Self {
            from,
            to: to.join(","),
            status: group.get("status").some(),
            title: group.get("title").some(),
            key: group.get("groupKey").some(),
            receiver: group.get("receiver").some(),
            external_url: group.get("externalURL").text(),
        }
    }

    fn note(&self, alert: Loose<'_>) -> Note {
        let Self { from, to, .. } = self;
        let status = alert.get("status").some().or_else(|| self.status.clone()).unwrap_or_default();
        let is_resolved = status.eq_ignore_ascii_case("resolved");
        let (labels, annotations) = (alert.get("labels"), alert.get("annotations"));
        let name = labels.get("alertname").some().or_else(|| self.title.clone());
        let name = name.unwrap_or_else(|| "Alert".into());
        let place =
            labels.get("instance").some().map(|instance| format!(" ({instance})")).unwrap_or_default();
        let state = if is_resolved { "RESOLVED" } else { "FIRING" };
        let id = alert.get("fingerprint").some().unwrap_or_else(|| fingerprint(labels));
        let started = alert.get("startsAt").text();
        let text = told(labels, annotations, alert);
        let mut note = Note {
            title: format!("[{state}] {name}{place}"),
            priority: Some(if is_resolved { 3 } else { priority(&labels.get("severity").text()) }),
            message_type: Some("alert"),
            thread_key: Some(format!("{from} {id} {to}")),
            repeat: Some(format!("{from} {id} {to}\n{state} {started}\n{text}")),
            text,
            ..Note::default()
        };
        for (text, url) in [
            ("Dashboard", alert.get("dashboardURL").text()),
            ("Panel", alert.get("panelURL").text()),
            ("Runbook", annotations.get("runbook_url").text()),
            ("Source", alert.get("generatorURL").text()),
            ("Silence", alert.get("silenceURL").text()),
            (if *from == "grafana" { "Grafana" } else { "Alertmanager" }, self.external_url.clone()),
        ] {
            note.link(text, &url);
        }
        note.picture(AttachmentType::Image, "panel", &alert.get("imageURL").text());
        let ended = alert.get("endsAt").some().filter(|at| !at.starts_with(NEVER));
        for (key, value) in [
            ("status", Some(status.to_ascii_lowercase())),
            ("fingerprint", Some(id)),
            ("group_key", self.key.clone()),
            ("receiver", self.receiver.clone()),
            ("starts_at", Some(started)),
            ("ends_at", ended),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                note.metadata.insert(key.into(), value.into());
            }
        }
        note.metadata.insert("labels".into(), labels.0.clone());
        note
    }
}

/// What people read: the annotations, then the labels, one a line.
fn told(labels: Loose<'_>, annotations: Loose<'_>, alert: Loose<'_>) -> String {
    let mut text = String::new();
    for name in TOLD {
        if let Some(words) = annotations.get(name).some() {
            text.push_str(words.trim());
            text.push_str("\n\n");
        }
    }
    let others = annotations.entries().filter(|(name, _)| !TOLD.contains(name) && *name != "runbook_url");
    let values = alert.get("valueString").some().into_iter();
    for (name, value) in others.chain(labels.entries().filter(|(name, _)| *name != "alertname")) {
        if let Some(value) = value.some() {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name}: {}", value.trim());
        }
    }
    for (name, value) in alert.get("values").entries() {
        let _ = writeln!(text, "{name} = {}", value.text());
    }
    values.for_each(|values| text.push_str(&values));
    text
}

/// As urgent as the label `severity` says, in the words that are in use.
fn priority(severity: &str) -> u8 {
    match severity.to_ascii_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" | "disaster" | "p1" => 9,
        "error" | "high" | "major" | "p2" => 8,
        "warning" | "warn" | "medium" | "p3" => 7,
        "info" | "information" | "low" | "minor" | "none" | "debug" => 4,
        _ => 6,
    }
}

/// For senders that give none: what is the same for the same labels.
fn fingerprint(labels: Loose<'_>) -> String {
    let mut entries: Vec<_> = labels.entries().map(|(name, value)| (name, value.text())).collect();
    entries.sort();
    let digest = Sha256::digest(format!("{entries:?}").as_bytes());
    super::hex(&digest[..8])
}
