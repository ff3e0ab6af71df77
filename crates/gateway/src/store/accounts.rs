//! Users as an administrator makes, lists and changes them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::UpdateUser;
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{Subject, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::keys::MalformedCursor;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::{FIND_USER, UserRow};
use super::{Email, Store, StoreError, UserRecord};

/// What became of making a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CreatedUser {
    Created,
    EmailTaken,
}

/// The last user of a page: the next page begins after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserCursor {
    created_at: DateTime<Utc>,
    id: UserId,
}

impl Store {
    /// Keeps a new user, with a password's hash (a PHC string) where there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_user(
        &self,
        user: &UserRecord,
        email: &Email,
        password_phc: Option<String>,
    ) -> Result<CreatedUser, StoreError> {
        let made = writing!(self, |tx| {
            tx.sql(
                "INSERT INTO users (id, email, role, password_hash, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(user.id.0)
            .bind(email.as_str().to_owned())
            .bind(user.role.name())
            .bind(password_phc.clone())
            .bind(StoredTime(user.created_at))
            .execute(tx.connection())
            .await?
            .rows_affected()
        })?;
        Ok(if made == 1 { CreatedUser::Created } else { CreatedUser::EmailTaken })
    }

    /// At most `limit` people, the newest first; not the built-in user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_users(
        &self,
        after: Option<UserCursor>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, StoreError> {
        let rows: Vec<UserRow> = reading!(self, |tx| {
            tx.rows(
                "SELECT id, email, role, state, created_at FROM users WHERE id <> $1 \
                 AND ($2 IS NULL OR (created_at, id) < ($2, $3)) \
                 ORDER BY created_at DESC, id DESC LIMIT $4",
            )
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
    pub const fn cursor(&self) -> UserCursor {
        UserCursor { created_at: self.created_at, id: self.id }
    }
}

impl fmt::Display for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.created_at.timestamp_micros(), self.id.0.simple())
    }
}

impl FromStr for UserCursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let (micros, id) = text.split_once('-').ok_or(MalformedCursor)?;
        let micros = i64::from_str_radix(micros, 16).map_err(|_| MalformedCursor)?;
        Ok(Self {
            created_at: DateTime::from_timestamp_micros(micros).ok_or(MalformedCursor)?,
            id: UserId(Uuid::parse_str(id).map_err(|_| MalformedCursor)?),
        })
    }
}
