//! What an administrator makes of a user: another role, state, team, limits.

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::Limits;
use fluxgate_core::{Subject, TeamId, UserId};

use super::changes::{self, note_change};
use super::links::{withdraw_made_by, withdraw_resets};
use super::session_changes::end_sessions;
use super::teams::hold_team;
use super::time::StoredTime;
use super::transaction::writing;
use super::users::{FIND_USER, UserRow, hold_operator};
use super::{Store, StoreError, UserRecord, limits};

/// What is to be changed: what is absent stays.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct UserUpdate {
    pub role: Option<Role>,
    pub state: Option<UserState>,
    /// The inner `None` takes the team away.
    pub team: Option<Option<TeamId>>,
    pub limits: Option<Limits>,
}

/// What became of changing a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserChange {
    Changed(UserRecord),
    /// Nobody could undo it: the last active administrator stays one.
    LastAdmin,
    /// The built-in user isn't known here either.
    Unknown,
}

impl Store {
    /// Changes what is given, and tells the other replicas. A disabled user's sessions end, and
    /// so do the links that would set their password; and those that they made, with their role.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_user(
        &self,
        user: UserId,
        update: UserUpdate,
        now: DateTime<Utc>,
    ) -> Result<UserChange, StoreError> {
        let keeps_admin =
            update.role != Some(Role::Member) && update.state != Some(UserState::Disabled);
        writing!(self, |tx| {
            if !keeps_admin {
                // One at a time: two administrators can't take each other's place away.
                hold_operator!(tx);
            }
            let team = match update.team {
                Some(team) => Some(hold_team!(tx, team)),
                None => None,
            };
            let locked = tx.sql("UPDATE users SET state = state WHERE id = $1 AND id <> $2");
            let locked = locked.bind(user.0).bind(OPERATOR.0).execute(tx.connection()).await?;
            if locked.rows_affected() == 0 {
                return Ok(UserChange::Unknown);
            }
            let row = tx.rows(FIND_USER).bind(user.0).bind(None::<String>);
            let row: UserRow = row.fetch_one(tx.connection()).await?;
            let mut record = UserRecord::try_from(row)?;
            let was_admin = is_active_admin(&record);
            update.clone().apply(team, &mut record);
            if was_admin && !is_active_admin(&record) {
                let others = tx.rows(HAS_OTHER_ADMIN).bind(user.0).bind(OPERATOR.0);
                let (others,): (bool,) = others.fetch_one(tx.connection()).await?;
                if !others {
                    return Ok(UserChange::LastAdmin);
                }
            }
            tx.sql("UPDATE users SET role = $2, state = $3, team = $4, limits = $5 WHERE id = $1")
                .bind(user.0)
                .bind(record.role.name())
                .bind(record.state.name())
                .bind(record.team.map(|team| team.0))
                .bind(limits::text(&record.limits))
                .execute(tx.connection())
                .await?;
            if !is_active_admin(&record) {
                withdraw_made_by!(tx, user, now);
            }
            if record.state == UserState::Disabled {
                end_sessions!(tx, user, None, now);
                withdraw_resets!(tx, user, now);
            }
            note_change!(tx, changes::USER, Subject::User(user).to_string(), now);
            UserChange::Changed(record)
        })
    }
}

impl UserUpdate {
    /// Makes a user what is asked for, with the team as it was found.
    fn apply(self, team: Option<Option<TeamId>>, user: &mut UserRecord) {
        user.role = self.role.unwrap_or(user.role);
        user.state = self.state.unwrap_or(user.state);
        user.team = team.unwrap_or(user.team);
        if let Some(limits) = self.limits {
            user.limits = limits;
        }
    }
}

fn is_active_admin(user: &UserRecord) -> bool {
    user.role == Role::Admin && user.state == UserState::Active
}

const HAS_OTHER_ADMIN: &str = "SELECT EXISTS (SELECT 1 FROM users \
     WHERE role = 'admin' AND state = 'active' AND id <> $1 AND id <> $2)";
