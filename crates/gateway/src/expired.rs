//! Drops from the accounts database what is over: sessions and links that ended a while ago, entries
//! of the audit log that are older than they are kept.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::app::App;

const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Between two batches, so that others have their turn at the database.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks now and then, until `stop`. Replicas that look at the same time drop it once.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut wait = LOOK_EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        let kept = app.settings.load().audit_kept;
        wait = match app.store.drop_expired(Utc::now(), kept).await {
            Ok(0) => LOOK_EVERY,
            Ok(dropped) => {
                info!(dropped, "dropped expired sessions, links and entries of the audit log");
                PAUSE
            }
            Err(error) => {
                debug!(%error, "can't drop what has expired");
                LOOK_EVERY
            }
        };
    }
}
