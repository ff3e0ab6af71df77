//! The accounts store: one suite for every database, then what is each one's own.

mod account_changes;
mod audit;
mod expired;
mod first_start;
mod keys;
mod link_uses;
mod links;
mod lists;
mod passwords;
mod postgres;
mod refresh;
mod sessions;
pub mod sqlite;
mod teams;
mod users;

use chrono::{DateTime, TimeDelta, Utc};
use fluxgate_core::KeyId;
use fluxgate_core::config::Pooler;
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{NewKeyRecord, Store};
use fluxgate_testkit::throwaway;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

/// A fresh database: its URL, and the store on it.
pub struct Fresh {
    pub store: Store,
    url: String,
    pooler: Option<Pooler>,
    _folder: Option<TempDir>,
}

impl Fresh {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        Self { store: open(&url, None).await, url, pooler: None, _folder: Some(folder) }
    }

    pub async fn postgres(pooler: Option<Pooler>) -> Self {
        let url = throwaway::Postgres::shared().create_database();
        Self { store: open(&url, pooler).await, url, pooler, _folder: None }
    }

    /// Changes it behind the gateway's back, as another version would.
    pub async fn execute(&self, sql: &'static str) {
        if self.url.starts_with("sqlite:") {
            sqlite::execute(&self.url, sql).await;
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            connection.execute(sql).await.unwrap();
        }
    }

    /// As another replica opens it, or this one after a restart.
    pub async fn open_again(&self) -> Store {
        open(&self.url, self.pooler).await
    }
}

async fn open(url: &str, pooler: Option<Pooler>) -> Store {
    Store::open(&url.parse().unwrap(), pooler).await.unwrap()
}

/// Runs each test on SQLite, on Postgres, and on Postgres as behind a transaction pooler.
macro_rules! on_each_store {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::store::Fresh::sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::store::Fresh::postgres(None).await).await;
            })+
        }
        mod on_pooled_postgres {
            use fluxgate_core::config::Pooler;
            $(#[tokio::test]
            async fn $name() {
                let fresh = $crate::store::Fresh::postgres(Some(Pooler::Transaction)).await;
                super::$name(fresh).await;
            })+
        }
    };
}
use on_each_store;

on_each_store! {
    a_store_that_is_opened_answers,
    the_deployments_secret_is_drawn_once,
    replicas_that_start_together_migrate_once,
    a_closed_store_says_that_it_cant_serve,
}

async fn a_store_that_is_opened_answers(fresh: Fresh) {
    fresh.store.ping().await.unwrap();
    fresh.open_again().await.ping().await.unwrap();
}

async fn the_deployments_secret_is_drawn_once(fresh: Fresh) {
    let secret = fresh.store.deployment_secret().await.unwrap();
    assert_ne!(secret, [0; 32]);
    assert_eq!(fresh.open_again().await.deployment_secret().await.unwrap(), secret);
    let other = Fresh::sqlite().await.store.deployment_secret().await.unwrap();
    assert_ne!(other, secret);
}

async fn replicas_that_start_together_migrate_once(fresh: Fresh) {
    let before = fresh.store.deployment_secret().await.unwrap();
    let opened = futures_util::future::join_all((0..6).map(|_| fresh.open_again())).await;
    for store in opened {
        assert_eq!(store.deployment_secret().await.unwrap(), before);
    }
}

async fn a_closed_store_says_that_it_cant_serve(fresh: Fresh) {
    fresh.store.close().await;
    assert!(fresh.store.ping().await.unwrap_err().is_unavailable());
}

/// A key that doesn't end; its hash and name tell of its id.
pub fn new_key(id: &str, created_at: DateTime<Utc>) -> NewKeyRecord {
    NewKeyRecord {
        id: key_id(id),
        owner: OPERATOR,
        name: format!("key {id}"),
        secret_sha256: [id.as_bytes()[0]; 32],
        created_at,
        expires_at: None,
        settings: Default::default(),
    }
}

/// Twelve characters that begin with `id`.
pub fn key_id(id: &str) -> KeyId {
    format!("{id:0<12}").parse().unwrap()
}

/// A fixed time, and seconds after it.
pub fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap() + TimeDelta::seconds(second)
}
