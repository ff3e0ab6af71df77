//! Accounts in Postgres, shared by all replicas.

use std::time::Duration;

use fluxgate_core::config::Pooler;
use fluxgate_core::secret::SecretUrl;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::StoreError;
use super::schema::{self, bring_up_to_date};
use super::transaction::{CALL_MAX, Prepared, Tx};

/// The server gives up when we do, and lets go of locks where a replica was stopped in its tracks.
pub const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";
const BEGIN_MIGRATING: &str = "BEGIN; SET LOCAL statement_timeout = '30s'; \
     SET LOCAL idle_in_transaction_session_timeout = '30s'";

/// Replicas share the server's connections; look-ups and changes of accounts are few.
const CONNECTIONS_MAX: u32 = 8;
/// Unused ones are given back after this.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// Statements kept by each connection: more than there are in this folder.
const STATEMENTS_MAX: usize = 128;
/// To connect and to be let in, at start.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// To bring the schema up to date, and before that to wait for another replica that does.
const MIGRATE_MAX: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    prepared: Prepared,
}

impl Postgres {
    pub async fn open(url: &SecretUrl, pooler: Option<Pooler>) -> Result<Self, StoreError> {
        let prepared = match pooler {
            Some(Pooler::Transaction) => Prepared::Never,
            Some(Pooler::Session) | None => Prepared::Kept,
        };
        let options: PgConnectOptions = url.expose().parse().map_err(StoreError::Url)?;
        let options = options
            .application_name("fluxgate-gateway")
            // Poolers refuse to start a session with settings they don't know.
            .extra_float_digits(None)
            .statement_cache_capacity(match prepared {
                Prepared::Kept => STATEMENTS_MAX,
                Prepared::Never => 0,
            });
        // Not through the pool, which hides why it can't connect.
        let connecting = timeout(CONNECT_MAX, options.connect()).await;
        let mut connection = connecting.map_err(|_| StoreError::TimedOut)??;
        let migrating = timeout(MIGRATE_MAX, migrate(&mut connection, prepared)).await;
        migrating.map_err(|_| StoreError::TimedOut)??;
        // It is closed in any case.
        let _ = timeout(CALL_MAX, connection.close()).await;

        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CALL_MAX)
            .idle_timeout(IDLE_MAX)
            .connect_lazy_with(options);
        Ok(Self { pool, prepared })
    }

    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub const fn prepared(&self) -> Prepared {
        self.prepared
    }
}

/// The lock ends with the transaction, wherever a pooler takes the connection afterwards. Its
/// number is "fluxgate" in ASCII; `init.sql` takes the same.
async fn migrate(connection: &mut PgConnection, prepared: Prepared) -> Result<(), StoreError> {
    let mut tx = Tx::<sqlx::Postgres>::begin(connection, BEGIN_MIGRATING, prepared).await?;
    tx.sql("SELECT pg_advisory_xact_lock(7380403049344365669)").execute(tx.connection()).await?;
    // Rows that are hidden would read as none: an old or an empty database.
    let hidden =
        "SELECT coalesce(row_security_active(to_regclass('schema_migrations')::oid), false)";
    if let (true,) = tx.rows(hidden).fetch_one(tx.connection()).await? {
        return Err(StoreError::NotOwner);
    }
    bring_up_to_date!(tx, schema::POSTGRES, "SELECT to_regclass('schema_migrations') IS NOT NULL");
    tx.commit().await
}
