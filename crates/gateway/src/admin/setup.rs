//! Setting up: whoever has the one-time link becomes the first administrator.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use chrono::Utc;
use fluxgate_core::admin_api::SetUp;
use fluxgate_core::{Reason, Secret};
use http::{HeaderMap, StatusCode, Uri};
use tracing::info;

use super::problem::Problem;
use super::{json_body, origin, users};
use crate::app::SharedApp;
use crate::auth::password::NewPassword;
use crate::first_start::token_sha256;
use crate::store::{Email, FirstAdmin};

/// `POST /api/v1/auth/setup`.
///
/// # Errors
/// 403 for a token that isn't, or is no more, the link's.
pub async fn set_up(
    State(app): State<SharedApp>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<serde_json::Value>), Problem> {
    origin::check(&headers, &uri, app.settings.load().public_url.as_ref())?;
    let asked: SetUp = json_body::read(&headers, body).await?;
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
    let phc = app.passwords.hash(password).await?;
    match app.store.create_first_admin(&email, &phc, Some(&token), Utc::now()).await? {
        FirstAdmin::Created(user) => {
            info!(user.id = %user.id, "the first administrator was set up");
            Ok((StatusCode::CREATED, Json(serde_json::json!({ "user": users::shape(user) }))))
        }
        FirstAdmin::Exists | FirstAdmin::TokenRefused => Err(token_refused()),
        FirstAdmin::EmailTaken => {
            Err(Problem::new(Reason::Conflict, "`email`: another user has this address."))
        }
    }
}

fn token_refused() -> Problem {
    let text = "This setup link was used, or isn't this deployment's.";
    Problem::new(Reason::InvalidToken, text)
}
