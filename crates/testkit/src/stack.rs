//! A whole gateway in front of a demo model, in the test's own process: on free ports, in a folder
//! of its own, with a key. What a test wants otherwise it says in the [`Plan`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use fluxgate_core::config::{self, Program, Sources};
use fluxgate_demo::{DemoConfig, DemoModel, Pace, Stats};
use fluxgate_gateway::{ListenerKind, Running, Setup, StartError};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wire;

/// The operator's token of every test stack.
pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789abcdef0123";
/// The guard's.
pub const GUARD_TOKEN: &str = "test-guard-token-0123456789abcdef0123";

/// What signs its sessions.
pub const JWT_SECRET: &str = "test-jwt-secret-0123456789abcdef0123";

/// The configuration file of a stack that has one, in its folder.
const FILE: &str = "fluxgate.toml";

/// What a stack is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Settings by dotted path, such as `("listen.idle_s", "1")`.
    settings: Vec<(String, String)>,
    demo: DemoConfig,
    /// Base URLs instead of the demo model's.
    upstreams: Option<Vec<String>>,
    database: Option<String>,
    file: Option<String>,
    jwt_secret: &'static str,
}

impl Default for Plan {
    /// SQLite, one data thread, a well-behaved demo model at full speed.
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            demo: DemoConfig { pace: Pace::NONE, ..DemoConfig::default() },
            upstreams: None,
            database: None,
            file: None,
            jwt_secret: JWT_SECRET,
        }
    }
}

impl Plan {
    /// A setting by its dotted path.
    #[must_use]
    pub fn set(mut self, path: &str, value: &str) -> Self {
        self.settings.push((path.to_owned(), value.to_owned()));
        self
    }

    /// How the demo model is set up. Models that misbehave are asked for by name:
    /// `demo!die-after=3`, once they are listed here.
    #[must_use]
    pub fn demo(mut self, demo: DemoConfig) -> Self {
        self.demo = demo;
        self
    }

    /// Further names that the demo model lists.
    #[must_use]
    pub fn models(mut self, names: &[&str]) -> Self {
        self.demo.extra_models.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// These model servers instead of the demo model.
    #[must_use]
    pub fn upstreams(mut self, urls: &[String]) -> Self {
        self.upstreams = Some(urls.to_vec());
        self
    }

    /// This database instead of a SQLite file of its own.
    #[must_use]
    pub fn database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }

    /// A configuration file: `fluxgate.toml` in the stack's folder, read again at each reload.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Without the variable: the secret stands in the file, where a reload finds another.
    #[must_use]
    pub fn without_jwt_secret(mut self) -> Self {
        self.jwt_secret = "";
        self
    }

    /// Starts it and makes a key.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn start(self) -> TestStack {
        self.try_start().await.expect("the gateway starts")
    }

    /// Starts it, where a test wants to see that it doesn't.
    ///
    /// # Errors
    /// The gateway's own.
    ///
    /// # Panics
    /// Where the configuration has faults.
    pub async fn try_start(self) -> Result<TestStack, StartError> {
        let folder = tempfile::Builder::new()
            .prefix("fluxgate-test-")
            .tempdir()
            .expect("the folder of temporary files can be written");
        let demo = Demo::start(self.demo.clone()).await;
        if let Some(text) = &self.file {
            std::fs::write(folder.path().join(FILE), text).expect("its own folder can be written");
        }
        let sources = self.sources(folder.path(), demo.addr);
        let read = move || config::load(&sources, Program::Up).map(|loaded| loaded.config);
        let running = fluxgate_gateway::start(Setup {
            config: read().unwrap_or_else(|faults| panic!("{faults}")),
            movable: Vec::new(),
            read_again: Arc::new(read),
            ports_file: "ports.json",
            make_first_key: false,
            demo_model: None,
        })
        .await?;
        let address = |kind| running.address(kind).expect("every listener is on");
        let mut stack = TestStack {
            clear: address(ListenerKind::PublicClear),
            tls: address(ListenerKind::PublicTls),
            web: address(ListenerKind::Web),
            admin: address(ListenerKind::Admin),
            metrics: address(ListenerKind::Metrics),
            key: String::new(),
            running: Some(running),
            demo,
            folder,
        };
        stack.key = stack.create_key("test").await;
        Ok(stack)
    }

    fn sources(&self, folder: &Path, demo: SocketAddr) -> Sources {
        let database = self
            .database
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}/accounts.db", folder.display()));
        let upstreams = self.upstreams.clone().unwrap_or_else(|| vec![format!("http://{demo}")]);
        let free = "127.0.0.1:0";
        let env = [
            ("FLUXGATE_DATA_DIR", folder.display().to_string()),
            ("DATABASE_URL", database),
            ("DOWNSTREAM_AI_URLS", upstreams.join(",")),
            ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("GUARD_TOKEN", GUARD_TOKEN.to_owned()),
            ("JWT_SECRET", self.jwt_secret.to_owned()),
            ("GATEWAY_HTTPS_ADDR", free.to_owned()),
            ("GATEWAY_HTTP_ADDR", free.to_owned()),
            ("GATEWAY_ADMIN_ADDR", free.to_owned()),
            ("GATEWAY_METRICS_ADDR", free.to_owned()),
            ("WEB_ADDR", free.to_owned()),
            ("GATEWAY_WORKERS", "1".to_owned()),
        ];
        Sources {
            // Never the file of the folder in which the tests run.
            file: Some(self.file.as_ref().map_or("/dev/null".into(), |_| folder.join(FILE))),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            flags: self.settings.clone(),
        }
    }
}

