//! What becomes of a key in its life: other settings, another secret, its use.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::UpdateKey;
use fluxgate_core::{KeyId, Subject};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::keys::{KeyRecord, KeyRow, select_keys, settings_text};
use super::time::StoredTime;
use super::transaction::writing;
use super::users::{hold_operator, note_seen};
use super::{Store, StoreError};

/// What became of a rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotation {
    Rotated(Box<KeyRecord>),
    /// The overlap of an earlier rotation isn't over: another would end it too soon.
    Overlapping(DateTime<Utc>),
    /// A key that has ended gets no new secret.
    Ended,
}

impl Store {
    /// Changes what is given, and tells the other replicas; `None` where there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_key(
        &self,
        key: &KeyId,
        update: UpdateKey,
        now: DateTime<Utc>,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let id = key.to_string();
        writing!(self, |tx| {
            // The row is locked by this until the end of the transaction.
            let locked = tx.sql("UPDATE api_keys SET name = name WHERE id = $1").bind(id.clone());
            if locked.execute(tx.connection()).await?.rows_affected() == 0 {
                return Ok(None);
            }
            let row = tx.rows(select_keys!("WHERE k.id = $1")).bind(id.clone());
            let row: KeyRow = row.fetch_one(tx.connection()).await?;
            let mut record = KeyRecord::try_from(row)?;
            if let Some(name) = update.name.clone() {
                record.name = name;
            }
            if let Some(expires_at) = update.expires_at {
                record.expires_at = expires_at;
            }
            update.clone().apply(&mut record.settings);
            tx.sql("UPDATE api_keys SET name = $2, expires_at = $3, settings = $4 WHERE id = $1")
                .bind(id.clone())
                .bind(record.name.clone())
                .bind(record.expires_at.map(StoredTime))
                .bind(settings_text(&record.settings))
                .execute(tx.connection())
                .await?;
            note_change!(tx, changes::KEY, Subject::Key(*key).to_string(), now);
            Some(record)
        })
    }

    /// Gives a key another secret, and tells the other replicas. The present one opens as well
    /// until `overlap_until`. `None` where there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotate_key(
        &self,
        key: &KeyId,
        secret_sha256: [u8; 32],
        overlap_until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Rotation>, StoreError> {
        let id = key.to_string();
        writing!(self, |tx| {
            let rotated = tx
                .sql(
                    "UPDATE api_keys SET secret_sha256 = $2, previous_until = $3, \
                     previous_sha256 = CASE WHEN $3 IS NULL THEN NULL ELSE secret_sha256 END \
                     WHERE id = $1 AND revoked_at IS NULL \
                     AND (expires_at IS NULL OR expires_at > $4) \
                     AND ($3 IS NULL OR previous_until IS NULL OR previous_until <= $4)",
                )
                .bind(id.clone())
                .bind(secret_sha256.to_vec())
                .bind(overlap_until.map(StoredTime))
                .bind(StoredTime(now))
                .execute(tx.connection())
                .await?
                .rows_affected()
                == 1;
            let row = tx.rows(select_keys!("WHERE k.id = $1")).bind(id.clone());
            let row: Option<KeyRow> = row.fetch_optional(tx.connection()).await?;
            if rotated {
                note_change!(tx, changes::KEY, Subject::Key(*key).to_string(), now);
            }
            match row {
                Some(row) if rotated => {
                    Some(Rotation::Rotated(Box::new(KeyRecord::try_from(row)?)))
                }
                Some(row) => {
                    let record = KeyRecord::try_from(row)?;
                    let ended = record.revoked_at.is_some()
                        || record.expires_at.is_some_and(|end| end <= now);
                    Some(match record.previous {
                        Some((_, until)) if !ended => Rotation::Overlapping(until),
                        _ => Rotation::Ended,
                    })
                }
                None => None,
            }
        })
    }

    /// Notes when keys were last used, and so their owners. An older time changes nothing, and
    /// nobody is told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_used(&self, used: &[(KeyId, SystemTime)]) -> Result<(), StoreError> {
        writing!(self, |tx| {
            let mut seen: BTreeMap<Uuid, DateTime<Utc>> = BTreeMap::new();
            for (key, at) in used {
                let at = DateTime::<Utc>::from(*at);
                let owner: Option<(Uuid,)> = tx
                    .rows(
                        "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 \
                         AND (last_used_at IS NULL OR last_used_at < $2) RETURNING owner",
                    )
                    .bind(key.to_string())
                    .bind(StoredTime(at))
                    .fetch_optional(tx.connection())
                    .await?;
                if let Some((owner,)) = owner {
                    let latest = seen.entry(owner).or_insert(at);
                    *latest = at.max(*latest);
                }
            }
            // Many users' rows are about to be locked.
            hold_operator!(tx);
            for (owner, at) in &seen {
                note_seen!(tx, *owner, *at);
            }
        })
    }
}
