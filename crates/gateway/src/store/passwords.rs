//! Passwords, of which only hashes are kept (PHC strings).

use chrono::{DateTime, Utc};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{SessionId, Subject, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::links::withdraw_resets;
use super::session_changes::end_sessions;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Email, Store, StoreError, UserRecord};

/// A user's row, and the hash.
type LoginRow = (
    Uuid,
    Option<String>,
    String,
    String,
    Option<Uuid>,
    String,
    StoredTime,
    Option<StoredTime>,
    Option<String>,
);

impl Store {
    /// Who has this address, and their password's hash, if they have one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_login(
        &self,
        email: &Email,
    ) -> Result<Option<(UserRecord, Option<String>)>, StoreError> {
        let row: Option<LoginRow> = reading!(self, |tx| {
            let found = tx.rows(FIND_LOGIN).bind(email.as_str().to_owned());
            found.fetch_optional(tx.connection()).await?
        })?;
        row.map(|row| {
            let (id, email, role, state, team, limits, created, seen, phc) = row;
            let user = (id, email, role, state, team, limits, created, seen);
            Ok((UserRecord::try_from(user)?, phc))
        })
        .transpose()
    }

    /// Keeps another hash of the same password, unless the password was changed meanwhile; gives
    /// whether it did. Nothing ends by it, and nobody has to know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rehash_password(
        &self,
        user: UserId,
        old_phc: &str,
        new_phc: &str,
    ) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            let rehashed = tx
                .sql("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
                .bind(user.0)
                .bind(old_phc.to_owned())
                .bind(new_phc.to_owned())
                .execute(tx.connection())
                .await?;
            rehashed.rows_affected() == 1
        })
    }

    /// Sets another password, withdraws the links that would set it once more, and ends the user's
    /// sessions but the one to keep. Gives whether it did: not for a user who isn't there, nor for the built-in one, nor, where a hash is
    /// expected, over another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_password(
        &self,
        user: UserId,
        expected_phc: Option<&str>,
        new_phc: &str,
        keep: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            let set = tx
                .sql(
                    "UPDATE users SET password_hash = $3 WHERE id = $1 AND id <> $4 \
                     AND ($2 IS NULL OR password_hash = $2)",
                )
                .bind(user.0)
                .bind(expected_phc.map(str::to_owned))
                .bind(new_phc.to_owned())
                .bind(OPERATOR.0)
                .execute(tx.connection())
                .await?;
            if set.rows_affected() == 0 {
                return Ok(false);
            }
            withdraw_resets!(tx, user, now);
            end_sessions!(tx, user, keep, now);
            note_change!(tx, changes::USER, Subject::User(user).to_string(), now);
            true
        })
    }
}

/// One statement, so that an unknown address takes as long as a known one.
const FIND_LOGIN: &str = "SELECT id, email, role, state, team, limits, created_at, last_seen_at, \
     password_hash FROM users WHERE email = $1";
