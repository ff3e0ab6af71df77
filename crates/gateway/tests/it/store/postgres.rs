//! What only a server can meet: a schema made by hand, freezing, dying.

use std::time::{Duration, Instant};

use fluxgate_core::config::Pooler;
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{AUDIT_AT_ONCE, AuditFilter, Store, StoreError};
use fluxgate_testkit::fault_proxy::{FaultProxy, Mode};
use fluxgate_testkit::throwaway::Postgres;
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};

use super::audit::entry;
use super::users::{email, make_member};
use super::{Fresh, at, key_id, new_key, open};

const INIT_SQL: &str = include_str!("../../../../../init.sql");
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/postgres/0001_accounts.sql"),
    include_str!("../../../migrations/postgres/0002_keys.sql"),
    include_str!("../../../migrations/postgres/0003_sessions.sql"),
];

#[tokio::test]
async fn many_starts_on_an_empty_database_migrate_once() {
    let url = Postgres::shared().create_database();
    let url = url.parse().unwrap();
    let opened = join_all((0..6).map(|_| Store::open(&url, None))).await;
    let mut secrets = Vec::new();
    for store in opened {
        secrets.push(store.unwrap().deployment_secret().await.unwrap());
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 1);
}

#[tokio::test]
async fn a_database_made_by_hand_is_the_migrated_one() {
    for migration in MIGRATIONS {
        assert!(INIT_SQL.contains(migration), "init.sql has the migrations' own text");
    }
    let by_hand = Postgres::shared().create_database();
    let mut connection = PgConnection::connect(&by_hand).await.unwrap();
    connection.execute(INIT_SQL).await.unwrap();
    let made = catalog(&mut connection).await;
    let migrated = Fresh::postgres(None).await;
    let mut other = PgConnection::connect(&migrated.url).await.unwrap();
    assert_eq!(made, catalog(&mut other).await);
    assert!(made.len() > 140, "{made:#?}");

    // It is current: opening it changes nothing.
    let store = open(&by_hand, None).await;
    store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    assert_eq!(catalog(&mut connection).await, made);
}

