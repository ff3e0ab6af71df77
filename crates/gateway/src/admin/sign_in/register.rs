//! Registering: by an invitation, or by oneself where anybody may.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{Register, Role, SignIn, UserState};
use fluxgate_core::config::Registration;
use fluxgate_core::limits::Limits;
use fluxgate_core::{Reason, Secret, UserId};
use http::StatusCode;
use http::request::Parts;
use tracing::info;

use super::door::Door;
use super::opening;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToBodies, ToStrangers};
use crate::admin::{STORED_DIGITS, json_body, users};
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword};
use crate::store::{Email, LinkAbout, Registered, UserRecord};

/// Makes an account of one's own and signs in.
///
/// By an invitation, or without one where anybody may. By cookie, the answer sets the session's
/// two.
///
/// # Errors
/// 403 where nobody may, or not by this invitation; 409 where the address is taken.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    operation_id = "register",
    tag = "sign-in",
    request_body = Register,
    responses(
        (status = 201, description = "Signed in, by the grant that was asked for.", body = SignIn),
        Always, ToBodies, ToStrangers, Refused<409>, Refused<429>,
    ),
)]
pub async fn register(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: Register = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check_with_token(asked.grant)?;
    let email = users::email(&asked.email)?;
    // First, so that strangers can have neither a look-up nor a password hashed.
    let invite = asked.invite.as_deref();
    let invite = invite.map(|token| app.one_time.check(token).ok_or_else(link_refused));
    let invite = invite.transpose()?;
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
        Registered::EmailTaken => return Err(users::email_taken()),
        Registered::LinkRefused => return Err(link_refused()),
    };
    info!(user.id = %user.id, role = user.role.name(), "a user registered");
    opening::open(&app, &head, &door, &user, Some(&phc), asked.grant, StatusCode::CREATED).await
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