/// A running gateway and the demo model behind it. Dropped without [`TestStack::stop`], it is left
/// to the end of the test's process.
#[derive(Debug)]
pub struct TestStack {
    /// The public API in clear text.
    pub clear: SocketAddr,
    /// The public API over TLS, with a self-signed certificate.
    pub tls: SocketAddr,
    pub web: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
    /// A key that may use every model.
    pub key: String,
    pub running: Option<Running>,
    pub demo: Demo,
    pub folder: TempDir,
}

impl TestStack {
    /// A stack by the default plan.
    pub async fn start() -> Self {
        Plan::default().start().await
    }

    /// Makes a further key.
    ///
    /// # Panics
    /// Where the gateway makes none.
    pub async fn create_key(&self, name: &str) -> String {
        let body = serde_json::json!({ "name": name }).to_string();
        let answer = self.operator("POST", "/api/v1/keys", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["key"].as_str().expect("a new key is told").to_owned()
    }

    /// Asks the admin listener as the operator.
    pub async fn operator(&self, method: &str, path: &str, body: &str) -> wire::Answer {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json")];
        wire::ask(self.admin, &wire::request(method, path, &headers, body.as_bytes())).await
    }

    /// Posts to a model route with the stack's key.
    pub async fn post(&self, path: &str, body: &str) -> wire::Answer {
        wire::ask(self.clear, &self.posting(path, body)).await
    }

    /// Gets from a model route with the stack's key.
    pub async fn get(&self, path: &str) -> wire::Answer {
        let authorization = format!("Bearer {}", self.key);
        let request = wire::request("GET", path, &[("authorization", &authorization)], b"");
        wire::ask(self.clear, &request).await
    }

    /// The bytes of such a post.
    #[must_use]
    pub fn posting(&self, path: &str, body: &str) -> Vec<u8> {
        let authorization = format!("Bearer {}", self.key);
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json")];
        wire::request("POST", path, &headers, body.as_bytes())
    }

    /// The value of a metric with these labels, as Prometheus writes them: `name{label="value"}`.
    /// Labels stand in alphabetical order of nothing: each given part must be in the line.
    pub async fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        let text =
            wire::ask(self.metrics, &wire::request("GET", "/metrics", &[], b"")).await.text();
        text.lines()
            .filter(|line| line.starts_with(name) && parts.iter().all(|part| line.contains(part)))
            .filter(|line| matches!(line.as_bytes().get(name.len()), Some(b'{' | b' ')))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Ends the gateway, as SIGTERM would.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// A demo model of a test's own.
#[derive(Debug)]
pub struct Demo {
    pub addr: SocketAddr,
    pub stats: Arc<Stats>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Demo {
    /// Starts one.
    ///
    /// # Panics
    /// Where it can't be bound.
    pub async fn start(config: DemoConfig) -> Self {
        let model = DemoModel::bind(config).await.expect("the demo model is bound");
        let (addr, stats) = (model.local_addr(), model.stats());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(model.serve(async {
            let _ = stopped.await;
        }));
        Self { addr, stats, stop: Some(stop), serving: Some(serving) }
    }

    /// Ends it: its port refuses connections afterwards.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.await;
        }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
