//! What replicas tell each other through the database: a short list of what was changed, polled
//! where nothing faster reaches them.

use chrono::TimeDelta;
use fluxgate_core::{KeyId, SessionId, Subject, TeamId, UserId};

use super::transaction::reading;
use super::{Store, StoreError};

/// The kind of a change of a key's facts; its subject is the key's.
pub const KEY: &str = "key";
/// The kind of a change of a user's facts, which concern all of their keys.
pub const USER: &str = "user";
/// The kind of a change of a team's facts, which concern all of its members.
pub const TEAM: &str = "team";
/// The kind of a session's end; its subject is [`session`].
pub const SESSION: &str = "session";
const SESSION_PREFIX: &str = "session:";
/// How long a change is listed: longer than any replica uses facts that it read before.
pub const CHANGES_KEPT: TimeDelta = TimeDelta::hours(1);
/// In one answer; a reader that gets as many asks again.
const CHANGES_MAX: i64 = 1_000;

/// One entry of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Ids rise by one in the order in which changes took effect.
    pub id: i64,
    pub of: ChangeOf,
}

/// Whose facts have to be read anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeOf {
    Key(KeyId),
    /// All of theirs: keys, sessions.
    User(UserId),
    /// It has ended.
    Session(SessionId),
    /// Members may have been taken out of it.
    Team(TeamId),
    /// What a newer version wrote, as it stands there.
    Unknown(String),
}

impl Store {
    /// The id of the newest change: where a replica begins to follow.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let (last,): (i64,) = reading!(self, |tx| {
            let last = tx.rows("SELECT last FROM change_counter");
            last.fetch_one(tx.connection()).await?
        })?;
        Ok(last)
    }

    /// The changes after that one, oldest first, at most 1,000. They are listed for an hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_after(&self, id: i64) -> Result<Vec<Change>, StoreError> {
        let rows: Vec<(i64, String, String)> = reading!(self, |tx| {
            tx.rows("SELECT id, kind, subject FROM changes WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(id)
                .bind(CHANGES_MAX)
                .fetch_all(tx.connection())
                .await?
        })?;
        let change =
            |(id, kind, subject): (i64, String, String)| Change { id, of: of(&kind, subject) };
        Ok(rows.into_iter().map(change).collect())
    }
}

/// How a session is written as the subject of a change.
pub fn session(id: SessionId) -> String {
    format!("{SESSION_PREFIX}{id}")
}

fn of(kind: &str, subject: String) -> ChangeOf {
    if kind == SESSION {
        let id = subject.strip_prefix(SESSION_PREFIX).and_then(|id| id.parse().ok());
        return id.map_or(ChangeOf::Unknown(subject), ChangeOf::Session);
    }
    match subject.parse() {
        Ok(Subject::Key(key)) if kind == KEY => ChangeOf::Key(key),
        Ok(Subject::User(user)) if kind == USER => ChangeOf::User(user),
        Ok(Subject::Team(team)) if kind == TEAM => ChangeOf::Team(team),
        _ => ChangeOf::Unknown(subject),
    }
}

/// Lists a change in the transaction that makes it, and drops what is too old. The counter's row
/// stays locked until the end of the transaction: ids become visible in their order.
macro_rules! note_change {
    ($tx:ident, $kind:expr, $subject:expr, $now:expr) => {{
        let counted = $tx.rows("UPDATE change_counter SET last = last + 1 RETURNING last");
        let (id,): (i64,) = counted.fetch_one($tx.connection()).await?;
        $tx.sql("INSERT INTO changes (id, kind, subject, at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind($kind)
            .bind($subject)
            .bind(StoredTime($now))
            .execute($tx.connection())
            .await?;
        $tx.sql("DELETE FROM changes WHERE at < $1")
            .bind(StoredTime($now - $crate::store::changes::CHANGES_KEPT))
            .execute($tx.connection())
            .await?;
    }};
}
pub(super) use note_change;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_a_newer_version_wrote_is_unknown() {
        let user = Subject::User(UserId::generate()).to_string();
        for (kind, subject) in [("later", "later:1"), ("later", &*user), (SESSION, &*user)] {
            assert_eq!(of(kind, subject.to_owned()), ChangeOf::Unknown(subject.to_owned()));
        }
        let id = SessionId::generate();
        assert_eq!(of(SESSION, session(id)), ChangeOf::Session(id));
    }
}
