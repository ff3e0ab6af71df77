//! `fluxgate upstreams`: the model servers behind a running gateway.

use clap::Subcommand;
use fluxgate_core::admin_api::Page;
use fluxgate_core::admin_api::status::UpstreamStatus;

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::output::{self, Format};
use crate::settings::Settings;

/// Models that a table names; JSON has them all.
const MODELS_SHOWN_MAX: usize = 3;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List them with what they offer.
    List,
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn run(settings: &Settings, command: &Command, format: Format) -> Result<(), Failure> {
    let Command::List = command;
    let page: Page<UpstreamStatus> =
        GatewayClient::find(settings)?.get("/admin/v1/upstreams").await?;
    match format {
        Format::Json => output::json(&page)?,
        Format::Table => {
            let rows: Vec<[String; 6]> = page.items.iter().map(row).collect();
            output::table(["NAME", "URL", "KIND", "STATE", "IN FLIGHT", "MODELS"], &rows)?;
        }
    }
    Ok(())
}

fn row(upstream: &UpstreamStatus) -> [String; 6] {
    [
        upstream.name.clone(),
        upstream.url.clone(),
        upstream.kind.clone().unwrap_or_else(|| "-".to_owned()),
        if upstream.up { "up" } else { "down" }.to_owned(),
        upstream.in_flight.to_string(),
        models(&upstream.models),
    ]
}

fn models(all: &[String]) -> String {
    let shown: Vec<&str> = all.iter().take(MODELS_SHOWN_MAX).map(String::as_str).collect();
    match all.len().saturating_sub(MODELS_SHOWN_MAX) {
        0 if all.is_empty() => "-".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
