//! Setting up: whoever has the one-time link becomes the first administrator.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use fluxgate_core::Reason;
use fluxgate_core::Secret;
use fluxgate_core::admin_api::{SetUp, SignIn};
use http::StatusCode;
use http::request::Parts;
use tracing::info;

use super::door::Door;
use super::opening;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToBodies, ToStrangers};
use crate::admin::{json_body, users};
use crate::app::SharedApp;
use crate::auth::password::{Asker, NewPassword};
use crate::store::FirstAdmin;

/// Makes the first administrator and signs them in.
///
/// The token is of the one-time link that the gateway prints at its first start. By cookie, the
/// answer sets the session's two.
///
/// # Errors
/// 403 for a token that isn't, or is no more, the link's.
#[utoipa::path(
    post,
    path = "/api/v1/auth/setup",
    operation_id = "set_up",
    tag = "sign-in",
    request_body = SetUp,
    responses(
        (status = 201, description = "Signed in, by the grant that was asked for.", body = SignIn),
        Always, ToBodies, ToStrangers, Refused<409>,
    ),
)]
pub async fn set_up(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: SetUp = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check_with_token(asked.grant)?;
    // First, so that strangers can have neither a look-up nor a password hashed.
    let token = app.one_time.check(&asked.token).ok_or_else(token_refused)?;
    if !app.store.has_setup_token(&token).await? {
        return Err(token_refused());
    }
    let email = users::email(&asked.email)?;
    let password = NewPassword::check(Secret::from(asked.password), &[email.as_str()])?;
    let phc = app.passwords.hash(password, Asker::Known).await?;
    let user = match app.store.create_first_admin(&email, &phc, Some(&token), Utc::now()).await? {
        FirstAdmin::Created(user) => user,
        FirstAdmin::Exists | FirstAdmin::TokenRefused => return Err(token_refused()),
        FirstAdmin::EmailTaken => return Err(users::email_taken()),
    };
    info!(user.id = %user.id, "the first administrator was set up");
    opening::open(&app, &head, &door, &user, Some(&phc), asked.grant, StatusCode::CREATED).await
}

fn token_refused() -> Problem {
    let text = "This setup link was used, or isn't this deployment's.";
    Problem::new(Reason::InvalidToken, text)
}
