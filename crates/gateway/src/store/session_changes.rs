//! What becomes of a session in its life: other tokens, its end. Whoever changes a user's sessions
//! holds the user's row, so that one change sees what the one before it did.

use chrono::{DateTime, TimeDelta, Utc};
use fluxgate_core::{SessionId, UserId};

use super::changes::{self, note_change};
use super::sessions::{FIND_SESSION, SessionRecord, SessionRow};
use super::time::StoredTime;
use super::transaction::writing;
use super::users::note_seen;
use super::{Store, StoreError};

/// Tabs of one browser that refresh at the same moment have one token between them: for this long
/// after it was replaced it isn't taken for a stolen one.
const SUPERSEDED_KEPT: TimeDelta = TimeDelta::seconds(10);

/// What became of drawing a session's next tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refreshed {
    Refreshed(Box<SessionRecord>),
    /// Another request with the same token was a moment faster. Nothing was changed.
    Superseded,
    /// The token was replaced before: two have it, and one of them may be a thief. This user's
    /// session has ended now.
    Replayed(UserId),
    /// It had ended, or its user is disabled.
    Ended,
    Unknown,
}

/// Locks the row of a session's user, if the session is `$of`'s where that is given; gives whether
/// there is such a session.
macro_rules! hold_user_of {
    ($tx:ident, $session:expr, $of:expr) => {{
        let of: Option<UserId> = $of;
        $tx.sql(
            "UPDATE users SET state = state WHERE id = \
             (SELECT user_id FROM sessions WHERE id = $1 AND ($2 IS NULL OR user_id = $2))",
        )
        .bind($session.0)
        .bind(of.map(|user| user.0))
        .execute($tx.connection())
        .await?
        .rows_affected()
            == 1
    }};
}

/// Ends one session, and tells the other replicas; nothing where it has ended.
macro_rules! end_one {
    ($tx:ident, $session:expr, $now:expr) => {
        let ended = $tx
            .sql("UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL")
            .bind($session.0)
            .bind(StoredTime($now))
            .execute($tx.connection())
            .await?;
        if ended.rows_affected() == 1 {
            note_change!($tx, changes::SESSION, changes::session($session), $now);
        }
    };
}

/// Ends the sessions of a user, whose row is locked; not the one to keep, where that is given. A
/// change of the user tells it to the other replicas. Those that have expired are left alone: they
/// may be on their way out.
macro_rules! end_sessions {
    ($tx:ident, $user:expr, $keep:expr, $now:expr) => {{
        let keep: Option<fluxgate_core::SessionId> = $keep;
        $tx.sql(
            "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL \
             AND expires_at > $2 AND ($3 IS NULL OR id <> $3)",
        )
        .bind($user.0)
        .bind(StoredTime($now))
        .bind(keep.map(|session| session.0))
        .execute($tx.connection())
        .await?;
    }};
}
pub(super) use end_sessions;

impl Store {
    /// Replaces a session's refresh token, of which we have the hash, by the next. That we issued
    /// the presented one has been checked: if it is neither the present one nor was replaced within
    /// 10 seconds, it was used twice, and the session ends.
    ///
    /// # Errors
    /// [`StoreError`]. After [`StoreError::TimedOut`] it may be replaced all the same.
    pub async fn refresh_session(
        &self,
        session: SessionId,
        presented: &[u8; 32],
        next: &[u8; 32],
        idle: TimeDelta,
        address: &str,
        now: DateTime<Utc>,
    ) -> Result<Refreshed, StoreError> {
        writing!(self, |tx| {
            if !hold_user_of!(tx, session, None) {
                return Ok(Refreshed::Unknown);
            }
            let row = tx.rows(FIND_SESSION).bind(session.0);
            let row: Option<SessionRow> = row.fetch_optional(tx.connection()).await?;
            let Some(row) = row else { return Ok(Refreshed::Unknown) };
            let mut record = SessionRecord::try_from(row)?;
            if record.has_ended(idle, now) {
                return Ok(Refreshed::Ended);
            }
            let swapped = tx
                .sql(
                    "UPDATE sessions SET refresh_sha256 = $3, last_used_at = $4, address = $5 \
                     WHERE id = $1 AND refresh_sha256 = $2",
                )
                .bind(session.0)
                .bind(presented.to_vec())
                .bind(next.to_vec())
                .bind(StoredTime(now))
                .bind(address.to_owned())
                .execute(tx.connection())
                .await?;
            if swapped.rows_affected() == 1 {
                tx.sql("DELETE FROM superseded_tokens WHERE session_id = $1 AND at < $2")
                    .bind(session.0)
                    .bind(StoredTime(now - SUPERSEDED_KEPT))
                    .execute(tx.connection())
                    .await?;
                tx.sql(
                    "INSERT INTO superseded_tokens (sha256, session_id, at) VALUES ($1, $2, $3)",
                )
                .bind(presented.to_vec())
                .bind(session.0)
                .bind(StoredTime(now))
                .execute(tx.connection())
                .await?;
                note_seen!(tx, record.user.0, now);
                record.last_used_at = now;
                record.address = address.to_owned();
                Refreshed::Refreshed(Box::new(record))
            } else {
                let (superseded,): (bool,) = tx
                    .rows(
                        "SELECT EXISTS (SELECT 1 FROM superseded_tokens \
                         WHERE sha256 = $1 AND session_id = $2 AND at >= $3)",
                    )
                    .bind(presented.to_vec())
                    .bind(session.0)
                    .bind(StoredTime(now - SUPERSEDED_KEPT))
                    .fetch_one(tx.connection())
                    .await?;
                if superseded {
                    return Ok(Refreshed::Superseded);
                }
                end_one!(tx, session, now);
                Refreshed::Replayed(record.user)
            }
        })
    }

    /// Ends a session, and tells the other replicas; only that user's, where one is given. Gives
    /// whether there is such a session: ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_session(
        &self,
        session: SessionId,
        of: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        writing!(self, |tx| {
            let known = hold_user_of!(tx, session, of);
            if known {
                end_one!(tx, session, now);
            }
            known
        })
    }
}
