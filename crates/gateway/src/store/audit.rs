//! Who did what: entries are added and listed, never changed.

use chrono::{DateTime, Utc};
use fluxgate_core::{AuditId, RequestId};
use sqlx::types::Uuid;

use super::cursor::Cursor;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Store, StoreError};

/// In one call, which has two seconds.
pub const AUDIT_AT_ONCE: usize = 500;

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
    /// Adds entries, at most [`AUDIT_AT_ONCE`] for one call to be in time. Those that are there
    /// stay as they are: a call that timed out may be repeated.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them was added.
    pub async fn put_audit(&self, entries: &[AuditRecord]) -> Result<(), StoreError> {
        writing!(self, |tx| {
            for entry in entries {
                tx.sql(
                    "INSERT INTO audit (id, at, actor, act, object, outcome, address, request_id, \
                     count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
                )
                .bind(entry.id.0)
                .bind(StoredTime(entry.at))
                .bind(entry.actor.clone())
                .bind(entry.act.clone())
                .bind(entry.object.clone())
                .bind(entry.outcome.clone())
                .bind(entry.address.clone())
                .bind(entry.request_id.map(|id| id.0))
                .bind(i32::try_from(entry.count).unwrap_or(i32::MAX))
                .execute(tx.connection())
                .await?;
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
        let rows: Vec<AuditRow> = reading!(self, |tx| {
            tx.rows(
                "SELECT id, at, actor, act, object, outcome, address, request_id, count \
                 FROM audit WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR act = $2) \
                 AND ($3 IS NULL OR outcome = $3) AND ($4 IS NULL OR at >= $4) \
                 AND ($5 IS NULL OR at < $5) AND ($6 IS NULL OR (at, id) < ($6, $7)) \
                 ORDER BY at DESC, id DESC LIMIT $8",
            )
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
