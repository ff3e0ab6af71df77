//! Users, and the first administrator: made once, from the configuration or by a one-time token.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::Limits;
use fluxgate_core::{TeamId, UserId};
use sqlx::types::Uuid;

use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Email, Store, StoreError, limits};

/// A user as the database has it, less the password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRecord {
    pub id: UserId,
    /// The built-in user `operator` has none.
    pub email: Option<Email>,
    pub role: Role,
    pub state: UserState,
    pub team: Option<TeamId>,
    pub limits: Limits,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// How a user is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserRef {
    Id(UserId),
    Email(Email),
}

/// The text is neither a user's id nor an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected a user's id or email address")]
pub struct MalformedUserRef;

impl FromStr for UserRef {
    type Err = MalformedUserRef;

    fn from_str(text: &str) -> Result<Self, MalformedUserRef> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::Email).map_err(|_| MalformedUserRef),
        }
    }
}

/// What became of making the first administrator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FirstAdmin {
    Created(UserRecord),
    /// There is one already.
    Exists,
    /// The token is unknown, used or replaced.
    TokenRefused,
    /// Another user has this address.
    EmailTaken,
}

/// A row of [`select_users`].
pub(super) type UserRow =
    (Uuid, Option<String>, String, String, Option<Uuid>, String, StoredTime, Option<StoredTime>);

/// The one statement that reads users, with what stands behind the table.
macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, role, state, team, limits, created_at, last_seen_at FROM users ",
            $rest
        )
    };
}
pub(super) use select_users;

