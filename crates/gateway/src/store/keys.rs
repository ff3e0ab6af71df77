//! API keys: made, found, listed, revoked. Only the hash of a key's secret is kept.

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{KeySettings, Scope, UserState};
use fluxgate_core::{KeyId, Subject, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::cursor::Cursor;
use super::idempotency::claim;
use super::listing::Listing;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Store, StoreError, limits};

/// By which the first key of a database is remembered, whatever becomes of it.
const FIRST_KEY: &str = "first_key";

/// A key as the database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    pub id: KeyId,
    pub owner: UserId,
    pub name: String,
    pub secret_sha256: [u8; 32],
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The secret before the last rotation, and until when it opens as well.
    pub previous: Option<([u8; 32], DateTime<Utc>)>,
    pub settings: KeySettings,
    pub owner_state: UserState,
}

/// A key that is to be made. Times are kept to the microsecond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKeyRecord {
    pub id: KeyId,
    pub owner: UserId,
    pub name: String,
    pub secret_sha256: [u8; 32],
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub settings: KeySettings,
}

/// What became of a create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateOutcome {
    Created,
    /// An earlier one with the same idempotency key made this.
    AlreadyCreated(KeyId),
}

/// What became of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    Now,
    /// It had been revoked before, and nothing was changed.
    Before,
}

/// A row of [`select_keys`].
pub(super) type KeyRow = (
    String,
    Uuid,
    String,
    Vec<u8>,
    StoredTime,
    Option<StoredTime>,
    Option<StoredTime>,
    Option<StoredTime>,
    Option<Vec<u8>>,
    Option<StoredTime>,
    String,
    String,
);

/// The one statement that reads keys, with what stands behind its tables.
macro_rules! select_keys {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.owner, k.name, k.secret_sha256, k.created_at, k.expires_at, \
             k.revoked_at, k.last_used_at, k.previous_sha256, k.previous_until, k.settings, \
             u.state FROM api_keys k JOIN users u ON u.id = k.owner ",
            $rest
        )
    };
}
pub(super) use select_keys;