/// Everything that a schema consists of, one line each.
async fn catalog(connection: &mut PgConnection) -> Vec<String> {
    let lines: Vec<(String,)> = sqlx::query_as(
        "SELECT concat_ws(' ', 'column', c.relname, a.attnum, a.attname, \
                format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation) AS line \
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
           LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 \
         UNION ALL SELECT concat_ws(' ', c.relkind, c.relname, c.relrowsecurity, c.relforcerowsecurity) \
           FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace \
         UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
           FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
         UNION ALL SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = 'public' \
         UNION ALL SELECT concat_ws(' ', 'migration', version, name) FROM schema_migrations \
         ORDER BY line",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    lines.into_iter().map(|(line,)| line).collect()
}

#[tokio::test]
async fn a_newer_versions_database_is_left_alone() {
    let fresh = Fresh::postgres(None).await;
    let mut connection = PgConnection::connect(&fresh.url).await.unwrap();
    let newer = "INSERT INTO schema_migrations (version, name) VALUES (999, 'later')";
    connection.execute(newer).await.unwrap();
    let error = Store::open(&fresh.url.parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
    assert!(error.to_string().contains("start the newer version"), "{error}");
}

#[tokio::test]
async fn a_role_that_sees_no_rows_is_told_so_at_start() {
    let fresh = Fresh::postgres(None).await;
    let mut connection = PgConnection::connect(&fresh.url).await.unwrap();
    let stranger = "CREATE ROLE stranger LOGIN; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger";
    connection.execute(stranger).await.unwrap();
    let url = fresh.url.replace("fluxgate:", "stranger:");
    let error = Store::open(&url.parse().unwrap(), None).await.unwrap_err();
    assert!(error.to_string().contains("connect as the role"), "{error}");
}

#[tokio::test]
async fn a_server_that_isnt_there_is_an_error_that_says_why() {
    let port = fluxgate_testkit::free_port();
    let url = format!("postgres://fluxgate:s3cret@127.0.0.1:{port}/fluxgate");
    let error = Store::open(&url.parse().unwrap(), None).await.unwrap_err();
    assert!(error.is_unavailable());
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_frozen_server_is_noticed_within_two_seconds_and_used_again() {
    for pooler in [None, Some(Pooler::Transaction)] {
        let server = Postgres::start();
        let store = open(&server.create_database(), pooler).await;
        store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();

        server.freeze();
        // More than there are connections, some of them with a transaction under way.
        let (before, key) = (Instant::now(), key_id("a"));
        let finding = join_all((0..12).map(|_| async { store.find_key(&key).await }));
        let revoking = store.revoke_key(&key, at(1));
        let (found, revoked) = tokio::join!(finding, revoking);
        assert!(before.elapsed() < Duration::from_millis(2_500), "{:?}", before.elapsed());
        assert!(found.into_iter().all(|found| found.unwrap_err().is_unavailable()));
        assert!(revoked.unwrap_err().is_unavailable());

        server.thaw();
        works_within(&store, Duration::from_secs(5)).await;
        // A call that wasn't confirmed has no effect, or its whole effect.
        let key = store.find_key(&key_id("a")).await.unwrap().unwrap();
        assert_eq!(key.revoked_at.is_some(), store.last_change().await.unwrap() == 1);
    }
}

#[tokio::test]
async fn a_server_that_dies_is_used_again_after_its_restart() {
    let mut server = Postgres::start();
    let store = open(&server.create_database(), None).await;
    join_all((0..8).map(|_| store.ping())).await;
    server.kill();
    let before = Instant::now();
    assert!(store.ping().await.unwrap_err().is_unavailable());
    assert!(before.elapsed() < Duration::from_millis(2_500), "{:?}", before.elapsed());
    server.restart();
    works_within(&store, Duration::from_secs(5)).await;
}

async fn works_within(store: &Store, limit: Duration) {
    let before = Instant::now();
    while let Err(error) = store.ping().await {
        assert!(error.is_unavailable(), "{error}");
        assert!(before.elapsed() < limit, "{error}");
    }
    // Every connection works, not just one of them.
    for outcome in join_all((0..8).map(|_| store.ping())).await {
        outcome.unwrap();
    }
    assert!(before.elapsed() < limit, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_ends_in_time() {
    let fresh = Fresh::postgres(None).await;
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    let mut other = PgConnection::connect(&fresh.url).await.unwrap();
    other.execute("BEGIN; LOCK TABLE change_counter").await.unwrap();
    let before = Instant::now();
    assert!(fresh.store.revoke_key(&key_id("a"), at(1)).await.unwrap_err().is_unavailable());
    assert!(before.elapsed() < Duration::from_millis(2_500));
    other.execute("ROLLBACK").await.unwrap();
    fresh.store.revoke_key(&key_id("a"), at(1)).await.unwrap();
    assert_eq!(fresh.store.last_change().await.unwrap(), 1);
}

/// A store whose database answers so much later, in either direction.
async fn far_away(fresh: &Fresh, delay: Duration) -> (Store, FaultProxy) {
    let port = Postgres::shared().port();
    let proxy = FaultProxy::start(([127, 0, 0, 1], port).into()).await;
    let url = fresh.url.replace(&format!(":{port}/"), &format!(":{}/", proxy.addr.port()));
    assert_ne!(url, fresh.url);
    let store = open(&url, None).await;
    store.ping().await.unwrap();
    proxy.set(Mode::Delay(delay));
    (store, proxy)
}

#[tokio::test]
async fn many_entries_of_the_audit_log_reach_a_database_far_away_in_time() {
    let fresh = Fresh::postgres(None).await;
    let (store, _proxy) = far_away(&fresh, Duration::from_millis(10)).await;
    let entries: Vec<_> = (0..).take(AUDIT_AT_ONCE).map(|second| entry("a", second)).collect();
    store.put_audit(&entries).await.unwrap();
    let listed = fresh.store.list_audit(&AuditFilter::default(), None, 1_000).await.unwrap();
    assert_eq!(listed.len(), entries.len());
}

#[tokio::test]
async fn a_database_far_away_tells_by_its_time_no_known_address_from_an_unknown_one() {
    const DELAY: Duration = Duration::from_millis(50);
    let fresh = Fresh::postgres(None).await;
    make_member(&fresh.store, "bob", 0).await;
    let (store, _proxy) = far_away(&fresh, DELAY).await;
    let time = async |name: &str| {
        let address = email(name);
        let mut least = Duration::MAX;
        for _ in 0..4 {
            let before = Instant::now();
            store.find_login(&address).await.unwrap();
            least = least.min(before.elapsed());
        }
        least
    };
    let (known, unknown) = (time("bob@example.org").await, time("eve@example.org").await);
    // One more statement, there and back, would be two delays.
    assert!(known.abs_diff(unknown) < DELAY, "{known:?} {unknown:?}");
}
