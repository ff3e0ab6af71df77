//! What replicas tell each other through the database: a short list of what was changed, polled
//! where nothing faster reaches them.

use chrono::TimeDelta;

use super::transaction::reading;
use super::{Store, StoreError};

/// The kind of a change of a key's facts; its subject is the key's.
pub const KEY: &str = "key";
/// The kind of a change of a user's facts, which concern all of their keys.
pub const USER: &str = "user";
/// How long a change is listed: longer than any replica uses facts that it read before.
pub const CHANGES_KEPT: TimeDelta = TimeDelta::hours(1);
/// In one answer; a reader that gets as many asks again.
const CHANGES_MAX: i64 = 1_000;

/// One entry of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Ids rise by one in the order in which changes took effect.
    pub id: i64,
    /// Whose facts have to be read anew, as a [`Subject`](fluxgate_core::Subject) is written. A
    /// newer version may write what this one can't read.
    pub subject: String,
}

impl Store {
    /// The id of the newest change: where a replica begins to follow.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let (last,): (i64,) = reading!(self, |tx| {
            let last = tx.rows("SELECT last FROM change_counter");
            last.fetch_one(tx.connection()).await?
        })?;
        Ok(last)
    }

    /// The changes after that one, oldest first, at most 1,000. They are listed for an hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_after(&self, id: i64) -> Result<Vec<Change>, StoreError> {
        let rows: Vec<(i64, String)> = reading!(self, |tx| {
            tx.rows("SELECT id, subject FROM changes WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(id)
                .bind(CHANGES_MAX)
                .fetch_all(tx.connection())
                .await?
        })?;
        Ok(rows.into_iter().map(|(id, subject)| Change { id, subject }).collect())
    }
}

/// Lists a change in the transaction that makes it, and drops what is too old. The counter's row
/// stays locked until the end of the transaction: ids become visible in their order.
macro_rules! note_change {
    ($tx:ident, $kind:expr, $subject:expr, $now:expr) => {{
        let counted = $tx.rows("UPDATE change_counter SET last = last + 1 RETURNING last");
        let (id,): (i64,) = counted.fetch_one($tx.connection()).await?;
        $tx.sql("INSERT INTO changes (id, kind, subject, at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind($kind)
            .bind($subject)
            .bind(StoredTime($now))
            .execute($tx.connection())
            .await?;
        $tx.sql("DELETE FROM changes WHERE at < $1")
            .bind(StoredTime($now - $crate::store::changes::CHANGES_KEPT))
            .execute($tx.connection())
            .await?;
    }};
}
pub(super) use note_change;
