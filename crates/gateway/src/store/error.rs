//! Why the store couldn't do it: either it can't be asked now, or something is wrong with it.

use std::io;
use std::path::PathBuf;

use sqlx::error::DatabaseError;
use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It took too long: frozen, overloaded or cut off.
    #[error("the accounts database didn't answer in time")]
    TimedOut,
    /// It can't be reached, or says that it can't serve now.
    #[error("the accounts database can't serve: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// It answered, with a refusal that waiting won't change.
    #[error("the accounts database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// The URL can't be used.
    #[error("the accounts database's URL can't be used: {0}")]
    Url(#[source] sqlx::Error),
    /// The file of an embedded database can't be used.
    #[error("{}: can't be opened for writing: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A newer program has been here.
    #[error(
        "the accounts database has schema {found}, this program knows up to {known}: \
         start the newer version"
    )]
    TooNew { found: i32, known: i32 },
    /// The tables belong to another role, and row security hides their rows from this one.
    #[error(
        "the accounts database's tables hide their rows from this role: connect as the role that \
         made them, or make it their owner"
    )]
    NotOwner,
    /// A row that this program can't have written.
    #[error("a row of {0} can't be read")]
    Malformed(&'static str),
}

impl StoreError {
    /// Whether it may work again by itself.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        match self {
            Self::TimedOut | Self::Unavailable(_) => true,
            Self::Refused(_)
            | Self::Url(_)
            | Self::File { .. }
            | Self::TooNew { .. }
            | Self::NotOwner
            | Self::Malformed(_) => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = match &error {
            sqlx::Error::PoolTimedOut => return Self::TimedOut,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => true,
            sqlx::Error::Database(answer) => says_not_now(&**answer),
            _ => false,
        };
        if unavailable { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

fn says_not_now(answer: &dyn DatabaseError) -> bool {
    let Some(code) = answer.code() else { return false };
    if let Ok(sqlite) = code.parse::<u32>()
        && code.len() < 5
    {
        // sqlite.org/rescode.html: the low byte is the primary code; BUSY, LOCKED, IOERR, FULL.
        return matches!(sqlite & 0xff, 5 | 6 | 10 | 13);
    }
    // postgresql.org/docs/current/errcodes-appendix.html: connection, resources, operator
    // intervention (shutting down, starting up, cancelled by the statement timeout), lock not
    // available, serialization; and 25006, a standby that was a primary until now.
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57")
        || matches!(&*code, "25006" | "25P03" | "40001" | "40P01" | "55P03")
}
