//! `fluxgate doctor`: finds out what keeps the gateway from working, and says what to do.
//!
//! It changes nothing, and asks every place that the configuration names whether anybody is there.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use fluxgate_core::admin_api::status::Readiness;
use fluxgate_core::config::{Config, Loaded, Program};
use fluxgate_core::secret::SecretUrl;
use fluxgate_gateway::data_folder::{DataFolder, Ports};
use http::Method;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;
use url::Url;

use crate::failure::Failure;
use crate::gateway_client::own_ports;
use crate::http_client::Ask;
use crate::output::{self, Format};
use crate::settings::Settings;
use crate::up::ollama;

/// For somebody to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: u16 = 6379;

/// What was found out about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    state: State,
    detail: String,
    /// What to do about it.
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    /// It works, but not as one may expect.
    Note,
    Bad,
}

impl Finding {
    fn new(check: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state, detail: detail.into(), advice: None }
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// # Errors
/// The configuration's faults; else a failure where anything is bad.
pub async fn run(settings: &Settings, format: Format) -> Result<(), Failure> {
    let loaded = settings.load(Program::Up, &[])?;
    let findings = examine(&loaded).await;
    match format {
        Format::Json => output::json(&json!({ "items": findings }))?,
        Format::Table => {
            let rows: Vec<[String; 4]> = findings.iter().map(row).collect();
            output::table(["CHECK", "STATE", "WHAT", "WHAT TO DO"], &rows)?;
        }
    }
    match findings.iter().filter(|finding| finding.state == State::Bad).count() {
        0 => Ok(()),
        1 => Err(Failure::Refused("one thing is bad".to_owned())),
        count => Err(Failure::Refused(format!("{count} things are bad"))),
    }
}

fn row(finding: &Finding) -> [String; 4] {
    let state = match finding.state {
        State::Good => "good",
        State::Note => "note",
        State::Bad => "BAD",
    };
    let advice = finding.advice.clone().unwrap_or_default();
    [finding.check.clone(), state.to_owned(), finding.detail.clone(), advice]
}

async fn examine(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let source = loaded.file.as_ref().map_or_else(
        || "right; no file was read".to_owned(),
        |file| format!("right; {} was read", file.display()),
    );
    let mut findings =
        vec![Finding::new("configuration", State::Good, source), folder(&config.data_dir)];
    match running(config).await {
        Some(finding) => findings.push(finding),
        None => findings.extend(ports(loaded)),
    }
    findings.extend(models(config).await);
    findings.extend(stores(config).await);
    findings
}

fn folder(path: &Path) -> Finding {
    if !path.exists() {
        let detail = format!("{} is made at the first start", path.display());
        return Finding::new("data folder", State::Good, detail);
    }
    match DataFolder::open(path) {
        Ok(folder) => Finding::new(
            "data folder",
            State::Good,
            format!("{} can be written", folder.path().display()),
        ),
        Err(error) => Finding::new("data folder", State::Bad, error.to_string()),
    }
}

/// The gateway that runs on the data folder, where one does.
async fn running(config: &Config) -> Option<Finding> {
    let bad = |detail: String| Some(Finding::new("gateway", State::Bad, detail));
    let ports = match own_ports(&config.data_dir) {
        Ok(ports) => ports?,
        Err(error) => return bad(error.to_string()),
    };
    let Ports { pid, admin, metrics, .. } = ports;
    let address = admin.or(metrics)?;
    match readiness(address).await {
        Ok(readiness) if readiness.ready => {
            Some(Finding::new("gateway", State::Good, format!("process {pid} runs and is ready")))
        }
        Ok(readiness) => bad(format!("process {pid} runs; failing: {}", failing(&readiness))),
        // The file is a dead one's; the next start replaces it.
        Err(_) => None,
    }
}

fn failing(readiness: &Readiness) -> String {
    match (readiness.failing.join(", "), readiness.draining) {
        (names, false) => names,
        (names, true) if names.is_empty() => "it is draining".to_owned(),
        (names, true) => format!("{names}; it is draining"),
    }
}

async fn readiness(address: SocketAddr) -> Result<Readiness, String> {
    let url = Url::parse(&format!("http://{address}/readyz")).map_err(|error| error.to_string())?;
    let ask = Ask { method: Method::GET, url: &url, token: None, json: None, within: ANSWER_MAX };
    let answer = ask.send().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}

/// Whether each listener could be bound.
fn ports(loaded: &Loaded) -> Vec<Finding> {
    let listeners = loaded.config.listen.listeners().into_iter();
    listeners.filter_map(|(name, address)| port(loaded, name, address?)).collect()
}

fn port(loaded: &Loaded, name: &str, address: SocketAddr) -> Option<Finding> {
    let check = format!("port {name}");
    let error = match TcpListener::bind(address) {
        Ok(_) => return Some(Finding::new(check, State::Good, format!("{address} is free"))),
        Err(error) => error,
    };
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    Some(if in_use && !loaded.chosen(&format!("listen.{name}")) {
        Finding::new(
            check,
            State::Note,
            format!("{address} is in use: `up` takes the next free port"),
        )
    } else {
        Finding::new(check, State::Bad, format!("{address}: {error}")).advice(format!(
            "end the program that has it, or choose another with --set listen.{name}=ADDRESS"
        ))
    })
}

async fn models(config: &Config) -> Vec<Finding> {
    let upstreams = config.effective_upstreams();
    if upstreams.is_empty() {
        return vec![match ollama().await {
            Some(url) => Finding::new("models", State::Good, format!("Ollama answers at {url}")),
            None => Finding::new(
                "models",
                State::Note,
                "none configured, no Ollama: the demo model answers",
            )
            .advice("set DOWNSTREAM_AI_URLS to the URL of a model server"),
        }];
    }
    let mut findings = Vec::new();
    for upstream in upstreams {
        let check = format!("upstream {}", upstream.name);
        let url = upstream.url.as_str();
        let host = upstream.url.host_str().unwrap_or_default();
        findings.push(
            match connect(host, upstream.url.port_or_known_default().unwrap_or(80)).await {
                Ok(()) => Finding::new(check, State::Good, format!("{url} can be reached")),
                Err(error) => Finding::new(check, State::Bad, format!("{url}: {error}"))
                    .advice("start it, or correct its URL"),
            },
        );
    }
    findings
}

async fn stores(config: &Config) -> Vec<Finding> {
    let database = match &config.database.url {
        Some(url) if url.scheme() != "sqlite" => store("database", url, POSTGRES_PORT).await,
        Some(url) => Finding::new("database", State::Good, format!("SQLite, {url}")),
        None => Finding::new("database", State::Good, "SQLite, in the data folder"),
    };
    let redis = match &config.redis.url {
        Some(url) => store("redis", url, REDIS_PORT).await,
        None => Finding::new("redis", State::Good, "none; state is kept in the process"),
    };
    vec![database, redis]
}

async fn store(check: &str, url: &SecretUrl, usual_port: u16) -> Finding {
    let parsed = Url::parse(url.expose()).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or("localhost");
    match connect(host, url.port().unwrap_or(usual_port)).await {
        Ok(()) => Finding::new(check, State::Good, format!("{url} can be reached")),
        Err(error) => Finding::new(check, State::Bad, format!("{url}: {error}"))
            .advice("start it, or correct its URL"),
    }
}

async fn connect(host: &str, port: u16) -> io::Result<()> {
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let connecting = TcpStream::connect((bare_host, port));
    let connected = tokio::time::timeout(ANSWER_MAX, connecting).await;
    connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(drop)
}
