//! Users as an administrator makes, lists and changes them.

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::UpdateUser;
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{Subject, UserId};

use super::changes::{self, note_change};
use super::cursor::Cursor;
use super::idempotency::claim;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::{FIND_USER, UserRow, select_users};
use super::{Email, Store, StoreError, UserRecord};

/// What became of making a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CreatedUser {
    Created,
    EmailTaken,
    /// An earlier one with the same idempotency key made this.
    AlreadyCreated(UserId),
}

impl Store {
    /// Keeps a new user, with a password's hash (a PHC string) where there is one. With an idempotency
    /// key, of which `caller` has its own, a repeat within a day makes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_user(
        &self,
        user: &UserRecord,
        email: &Email,
        password_phc: Option<String>,
        caller: UserId,
        idempotency_key: Option<&str>,
    ) -> Result<CreatedUser, StoreError> {
        writing!(self, |tx| {
            let earlier =
                claim!(tx, caller, "admin/users", idempotency_key, user.id, user.created_at);
            if let Some(id) = earlier {
                let id = id.parse().map_err(|_| StoreError::Malformed("idempotency"))?;
                return Ok(CreatedUser::AlreadyCreated(id));
            }
            let made = tx
                .sql(
                    "INSERT INTO users (id, email, role, password_hash, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                )
                .bind(user.id.0)
                .bind(email.as_str().to_owned())
                .bind(user.role.name())
                .bind(password_phc.clone())
                .bind(StoredTime(user.created_at))
                .execute(tx.connection())
                .await?;
            if made.rows_affected() == 0 {
                // The idempotency key stays free: the request may be repeated with another address.
                return Ok(CreatedUser::EmailTaken);
            }
            CreatedUser::Created
        })
    }

    /// At most `limit` people, the newest first; not the built-in user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_users(
        &self,
        after: Option<Cursor<UserId>>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, StoreError> {
        let rows: Vec<UserRow> = reading!(self, |tx| {
            tx.rows(select_users!(
                "WHERE id <> $1 AND ($2 IS NULL OR (created_at, id) < ($2, $3)) \
                 ORDER BY created_at DESC, id DESC LIMIT $4"
            ))
            .bind(OPERATOR.0)
            .bind(after.map(|cursor| StoredTime(cursor.created_at)))
            .bind(after.map(|cursor| cursor.id.0))
            .bind(i64::from(limit))
            .fetch_all(tx.connection())
            .await?
        })?;
        rows.into_iter().map(UserRecord::try_from).collect()
    }

    /// Changes what is given, and tells the other replicas; `None` where there is no such person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_user(
        &self,
        user: UserId,
        update: UpdateUser,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError> {
        writing!(self, |tx| {
            let changed = tx
                .sql(
                    "UPDATE users SET role = coalesce($2, role), state = coalesce($3, state) \
                     WHERE id = $1 AND id <> $4",
                )
                .bind(user.0)
                .bind(update.role.map(|role| role.name()))
                .bind(update.state.map(|state| state.name()))
                .bind(OPERATOR.0)
                .execute(tx.connection())
                .await?;
            if changed.rows_affected() == 0 {
                return Ok(None);
            }
            note_change!(tx, changes::USER, Subject::User(user).to_string(), now);
            let row = tx.rows(FIND_USER).bind(user.0).bind(None::<String>);
            let row: UserRow = row.fetch_one(tx.connection()).await?;
            Some(UserRecord::try_from(row)?)
        })
    }
}

impl UserRecord {
    /// Where a page that ends with this user goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<UserId> {
        Cursor { created_at: self.created_at, id: self.id }
    }
}
