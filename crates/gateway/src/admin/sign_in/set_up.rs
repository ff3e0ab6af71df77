//! Setting up: whoever has the one-time link becomes the first administrator.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use fluxgate_core::Reason;
use fluxgate_core::Secret;
use fluxgate_core::admin_api::SetUp;
use http::StatusCode;
use http::request::Parts;
use tracing::info;

use super::door::Door;
use super::opening;
use crate::admin::json_body;
use crate::admin::problem::Problem;
use crate::app::SharedApp;
use crate::auth::one_time::token_sha256;
use crate::auth::password::{Asker, NewPassword};
use crate::store::{Email, FirstAdmin};

/// `POST /api/v1/auth/setup`.
///
/// # Errors
/// 403 for a token that isn't, or is no more, the link's.
pub async fn set_up(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: SetUp = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check_with_token(asked.grant)?;
    let token = token_sha256(&asked.token);
    // First, so that strangers can't have passwords hashed.
    if !app.store.has_setup_token(&token).await? {
        return Err(token_refused());
    }
    let email: Email = asked
        .email
        .parse()
        .map_err(|_| Problem::new(Reason::InvalidRequest, "`email`: expected an email address."))?;
    let password = NewPassword::check(Secret::from(asked.password), &[email.as_str()])?;
    let phc = app.passwords.hash(password, Asker::Known).await?;
    let user = match app.store.create_first_admin(&email, &phc, Some(&token), Utc::now()).await? {
        FirstAdmin::Created(user) => user,
        FirstAdmin::Exists | FirstAdmin::TokenRefused => return Err(token_refused()),
        FirstAdmin::EmailTaken => {
            let text = "`email`: another user has this address.";
            return Err(Problem::new(Reason::Conflict, text));
        }
    };
    info!(user.id = %user.id, "the first administrator was set up");
    opening::open(&app, &door, &user, Some(&phc), asked.grant, StatusCode::CREATED).await
}

fn token_refused() -> Problem {
    let text = "This setup link was used, or isn't this deployment's.";
    Problem::new(Reason::InvalidToken, text)
}