/// Keeps a user, in the transaction that may; gives whether it did: not where the address is
/// another's.
macro_rules! insert_user {
    ($tx:ident, $user:expr, $email:expr, $password_phc:expr) => {
        $tx.sql(
            "INSERT INTO users (id, email, role, state, password_hash, team, limits, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind($user.id.0)
        .bind($email.as_str().to_owned())
        .bind($user.role.name())
        .bind($user.state.name())
        .bind($password_phc)
        .bind($user.team.map(|team| team.0))
        .bind(limits::text(&$user.limits))
        .bind(StoredTime($user.created_at))
        .execute($tx.connection())
        .await?
        .rows_affected()
            == 1
    };
}
pub(super) use insert_user;

/// Locks the built-in user's row: who does so is alone until the end of the transaction.
macro_rules! hold_operator {
    ($tx:ident) => {
        $tx.sql("UPDATE users SET state = state WHERE id = $1")
            .bind(fluxgate_core::ids::OPERATOR.0)
            .execute($tx.connection())
            .await?;
    };
}
pub(super) use hold_operator;

/// Notes when a user was last seen. An older time changes nothing, and nobody is told.
macro_rules! note_seen {
    ($tx:ident, $user:expr, $at:expr) => {
        $tx.sql(
            "UPDATE users SET last_seen_at = $2 \
             WHERE id = $1 AND (last_seen_at IS NULL OR last_seen_at < $2)",
        )
        .bind($user)
        .bind(StoredTime($at))
        .execute($tx.connection())
        .await?;
    };
}
pub(super) use note_seen;

impl Store {
    /// # Errors
    /// [`StoreError`].
    pub async fn find_user(&self, user: &UserRef) -> Result<Option<UserRecord>, StoreError> {
        let (id, email) = match user {
            UserRef::Id(id) => (Some(id.0), None),
            UserRef::Email(email) => (None, Some(email.as_str().to_owned())),
        };
        let row: Option<UserRow> = reading!(self, |tx| {
            let found = tx.rows(FIND_USER).bind(id).bind(email);
            found.fetch_optional(tx.connection()).await?
        })?;
        row.map(UserRecord::try_from).transpose()
    }

    /// Whether a person has ever been made an administrator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_admin(&self) -> Result<bool, StoreError> {
        let (has,): (bool,) = reading!(self, |tx| {
            let has = tx.rows(HAS_ADMIN).bind(OPERATOR.0);
            has.fetch_one(tx.connection()).await?
        })?;
        Ok(has)
    }

    /// Makes the first administrator, with a password's hash (a PHC string). A token is used up by
    /// it; without one the configuration is the proof. Unused tokens end with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_first_admin(
        &self,
        email: &Email,
        password_phc: &str,
        setup_token_sha256: Option<&[u8; 32]>,
        now: DateTime<Utc>,
    ) -> Result<FirstAdmin, StoreError> {
        let admin = UserRecord {
            id: UserId::generate(),
            email: Some(email.clone()),
            role: Role::Admin,
            state: UserState::Active,
            team: None,
            limits: Limits::default(),
            created_at: now,
            last_seen_at: None,
        };
        writing!(self, |tx| {
            // One at a time: this row stays locked until the end of the transaction.
            hold_operator!(tx);
            let token_fits = match setup_token_sha256 {
                None => true,
                Some(token) => {
                    let used = tx
                        .sql(
                            "UPDATE setup_tokens SET used_at = $2 \
                             WHERE sha256 = $1 AND used_at IS NULL",
                        )
                        .bind(token.to_vec())
                        .bind(StoredTime(now))
                        .execute(tx.connection())
                        .await?;
                    used.rows_affected() == 1
                }
            };
            let (exists,): (bool,) =
                tx.rows(HAS_ADMIN).bind(OPERATOR.0).fetch_one(tx.connection()).await?;
            if !token_fits {
                FirstAdmin::TokenRefused
            } else if exists {
                FirstAdmin::Exists
            } else {
                if !insert_user!(tx, admin, email, Some(password_phc.to_owned())) {
                    // The token may be used again, with another address.
                    return Ok(FirstAdmin::EmailTaken);
                }
                tx.sql("DELETE FROM setup_tokens WHERE used_at IS NULL")
                    .execute(tx.connection())
                    .await?;
                FirstAdmin::Created(admin.clone())
            }
        })
    }

    /// Keeps the hash of a one-time token for the first administrator, and gives whether it can be
    /// used: it may have been. An unused other one ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_setup_token(
        &self,
        sha256: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            tx.sql("DELETE FROM setup_tokens WHERE used_at IS NULL AND sha256 <> $1")
                .bind(sha256.to_vec())
                .execute(tx.connection())
                .await?;
            tx.sql(
                "INSERT INTO setup_tokens (sha256, created_at) VALUES ($1, $2) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(sha256.to_vec())
            .bind(StoredTime(now))
            .execute(tx.connection())
            .await?;
            let (usable,): (bool,) =
                tx.rows(HAS_SETUP_TOKEN).bind(sha256.to_vec()).fetch_one(tx.connection()).await?;
            usable
        })
    }

    /// Whether a one-time token could still be used: asked before a password is hashed for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_setup_token(&self, sha256: &[u8; 32]) -> Result<bool, StoreError> {
        let (has,): (bool,) = reading!(self, |tx| {
            tx.rows(HAS_SETUP_TOKEN).bind(sha256.to_vec()).fetch_one(tx.connection()).await?
        })?;
        Ok(has)
    }
}

/// Reads a user by id or by address.
pub(super) const FIND_USER: &str = select_users!("WHERE id = $1 OR email = $2");
const HAS_ADMIN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND id <> $1)";
const HAS_SETUP_TOKEN: &str =
    "SELECT EXISTS (SELECT 1 FROM setup_tokens WHERE sha256 = $1 AND used_at IS NULL)";

impl TryFrom<UserRow> for UserRecord {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let (id, email, role, state_text, team, limits, created_at, last_seen_at) = row;
        Ok(Self {
            id: UserId(id),
            email: email.map(|email| email.parse().map_err(|_| MALFORMED)).transpose()?,
            role: role_of(&role)?,
            state: state(&state_text)?,
            team: team.map(TeamId),
            limits: limits::read(&limits).ok_or(MALFORMED)?,
            created_at: created_at.0,
            last_seen_at: last_seen_at.map(|time| time.0),
        })
    }
}

const MALFORMED: StoreError = StoreError::Malformed("users");

/// A role as it is kept.
pub(super) fn role_of(text: &str) -> Result<Role, StoreError> {
    Role::ALL.into_iter().find(|role| role.name() == text).ok_or(MALFORMED)
}

/// A state as it is kept.
pub(super) fn state(text: &str) -> Result<UserState, StoreError> {
    let all = [UserState::Active, UserState::Disabled];
    all.into_iter().find(|state| state.name() == text).ok_or(MALFORMED)
}
