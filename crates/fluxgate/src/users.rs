//! `fluxgate user`: makes, lists, disables and enables people.

use std::io::Read;

use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use fluxgate_core::admin_api::{CreateUser, Page, Role, UpdateUser, User, UserState};
use serde_json::json;

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::output::{self, Format};
use crate::settings::Settings;

const ROUTE: &str = "/api/v1/admin/users";
/// More than any password may have.
const PASSWORD_BYTES_MAX: u64 = 4_096;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user.
    Create(Create),
    /// List the users.
    List,
    /// Refuse a user and all of their keys, at once.
    Disable(Who),
    /// Serve them again.
    Enable(Who),
}

#[derive(Debug, Args)]
pub struct Create {
    #[arg(long)]
    email: String,
    /// Make an administrator.
    #[arg(long)]
    admin: bool,
    /// Read the password from standard input; without it nobody can log in as that user yet.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct Who {
    /// The user's e-mail or id.
    user: String,
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn run(settings: &Settings, command: &Command, format: Format) -> Result<(), Failure> {
    let gateway = GatewayClient::find(settings)?;
    match command {
        Command::Create(create) => make(&gateway, create, format).await,
        Command::List => list(&gateway, format).await,
        Command::Disable(who) => set_state(&gateway, who, UserState::Disabled, format).await,
        Command::Enable(who) => set_state(&gateway, who, UserState::Active, format).await,
    }
}

async fn make(gateway: &GatewayClient, create: &Create, format: Format) -> Result<(), Failure> {
    let password = if create.password_stdin { Some(password()?) } else { None };
    let role = create.admin.then_some(Role::Admin);
    let ask = CreateUser { email: create.email.clone(), password, role, team: None };
    let user: User = gateway.post(ROUTE, &ask).await?;
    show(&user, format)
}

/// All of standard input, without the line's end.
fn password() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("--password-stdin: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

async fn list(gateway: &GatewayClient, format: Format) -> Result<(), Failure> {
    let users: Vec<User> = gateway.get_all(ROUTE).await?;
    match format {
        Format::Json => output::json(&Page { items: users, next_cursor: None })?,
        Format::Table => {
            let rows: Vec<[String; 5]> = users.iter().map(row).collect();
            output::table(["ID", "EMAIL", "ROLE", "STATE", "CREATED"], &rows)?;
        }
    }
    Ok(())
}

async fn set_state(
    gateway: &GatewayClient,
    who: &Who,
    state: UserState,
    format: Format,
) -> Result<(), Failure> {
    let users: Vec<User> = gateway.get_all(ROUTE).await?;
    let named = |user: &&User| {
        user.id.to_string() == who.user
            || user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(&who.user))
    };
    let Some(user) = users.iter().find(named) else {
        return Err(Failure::Refused(format!("there is no user {}", who.user)));
    };
    let update = UpdateUser { state: Some(state), ..UpdateUser::default() };
    let user: User = gateway.patch(&format!("{ROUTE}/{}", user.id), &update).await?;
    show(&user, format)
}

fn show(user: &User, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&json!(user))?,
        Format::Table => {
            output::table(["ID", "EMAIL", "ROLE", "STATE", "CREATED"], &[row(user)])?;
        }
    }
    Ok(())
}

fn row(user: &User) -> [String; 5] {
    [
        user.id.to_string(),
        user.email.clone().unwrap_or_default(),
        user.role.name().to_owned(),
        user.state.name().to_owned(),
        user.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    ]
}
