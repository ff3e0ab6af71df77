//! Drops from the accounts database what is over: sessions and links that ended a while ago, entries
//! of the audit log that are older than they are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::app::App;
use crate::auth::outage::Outage;
use crate::store::StoreError;

const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Between two batches, so that others have their turn at the database.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks now and then, until `stop`. Replicas that look at the same time drop it once.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let (mut wait, mut outage) = (LOOK_EVERY, Outage::default());
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        let kept = app.settings.load().audit_kept;
        let dropped = app.store.drop_expired(Utc::now(), kept).await;
        wait = tell(dropped, &mut outage);
    }
}

/// Tells what came of a look, and gives the time until the next. Failures in a row are one event.
fn tell(dropped: Result<u64, StoreError>, outage: &mut Outage) -> Duration {
    match dropped {
        Ok(dropped) => {
            outage.answered();
            if dropped == 0 {
                return LOOK_EVERY;
            }
            info!(dropped, "dropped expired sessions, links and entries of the audit log");
            PAUSE
        }
        Err(error) => {
            if outage.failed(Instant::now()) {
                warn!(%error, "what has expired can't be dropped: the database grows");
            } else {
                debug!(%error, "what has expired still can't be dropped");
            }
            LOOK_EVERY
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    struct Warnings(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Warnings {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == Level::WARN {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn failures_in_a_row_are_one_warning() {
        let (warnings, mut outage) = (Arc::new(AtomicUsize::new(0)), Outage::default());
        let counting = tracing_subscriber::registry().with(Warnings(Arc::clone(&warnings)));
        tracing::subscriber::with_default(counting, || {
            for (fails, told) in [(true, 1), (true, 1), (true, 1), (false, 1), (true, 2)] {
                let outcome = if fails { Err(StoreError::TimedOut) } else { Ok(3) };
                let wait = tell(outcome, &mut outage);
                assert_eq!(wait, if fails { LOOK_EVERY } else { PAUSE });
                assert_eq!(warnings.load(Ordering::Relaxed), told);
            }
        });
    }
}
