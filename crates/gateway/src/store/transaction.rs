//! How the store talks to a database: every call is one transaction, and none waits for longer
//! than [`CALL_MAX`].
//!
//! That is what a transaction pooler needs (it may change the server's process between
//! transactions, so nothing may be left in a session), and it serves everybody else as well.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::query::{Query, QueryAs};
use sqlx::{Connection, Database, Pool, QueryBuilder, SqlSafeStr, Transaction};
use tokio::time::{Instant, timeout_at};

use super::StoreError;

/// The longest wait for a store: a dead or frozen one is noticed within this.
pub const CALL_MAX: Duration = Duration::from_secs(2);

/// A transaction, and the one way in which statements are sent in it.
pub struct Tx<'c, DB: Database> {
    transaction: Transaction<'c, DB>,
    prepared: Prepared,
}

/// Whether the database may remember statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// It remembers them for the connection.
    Kept,
    /// The connection's server changes: nothing is kept between statements.
    Never,
}

impl<'c, DB> Tx<'c, DB>
where
    DB: Database + sqlx::database::HasStatementCache,
{
    pub async fn begin(
        connection: &'c mut DB::Connection,
        statement: &'static str,
        prepared: Prepared,
    ) -> Result<Self, StoreError> {
        // Bare, its lifetime would keep the future from being `Send` (rust-lang/rust#100013).
        let statement = statement.into_sql_str();
        Ok(Self { transaction: connection.begin_with(statement).await?, prepared })
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    /// What statements run on.
    pub fn connection(&mut self) -> &mut DB::Connection {
        &mut self.transaction
    }

    /// A statement; parameters are `$1`, `$2`, …, in both dialects.
    pub fn sql(&self, text: &'static str) -> Query<'static, DB, DB::Arguments> {
        sqlx::query(text).persistent(self.prepared == Prepared::Kept)
    }

    /// A statement whose text is put together, of parts of ours and values that are bound.
    pub fn builder(&self, begin: &'static str) -> QueryBuilder<DB> {
        QueryBuilder::new(begin)
    }

    /// A statement that answers with rows of a tuple.
    pub fn rows<R>(&self, text: &'static str) -> QueryAs<'static, DB, R, DB::Arguments>
    where
        R: for<'r> sqlx::FromRow<'r, DB::Row>,
    {
        sqlx::query_as(text).persistent(self.prepared == Prepared::Kept)
    }
}

/// A connection of the pool.
pub async fn acquire<DB: Database>(
    pool: &Pool<DB>,
    deadline: Instant,
) -> Result<PoolConnection<DB>, StoreError> {
    Ok(timeout_at(deadline, pool.acquire()).await.map_err(|_| StoreError::TimedOut)??)
}

/// Runs `$work` in a transaction of a pool's connection.
macro_rules! transact {
    ($db:ty, $pool:expr, $begin:expr, $prepared:expr, |$tx:ident| $work:block) => {{
        let deadline = tokio::time::Instant::now() + $crate::store::transaction::CALL_MAX;
        let mut connection = $crate::store::transaction::acquire($pool, deadline).await?;
        let work = async {
            type Begun<'c> = $crate::store::transaction::Tx<'c, $db>;
            let begun = Begun::begin(&mut connection, $begin, $prepared).await;
            #[allow(unused_mut, reason = "some work needs no `mut`")]
            let mut $tx = begun?;
            let done = $work;
            $tx.commit().await?;
            Ok::<_, $crate::store::StoreError>(done)
        };
        let outcome = tokio::time::timeout_at(deadline, work).await;
        outcome.unwrap_or_else(|_| {
            // Whatever it is in the middle of, nobody waits for it: the socket is closed, and the
            // pool may open another.
            drop(connection.detach());
            Err($crate::store::StoreError::TimedOut)
        })
    }};
}

/// Runs a block in a transaction that only reads, on whichever database it is. The block's value
/// is the answer; `?` in it ends the transaction without an effect.
macro_rules! reading {
    ($store:expr, |$tx:ident| $work:block) => {
        match $store {
            $crate::store::Store::Postgres(postgres) => $crate::store::transaction::transact!(
                sqlx::Postgres,
                postgres.pool(),
                $crate::store::postgres::BEGIN,
                postgres.prepared(),
                |$tx| $work
            ),
            $crate::store::Store::Sqlite(sqlite) => $crate::store::transaction::transact!(
                sqlx::Sqlite,
                sqlite.readers(),
                $crate::store::sqlite::BEGIN_READING,
                $crate::store::transaction::Prepared::Kept,
                |$tx| $work
            ),
        }
    };
}

/// As [`reading`], for a transaction that writes.
macro_rules! writing {
    ($store:expr, |$tx:ident| $work:block) => {
        match $store {
            $crate::store::Store::Postgres(postgres) => $crate::store::transaction::transact!(
                sqlx::Postgres,
                postgres.pool(),
                $crate::store::postgres::BEGIN,
                postgres.prepared(),
                |$tx| $work
            ),
            $crate::store::Store::Sqlite(sqlite) => $crate::store::transaction::transact!(
                sqlx::Sqlite,
                sqlite.writer(),
                $crate::store::sqlite::BEGIN_WRITING,
                $crate::store::transaction::Prepared::Kept,
                |$tx| $work
            ),
        }
    };
}

pub(super) use {reading, transact, writing};
