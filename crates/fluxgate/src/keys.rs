//! `fluxgate keys`: makes, lists and revokes API keys.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};
use fluxgate_core::KeyId;
use fluxgate_core::admin_api::{CreateKey, CreatedKey, Key, Page};
use serde_json::json;

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::output::{self, Format};
use crate::settings::Settings;

const ROUTE: &str = "/api/v1/keys";
/// Pages of a list that are read before we take it for endless.
const PAGES_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key. It is printed this once.
    Create(Create),
    /// List the keys, without their secrets.
    List,
    /// End a key at once.
    Revoke {
        /// The key's public id: the twelve characters behind sk-fg-.
        id: KeyId,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its name, 1 to 64 characters.
    #[arg(long)]
    name: String,
    /// The owner's e-mail or id; without one it is the operator's.
    #[arg(long)]
    user: Option<String>,
    /// When it ends, such as 30d or 12h; without one it never does.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires: Option<std::time::Duration>,
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn run(settings: &Settings, command: &Command, format: Format) -> Result<(), Failure> {
    let gateway = GatewayClient::find(settings)?;
    match command {
        Command::Create(create) => make(&gateway, create, format).await,
        Command::List => list(&gateway, format).await,
        Command::Revoke { id } => {
            gateway.delete(&format!("{ROUTE}/{id}")).await?;
            match format {
                Format::Table => output::text(&format!("{id} is revoked.\n"))?,
                Format::Json => output::json(&json!({ "id": id, "revoked": true }))?,
            }
            Ok(())
        }
    }
}

async fn make(gateway: &GatewayClient, create: &Create, format: Format) -> Result<(), Failure> {
    let ask = CreateKey {
        name: create.name.clone(),
        user: create.user.clone(),
        expires_at: create.expires.map(from_now).transpose()?,
    };
    let key: CreatedKey = gateway.post(ROUTE, &ask).await?;
    match format {
        Format::Json => output::json(&key)?,
        Format::Table => {
            let rows = [
                ["id".to_owned(), key.id.to_string()],
                ["name".to_owned(), key.name],
                ["owner".to_owned(), key.owner.to_string()],
                ["expires".to_owned(), time(key.expires_at)],
                ["key".to_owned(), key.key],
            ];
            output::table(["FIELD", "VALUE"], &rows)?;
            output::text("The key is shown this once: keep it.\n")?;
        }
    }
    Ok(())
}

fn from_now(duration: std::time::Duration) -> Result<DateTime<Utc>, Failure> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| Utc::now().checked_add_signed(delta))
        .ok_or_else(|| Failure::Usage("--expires: that is too far away".to_owned()))
}

async fn list(gateway: &GatewayClient, format: Format) -> Result<(), Failure> {
    let keys = all(gateway).await?;
    match format {
        Format::Json => output::json(&Page { items: keys, next_cursor: None })?,
        Format::Table => {
            let now = Utc::now();
            let rows: Vec<[String; 6]> = keys
                .iter()
                .map(|key| {
                    [
                        key.id.to_string(),
                        key.name.clone(),
                        key.owner.to_string(),
                        time(Some(key.created_at)),
                        time(key.expires_at),
                        state(key, now).to_owned(),
                    ]
                })
                .collect();
            output::table(["ID", "NAME", "OWNER", "CREATED", "EXPIRES", "STATE"], &rows)?;
        }
    }
    Ok(())
}

async fn all(gateway: &GatewayClient) -> Result<Vec<Key>, Failure> {
    let mut keys = Vec::new();
    let mut route = ROUTE.to_owned();
    for _ in 0..PAGES_MAX {
        let page: Page<Key> = gateway.get(&route).await?;
        keys.extend(page.items);
        let Some(cursor) = page.next_cursor else { break };
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        route = format!("{ROUTE}?cursor={cursor}");
    }
    Ok(keys)
}

fn state(key: &Key, now: DateTime<Utc>) -> &'static str {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        _ => "active",
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
