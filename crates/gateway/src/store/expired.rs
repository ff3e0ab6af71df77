//! Drops what nobody will ask for any more.

use chrono::{DateTime, TimeDelta, Utc};

use super::time::StoredTime;
use super::transaction::writing;
use super::users::hold_operator;
use super::{Store, StoreError};

/// A session that has ended is told from one that never was for this long.
const SESSIONS_KEPT: TimeDelta = TimeDelta::days(1);
/// A link that was used or has expired is listed for this long.
const LINKS_KEPT: TimeDelta = TimeDelta::days(30);
/// Of each table, in one call, which has two seconds.
const DROPPED_AT_ONCE: i64 = 2_000;

impl Store {
    /// Drops sessions that ended more than a day ago, links that did more than 30 days ago, and
    /// entries of the audit log that are older than `audit_kept`: some of each. Gives how many;
    /// while that isn't 0, there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_expired(
        &self,
        now: DateTime<Utc>,
        audit_kept: TimeDelta,
    ) -> Result<u64, StoreError> {
        writing!(self, |tx| {
            // One replica at a time: two could wait for each other's rows.
            hold_operator!(tx);
            let mut dropped = 0;
            for (statement, kept) in
                [(DROP_SESSIONS, SESSIONS_KEPT), (DROP_LINKS, LINKS_KEPT), (DROP_AUDIT, audit_kept)]
            {
                let some = tx.sql(statement).bind(StoredTime(now - kept)).bind(DROPPED_AT_ONCE);
                dropped += some.execute(tx.connection()).await?.rows_affected();
            }
            dropped
        })
    }
}

/// Their superseded tokens go with them.
const DROP_SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE ended_at < $1 OR expires_at < $1 LIMIT $2)";
const DROP_LINKS: &str = "DELETE FROM links WHERE id IN \
     (SELECT id FROM links WHERE used_at < $1 OR expires_at < $1 LIMIT $2)";
const DROP_AUDIT: &str = "DELETE FROM audit WHERE id IN \
     (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $2)";
