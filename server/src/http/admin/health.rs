//! For probes.

use crate::error::Result;
use crate::http::AdminGateway;
use axum::extract::State;
use hongyan_wire::error::Failure;

/// Whether the stores are open and everything in the log has been applied.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(),
    responses(
        (status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready", body = Failure),
    ),
)]
pub async fn readyz(State(gateway): State<AdminGateway>) -> Result<&'static str> {
    crate::http::health::ready(&gateway.journal).await
}
