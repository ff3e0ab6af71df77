//! The accounts: users, keys, and what the deployment made once. They live in Postgres, which all
//! replicas share, or in a SQLite file; both have the same tables and get the same statements.
//!
//! Every call is one transaction of at most two seconds. It must not know HTTP, nor what a key or
//! a token looks like beyond its id and the hash of its secret.
//!
//! Where a decision depends on rows, a statement that changes nothing locks one of them first.
//! Rows are locked in one order, so that no two calls wait for each other: idempotency keys, keys,
//! the built-in user, teams, invitations, users, their sessions and links, the counter of changes.

mod account_changes;
mod accounts;
mod audit;
mod changes;
mod cursor;
mod email;
mod error;
mod expired;
mod idempotency;
mod key_changes;
mod keys;
mod limits;
mod link_uses;
mod links;
mod listing;
mod passwords;
mod session_changes;
mod sessions;
mod teams;
mod users;

mod postgres;
mod schema;
mod sqlite;
mod time;
mod transaction;

use fluxgate_core::config::Pooler;
use fluxgate_core::secret::SecretUrl;

pub use account_changes::{UserChange, UserUpdate};
pub use accounts::CreatedUser;
pub use audit::{AUDIT_AT_ONCE, AuditFilter, AuditRecord};
pub use changes::{Change, ChangeOf};
pub use cursor::{Cursor, MalformedCursor};
pub use email::{Email, MalformedEmail};
pub use error::StoreError;
pub use key_changes::Rotation;
pub use keys::{CreateOutcome, KeyRecord, NewKeyRecord, Revocation};
pub use link_uses::Registered;
pub use links::{InviteRecord, LinkAbout, LinkCreation, NewLink, Withdrawal};
pub use session_changes::Refreshed;
pub use sessions::{NewSession, SessionRecord};
pub use teams::{CreatedTeam, TeamChange, TeamRecord, TeamRef};
pub use users::{FirstAdmin, UserRecord, UserRef};

use postgres::Postgres;
use sqlite::Sqlite;
use transaction::reading;

/// See the module. Clones share their connections.
#[derive(Clone, Debug)]
pub enum Store {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Store {
    /// Connects, and brings the schema up to date. Replicas that start at the same time wait for
    /// the one that does.
    ///
    /// # Errors
    /// A database that can't be reached or used, or that a newer version has been at work on.
    pub async fn open(url: &SecretUrl, pooler: Option<Pooler>) -> Result<Self, StoreError> {
        match url.scheme() {
            "sqlite" => Sqlite::open(url).await.map(Self::Sqlite),
            _ => Postgres::open(url, pooler).await.map(Self::Postgres),
        }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`StoreError`] where it doesn't.
    pub async fn ping(&self) -> Result<(), StoreError> {
        reading!(self, |tx| {
            tx.sql("SELECT 1").execute(tx.connection()).await?;
        })
    }

    /// The 32 random bytes that this deployment drew when its database was made. Keys for whatever
    /// isn't a session's signature are derived from it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deployment_secret(&self) -> Result<[u8; 32], StoreError> {
        let (secret,): (Vec<u8>,) = reading!(self, |tx| {
            let secret = tx.rows("SELECT value FROM deployment WHERE name = 'secret'");
            secret.fetch_one(tx.connection()).await?
        })?;
        secret.try_into().map_err(|_| StoreError::Malformed("deployment"))
    }

    /// Closes the connections, once their calls have ended.
    pub async fn close(&self) {
        match self {
            Self::Postgres(postgres) => postgres.pool().close().await,
            Self::Sqlite(sqlite) => {
                sqlite.readers().close().await;
                sqlite.writer().close().await;
            }
        }
    }
}
