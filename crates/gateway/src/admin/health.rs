//! Health, readiness and metrics. Alive is who answers at all; ready is who has everything it leans
//! on. Strangers get the status alone; what fails is named on the admin and metrics listeners.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use fluxgate_core::Reason;
use fluxgate_core::admin_api::status::{Dependency, Readiness};
use http::{HeaderName, StatusCode};
use serde_json::json;

use crate::app::{App, SharedApp};
use crate::record::LineBudget;
use crate::redis::RedisState;

const NEVER_CACHED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
/// The text format of Prometheus.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process is alive.
pub async fn healthz() -> impl IntoResponse {
    (NEVER_CACHED, Json(json!({ "status": "ok" })))
}

/// Whether it has what it needs, without a word about it.
pub async fn readyz_public(State(app): State<SharedApp>) -> impl IntoResponse {
    (status(&readiness(&app).await), NEVER_CACHED)
}

/// Whether it has what it needs, by name.
pub async fn readyz(State(app): State<SharedApp>) -> impl IntoResponse {
    let readiness = readiness(&app).await;
    (status(&readiness), NEVER_CACHED, Json(readiness))
}

/// Everything that Prometheus collects.
pub async fn metrics(State(app): State<SharedApp>) -> Response {
    app.recorder.settle(&mut LineBudget::new());
    let (metrics, known) = (&app.recorder.metrics, app.upstreams.look());
    let under_way: u32 = known.upstreams.iter().map(|one| one.in_flight()).sum();
    for upstream in &known.upstreams {
        metrics.upstream_up(&upstream.settings.name, upstream.is_up());
    }
    metrics.requests_in_flight.set(f64::from(under_way));
    #[allow(clippy::cast_precision_loss)] // Gauges are floats; neither ever reaches 2^53.
    {
        metrics.connections.set(app.connections.open() as f64);
        metrics.bodies_in_flight_bytes.set(app.bodies.held() as f64);
    }
    ([(CONTENT_TYPE, PROMETHEUS)], app.recorder.metrics.render()).into_response()
}

/// Asks the database, and looks at what is known of the rest.
pub async fn readiness(app: &App) -> Readiness {
    let database = Dependency::up(app.store.ping().await.is_ok());
    let redis = match app.redis.as_ref().map(crate::redis::RedisProbe::state) {
        Some(RedisState::Up) => Dependency::Up,
        Some(RedisState::Down) => Dependency::Down,
        None => Dependency::Off,
    };
    let known = app.upstreams.look();
    let reachable = known.any_listed() && known.upstreams.iter().any(|one| one.is_up());
    let draining = app.stop.drain.is_cancelled();
    Readiness::new(database, redis, Dependency::up(reachable), draining)
}

fn status(readiness: &Readiness) -> StatusCode {
    let reason = match readiness {
        Readiness { ready: true, .. } => return StatusCode::OK,
        Readiness { draining: true, .. } => Reason::ShuttingDown,
        Readiness { database: Dependency::Down, .. }
        | Readiness { redis: Dependency::Down, .. } => Reason::StoreUnavailable,
        _ => Reason::UpstreamUnavailable,
    };
    reason.status()
}
