//! Who did what: entries are added and listed, never changed.

use chrono::{DateTime, Utc};
use fluxgate_core::{AuditId, RequestId};
use sqlx::types::Uuid;

use super::cursor::Cursor;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Store, StoreError};

/// In one transaction, which has two seconds.
pub const AUDIT_AT_ONCE: usize = 500;
/// By one statement: a database far away is asked ten times for 500. SQLite takes 32,766 values.
const AUDIT_IN_A_STATEMENT: usize = 50;

/// An administrative act, or a sign-in, good or bad. Times are kept to the microsecond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    /// `operator`, a subject, or `anonymous`.
    pub actor: String,
    pub act: String,
    /// Upon what.
    pub object: Option<String>,
    /// `ok`, or the refusal's code.
    pub outcome: String,
    pub address: String,
    /// Absent where several are counted as one.
    pub request_id: Option<RequestId>,
    /// Equal ones of a moment are one.
    pub count: u32,
}

/// Which entries are asked for: those that are like everything given.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub act: Option<String>,
    pub outcome: Option<String>,
    /// From then on.
    pub since: Option<DateTime<Utc>>,
    /// Before then.
    pub until: Option<DateTime<Utc>>,
}

type AuditRow =
    (Uuid, StoredTime, String, String, Option<String>, String, String, Option<Uuid>, i32);

impl Store {
    /// Adds entries, [`AUDIT_AT_ONCE`] in a transaction. Those that are there stay as they are: a
    /// call that failed may be repeated.
    ///
    /// # Errors
    /// [`StoreError`]; then of 500 or fewer none was added.
    pub async fn put_audit(&self, entries: &[AuditRecord]) -> Result<(), StoreError> {
        for some in entries.chunks(AUDIT_AT_ONCE) {
            self.put_some(some).await?;
        }
        Ok(())
    }

    async fn put_some(&self, entries: &[AuditRecord]) -> Result<(), StoreError> {
        writing!(self, |tx| {
            for some in entries.chunks(AUDIT_IN_A_STATEMENT) {
                let mut insert = tx.builder(
                    "INSERT INTO audit \
                     (id, at, actor, act, object, outcome, address, request_id, count) ",
                );
                insert.push_values(some, |mut row, entry| {
                    row.push_bind(entry.id.0)
                        .push_bind(StoredTime(entry.at))
                        .push_bind(entry.actor.clone())
                        .push_bind(entry.act.clone())
                        .push_bind(entry.object.clone())
                        .push_bind(entry.outcome.clone())
                        .push_bind(entry.address.clone())
                        .push_bind(entry.request_id.map(|id| id.0))
                        .push_bind(i32::try_from(entry.count).unwrap_or(i32::MAX));
                });
                insert.push(" ON CONFLICT DO NOTHING");
                // It isn't remembered: its text is another one for each number of rows.
                insert.build().persistent(false).execute(tx.connection()).await?;
            }
        })
    }

    /// At most `limit` entries, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_audit(
        &self,
        filter: &AuditFilter,
        after: Option<Cursor<AuditId>>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let statement = if filter.actor.is_some() { LIST_OF_ACTOR } else { LIST };
        let rows: Vec<AuditRow> = reading!(self, |tx| {
            tx.rows(statement)
                .bind(filter.actor.clone())
                .bind(filter.act.clone())
                .bind(filter.outcome.clone())
                .bind(filter.since.map(StoredTime))
                .bind(filter.until.map(StoredTime))
                .bind(after.map(|cursor| StoredTime(cursor.created_at)))
                .bind(after.map(|cursor| cursor.id.0))
                .bind(i64::from(limit))
                .fetch_all(tx.connection())
                .await?
        })?;
        rows.into_iter().map(AuditRecord::try_from).collect()
    }
}

/// The one statement that lists entries, with its first condition.
macro_rules! select_audit {
    ($first:literal) => {
        concat!(
            "SELECT id, at, actor, act, object, outcome, address, request_id, count FROM audit WHERE ",
            $first,
            " AND ($2 IS NULL OR act = $2) AND ($3 IS NULL OR outcome = $3) \
             AND ($4 IS NULL OR at >= $4) AND ($5 IS NULL OR at < $5) \
             AND ($6 IS NULL OR (at, id) < ($6, $7)) ORDER BY at DESC, id DESC LIMIT $8"
        )
    };
}

const LIST: &str = select_audit!("$1 IS NULL");
/// SQLite takes an index for it, which it doesn't for a condition that may be absent.
const LIST_OF_ACTOR: &str = select_audit!("actor = $1");

impl AuditRecord {
    /// Where a page that ends with this entry goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<AuditId> {
        Cursor { created_at: self.at, id: self.id }
    }
}

impl TryFrom<AuditRow> for AuditRecord {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let (id, at, actor, act, object, outcome, address, request_id, count) = row;
        Ok(Self {
            id: AuditId(id),
            at: at.0,
            actor,
            act,
            object,
            outcome,
            address,
            request_id: request_id.map(RequestId),
            count: u32::try_from(count).map_err(|_| StoreError::Malformed("audit"))?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::schema::tests::plan;

    #[tokio::test]
    async fn lists_are_in_the_order_of_an_index() {
        for (statement, index) in [(LIST, "audit_by_time"), (LIST_OF_ACTOR, "audit_by_actor")] {
            let plan = plan(statement).await;
            assert!(matches!(&*plan, [step] if step.contains(index)), "{plan:?}");
        }
    }
}
