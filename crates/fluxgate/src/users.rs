//! `fluxgate user`: makes, invites, lists, disables and enables people.

use std::io::Read;

use clap::{Args, Subcommand};
use fluxgate_core::admin_api::{CreateUser, Page, Role, UpdateUser, User, UserState};
use serde_json::json;

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::links::{self, Invite};
use crate::moment;
use crate::output::{self, Format};
use crate::settings::Settings;

const ROUTE: &str = "/api/v1/admin/users";
/// More than any password may have.
const PASSWORD_BYTES_MAX: u64 = 4_096;
const HEADINGS: [&str; 7] = ["ID", "EMAIL", "ROLE", "STATE", "TEAM", "CREATED", "LAST SEEN"];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user.
    Create(Create),
    /// Make a link by which somebody registers. It is printed this once.
    Invite(Invite),
    /// List the users.
    List,
    /// Make a link by which a user sets another password. It is printed this once.
    ResetPassword(Who),
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
    /// The team's id or name.
    #[arg(long)]
    team: Option<String>,
    /// Read the password from standard input; without it nobody can log in as that user before
    /// they set one by the link of reset-password.
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
        Command::Invite(invite) => links::invite(&gateway, invite, format).await,
        Command::List => list(&gateway, format).await,
        Command::ResetPassword(who) => {
            let user = find(&gateway, who).await?;
            links::reset(&gateway, user.id, format).await
        }
        Command::Disable(who) => set_state(&gateway, who, UserState::Disabled, format).await,
        Command::Enable(who) => set_state(&gateway, who, UserState::Active, format).await,
    }
}

async fn make(gateway: &GatewayClient, create: &Create, format: Format) -> Result<(), Failure> {
    let password = if create.password_stdin { Some(password()?) } else { None };
    let role = create.admin.then_some(Role::Admin);
    let ask = CreateUser { email: create.email.clone(), password, role, team: create.team.clone() };
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
            let rows: Vec<[String; 7]> = users.iter().map(row).collect();
            output::table(HEADINGS, &rows)?;
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
    let user = find(gateway, who).await?;
    let update = UpdateUser { state: Some(state), ..UpdateUser::default() };
    let user: User = gateway.patch(&format!("{ROUTE}/{}", user.id), &update).await?;
    show(&user, format)
}

async fn find(gateway: &GatewayClient, who: &Who) -> Result<User, Failure> {
    let users: Vec<User> = gateway.get_all(ROUTE).await?;
    let named = |user: &User| {
        user.id.to_string() == who.user
            || user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(&who.user))
    };
    users
        .into_iter()
        .find(named)
        .ok_or_else(|| Failure::Refused(format!("there is no user {}", who.user)))
}

fn show(user: &User, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&json!(user))?,
        Format::Table => output::table(HEADINGS, &[row(user)])?,
    }
    Ok(())
}

fn row(user: &User) -> [String; 7] {
    [
        user.id.to_string(),
        user.email.clone().unwrap_or_default(),
        user.role.name().to_owned(),
        user.state.name().to_owned(),
        user.team.map_or_else(|| "-".to_owned(), |team| team.to_string()),
        moment::cell(Some(user.created_at)),
        moment::cell(user.last_seen_at),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluxgate_core::limits::Limits;

    use super::*;

    #[test]
    fn a_row_has_the_team_and_when_they_were_last_seen() {
        let team = "0198a0de-0000-7000-8000-000000000001";
        let user = User {
            id: fluxgate_core::ids::OPERATOR,
            email: None,
            role: Role::Member,
            state: UserState::Active,
            team: Some(team.parse().unwrap()),
            limits: Limits::default(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            last_seen_at: None,
        };
        let cells = row(&user);
        let cell = |heading| HEADINGS.iter().zip(&cells).find(|(name, _)| **name == heading);
        assert_eq!(cell("TEAM").unwrap().1, team);
        assert_eq!(cell("LAST SEEN").unwrap().1, "-");
        assert_eq!(cell("CREATED").unwrap().1, "1970-01-01T00:00:00Z");
    }
}
