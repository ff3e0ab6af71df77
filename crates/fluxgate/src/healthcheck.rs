//! `fluxgate healthcheck`: whether a gateway is alive, for container runtimes and scripts.

use std::time::Duration;

use clap::Args;
use fluxgate_core::config::Program;
use fluxgate_gateway::data_folder::Ports;
use http::Method;
use serde_json::json;
use url::Url;

use crate::failure::Failure;
use crate::gateway_client::own_ports;
use crate::http_client::Ask;
use crate::output::{self, Format};
use crate::settings::Settings;

const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Asked where the URL names no path.
const ALIVE: &str = "/healthz";

#[derive(Debug, Args)]
pub struct Arguments {
    /// What to ask, such as http://127.0.0.1:9464/readyz; without one, the gateway that runs on
    /// the data folder, whether it is alive.
    url: Option<Url>,
}

/// # Errors
/// Where nobody answers, or the answer isn't a good one.
pub async fn run(
    settings: &Settings,
    arguments: &Arguments,
    format: Format,
) -> Result<(), Failure> {
    let mut url = match &arguments.url {
        Some(url) => url.clone(),
        None => own_url(settings)?,
    };
    if url.path() == "/" {
        url.set_path(ALIVE);
    }
    let ask = Ask { method: Method::GET, url: &url, token: None, json: None, within: ANSWER_MAX };
    let answer =
        ask.send().await.map_err(|error| Failure::Unreachable(format!("{url}: {error}")))?;
    let healthy = answer.status.is_success();
    match format {
        Format::Table if healthy => output::text("healthy\n")?,
        // On stderr, by the failure.
        Format::Table => {}
        Format::Json => output::json(
            &json!({ "healthy": healthy, "url": url, "status": answer.status.as_u16() }),
        )?,
    }
    if healthy { Ok(()) } else { Err(Failure::Refused(format!("{url} answers {}", answer.status))) }
}

fn own_url(settings: &Settings) -> Result<Url, Failure> {
    let data_dir = settings.load(Program::Up, &[])?.config.data_dir;
    let nobody = || {
        Failure::Unreachable(format!("no gateway runs on the data folder {}", data_dir.display()))
    };
    let Ports { metrics, admin, web, http, .. } = own_ports(&data_dir)?.ok_or_else(nobody)?;
    let address = metrics.or(admin).or(web).or(http).ok_or_else(|| {
        Failure::Usage("the gateway has no listener in clear: name a URL".to_owned())
    })?;
    Url::parse(&format!("http://{address}{ALIVE}"))
        .map_err(|error| Failure::Usage(format!("{address}: {error}")))
}
