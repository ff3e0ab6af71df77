//! Teams: made, found, listed, changed, deleted.

use chrono::{DateTime, Utc};
use fluxgate_core::limits::Limits;
use fluxgate_core::{Subject, TeamId, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::cursor::Cursor;
use super::idempotency::claim;
use super::listing::Listing;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::hold_operator;
use super::{Store, StoreError, limits};

/// A team as the database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TeamRecord {
    pub id: TeamId,
    /// No other team's.
    pub name: String,
    pub limits: Limits,
    pub created_at: DateTime<Utc>,
}

/// How a team is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TeamRef {
    Id(TeamId),
    Name(String),
}

/// What became of making a team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreatedTeam {
    Created,
    NameTaken,
    /// An earlier one with the same idempotency key made this.
    AlreadyCreated(TeamId),
}

/// What became of changing a team.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TeamChange {
    Changed(TeamRecord),
    NameTaken,
    Unknown,
}

/// A row of [`select_teams`].
type TeamRow = (Uuid, String, String, StoredTime);

/// The one statement that reads teams, with what stands behind the table.
macro_rules! select_teams {
    ($rest:literal) => {
        concat!("SELECT id, name, limits, created_at FROM teams ", $rest)
    };
}

/// Locks a team that is given: it stays until the end of the transaction. `None` where it has been
/// deleted, as if it had been a moment later.
macro_rules! hold_team {
    ($tx:ident, $team:expr) => {{
        let team: Option<fluxgate_core::TeamId> = $team;
        match team {
            None => None,
            Some(team) => {
                let held = $tx.sql("UPDATE teams SET limits = limits WHERE id = $1").bind(team.0);
                let held = held.execute($tx.connection()).await?;
                (held.rows_affected() == 1).then_some(team)
            }
        }
    }};
}
pub(super) use hold_team;

impl Store {
    /// Keeps a new team. With an idempotency key, of which `caller` has its own, a repeat within a
    /// day makes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_team(
        &self,
        team: &TeamRecord,
        caller: UserId,
        idempotency_key: Option<&str>,
    ) -> Result<CreatedTeam, StoreError> {
        writing!(self, |tx| {
            let earlier =
                claim!(tx, caller, "admin/teams", idempotency_key, team.id, team.created_at);
            if let Some(id) = earlier {
                let id = id.parse().map_err(|_| StoreError::Malformed("idempotency"))?;
                return Ok(CreatedTeam::AlreadyCreated(id));
            }
            let made = tx
                .sql(
                    "INSERT INTO teams (id, name, limits, created_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT DO NOTHING",
                )
                .bind(team.id.0)
                .bind(team.name.clone())
                .bind(limits::text(&team.limits))
                .bind(StoredTime(team.created_at))
                .execute(tx.connection())
                .await?;
            if made.rows_affected() == 0 {
                // The idempotency key stays free: the request may be repeated with another name.
                return Ok(CreatedTeam::NameTaken);
            }
            CreatedTeam::Created
        })
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn find_team(&self, team: &TeamRef) -> Result<Option<TeamRecord>, StoreError> {
        let (id, name) = match team {
            TeamRef::Id(id) => (Some(id.0), None),
            TeamRef::Name(name) => (None, Some(name.clone())),
        };
        let row: Option<TeamRow> = reading!(self, |tx| {
            let found = tx.rows(select_teams!("WHERE id = $1 OR name = $2")).bind(id);
            found.bind(name).fetch_optional(tx.connection()).await?
        })?;
        row.map(TeamRecord::try_from).transpose()
    }

    /// At most `limit` teams, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_teams(
        &self,
        after: Option<Cursor<TeamId>>,
        limit: u32,
    ) -> Result<Vec<TeamRecord>, StoreError> {
        let after = after.map(|cursor| (StoredTime(cursor.created_at), cursor.id.0));
        reading!(self, |tx| {
            let mut listing = Listing::new("teams", after, limit);
            while let Some(missing) = listing.missing() {
                let (at, id) = listing.after();
                let rows = tx.rows(select_teams!(
                    "WHERE $1 IS NULL OR (created_at, id) < ($1, $2) \
                     ORDER BY created_at DESC, id DESC LIMIT $3"
                ));
                let rows = rows.bind(at).bind(id).bind(missing);
                let rows: Vec<TeamRow> = rows.fetch_all(tx.connection()).await?;
                listing.take(rows, |row| (row.3, row.0));
            }
            listing.records()
        })
    }

    /// Changes what is given, and tells the other replicas.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_team(
        &self,
        team: TeamId,
        name: Option<String>,
        limits: Option<Limits>,
        now: DateTime<Utc>,
    ) -> Result<TeamChange, StoreError> {
        writing!(self, |tx| {
            let changed = tx
                .rows(
                    "UPDATE teams SET name = coalesce($2, name), limits = coalesce($3, limits) \
                     WHERE id = $1 RETURNING id, name, limits, created_at",
                )
                .bind(team.0)
                .bind(name.clone())
                .bind(limits.as_ref().map(limits::text))
                .fetch_optional(tx.connection())
                .await;
            let row: Option<TeamRow> = match changed {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Ok(TeamChange::NameTaken);
                }
                changed => changed?,
            };
            let Some(row) = row else { return Ok(TeamChange::Unknown) };
            note_change!(tx, changes::TEAM, Subject::Team(team).to_string(), now);
            TeamChange::Changed(TeamRecord::try_from(row)?)
        })
    }

    /// Deletes a team, and tells the other replicas; gives whether there was one. Its members stay,
    /// without a team.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_team(&self, team: TeamId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            // Many users' rows are about to be locked, in whatever order.
            hold_operator!(tx);
            let deleted = tx.sql("DELETE FROM teams WHERE id = $1").bind(team.0);
            let deleted = deleted.execute(tx.connection()).await?.rows_affected() == 1;
            if deleted {
                note_change!(tx, changes::TEAM, Subject::Team(team).to_string(), now);
            }
            deleted
        })
    }
}

impl TeamRecord {
    /// Where a page that ends with this team goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<TeamId> {
        Cursor { created_at: self.created_at, id: self.id }
    }
}

impl TryFrom<TeamRow> for TeamRecord {
    type Error = StoreError;

    fn try_from((id, name, limits, created_at): TeamRow) -> Result<Self, StoreError> {
        let limits = limits::read(&limits).ok_or(StoreError::Malformed("teams"))?;
        Ok(Self { id: TeamId(id), name, limits, created_at: created_at.0 })
    }
}
