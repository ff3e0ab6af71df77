//! Passwords, of which only hashes are kept (PHC strings).

use chrono::{DateTime, Utc};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{SessionId, Subject, UserId};

use super::changes::{self, note_change};
use super::session_changes::end_sessions;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::{FIND_USER, UserRow};
use super::{Email, Store, StoreError, UserRecord};

impl Store {
    /// Who has this address, and their password's hash, if they have one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_login(
        &self,
        email: &Email,
    ) -> Result<Option<(UserRecord, Option<String>)>, StoreError> {
        let found: Option<(UserRow, Option<String>)> = reading!(self, |tx| {
            let row = tx.rows(FIND_USER).bind(None::<sqlx::types::Uuid>);
            let row = row.bind(email.as_str().to_owned());
            let row: Option<UserRow> = row.fetch_optional(tx.connection()).await?;
            let Some(row) = row else { return Ok(None) };
            let phc = tx.rows(FIND_PASSWORD).bind(row.0);
            let (phc,): (Option<String>,) = phc.fetch_one(tx.connection()).await?;
            Some((row, phc))
        })?;
        found.map(|(row, phc)| Ok((UserRecord::try_from(row)?, phc))).transpose()
    }

    /// A user's password's hash: the outer `None` where there is no such user, the inner one where
    /// they have no password.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_password(&self, user: UserId) -> Result<Option<Option<String>>, StoreError> {
        let row: Option<(Option<String>,)> = reading!(self, |tx| {
            tx.rows(FIND_PASSWORD).bind(user.0).fetch_optional(tx.connection()).await?
        })?;
        Ok(row.map(|(phc,)| phc))
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

    /// Sets another password and ends the user's sessions but the one to keep. Gives whether it
    /// did: not for a user who isn't there, nor for the built-in one, nor, where a hash is
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
            end_sessions!(tx, user, keep, now);
            note_change!(tx, changes::USER, Subject::User(user).to_string(), now);
            true
        })
    }
}

const FIND_PASSWORD: &str = "SELECT password_hash FROM users WHERE id = $1";
