//! Users as an administrator makes and lists them.

use fluxgate_core::UserId;
use fluxgate_core::ids::OPERATOR;

use super::cursor::Cursor;
use super::idempotency::claim;
use super::listing::Listing;
use super::teams::hold_team;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::{UserRow, insert_user, select_users};
use super::{Email, Store, StoreError, UserRecord, limits};

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
            let user = UserRecord { team: hold_team!(tx, user.team), ..user.clone() };
            if !insert_user!(tx, user, email, password_phc.clone()) {
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
        let after = after.map(|cursor| (StoredTime(cursor.created_at), cursor.id.0));
        reading!(self, |tx| {
            let mut listing = Listing::new("users", after, limit);
            while let Some(missing) = listing.missing() {
                let (at, id) = listing.after();
                let rows = tx.rows(select_users!(
                    "WHERE id <> $1 AND ($2 IS NULL OR (created_at, id) < ($2, $3)) \
                     ORDER BY created_at DESC, id DESC LIMIT $4"
                ));
                let rows = rows.bind(OPERATOR.0).bind(at).bind(id).bind(missing);
                let rows: Vec<UserRow> = rows.fetch_all(tx.connection()).await?;
                listing.take(rows, |row| (row.6, row.0));
            }
            listing.records()
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
