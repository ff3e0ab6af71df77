//! Which model answers: a configured one, else an Ollama on its usual port, else the demo model.

use std::net::SocketAddr;
use std::time::Duration;

use fluxgate_core::config::{Config, Upstream};
use fluxgate_demo::{DemoConfig, DemoModel};
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use crate::failure::Failure;
use crate::http_client::Ask;

/// Where Ollama listens unless it is told otherwise.
const OLLAMA: &str = "http://127.0.0.1:11434";
/// One on this machine answers at once; nobody waits at start for one that doesn't.
const OLLAMA_ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub enum Model {
    Configured,
    Ollama(Url),
    Demo(RunningDemo),
}

/// The demo model in this process.
#[derive(Debug)]
pub struct RunningDemo {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Model {
    /// Looks around, and starts the demo model where there is nothing else.
    ///
    /// # Errors
    /// Where the demo model finds no port.
    pub async fn choose(config: &Config) -> Result<Self, Failure> {
        if !config.effective_upstreams().is_empty() {
            return Ok(Self::Configured);
        }
        match ollama().await {
            Some(url) => Ok(Self::Ollama(url)),
            None => Ok(Self::Demo(RunningDemo::start().await?)),
        }
    }

    /// The upstream that it is, where it isn't a configured one.
    pub fn entry(&self) -> Option<Upstream> {
        let entry = match self {
            Self::Configured => return None,
            Self::Ollama(url) => json!({ "name": "ollama", "url": url, "kind": "ollama" }),
            Self::Demo(demo) => {
                json!({ "name": "demo-model", "url": format!("http://{}", demo.address) })
            }
        };
        upstream(entry)
    }

    /// Where the demo model listens.
    pub fn demo_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Demo(demo) => Some(demo.address),
            Self::Configured | Self::Ollama(_) => None,
        }
    }

    /// Ends what was started here.
    pub async fn stop(self) {
        if let Self::Demo(demo) = self {
            demo.stop.cancel();
            if let Err(error) = demo.task.await {
                warn!(%error, "the demo model failed");
            }
        }
    }
}

impl RunningDemo {
    async fn start() -> Result<Self, Failure> {
        let model = DemoModel::bind(DemoConfig::default()).await?;
        let (address, stop) = (model.local_addr(), CancellationToken::new());
        let task = tokio::spawn(model.serve(stop.clone().cancelled_owned()));
        Ok(Self { address, stop, task })
    }
}

/// An entry with every default of the configuration's own.
fn upstream(entry: Value) -> Option<Upstream> {
    serde_json::from_value(entry).inspect_err(|error| warn!(%error, "an entry can't be made")).ok()
}

/// Ollama, if it is there.
pub async fn ollama() -> Option<Url> {
    let base = Url::parse(OLLAMA).ok()?;
    let url = base.join("/api/version").ok()?;
    let ask = Ask {
        method: Method::GET,
        url: &url,
        token: None,
        json: None,
        within: OLLAMA_ANSWERS_WITHIN,
    };
    let answer = ask.send().await.ok()?;
    let version: Value = serde_json::from_slice(&answer.body).ok()?;
    (answer.status.is_success() && version.get("version").is_some()).then_some(base)
}
