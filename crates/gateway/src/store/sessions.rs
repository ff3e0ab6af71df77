//! Sessions of people who signed in: opened, found, listed. Of a refresh token only the hash is
//! kept.

use chrono::{DateTime, TimeDelta, Utc};
use fluxgate_core::admin_api::{Grant, Role, UserState};
use fluxgate_core::{SessionId, TeamId, UserId};
use sqlx::types::Uuid;

use super::changes::{self, note_change};
use super::cursor::Cursor;
use super::listing::Listing;
use super::time::StoredTime;
use super::transaction::{reading, writing};
use super::users::{self, note_seen};
use super::{Email, Store, StoreError};

/// Of one user: whoever opens more ends their oldest.
const OPEN_MAX: i64 = 100;
/// Ended by one opening. It is one, unless a clock was set back.
const ENDED_AT_ONCE: i64 = 100;

/// A session that is to be opened. Times are kept to the microsecond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSession {
    pub id: SessionId,
    pub user: UserId,
    pub grant: Grant,
    pub refresh_sha256: [u8; 32],
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// The user agent that signs in.
    pub device: String,
    pub address: String,
}

/// A session as the database has it, with what has to be known of its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRecord {
    pub id: SessionId,
    pub grant: Grant,
    pub created_at: DateTime<Utc>,
    /// When its tokens were last drawn.
    pub last_used_at: DateTime<Utc>,
    /// It ends then, however often it is used.
    pub expires_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub device: String,
    /// From where its tokens were last drawn.
    pub address: String,
    pub user: UserId,
    pub email: Option<Email>,
    pub role: Role,
    pub user_state: UserState,
    pub team: Option<TeamId>,
}

/// A row of [`select_sessions`].
pub(super) type SessionRow = (
    Uuid,
    String,
    StoredTime,
    StoredTime,
    StoredTime,
    Option<StoredTime>,
    String,
    String,
    Uuid,
    Option<String>,
    String,
    String,
    Option<Uuid>,
);

/// The one statement that reads sessions, with what stands behind its tables.
macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.grant_kind, s.created_at, s.last_used_at, s.expires_at, s.ended_at, \
             s.device, s.address, s.user_id, u.email, u.role, u.state, u.team \
             FROM sessions s JOIN users u ON u.id = s.user_id ",
            $rest
        )
    };
}

