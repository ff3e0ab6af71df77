//! Reads the configuration again while requests go on: what can change without a restart takes
//! effect at once and as a whole; a bad one leaves the old in force.

use std::sync::Arc;

use fluxgate_core::config::{Config, Faults};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::App;
use crate::config::{self, Missing};
use crate::upstream::UnusableUpstream;

/// Somebody wants a reload, and waits for what comes of it.
pub type Request = oneshot::Sender<Result<Reloaded, ReloadError>>;

/// Reads the configuration anew.
pub type ReadAgain = Arc<dyn Fn() -> Result<Config, Faults> + Send + Sync>;

/// What a reload came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reloaded {
    /// Settings that differ from those in force, and take effect only with a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Why the old configuration stays in force.
#[derive(Debug, Error)]
pub enum ReloadError {
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("the configuration can't be read now")]
    Unreadable,
}

/// Carries out what is asked for, one after the other, until `stop`.
pub async fn run(
    app: Arc<App>,
    started: Config,
    read_again: ReadAgain,
    mut requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
) {
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            () = stop.cancelled() => None,
        };
        let Some(request) = request else { return };
        let outcome = reload(&app, &started, &read_again).await;
        match &outcome {
            Ok(reloaded) if reloaded.needs_restart.is_empty() => info!("configuration reloaded"),
            Ok(reloaded) => {
                warn!(needs_restart = ?reloaded.needs_restart, "configuration reloaded; some of it takes a restart");
            }
            Err(error) => {
                warn!(%error, "configuration not reloaded: it has faults, and the old one stays in force");
            }
        }
        // Whoever asked may have left.
        let _ = request.send(outcome);
    }
}

async fn reload(
    app: &App,
    started: &Config,
    read_again: &ReadAgain,
) -> Result<Reloaded, ReloadError> {
    let read_again = Arc::clone(read_again);
    let read = tokio::task::spawn_blocking(move || read_again()).await;
    let new = read.map_err(|_| ReloadError::Unreadable)??;
    let settings = config::settings(&new)?;
    app.upstreams.set(config::upstreams(&new))?;
    app.settings.store(Arc::new(settings));
    Ok(Reloaded { needs_restart: config::needs_restart(started, &new) })
}
