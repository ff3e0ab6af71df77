//! Signing in with a password. Strangers learn nothing from the answer or its time; what guesses
//! cost is bounded before a password is hashed.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use fluxgate_core::admin_api::{Grant, LogIn, SignIn, UserState};
use fluxgate_core::{Reason, Secret, Subject};
use http::StatusCode;
use http::request::Parts;
use tracing::debug;

use super::door::Door;
use super::{log_out, opening};
use crate::admin::audit::Upon;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToBodies, ToStrangers};
use crate::admin::{json_body, users};
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword, Verified};
use crate::store::{Email, UserRecord};

/// Signs in.
///
/// By cookie, the answer sets `__Host-fluxgate_session` (the access token) and
/// `__Secure-fluxgate_refresh`, which no script can read, and only a page of the gateway's own may
/// ask for it; by bearer, the tokens are in the answer.
///
/// # Errors
/// 401 `invalid_credentials`, whatever of it is wrong; 403 and 400 as [`Door::check`]; 429 and 503
/// with `retry-after`.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    operation_id = "log_in",
    tag = "sign-in",
    request_body = LogIn,
    responses(
        (status = 200, description = "Signed in, by the grant that was asked for.", body = SignIn),
        Always, ToBodies, ToStrangers, Refused<429>,
    ),
)]
pub async fn log_in(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: LogIn = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    door.check(asked.grant)?;
    let email = users::email(&asked.email)?;
    let (user, phc) = verified(&app, &door, &email, asked.password.into()).await?;
    if user.state == UserState::Disabled {
        let problem = Problem::new(Reason::AccountDisabled, "This account is disabled.");
        return Err(problem.upon(upon(&user)));
    }
    let opened = opening::open(&app, &head, &door, &user, Some(&phc), asked.grant, StatusCode::OK);
    let response = opened.await?;
    if asked.grant == Grant::Cookie {
        // Whoever signs in over a session has no use for it any more.
        log_out::end_session_of_cookies(&app, &head).await;
    }
    Ok(response)
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
    match (user, phc, verified) {
        (Some(user), Some(phc), Verified::Right { outdated }) => {
            admitted.succeeded(Instant::now());
            let phc = if outdated { hash_anew(app, &user, phc, password).await } else { phc };
            Ok((user, phc))
        }
        (user, ..) => {
            admitted.failed(Instant::now());
            let text = "The email address or the password is wrong.";
            let problem = Problem::new(Reason::InvalidCredentials, text);
            // For the audit log alone: whose password was tried.
            Err(user.iter().fold(problem, |problem, user| problem.upon(upon(user))))
        }
    }
}

fn upon(user: &UserRecord) -> Upon {
    Upon(Subject::User(user.id).to_string())
}

/// Whoever has the address, and what the password is to them. An unknown one takes as long.
async fn look(
    app: &App,
    email: &Email,
    password: Secret,
    asker: Asker,
) -> Result<(Option<UserRecord>, Option<String>, Verified), Problem> {
    // A full queue costs the store nothing.
    app.passwords.check_room(asker)?;
    let found = app.store.find_login(email).await?;
    let (user, phc) = found.map_or((None, None), |(user, phc)| (Some(user), phc));
    let verified = app.passwords.verify(password, phc.clone(), asker).await?;
    Ok((user, phc, verified))
}

/// The same password under the cost that is configured now, and its hash as the store then has it.
/// Where that can't be had now, the next sign-in tries again.
async fn hash_anew(app: &App, user: &UserRecord, phc: String, password: Secret) -> String {
    let newer = match app.passwords.hash(NewPassword::in_use(password.clone()), Asker::Known).await
    {
        Ok(newer) => newer,
        Err(error) => {
            debug!(user.id = %user.id, %error, "a password can't be hashed anew now");
            return phc;
        }
    };
    match app.store.rehash_password(user.id, &phc, &newer).await {
        Ok(true) => newer,
        // Another sign-in was faster, or the password was changed: only the first is as good.
        Ok(false) => present_hash(app, user, password).await.unwrap_or(phc),
        Err(error) => {
            debug!(user.id = %user.id, %error, "a password that was hashed anew can't be kept now");
            phc
        }
    }
}

/// The hash that the store has now, where it is still of this password.
async fn present_hash(app: &App, user: &UserRecord, password: Secret) -> Option<String> {
    let (_, phc) = app.store.find_login(user.email.as_ref()?).await.ok()??;
    match app.passwords.verify(password, phc.clone(), Asker::Known).await.ok()? {
        Verified::Right { .. } => phc,
        Verified::Wrong => None,
    }
}
