//! What it costs to know who asks: the credential is read from a request's head, its facts are found
//! in the data thread's memory among 100,000 keys, its secret or signature is checked, and whether it
//! may be used.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr};

use chrono::{TimeDelta, Utc};
use divan::Bencher;
use fluxgate_core::SessionId;
use fluxgate_core::admin_api::Grant;
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::ListenerKind;
use fluxgate_gateway::benched::{
    AccessTokens, ClientAddr, NewKey, PrincipalCache, PrincipalDirectory, identify,
};
use fluxgate_gateway::store::{NewSession, Store};
use futures_util::FutureExt;
use http::Request;
use http::request::{Builder, Parts};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// As many as a data thread remembers, but for the session.
const KEYS: usize = 99_990;
/// Keys that ask by turns, so that no two in a row share a cache line.
const ASKING: usize = 1_009;
const JWT_SECRET: &str = "bench-jwt-secret-0123456789abcdef0123";
const CLIENT: ClientAddr = ClientAddr(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// A data thread's memory, and the heads of requests of whoever is in it.
struct Stage {
    runtime: Runtime,
    local: LocalSet,
    principals: PrincipalCache,
    tokens: AccessTokens,
    by_key: Vec<Parts>,
    by_bearer: Parts,
    by_cookie: Parts,
    malformed: Parts,
    _folder: TempDir,
}

fn main() {
    divan::main();
}

thread_local! {
    static STAGE: &'static Stage = Box::leak(Box::new(Stage::new()));
}

#[divan::bench(sample_count = 300, sample_size = 100)]
fn a_known_key(bencher: Bencher<'_, '_>) {
    STAGE.with(|stage| {
        let mut turn = 0;
        stage.measure(bencher, move || {
            turn = (turn + 1) % ASKING;
            stage.by_key.get(turn).is_some_and(|head| stage.identifies(head))
        });
    });
}

#[divan::bench(sample_count = 300, sample_size = 100)]
fn a_session_by_bearer(bencher: Bencher<'_, '_>) {
    STAGE.with(|stage| stage.measure(bencher, || stage.identifies(&stage.by_bearer)));
}

#[divan::bench(sample_count = 300, sample_size = 100)]
fn a_session_by_cookie(bencher: Bencher<'_, '_>) {
    STAGE.with(|stage| stage.measure(bencher, || stage.identifies(&stage.by_cookie)));
}

#[divan::bench(sample_count = 300, sample_size = 100)]
fn a_malformed_key(bencher: Bencher<'_, '_>) {
    STAGE.with(|stage| stage.measure(bencher, || !stage.identifies(&stage.malformed)));
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (local, folder) = (LocalSet::new(), tempfile::tempdir().unwrap());
        let url = format!("sqlite://{}/accounts.db", folder.path().display());
        let tokens = AccessTokens::new(&JWT_SECRET.into(), None);
        let keys: Vec<NewKey> = (0..KEYS).map(|_| NewKey::generate()).collect();
        let (session, now) = (SessionId::generate(), Utc::now());
        let ends = now + TimeDelta::days(1);
        let (access, _) = tokens.draw(session, ends, now).unwrap();

        let filled = local.block_on(&runtime, async {
            let store = Store::open(&url.parse().unwrap(), None).await.unwrap();
            keep(&url, &keys).await;
            let new = NewSession {
                id: session,
                user: OPERATOR,
                grant: Grant::Bearer,
                refresh_sha256: [0; 32],
                created_at: now,
                expires_at: ends,
                device: String::new(),
                address: String::new(),
            };
            assert!(store.open_session(&new, None).await.unwrap());
            let directory = PrincipalDirectory::new(store, tokio::runtime::Handle::current());
            PrincipalCache::new(directory)
        });
        let bearer = |credential: &str| {
            head(request().header("authorization", format!("Bearer {credential}")))
        };
        let heads: Vec<Parts> = keys.iter().map(|key| bearer(key.reveal())).collect();
        let step = KEYS / ASKING;
        let cookie = format!("theme=dark; __Host-fluxgate_session={}; lang=en", access.expose());
        let page = request()
            .header("origin", "http://127.0.0.1:3000")
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookie);
        let stage = Self {
            by_bearer: bearer(access.expose()),
            by_cookie: head(page),
            malformed: bearer(keys.first().unwrap().reveal().replace("sk-fg-", "sk-gf-").as_str()),
            by_key: heads.iter().step_by(step).take(ASKING).cloned().collect(),
            principals: filled,
            runtime,
            local,
            tokens,
            _folder: folder,
        };
        stage.local.block_on(&stage.runtime, async {
            for head in heads.iter().chain([&stage.by_bearer]) {
                assert!(stage.identify(head).await, "who is there is found");
            }
        });
        stage
    }

    /// In the place of a data thread, which also reads anew what has grown old.
    fn measure(&self, bencher: Bencher<'_, '_>, mut identify: impl FnMut() -> bool) {
        let measured = async { bencher.bench_local(|| assert!(identify())) };
        self.local.block_on(&self.runtime, measured);
    }

    /// Nothing is waited for: it is all in memory.
    fn identifies(&self, head: &Parts) -> bool {
        self.identify(head).now_or_never().expect("the memory has it")
    }

    /// As `proxy::handle` does it.
    async fn identify(&self, head: &Parts) -> bool {
        let shown = identify::shown(head, ListenerKind::Web, &self.tokens, None);
        let Ok(credential) = shown else { return false };
        let found = identify::principal(&self.principals, CLIENT, &credential).await;
        found.is_ok_and(|principal| identify::check(&principal, CLIENT, None).is_ok())
    }
}

/// What clients send besides their credential.
fn request() -> Builder {
    Request::post("/v1/chat/completions")
        .header("host", "127.0.0.1:3000")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, deflate")
        .header("content-type", "application/json")
        .header("content-length", "1024")
        .header("user-agent", "OpenAI/Python 1.109.1")
        .header("x-stainless-lang", "python")
}

fn head(request: Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

/// In one transaction: through the API it would take minutes.
async fn keep(url: &str, keys: &[NewKey]) {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    for key in keys {
        let insert = "INSERT INTO api_keys (id, owner, name, secret_sha256, created_at) \
                      VALUES ($1, $2, 'bench', $3, unixepoch() * 1000000)";
        sqlx::query(insert)
            .bind(key.id.to_string())
            .bind(OPERATOR.0)
            .bind(key.secret_sha256.0.as_slice())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
}