impl Store {
    /// Opens a session, where its user is active and, if a password's hash is given, it is theirs
    /// still: one that was changed meanwhile opens nothing. Gives whether it did. Beyond 100 open
    /// sessions of a user the oldest end.
    ///
    /// # Errors
    /// [`StoreError`]. After [`StoreError::TimedOut`] it may be open all the same.
    pub async fn open_session(
        &self,
        new: &NewSession,
        expected_phc: Option<&str>,
    ) -> Result<bool, StoreError> {
        let now = new.created_at;
        writing!(self, |tx| {
            let locked = tx
                .sql(
                    "UPDATE users SET state = state WHERE id = $1 AND state = 'active' \
                     AND ($2 IS NULL OR password_hash = $2)",
                )
                .bind(new.user.0)
                .bind(expected_phc.map(str::to_owned))
                .execute(tx.connection())
                .await?;
            if locked.rows_affected() == 0 {
                return Ok(false);
            }
            note_seen!(tx, new.user.0, now);
            tx.sql(
                "INSERT INTO sessions (id, user_id, grant_kind, refresh_sha256, created_at, \
                 last_used_at, expires_at, device, address) \
                 VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)",
            )
            .bind(new.id.0)
            .bind(new.user.0)
            .bind(grant_name(new.grant))
            .bind(new.refresh_sha256.to_vec())
            .bind(StoredTime(now))
            .bind(StoredTime(new.expires_at))
            .bind(new.device.clone())
            .bind(new.address.clone())
            .execute(tx.connection())
            .await?;
            let ended: Vec<(Uuid,)> = tx
                .rows(
                    "UPDATE sessions SET ended_at = $2 WHERE id IN (SELECT id FROM sessions \
                     WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND id <> $3 \
                     ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5) RETURNING id",
                )
                .bind(new.user.0)
                .bind(StoredTime(now))
                .bind(new.id.0)
                .bind(ENDED_AT_ONCE)
                .bind(OPEN_MAX - 1)
                .fetch_all(tx.connection())
                .await?;
            for (id,) in ended {
                note_change!(tx, changes::SESSION, changes::session(SessionId(id)), now);
            }
            true
        })
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn find_session(
        &self,
        session: SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let row: Option<SessionRow> = reading!(self, |tx| {
            let found = tx.rows(FIND_SESSION).bind(session.0);
            found.fetch_optional(tx.connection()).await?
        })?;
        row.map(SessionRecord::try_from).transpose()
    }

    /// At most `limit` of a user's sessions that can be used still, the newest first. One that
    /// wasn't used for `idle` can't.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_sessions(
        &self,
        user: UserId,
        after: Option<Cursor<SessionId>>,
        limit: u32,
        idle: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let after = after.map(|cursor| (StoredTime(cursor.created_at), cursor.id.0));
        reading!(self, |tx| {
            let mut listing = Listing::new("sessions", after, limit);
            while let Some(missing) = listing.missing() {
                let (at, id) = listing.after();
                let rows = tx.rows(select_sessions!(
                    "WHERE s.user_id = $1 AND u.state = 'active' AND s.ended_at IS NULL \
                     AND s.expires_at > $2 AND s.last_used_at > $3 \
                     AND ($4 IS NULL OR (s.created_at, s.id) < ($4, $5)) \
                     ORDER BY s.created_at DESC, s.id DESC LIMIT $6"
                ));
                let rows = rows.bind(user.0).bind(StoredTime(now)).bind(StoredTime(now - idle));
                let rows = rows.bind(at).bind(id).bind(missing);
                let rows: Vec<SessionRow> = rows.fetch_all(tx.connection()).await?;
                listing.take(rows, |row| (row.2, row.0));
            }
            listing.records()
        })
    }
}

impl SessionRecord {
    /// Whether it can't be used any more. One that wasn't used for `idle` can't.
    #[must_use]
    pub fn has_ended(&self, idle: TimeDelta, now: DateTime<Utc>) -> bool {
        self.ended_at.is_some()
            || self.expires_at <= now
            || now - self.last_used_at >= idle
            || self.user_state != UserState::Active
    }

    /// Where a page that ends with this session goes on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<SessionId> {
        Cursor { created_at: self.created_at, id: self.id }
    }
}

pub(super) const FIND_SESSION: &str = select_sessions!("WHERE s.id = $1");

impl TryFrom<SessionRow> for SessionRecord {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let (id, grant, created, used, expires, ended, device, address, user, ..) = row;
        let (email, role, user_state, team) = (row.9, row.10, row.11, row.12);
        Ok(Self {
            id: SessionId(id),
            grant: grant_of(&grant)?,
            created_at: created.0,
            last_used_at: used.0,
            expires_at: expires.0,
            ended_at: ended.map(|time| time.0),
            device,
            address,
            user: UserId(user),
            email: email.map(|email| email.parse().map_err(|_| MALFORMED)).transpose()?,
            role: users::role_of(&role)?,
            user_state: users::state(&user_state)?,
            team: team.map(TeamId),
        })
    }
}

const MALFORMED: StoreError = StoreError::Malformed("sessions");

/// A grant as it is kept.
const fn grant_name(grant: Grant) -> &'static str {
    match grant {
        Grant::Cookie => "cookie",
        Grant::Bearer => "bearer",
    }
}

fn grant_of(text: &str) -> Result<Grant, StoreError> {
    let all = [Grant::Cookie, Grant::Bearer];
    all.into_iter().find(|grant| grant_name(*grant) == text).ok_or(MALFORMED)
}
