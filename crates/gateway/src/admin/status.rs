//! What an operator asks of this replica: how it is, which upstreams it has, to read its
//! configuration again, to end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fluxgate_core::Reason;
use fluxgate_core::admin_api::Page;
use fluxgate_core::admin_api::status::{Listener, Status, UpstreamStatus};
use fluxgate_core::secret::mask_url;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tracing::info;

use crate::admin::health;
use crate::admin::problem::Problem;
use crate::app::SharedApp;
use crate::upstream::Kind;

/// How this replica is.
pub async fn status(State(app): State<SharedApp>) -> Json<Status> {
    let readiness = health::readiness(&app).await;
    let bound = app.listening.get().map(|listening| listening.addresses.as_slice());
    let listeners = bound
        .unwrap_or_default()
        .iter()
        .map(|(kind, address)| Listener { name: kind.name().to_owned(), address: *address })
        .collect();
    let under_way =
        app.upstreams.look().upstreams.iter().map(|one| u64::from(one.in_flight())).sum();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        replica: app.replica.to_string(),
        pid: std::process::id(),
        uptime_s: app.started.elapsed().as_secs(),
        readiness,
        listeners,
        connections: app.connections.open(),
        requests_in_flight: under_way,
    })
}

/// The upstreams in the order of the configuration.
pub async fn upstreams(State(app): State<SharedApp>) -> Json<Page<UpstreamStatus>> {
    let known = app.upstreams.snapshot();
    let items = known
        .upstreams
        .iter()
        .map(|upstream| UpstreamStatus {
            name: upstream.settings.name.to_string(),
            url: mask_url(&upstream.settings.url),
            kind: upstream.kind().map(|kind| Kind::name(kind).to_owned()),
            up: upstream.is_up(),
            in_flight: upstream.in_flight(),
            models: known
                .offers()
                .filter(|offer| offer.upstreams.iter().any(|one| Arc::ptr_eq(one, upstream)))
                .map(|offer| offer.model.id.to_string())
                .collect(),
        })
        .collect();
    Json(Page { items, next_cursor: None })
}

/// Reads the configuration again. A bad one leaves the old in force and is answered with its faults,
/// which name the settings and never a secret.
pub async fn reload(State(app): State<SharedApp>) -> Result<Json<Value>, Problem> {
    let ends = || Problem::new(Reason::ShuttingDown, "The gateway is ending.");
    let (sender, outcome) = oneshot::channel();
    app.reload.send(sender).await.map_err(|_| ends())?;
    match outcome.await.map_err(|_| ends())? {
        Ok(reloaded) => Ok(Json(json!({ "needs_restart": reloaded.needs_restart }))),
        Err(error) => Err(Problem::new(Reason::InvalidRequest, error.to_string())),
    }
}

/// Ends this replica as a signal would: what is under way may finish.
pub async fn drain(State(app): State<SharedApp>) -> (StatusCode, Json<Value>) {
    info!("asked to drain");
    app.stop.drain.cancel();
    (StatusCode::ACCEPTED, Json(json!({ "draining": true })))
}
