//! One-time links, as an administrator makes, lists and withdraws them: to register by an
//! invitation, to set another password. Of a link's token only the hash is kept.

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{LinkId, TeamId, UserId};
use sqlx::types::Uuid;

use super::cursor::Cursor;
use super::idempotency::claim;
use super::listing::Listing;
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
    /// Nor is that of somebody who can't sign in.
    UserDisabled,
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
    /// Somebody registered by it.
    pub used_at: Option<DateTime<Utc>>,
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// What became of withdrawing an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withdrawal {
    /// Nobody can register by it, now or since before.
    Withdrawn,
    /// Somebody has registered by it.
    Used,
    Unknown,
}

type InviteRow = (
    Uuid,
    Option<String>,
    Option<String>,
    Option<Uuid>,
    StoredTime,
    StoredTime,
    Option<StoredTime>,
    Option<StoredTime>,
);

/// Withdraws the links that somebody made who may make none any more.
macro_rules! withdraw_made_by {
    ($tx:ident, $user:expr, $now:expr) => {
        $tx.sql(
            "UPDATE links SET withdrawn_at = $2 WHERE made_by = $1 AND used_at IS NULL \
             AND withdrawn_at IS NULL",
        )
        .bind($user.0)
        .bind(StoredTime($now))
        .execute($tx.connection())
        .await?
    };
}
pub(super) use withdraw_made_by;

/// Withdraws the links that would set the password of a user, whose row is locked. Those that have
/// expired are left alone: they may be on their way out.
macro_rules! withdraw_resets {
    ($tx:ident, $user:expr, $now:expr) => {
        $tx.sql(
            "UPDATE links SET withdrawn_at = $2 WHERE user_id = $1 AND used_at IS NULL \
             AND withdrawn_at IS NULL AND expires_at > $2",
        )
        .bind($user.0)
        .bind(StoredTime($now))
        .execute($tx.connection())
        .await?;
    };
}
pub(super) use withdraw_resets;

impl Store {
    /// Keeps a new link. One to set a password takes the place of an unused earlier one of that
    /// user, who must be active. With an idempotency key, of which `caller` has its own, a repeat within a day makes
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
                    let locked: Option<(String,)> = tx
                        .rows(
                            "UPDATE users SET state = state WHERE id = $1 AND id <> $2 \
                             RETURNING state",
                        )
                        .bind(user.0)
                        .bind(OPERATOR.0)
                        .fetch_optional(tx.connection())
                        .await?;
                    let Some((state,)) = locked else { return Ok(LinkCreation::UnknownUser) };
                    if users::state(&state)? == UserState::Disabled {
                        return Ok(LinkCreation::UserDisabled);
                    }
                    withdraw_resets!(tx, user, new.created_at);
                    (None, None, None, Some(*user))
                }
            };
            tx.sql(
                "INSERT INTO links (id, kind, sha256, email, role, team, user_id, created_at, \
                 expires_at, made_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
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
            .bind(caller.0)
            .execute(tx.connection())
            .await?;
            LinkCreation::Created
        })
    }

    /// At most `limit` invitations, the newest first: used and withdrawn ones too, for some weeks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_invites(
        &self,
        after: Option<Cursor<LinkId>>,
        limit: u32,
    ) -> Result<Vec<InviteRecord>, StoreError> {
        let after = after.map(|cursor| (StoredTime(cursor.created_at), cursor.id.0));
        reading!(self, |tx| {
            let mut listing = Listing::new("links", after, limit);
            while let Some(missing) = listing.missing() {
                let (at, id) = listing.after();
                let rows = tx.rows(
                    "SELECT id, email, role, team, created_at, expires_at, used_at, withdrawn_at \
                     FROM links WHERE kind = 'invite' \
                     AND ($1 IS NULL OR (created_at, id) < ($1, $2)) \
                     ORDER BY created_at DESC, id DESC LIMIT $3",
                );
                let rows = rows.bind(at).bind(id).bind(missing);
                let rows: Vec<InviteRow> = rows.fetch_all(tx.connection()).await?;
                listing.take(rows, |row| (row.4, row.0));
            }
            listing.records()
        })
    }

    /// Makes an invitation useless. One that was used or withdrawn stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw_invite(
        &self,
        invite: LinkId,
        now: DateTime<Utc>,
    ) -> Result<Withdrawal, StoreError> {
        let used: Option<(Option<StoredTime>,)> = writing!(self, |tx| {
            tx.rows(
                "UPDATE links SET withdrawn_at = CASE WHEN used_at IS NULL \
                 THEN coalesce(withdrawn_at, $2) ELSE withdrawn_at END \
                 WHERE id = $1 AND kind = 'invite' RETURNING used_at",
            )
            .bind(invite.0)
            .bind(StoredTime(now))
            .fetch_optional(tx.connection())
            .await?
        })?;
        Ok(match used {
            Some((None,)) => Withdrawal::Withdrawn,
            Some((Some(_),)) => Withdrawal::Used,
            None => Withdrawal::Unknown,
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
        let (id, email, role, team, created_at, expires_at, used_at, withdrawn_at) = row;
        let (email, role, team) = read_invite(email, role, team)?;
        Ok(Self {
            id: LinkId(id),
            email,
            role,
            team,
            created_at: created_at.0,
            expires_at: expires_at.0,
            used_at: used_at.map(|time| time.0),
            withdrawn_at: withdrawn_at.map(|time| time.0),
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
