//! `fluxgate user invite` and `user reset-password`: make one-time links and print them, once.

use std::time::Duration;

use clap::Args;
use fluxgate_core::UserId;
use fluxgate_core::admin_api::{CreateInvite, CreateReset, CreatedLink, Role};

use crate::failure::Failure;
use crate::gateway_client::GatewayClient;
use crate::moment;
use crate::output::{self, Format};

const INVITES: &str = "/api/v1/admin/invites";

#[derive(Debug, Args)]
pub struct Invite {
    /// The one address that may register by it; without it any may.
    #[arg(long)]
    email: Option<String>,
    /// Whoever registers becomes an administrator.
    #[arg(long)]
    admin: bool,
    /// The team's id or name that they join.
    #[arg(long)]
    team: Option<String>,
    /// When it ends, such as 12h, at most 30d; without it in 7d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
}

impl Invite {
    fn ask(&self) -> Result<CreateInvite, Failure> {
        Ok(CreateInvite {
            email: self.email.clone(),
            role: self.admin.then_some(Role::Admin),
            team: self.team.clone(),
            expires_at: self.expires.map(moment::expiry).transpose()?,
        })
    }
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn invite(
    gateway: &GatewayClient,
    invite: &Invite,
    format: Format,
) -> Result<(), Failure> {
    show(&gateway.post(INVITES, &invite.ask()?).await?, format)
}

/// # Errors
/// Where the gateway can't be reached or refuses.
pub async fn reset(gateway: &GatewayClient, user: UserId, format: Format) -> Result<(), Failure> {
    let route = format!("/api/v1/admin/users/{user}/reset");
    show(&gateway.post(&route, &CreateReset::default()).await?, format)
}

/// The link, this once.
fn show(link: &CreatedLink, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(link)?,
        Format::Table => {
            let rows = [
                ["id".to_owned(), link.id.to_string()],
                ["expires".to_owned(), moment::cell(Some(link.expires_at))],
                ["link".to_owned(), link.link.clone()],
            ];
            output::table(["FIELD", "VALUE"], &rows)?;
            output::text("The link works once and is shown this once: hand it over.\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_asks_for_what_was_given_and_nothing_else() {
        let plain = Invite { email: None, admin: false, team: None, expires: None };
        assert_eq!(plain.ask().unwrap(), CreateInvite::default());
        assert_eq!(serde_json::to_string(&plain.ask().unwrap()).unwrap(), "{}");

        let full = Invite {
            email: Some("ada@b.example".to_owned()),
            admin: true,
            team: Some("research".to_owned()),
            expires: Some(Duration::from_secs(60)),
        };
        let ask = full.ask().unwrap();
        assert_eq!((ask.role, ask.team.as_deref()), (Some(Role::Admin), Some("research")));
        assert!(ask.expires_at.unwrap() > chrono::Utc::now());
    }
}
