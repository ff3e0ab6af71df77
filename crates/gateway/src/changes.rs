//! Follows what other replicas changed in the accounts database, so that a revoked key is refused
//! here within a second too.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::app::App;
use crate::auth::credential::CredentialId;
use crate::store::ChangeOf;

/// Twice within the second that a revocation may take.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at the table of changes until `stop`.
pub async fn run(app: Arc<App>, mut last: i64, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        match app.store.changes_after(last).await {
            Ok(changes) => {
                if std::mem::take(&mut away) {
                    warn!("the accounts database is back");
                }
                for change in changes {
                    last = last.max(change.id);
                    apply(&app, change.of);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    warn!(%error, "the accounts database doesn't answer: known keys are served from memory");
                }
            }
        }
    }
}

fn apply(app: &App, changed: ChangeOf) {
    match changed {
        ChangeOf::Key(key) => app.forget(CredentialId::Key(key)),
        ChangeOf::Session(session) => app.forget(CredentialId::Session(session)),
        ChangeOf::User(user) => app.forget_user(user),
        // Of a team nothing is remembered here.
        ChangeOf::Team(_) => {}
        // A newer replica may know more kinds.
        ChangeOf::Unknown(subject) => debug!(subject, "an unknown kind of change"),
    }
}
