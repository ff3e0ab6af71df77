//! Accounts in a file of the data folder, for one replica.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use fluxgate_core::secret::SecretUrl;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::time::{sleep, timeout};

use super::StoreError;
use super::schema::{self, bring_up_to_date};
use super::transaction::{CALL_MAX, Prepared, Tx};

pub const BEGIN_READING: &str = "BEGIN";
/// Takes the writer's lock at once: a reader that turns writer can't wait for it.
pub const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// Less than [`CALL_MAX`], so that the cause is told.
const BUSY_MAX: Duration = Duration::from_millis(1_500);
/// Reads don't wait for the writer.
const READERS_MAX: u32 = 4;
/// Only to make the file or its schema can take longer than a call.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// A change of the journal's mode doesn't wait for locks (sqlite.org/pragma.html#pragma_busy_timeout
/// applies to most statements, not to it): another program opens the file at the same moment.
const OPENS_MAX: u32 = 20;
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Read and written by us alone.
const MODE: u32 = 0o600;

/// See the module.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    pub async fn open(url: &SecretUrl) -> Result<Self, StoreError> {
        let options: SqliteConnectOptions = url.expose().parse().map_err(StoreError::Url)?;
        let options = options.foreign_keys(true).busy_timeout(BUSY_MAX);
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            // WAL without it could lose the last commits with the power.
            .synchronous(SqliteSynchronous::Full);
        make_file(&options)?;
        let opening = timeout(OPEN_MAX, migrate_patiently(&writing)).await;
        opening.map_err(|_| StoreError::TimedOut)??;

        let writer = pool(1).connect_lazy_with(writing);
        let readers = pool(READERS_MAX).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers })
    }

    pub const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub const fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    // An open file costs nothing and can't go stale.
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CALL_MAX)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// SQLite would make it readable by everybody, and gives its journals the file's own mode.
fn make_file(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let path = options.get_filename();
    let opened = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path);
    let file = |source: io::Error| StoreError::File { path: path.to_owned(), source };
    opened.map(drop).map_err(file)
}

async fn migrate_patiently(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let mut left = OPENS_MAX;
    loop {
        match migrate(options).await {
            Err(error) if error.is_unavailable() && left > 0 => left -= 1,
            outcome => return outcome,
        }
        sleep(OPEN_AGAIN_AFTER).await;
    }
}

async fn migrate(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let mut connection: SqliteConnection = options.connect().await?;
    let outcome = bring_up(&mut connection).await;
    connection.close().await?;
    outcome
}

async fn bring_up(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut tx = Tx::<sqlx::Sqlite>::begin(connection, BEGIN_WRITING, Prepared::Never).await?;
    bring_up_to_date!(
        tx,
        schema::SQLITE,
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')"
    );
    tx.commit().await
}
