//! What only the embedded database can meet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{Store, StoreError};
use futures_util::future::join_all;
use sqlx::{Connection, Executor, SqliteConnection};

use super::{Fresh, at, new_key};

fn url(path: &std::path::Path) -> fluxgate_core::secret::SecretUrl {
    format!("sqlite://{}", path.display()).parse().unwrap()
}

#[tokio::test]
async fn many_starts_on_no_file_yet_make_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder.path().join("accounts.db"));
    let opened = join_all((0..8).map(|_| Store::open(&url, None))).await;
    let mut secrets = Vec::new();
    for store in opened {
        secrets.push(store.unwrap().deployment_secret().await.unwrap());
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 1);
}

#[tokio::test]
async fn the_file_and_its_journals_are_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&folder.path().join("accounts.db")), None).await.unwrap();
    store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
        files += 1;
    }
    assert_eq!(files, 3);
}

#[tokio::test]
async fn a_file_that_cant_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in-the-way"), "").unwrap();
    let path = folder.path().join("in-the-way/accounts.db");
    let error = Store::open(&url(&path), None).await.unwrap_err();
    assert!(error.to_string().contains("in-the-way/accounts.db"), "{error}");

    // Root may write everywhere but there.
    let error = Store::open(&url("/proc/accounts.db".as_ref()), None).await.unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
    assert!(error.to_string().starts_with("/proc/accounts.db: can't be opened"), "{error}");
}

#[tokio::test]
async fn a_file_that_isnt_a_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.db");
    fs::write(&path, "a diary, and a long one at that ".repeat(99)).unwrap();
    let error = Store::open(&url(&path), None).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("a diary"));
}

#[tokio::test]
async fn a_newer_versions_database_is_left_alone() {
    let fresh = Fresh::sqlite().await;
    let mut connection = SqliteConnection::connect(&fresh.url).await.unwrap();
    let newer = "INSERT INTO schema_migrations (version, name) VALUES (999, 'later')";
    connection.execute(newer).await.unwrap();
    let error = Store::open(&fresh.url.parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
}

#[tokio::test]
async fn a_locked_database_is_told_from_a_broken_one_within_two_seconds() {
    let fresh = Fresh::sqlite().await;
    let mut other = SqliteConnection::connect(&fresh.url).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let before = Instant::now();
    let error = fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(before.elapsed() < Duration::from_millis(2_500));
    // Who only reads doesn't wait.
    assert_eq!(fresh.store.find_key(&super::key_id("a")).await.unwrap(), None);

    other.execute("ROLLBACK").await.unwrap();
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
}

/// Changes a SQLite file behind the gateway's back, as time would.
pub async fn execute(url: &str, sql: &'static str) {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    connection.execute(sql).await.unwrap();
}
