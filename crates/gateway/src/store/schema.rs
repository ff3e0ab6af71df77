//! The schema's versions, and how a database gets the newest.

/// The text that makes one version out of the one before it.
pub struct Migration {
    pub version: i32,
    pub name: &'static str,
    pub script: &'static str,
}

pub const POSTGRES: &[Migration] = &[
    Migration {
        version: 1,
        name: "accounts",
        script: include_str!("../../migrations/postgres/0001_accounts.sql"),
    },
    Migration {
        version: 2,
        name: "keys",
        script: include_str!("../../migrations/postgres/0002_keys.sql"),
    },
    Migration {
        version: 3,
        name: "sessions",
        script: include_str!("../../migrations/postgres/0003_sessions.sql"),
    },
];

pub const SQLITE: &[Migration] = &[
    Migration {
        version: 1,
        name: "accounts",
        script: include_str!("../../migrations/sqlite/0001_accounts.sql"),
    },
    Migration {
        version: 2,
        name: "keys",
        script: include_str!("../../migrations/sqlite/0002_keys.sql"),
    },
    Migration {
        version: 3,
        name: "sessions",
        script: include_str!("../../migrations/sqlite/0003_sessions.sql"),
    },
];

/// Applies in a transaction what is missing, and makes the deployment's secret where it has none.
/// `$exists` answers whether the table of versions is there: asking doesn't need the right to
/// create one.
macro_rules! bring_up_to_date {
    ($tx:ident, $migrations:expr, $exists:expr) => {{
        let migrations: &[$crate::store::schema::Migration] = $migrations;
        let (exists,): (bool,) = $tx.rows($exists).fetch_one($tx.connection()).await?;
        let found = if exists {
            let latest = $tx.rows("SELECT max(version) FROM schema_migrations");
            let (version,): (Option<i32>,) = latest.fetch_one($tx.connection()).await?;
            version.unwrap_or(0)
        } else {
            0
        };
        let known = migrations.last().map_or(0, |newest| newest.version);
        if found > known {
            return Err($crate::store::StoreError::TooNew { found, known });
        }
        for migration in migrations.iter().filter(|migration| migration.version > found) {
            sqlx::raw_sql(migration.script).execute($tx.connection()).await?;
            $tx.sql("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
                .bind(migration.version)
                .bind(migration.name)
                .execute($tx.connection())
                .await?;
        }
        $tx.sql(
            "INSERT INTO deployment (name, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING",
        )
        .bind(rand::random::<[u8; 32]>().to_vec())
        .execute($tx.connection())
        .await?;
    }};
}

pub(super) use bring_up_to_date;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

    /// The steps by which SQLite does what a statement says.
    pub async fn plan(statement: &str) -> Vec<String> {
        let mut database = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for migration in super::SQLITE {
            sqlx::raw_sql(migration.script).execute(&mut database).await.unwrap();
        }
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps = sqlx::query_as(explained).fetch_all(&mut database).await;
        let steps: Vec<(i64, i64, i64, String)> = steps.unwrap();
        steps.into_iter().map(|(.., step)| step).collect()
    }
}
