//! What probes and monitors ask: ours on both gateways, and those that clients of other systems ask before they send.

use super::UserGateway;
use super::doors::own_words;
use crate::error::Result;
use crate::log::Journal;
use axum::extract::State;
use axum::response::Response;
use hongyan_wire::error::Failure;
use serde_json::json;

/// The release of Gotify whose API the Gotify endpoint follows; its clients show it.
const GOTIFY_VERSION: &str = "2.6.1";

/// Whether the stores are open and everything in the log has been applied.
pub async fn ready(journal: &Journal) -> Result<&'static str> {
    journal.caught_up().await?;
    Ok("ready\n")
}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", tag = "health", security(), responses((status = 200, description = "It is", body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the stores are open and everything in the log has been applied.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(),
    responses(
        (status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready", body = Failure),
    ),
)]
pub async fn readyz(State(gateway): State<UserGateway>) -> Result<&'static str> {
    ready(&gateway.journal).await
}

/// The version, as a Gotify server gives it.
#[utoipa::path(
    get, path = "/gotify/version", tag = "health", security(),
    responses((status = 200, description = "`version`, `commit`, `buildDate`")),
)]
pub async fn gotify_version() -> Response {
    own_words(200, &json!({ "version": GOTIFY_VERSION, "commit": "", "buildDate": "" }))
}

/// Whether this server is ready, as a Gotify server says it.
#[utoipa::path(
    get, path = "/gotify/health", tag = "health", security(),
    responses(
        (status = 200, description = "`health` and `database` are `green`"),
        (status = 500, description = "`health` is `orange`, `database` is `red`"),
    ),
)]
pub async fn gotify_health(State(gateway): State<UserGateway>) -> Response {
    match ready(&gateway.journal).await {
        Ok(_) => own_words(200, &json!({ "health": "green", "database": "green" })),
        Err(_) => own_words(500, &json!({ "health": "orange", "database": "red" })),
    }
}

/// Whether this server is ready, as an ntfy server says it.
#[utoipa::path(
    get, path = "/ntfy/v1/health", tag = "health", security(),
    responses(
        (status = 200, description = "`healthy` is `true`"),
        (status = 503, description = "`healthy` is `false`"),
    ),
)]
pub async fn ntfy_health(State(gateway): State<UserGateway>) -> Response {
    let is_ready = ready(&gateway.journal).await.is_ok();
    own_words(if is_ready { 200 } else { 503 }, &json!({ "healthy": is_ready }))
}

/// Whether this server is ready, for clients of ntfy that publish at the root.
#[utoipa::path(
    get, path = "/v1/health", tag = "health", security(),
    responses(
        (status = 200, description = "`healthy` is `true`"),
        (status = 503, description = "`healthy` is `false`"),
    ),
)]
pub async fn ntfy_health_at_root(gateway: State<UserGateway>) -> Response {
    ntfy_health(gateway).await
}
