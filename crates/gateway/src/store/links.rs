//! One-time links, as an administrator makes, lists and withdraws them: to register by an
//! invitation, to set another password. Of a link's token only the hash is kept.

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::Role;
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{LinkId, TeamId, UserId};
use sqlx::types::Uuid;

use super::cursor::Cursor;
use super::idempotency::claim;
use super::teams::hold_team;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::{Email, Store, StoreError, users};

/// A link that is to be made. Times are kept to the microsecond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLink {
    pub id: LinkId,
    pub sha256: [u8; 32],
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub about: LinkAbout,
}

/// What a link is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkAbout {
    /// To register: with that address, where one is given, as what.
    Invite { email: Option<Email>, role: Role, team: Option<TeamId> },
    /// To set that user's password.
    Reset { user: UserId },
}

/// What became of making a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkCreation {
    Created,
    /// An earlier one with the same idempotency key made this.
    AlreadyCreated(LinkId),
    /// Nobody's password is set by it.
    UnknownUser,
}

/// An invitation as the database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InviteRecord {
    pub id: LinkId,
    pub email: Option<Email>,
    pub role: Role,
    pub team: Option<TeamId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Somebody registered by it, or it was withdrawn.
    pub used_at: Option<DateTime<Utc>>,
}

type InviteRow = (
    Uuid,
    Option<String>,
    Option<String>,
    Option<Uuid>,
    StoredTime,
    StoredTime,
    Option<StoredTime>,
);

impl Store {
    /// Keeps a new link. One to set a password takes the place of an unused earlier one of that
    /// user. With an idempotency key, of which `caller` has its own, a repeat within a day makes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_link(
        &self,
        new: &NewLink,
        caller: UserId,
        idempotency_key: Option<&str>,
    ) -> Result<LinkCreation, StoreError> {
        let (kind, route) = match &new.about {
            LinkAbout::Invite { .. } => (INVITE, "admin/invites".to_owned()),
            LinkAbout::Reset { user } => (RESET, format!("admin/users/{user}/reset")),
        };
        writing!(self, |tx| {
            let earlier = claim!(tx, caller, route, idempotency_key, new.id, new.created_at);
            if let Some(id) = earlier {
                let id = id.parse().map_err(|_| StoreError::Malformed("idempotency"))?;
                return Ok(LinkCreation::AlreadyCreated(id));
            }
            let (email, role, team, user) = match &new.about {
                LinkAbout::Invite { email, role, team } => {
                    (email.as_ref(), Some(role.name()), hold_team!(tx, *team), None)
                }
                LinkAbout::Reset { user } => {
                    // The user's row is locked by this until the end of the transaction.
                    let locked = tx
                        .sql("UPDATE users SET state = state WHERE id = $1 AND id <> $2")
                        .bind(user.0)
                        .bind(OPERATOR.0)
                        .execute(tx.connection())
                        .await?;
                    if locked.rows_affected() == 0 {
                        return Ok(LinkCreation::UnknownUser);
                    }
                    tx.sql("UPDATE links SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL")
                        .bind(user.0)
                        .bind(StoredTime(new.created_at))
                        .execute(tx.connection())
                        .await?;
                    (None, None, None, Some(*user))
                }
            };
            tx.sql(
                "INSERT INTO links (id, kind, sha256, email, role, team, user_id, created_at, \
                 expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(new.id.0)
            .bind(kind)
            .bind(new.sha256.to_vec())
            .bind(email.map(|email| email.as_str().to_owned()))
            .bind(role)
            .bind(team.map(|team| team.0))
            .bind(user.map(|user| user.0))
            .bind(StoredTime(new.created_at))
            .bind(StoredTime(new.expires_at))
            .execute(tx.connection())
            .await?;
            LinkCreation::Created
        })
    }

    /// At most `limit` invitations, the newest first: used ones too, for some weeks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_invites(
        &self,
        after: Option<Cursor<LinkId>>,
        limit: u32,
    ) -> Result<Vec<InviteRecord>, StoreError> {
        let rows: Vec<InviteRow> = reading!(self, |tx| {
            tx.rows(
                "SELECT id, email, role, team, created_at, expires_at, used_at FROM links \
                 WHERE kind = 'invite' AND ($1 IS NULL OR (created_at, id) < ($1, $2)) \
                 ORDER BY created_at DESC, id DESC LIMIT $3",
            )
            .bind(after.map(|cursor| StoredTime(cursor.created_at)))
            .bind(after.map(|cursor| cursor.id.0))
            .bind(i64::from(limit))
            .fetch_all(tx.connection())
            .await?
        })?;
        rows.into_iter().map(InviteRecord::try_from).collect()
    }

    /// Makes an invitation useless. Gives whether there is such a one: withdrawing one that was
    /// used or withdrawn changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw_invite(
        &self,
        invite: LinkId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            let withdrawn = tx
                .sql(
                    "UPDATE links SET used_at = coalesce(used_at, $2) \
                     WHERE id = $1 AND kind = 'invite'",
                )
                .bind(invite.0)
                .bind(StoredTime(now))
                .execute(tx.connection())
                .await?;
            withdrawn.rows_affected() == 1
        })
    }
}

impl InviteRecord {
    /// Where a page that ends with this invitation goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<LinkId> {
        Cursor { created_at: self.created_at, id: self.id }
    }
}

impl TryFrom<InviteRow> for InviteRecord {
    type Error = StoreError;

    fn try_from(row: InviteRow) -> Result<Self, StoreError> {
        let (id, email, role, team, created_at, expires_at, used_at) = row;
        let (email, role, team) = read_invite(email, role, team)?;
        Ok(Self {
            id: LinkId(id),
            email,
            role,
            team,
            created_at: created_at.0,
            expires_at: expires_at.0,
            used_at: used_at.map(|time| time.0),
        })
    }
}

pub(super) const INVITE: &str = "invite";
pub(super) const RESET: &str = "reset";
pub(super) const MALFORMED: StoreError = StoreError::Malformed("links");

/// What an invitation says, as it is kept.
pub(super) fn read_invite(
    email: Option<String>,
    role: Option<String>,
    team: Option<Uuid>,
) -> Result<(Option<Email>, Role, Option<TeamId>), StoreError> {
    let email = email.map(|email| email.parse().map_err(|_| MALFORMED)).transpose()?;
    let role = users::role_of(&role.ok_or(MALFORMED)?)?;
    Ok((email, role, team.map(TeamId)))
}
