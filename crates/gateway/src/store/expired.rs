//! Drops what nobody will ask for any more.

use chrono::{DateTime, TimeDelta, Utc};

use super::time::StoredTime;
use super::transaction::writing;
use super::users::hold_operator;
use super::{Store, StoreError};

/// A session that has ended is told from one that never was for this long.
const SESSIONS_KEPT: TimeDelta = TimeDelta::days(1);
/// A link is listed for this long after its end, whether or not it was used.
const LINKS_KEPT: TimeDelta = TimeDelta::days(30);
/// By one statement, which has two seconds.
const DROPPED_AT_ONCE: i64 = 2_000;

impl Store {
    /// Drops sessions that ended more than a day ago, links that expired more than 30 days ago, and
    /// entries of the audit log that are older than `audit_kept`: some of each. Gives how many;
    /// while that isn't 0, there may be more.
    ///
    /// # Errors
    /// The first [`StoreError`]. One table's keeps no other from being looked at.
    pub async fn drop_expired(
        &self,
        now: DateTime<Utc>,
        audit_kept: TimeDelta,
    ) -> Result<u64, StoreError> {
        let mut dropped = Ok(0);
        for (statement, kept) in [
            (DROP_ENDED_SESSIONS, SESSIONS_KEPT),
            (DROP_EXPIRED_SESSIONS, SESSIONS_KEPT),
            (DROP_LINKS, LINKS_KEPT),
            (DROP_AUDIT, audit_kept),
        ] {
            let some = self.drop_some(statement, now - kept).await;
            dropped = dropped.and_then(|before| Ok(before + some?));
        }
        dropped
    }

    async fn drop_some(
        &self,
        statement: &'static str,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        writing!(self, |tx| {
            // One replica at a time: two could wait for each other's rows.
            hold_operator!(tx);
            let some = tx.sql(statement).bind(StoredTime(before)).bind(DROPPED_AT_ONCE);
            some.execute(tx.connection()).await?.rows_affected()
        })
    }
}

/// Superseded tokens go with their session. Each condition has an index of its own.
const DROP_ENDED_SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
const DROP_EXPIRED_SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const DROP_LINKS: &str = "DELETE FROM links WHERE id IN \
     (SELECT id FROM links WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const DROP_AUDIT: &str = "DELETE FROM audit WHERE id IN \
     (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $2)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::tests::plan;

    #[tokio::test]
    async fn what_is_dropped_is_found_by_an_index() {
        for statement in [DROP_ENDED_SESSIONS, DROP_EXPIRED_SESSIONS, DROP_LINKS, DROP_AUDIT] {
            let plan = plan(statement).await;
            assert!(plan.iter().all(|step| !step.contains("SCAN")), "{plan:?}");
        }
    }
}
