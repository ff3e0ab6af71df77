//! Registering: by an invitation, or by oneself where anybody may.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{Register, Role, UserState};
use fluxgate_core::config::Registration;
use fluxgate_core::limits::Limits;
use fluxgate_core::{Reason, Secret, UserId};
use http::StatusCode;
use http::request::Parts;
use tracing::info;

use super::door::Door;
use super::opening;
use crate::admin::problem::Problem;
use crate::admin::{STORED_DIGITS, json_body};
use crate::app::{App, SharedApp};
use crate::auth::one_time::token_sha256;
use crate::auth::password::{Asker, NewPassword};
use crate::store::{Email, LinkAbout, Registered, UserRecord};

/// `POST /api/v1/auth/register`.
///
/// # Errors
/// 403 where nobody may, or not by this invitation; 409 where the address is taken.
pub async fn register(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: Register = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check_with_token(asked.grant)?;
    let email: Email = asked
        .email
        .parse()
        .map_err(|_| Problem::new(Reason::InvalidRequest, "`email`: expected an email address."))?;
    // First, so that strangers can't have passwords hashed.
    let invite = asked.invite.as_deref().map(token_sha256);
    check_welcome(&app, invite.as_ref(), &email).await?;
    let password = NewPassword::check(Secret::from(asked.password), &[email.as_str()])?;
    let slot = app.throttle.admit_hash(door.client.0.into(), Instant::now())?;
    let phc = app.passwords.hash(password, Asker::Stranger).await?;
    drop(slot);
    let user = UserRecord {
        id: UserId::generate(),
        email: Some(email.clone()),
        role: Role::Member,
        state: UserState::Active,
        team: None,
        limits: Limits::default(),
        created_at: Utc::now().trunc_subsecs(STORED_DIGITS),
        last_seen_at: None,
    };
    let user = match app.store.register(&user, &email, &phc, invite.as_ref(), Utc::now()).await? {
        Registered::Created(user) => user,
        Registered::EmailTaken => {
            let text = "`email`: another user has this address.";
            return Err(Problem::new(Reason::Conflict, text));
        }
        Registered::LinkRefused => return Err(link_refused()),
    };
    info!(user.id = %user.id, role = user.role.name(), "a user registered");
    opening::open(&app, &door, &user, Some(&phc), asked.grant, StatusCode::CREATED).await
}

async fn check_welcome(app: &App, invite: Option<&[u8; 32]>, email: &Email) -> Result<(), Problem> {
    let closed = |text| Err(Problem::new(Reason::RegistrationClosed, text));
    match (app.settings.load().registration, invite) {
        (Registration::Closed, _) => closed("An administrator makes the accounts here."),
        (Registration::Invite, None) => closed("An invitation is needed to register here."),
        (Registration::Open, None) => Ok(()),
        (Registration::Invite | Registration::Open, Some(invite)) => {
            match app.store.usable_link(invite, Utc::now()).await? {
                Some(LinkAbout::Invite { email: None, .. }) => Ok(()),
                Some(LinkAbout::Invite { email: Some(invited), .. }) if invited == *email => Ok(()),
                Some(LinkAbout::Invite { .. } | LinkAbout::Reset { .. }) | None => {
                    Err(link_refused())
                }
            }
        }
    }
}

fn link_refused() -> Problem {
    let text = "This invitation was used, has expired, or is for another address.";
    Problem::new(Reason::InvalidToken, text)
}