/// Keeps a key, in the transaction that may.
macro_rules! insert {
    ($tx:ident, $new:ident) => {
        $tx.sql(
            "INSERT INTO api_keys \
             (id, owner, name, secret_sha256, created_at, expires_at, settings) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind($new.id.to_string())
        .bind($new.owner.0)
        .bind($new.name.clone())
        .bind($new.secret_sha256.to_vec())
        .bind(StoredTime($new.created_at))
        .bind($new.expires_at.map(StoredTime))
        .bind(settings_text(&$new.settings))
        .execute($tx.connection())
        .await?
    };
}

impl Store {
    /// # Errors
    /// [`StoreError`].
    pub async fn find_key(&self, key: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let row: Option<KeyRow> = reading!(self, |tx| {
            let found = tx.rows(select_keys!("WHERE k.id = $1"));
            found.bind(key.to_string()).fetch_optional(tx.connection()).await?
        })?;
        row.map(KeyRecord::try_from).transpose()
    }

    /// Keeps a new key. With an idempotency key, of which `caller` has its own, a repeat within a
    /// day makes nothing.
    ///
    /// # Errors
    /// [`StoreError`]. After [`StoreError::TimedOut`] the key may exist all the same.
    pub async fn create_key(
        &self,
        new: NewKeyRecord,
        caller: UserId,
        idempotency_key: Option<&str>,
    ) -> Result<CreateOutcome, StoreError> {
        let earlier = writing!(self, |tx| {
            let earlier = claim!(tx, caller, "keys", idempotency_key, new.id, new.created_at);
            if earlier.is_none() {
                insert!(tx, new);
            }
            earlier
        })?;
        match earlier {
            None => Ok(CreateOutcome::Created),
            Some(id) => key_id(&id).map(CreateOutcome::AlreadyCreated),
        }
    }

    /// Keeps the key that the first start makes, unless this database has had one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_first_key(&self, new: NewKeyRecord) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            let claimed = tx
                .sql("INSERT INTO deployment (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(FIRST_KEY)
                .bind(new.id.as_str().as_bytes().to_vec())
                .execute(tx.connection())
                .await?;
            let first = claimed.rows_affected() == 1;
            if first {
                insert!(tx, new);
            }
            first
        })
    }

    /// At most `limit` keys, the newest first: all of them, or those of one owner.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_keys(
        &self,
        owner: Option<UserId>,
        after: Option<Cursor<KeyId>>,
        limit: u32,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        let after = after.map(|cursor| (StoredTime(cursor.created_at), cursor.id.to_string()));
        reading!(self, |tx| {
            let mut listing = Listing::new("api_keys", after.clone(), limit);
            while let Some(missing) = listing.missing() {
                let (at, id) = listing.after();
                let rows = tx.rows(select_keys!(
                    "WHERE ($1 IS NULL OR k.owner = $1) \
                     AND ($2 IS NULL OR (k.created_at, k.id) < ($2, $3)) \
                     ORDER BY k.created_at DESC, k.id DESC LIMIT $4"
                ));
                let rows = rows.bind(owner.map(|owner| owner.0)).bind(at).bind(id).bind(missing);
                let rows: Vec<KeyRow> = rows.fetch_all(tx.connection()).await?;
                listing.take(rows, |row| (row.4, row.0.clone()));
            }
            listing.records()
        })
    }

    /// How many keys of an owner can be used: neither revoked nor expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_open_keys(
        &self,
        owner: UserId,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (open,): (i64,) = reading!(self, |tx| {
            tx.rows(
                "SELECT count(*) FROM api_keys WHERE owner = $1 AND revoked_at IS NULL \
                 AND (expires_at IS NULL OR expires_at > $2)",
            )
            .bind(owner.0)
            .bind(StoredTime(now))
            .fetch_one(tx.connection())
            .await?
        })?;
        Ok(open.unsigned_abs())
    }

    /// Ends a key for good, and tells the other replicas; `None` where there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_key(
        &self,
        key: &KeyId,
        now: DateTime<Utc>,
    ) -> Result<Option<Revocation>, StoreError> {
        writing!(self, |tx| {
            let revoked = tx
                .sql("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
                .bind(key.to_string())
                .bind(StoredTime(now))
                .execute(tx.connection())
                .await?;
            if revoked.rows_affected() == 1 {
                note_change!(tx, changes::KEY, Subject::Key(*key).to_string(), now);
                Some(Revocation::Now)
            } else {
                let known = tx.rows("SELECT 1 FROM api_keys WHERE id = $1").bind(key.to_string());
                let known: Option<(i32,)> = known.fetch_optional(tx.connection()).await?;
                known.map(|_| Revocation::Before)
            }
        })
    }
}

impl KeyRecord {
    /// Where a page that ends with this key goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<KeyId> {
        Cursor { created_at: self.created_at, id: self.id }
    }
}

impl TryFrom<KeyRow> for KeyRecord {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let (id, owner, name, secret, created, expires, revoked, used, previous, until, ..) = row;
        let (settings, owner_state) = (row.10, row.11);
        let sha256 = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| MALFORMED);
        let previous = previous.map(sha256).transpose()?.zip(until.map(|time| time.0));
        Ok(Self {
            id: key_id(&id)?,
            owner: UserId(owner),
            name,
            secret_sha256: sha256(secret)?,
            created_at: created.0,
            expires_at: expires.map(|time| time.0),
            revoked_at: revoked.map(|time| time.0),
            last_used_at: used.map(|time| time.0),
            previous,
            settings: read_settings(&settings).ok_or(MALFORMED)?,
            owner_state: super::users::state(&owner_state)?,
        })
    }
}

const MALFORMED: StoreError = StoreError::Malformed("api_keys");

/// Settings as they are kept. What a newer version has put beside them is left out, so that one key
/// doesn't take the others' list away while replicas are being replaced.
fn read_settings(text: &str) -> Option<KeySettings> {
    let mut stored: serde_json::Value = serde_json::from_str(text).ok()?;
    if let Some(scopes) = stored.get_mut("scopes").and_then(|scopes| scopes.as_array_mut()) {
        let known = |scope: &serde_json::Value| Scope::ALL.iter().any(|one| *scope == one.name());
        scopes.retain(known);
    }
    if let Some(limits) = stored.get_mut("limits") {
        limits::keep_known(limits);
    }
    serde_json::from_value(stored).ok()
}

/// How settings are kept.
pub(super) fn settings_text(settings: &KeySettings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}

fn key_id(text: &str) -> Result<KeyId, StoreError> {
    text.parse().map_err(|_| MALFORMED)
}
