//! `fluxgate keys`: makes, lists, rotates and revokes API keys.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use fluxgate_core::KeyId;
use fluxgate_core::admin_api::{CreateKey, CreatedKey, Key, Page, RotateKey, Scope};
use fluxgate_core::limits::{Budget, Limits, Period};
use ipnet::IpNet;
use serde_json::json;

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::moment;
use crate::output::{self, Format};
use crate::settings::Settings;

const ROUTE: &str = "/api/v1/keys";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key. It is printed this once.
    Create(Create),
    /// List the keys, without their secrets.
    List,
    /// Give a key another secret, under the same id. It is printed this once.
    Rotate {
        /// The key's public id: the twelve characters behind sk-fg-.
        id: KeyId,
        /// How long the old secret opens as well, such as 1h; without it, it ends at once.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        overlap: Option<std::time::Duration>,
    },
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
    /// What it opens: models (the default), dns, usage:read.
    #[arg(long, value_delimiter = ',', value_name = "SCOPES", value_parser = scope)]
    scopes: Vec<Scope>,
    /// Globs of the models that it may use; without them all.
    #[arg(long, value_delimiter = ',', value_name = "GLOBS")]
    models: Vec<String>,
    /// Networks that it may be used from, such as 10.0.0.0/8; without them anywhere.
    #[arg(long, value_delimiter = ',', value_name = "CIDRS", value_parser = network)]
    ips: Vec<IpNet>,
    #[arg(long, value_name = "N")]
    requests_per_min: Option<u64>,
    #[arg(long, value_name = "N")]
    tokens_per_min: Option<u64>,
    /// Requests under way at the same time.
    #[arg(long, value_name = "N")]
    concurrent: Option<u32>,
    /// Tokens of a period.
    #[arg(long, value_name = "N", requires = "budget_period")]
    budget_tokens: Option<u64>,
    #[arg(long, value_name = "day|month", value_parser = period, requires = "budget_tokens")]
    budget_period: Option<Period>,
    /// The header in which a program tells for whom of its people a request is.
    #[arg(long, value_name = "HEADER")]
    end_user_header: Option<String>,
    /// It may stand in the path, for clients that can't send a header: /k/<key>/…
    #[arg(long)]
    in_path: bool,
}

impl Create {
    fn limits(&self) -> Limits {
        let budget = self.budget_period.map(|period| Budget {
            period,
            tokens: self.budget_tokens,
            cost_micros: None,
        });
        Limits {
            requests_per_min: self.requests_per_min,
            tokens_per_min: self.tokens_per_min,
            concurrent: self.concurrent,
            budgets: budget.into_iter().collect(),
        }
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.into_iter().find(|scope| scope.name() == text);
    known.ok_or_else(|| "expected models, dns or usage:read".to_owned())
}

fn period(text: &str) -> Result<Period, String> {
    match text {
        "day" => Ok(Period::Day),
        "month" => Ok(Period::Month),
        _ => Err("expected day or month".to_owned()),
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    text.parse()
        .ok()
        .or_else(alone)
        .ok_or_else(|| "expected a network such as 10.0.0.0/8".to_owned())
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn run(settings: &Settings, command: &Command, format: Format) -> Result<(), Failure> {
    let gateway = GatewayClient::find(settings)?;
    match command {
        Command::Create(create) => make(&gateway, create, format).await,
        Command::List => list(&gateway, format).await,
        Command::Rotate { id, overlap } => rotate(&gateway, *id, *overlap, format).await,
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
        expires_at: create.expires.map(moment::expiry).transpose()?,
        scopes: given(&create.scopes),
        models: given(&create.models),
        ips: given(&create.ips),
        limits: Some(create.limits()).filter(|limits| !limits.is_none()),
        end_user_header: create.end_user_header.clone(),
        in_path: create.in_path.then_some(true),
    };
    show(gateway.post(ROUTE, &ask).await?, format)
}

async fn rotate(
    gateway: &GatewayClient,
    id: KeyId,
    overlap: Option<std::time::Duration>,
    format: Format,
) -> Result<(), Failure> {
    let too_long = |_| Failure::Usage("--overlap: that is too long".to_owned());
    let overlap_s = overlap.map(|time| u32::try_from(time.as_secs())).transpose();
    let ask = RotateKey { overlap_s: overlap_s.map_err(too_long)? };
    show(gateway.post(&format!("{ROUTE}/{id}/rotate"), &ask).await?, format)
}

fn given<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// The key, this once.
fn show(key: CreatedKey, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&key)?,
        Format::Table => {
            let Key { id, name, owner, expires_at, previous_until, .. } = key.about;
            let mut rows = vec![
                ["id".to_owned(), id.to_string()],
                ["name".to_owned(), name],
                ["owner".to_owned(), owner.to_string()],
                ["expires".to_owned(), moment::cell(expires_at)],
            ];
            if previous_until.is_some() {
                rows.push(["old secret until".to_owned(), moment::cell(previous_until)]);
            }
            rows.push(["key".to_owned(), key.key]);
            output::table(["FIELD", "VALUE"], &rows)?;
            output::text("The key is shown this once: keep it.\n")?;
        }
    }
    Ok(())
}

async fn list(gateway: &GatewayClient, format: Format) -> Result<(), Failure> {
    let keys: Vec<Key> = gateway.get_all(ROUTE).await?;
    match format {
        Format::Json => output::json(&Page { items: keys, next_cursor: None })?,
        Format::Table => {
            let now = Utc::now();
            let rows: Vec<[String; 7]> = keys
                .iter()
                .map(|key| {
                    [
                        key.id.to_string(),
                        key.name.clone(),
                        key.owner.to_string(),
                        moment::cell(Some(key.created_at)),
                        moment::cell(key.last_used_at),
                        moment::cell(key.expires_at),
                        state(key, now).to_owned(),
                    ]
                })
                .collect();
            output::table(
                ["ID", "NAME", "OWNER", "CREATED", "LAST USED", "EXPIRES", "STATE"],
                &rows,
            )?;
        }
    }
    Ok(())
}

fn state(key: &Key, now: DateTime<Utc>) -> &'static str {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        _ => "active",
    }
}
