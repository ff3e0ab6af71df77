//! Signing in with a password. Strangers learn nothing from the answer or its time; what guesses
//! cost is bounded before a password is hashed.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use fluxgate_core::admin_api::{LogIn, UserState};
use fluxgate_core::{Reason, Secret};
use http::StatusCode;
use http::request::Parts;
use tracing::warn;

use super::door::Door;
use super::opening;
use crate::admin::json_body;
use crate::admin::problem::Problem;
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword, Verified};
use crate::store::{Email, UserRecord};

/// `POST /api/v1/auth/login`.
///
/// # Errors
/// 401 `invalid_credentials`, whatever of it is wrong; 403 and 400 as [`Door::check`]; 429 and 503
/// with `retry-after`.
pub async fn log_in(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: LogIn = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check(asked.grant)?;
    let email: Email = asked
        .email
        .parse()
        .map_err(|_| Problem::new(Reason::InvalidRequest, "`email`: expected an email address."))?;
    let (user, phc) = verified(&app, &door, &email, asked.password.into()).await?;
    if user.state == UserState::Disabled {
        return Err(Problem::new(Reason::AccountDisabled, "This account is disabled."));
    }
    opening::open(&app, &door, &user, Some(&phc), asked.grant, StatusCode::OK).await
}

/// The user whose password it is, and its hash as the store has it.
pub async fn verified(
    app: &App,
    door: &Door,
    email: &Email,
    password: Secret,
) -> Result<(UserRecord, String), Problem> {
    let account = app.throttle.account(email.as_str());
    let admitted = app.throttle.admit(door.client.0.into(), account, Instant::now())?;
    tokio::time::sleep(admitted.delay()).await;
    let (user, phc, verified) = match look(app, email, password.clone(), admitted.asker()).await {
        Ok(seen) => seen,
        Err(problem) => {
            admitted.spared();
            return Err(problem);
        }
    };
    let (Some(user), Some(phc), Verified::Right { outdated }) = (user, phc, verified) else {
        admitted.failed(Instant::now());
        let text = "The email address or the password is wrong.";
        return Err(Problem::new(Reason::InvalidCredentials, text));
    };
    admitted.succeeded(Instant::now());
    if !outdated {
        return Ok((user, phc));
    }
    let phc = hash_anew(app, &user, phc, password).await?;
    Ok((user, phc))
}

/// Whoever has the address, and what the password is to them. An unknown one takes as long.
async fn look(
    app: &App,
    email: &Email,
    password: Secret,
    asker: Asker,
) -> Result<(Option<UserRecord>, Option<String>, Verified), Problem> {
    let found = app.store.find_login(email).await?;
    let (user, phc) = found.map_or((None, None), |(user, phc)| (Some(user), phc));
    let verified = app.passwords.verify(password, phc.clone(), asker).await?;
    Ok((user, phc, verified))
}

/// The same password under the cost that is configured now.
async fn hash_anew(
    app: &App,
    user: &UserRecord,
    phc: String,
    password: Secret,
) -> Result<String, Problem> {
    let newer = app.passwords.hash(NewPassword::in_use(password), Asker::Known).await?;
    if app.store.rehash_password(user.id, &phc, &newer).await? {
        return Ok(newer);
    }
    // Another sign-in was faster, or the password was changed: the session's opening sees to it.
    warn!(user.id = %user.id, "a password was hashed anew by somebody else");
    Ok(phc)
}
