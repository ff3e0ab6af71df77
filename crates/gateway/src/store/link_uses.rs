//! What a one-time link is used for: somebody registers, or sets another password. It works once.

use chrono::{DateTime, Utc};
use fluxgate_core::{Subject, TeamId, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::links::{INVITE, LinkAbout, MALFORMED, RESET, read_invite, withdraw_resets};
use super::session_changes::end_sessions;
use super::teams::hold_team;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::insert_user;
use super::{Email, Store, StoreError, UserRecord, limits};

/// What became of registering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Registered {
    /// With the role and team of the invitation, where there was one.
    Created(UserRecord),
    EmailTaken,
    /// The invitation is unknown, used, withdrawn or expired, or is for another address.
    LinkRefused,
}

/// What a link says: kind, address, role, team, user.
type AboutRow = (String, Option<String>, Option<String>, Option<Uuid>, Option<Uuid>);

impl Store {
    /// What a link is good for, by its token's hash; `None` where it can't be used, nor where its
    /// user is disabled. Asked before a password is hashed for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usable_link(
        &self,
        sha256: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<LinkAbout>, StoreError> {
        let row: Option<AboutRow> = reading!(self, |tx| {
            tx.rows(
                "SELECT l.kind, l.email, l.role, l.team, l.user_id FROM links l \
                 LEFT JOIN users u ON u.id = l.user_id \
                 WHERE l.sha256 = $1 AND l.used_at IS NULL AND l.withdrawn_at IS NULL \
                 AND l.expires_at > $2 \
                 AND (l.user_id IS NULL OR u.state = 'active')",
            )
            .bind(sha256.to_vec())
            .bind(StoredTime(now))
            .fetch_optional(tx.connection())
            .await?
        })?;
        row.map(about).transpose()
    }

    /// Keeps somebody who registers, with their password's hash. An invitation is used up by it:
    /// role and team are its own then, and its address, where it has one, must be theirs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn register(
        &self,
        user: &UserRecord,
        email: &Email,
        phc: &str,
        invite_sha256: Option<&[u8; 32]>,
        now: DateTime<Utc>,
    ) -> Result<Registered, StoreError> {
        writing!(self, |tx| {
            let mut user = UserRecord { email: Some(email.clone()), ..user.clone() };
            if let Some(sha256) = invite_sha256 {
                // The team before the link, in the order in which its deletion locks them.
                let team = tx.rows("SELECT team FROM links WHERE sha256 = $1");
                let team = team.bind(sha256.to_vec()).fetch_optional(tx.connection()).await?;
                let team: Option<(Option<Uuid>,)> = team;
                let team = hold_team!(tx, team.and_then(|(team,)| team).map(TeamId));
                let used: Option<(Option<String>,)> = tx
                    .rows(
                        "UPDATE links SET used_at = $2 WHERE sha256 = $1 AND kind = 'invite' \
                         AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > $2 \
                         AND (email IS NULL OR email = $3) RETURNING role",
                    )
                    .bind(sha256.to_vec())
                    .bind(StoredTime(now))
                    .bind(email.as_str().to_owned())
                    .fetch_optional(tx.connection())
                    .await?;
                let Some((role,)) = used else { return Ok(Registered::LinkRefused) };
                (_, user.role, user.team) = read_invite(None, role, team.map(|team| team.0))?;
            } else {
                user.team = hold_team!(tx, user.team);
            }
            if !insert_user!(tx, user, email, Some(phc.to_owned())) {
                // The invitation may be used again, with another address.
                return Ok(Registered::EmailTaken);
            }
            Registered::Created(user)
        })
    }

    /// Uses up a link to set its user's password, withdraws their others, and ends all of their
    /// sessions. `None` where it
    /// can't be used, nor where they are disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset_password(
        &self,
        sha256: &[u8; 32],
        phc: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>, StoreError> {
        writing!(self, |tx| {
            // The user before the link, as where a newer link takes the place of this one.
            let user: Option<(Uuid,)> = tx
                .rows(
                    "UPDATE users SET password_hash = $2 WHERE state = 'active' AND id = \
                     (SELECT user_id FROM links WHERE sha256 = $1 AND kind = 'reset') \
                     RETURNING id",
                )
                .bind(sha256.to_vec())
                .bind(phc.to_owned())
                .fetch_optional(tx.connection())
                .await?;
            let Some((user,)) = user else { return Ok(None) };
            let used = tx
                .sql(
                    "UPDATE links SET used_at = $2 \
                     WHERE sha256 = $1 AND used_at IS NULL AND withdrawn_at IS NULL \
                     AND expires_at > $2",
                )
                .bind(sha256.to_vec())
                .bind(StoredTime(now))
                .execute(tx.connection())
                .await?;
            if used.rows_affected() == 0 {
                // The password stays as it was.
                return Ok(None);
            }
            let user = UserId(user);
            withdraw_resets!(tx, user, now);
            end_sessions!(tx, user, None, now);
            note_change!(tx, changes::USER, Subject::User(user).to_string(), now);
            Some(user)
        })
    }
}

fn about((kind, email, role, team, user): AboutRow) -> Result<LinkAbout, StoreError> {
    match kind.as_str() {
        INVITE => {
            let (email, role, team) = read_invite(email, role, team)?;
            Ok(LinkAbout::Invite { email, role, team })
        }
        RESET => Ok(LinkAbout::Reset { user: UserId(user.ok_or(MALFORMED)?) }),
        _ => Err(MALFORMED),
    }
}
