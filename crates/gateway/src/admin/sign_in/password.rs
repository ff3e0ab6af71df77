//! Setting a password: by the present one, or by an administrator's one-time link. Every other
//! session of the account ends.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use fluxgate_core::admin_api::SetPassword;
use fluxgate_core::{Reason, Secret, Subject, UserId};
use http::StatusCode;
use http::request::Parts;

use super::door::Door;
use super::log_in;
use crate::admin::actor::{self, Actor};
use crate::admin::audit::Upon;
use crate::admin::json_body;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToBodies, ToStrangers};
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword};
use crate::store::{Email, LinkAbout, UserRef};

/// Sets a password.
///
/// Either by the `current` one, signed in, or by the `token` of an administrator's one-time link.
/// Every other session of the account ends.
///
/// # Errors
/// 400 for a password that can't be one; 401 for a wrong present one; 403 for a link that is used.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password",
    operation_id = "set_password",
    tag = "sign-in",
    request_body = SetPassword,
    responses(
        (status = 204, description = "It is set."),
        Always, ToStrangers, ToBodies, Refused<404>, Refused<409>, Refused<429>,
    ),
    security((), ("bearer" = []), ("session" = [])),
)]
pub async fn set(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: SetPassword = json_body::read(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    let SetPassword { current, token, new } = asked;
    let user = match (current, token) {
        (None, Some(token)) => by_link(&app, &door, &token, new.into()).await?,
        (Some(current), None) => change(&app, &door, &head, current.into(), new.into()).await?,
        _ => {
            let text = "Expected either `current`, or the `token` of a link.";
            return Err(Problem::new(Reason::InvalidRequest, text));
        }
    };
    app.forget_user(user);
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.extensions_mut().insert(Upon(Subject::User(user).to_string()));
    Ok(response)
}

async fn change(
    app: &App,
    door: &Door,
    head: &Parts,
    current: Secret,
    new: Secret,
) -> Result<UserId, Problem> {
    let Actor::Person { user, session, .. } = actor::of(app, head).await? else {
        let text = "Only who has signed in can change their password.";
        return Err(Problem::new(Reason::NotAllowed, text));
    };
    let found = app.store.find_user(&UserRef::Id(user)).await?;
    let email = found.and_then(|user| user.email);
    let email = email.ok_or_else(|| Problem::new(Reason::NotFound, "There is no such user."))?;
    let new = check_new(new, &email)?;
    // As at a log-in: who has stolen a session mustn't try passwords any faster.
    let (_, phc) = log_in::verified(app, door, &email, current).await?;
    let new_phc = app.passwords.hash(new, Asker::Known).await?;
    let changed = app.store.set_password(user, Some(&phc), &new_phc, Some(session), Utc::now());
    if !changed.await? {
        let text = "The password was changed meanwhile.";
        return Err(Problem::new(Reason::Conflict, text));
    }
    Ok(user)
}

async fn by_link(app: &App, door: &Door, token: &str, new: Secret) -> Result<UserId, Problem> {
    door.refuse_foreign()?;
    let refused = || Problem::new(Reason::InvalidToken, "This link was used, or has expired.");
    // First, so that strangers can have neither a look-up nor a password hashed.
    let token = app.one_time.check(token).ok_or_else(refused)?;
    let link = app.store.usable_link(&token, Utc::now()).await?;
    let Some(LinkAbout::Reset { user }) = link else { return Err(refused()) };
    let found = app.store.find_user(&UserRef::Id(user)).await?;
    let email = found.and_then(|user| user.email).ok_or_else(refused)?;
    let new = check_new(new, &email)?;
    let _slot = app.throttle.admit_hash(door.client.0.into(), std::time::Instant::now())?;
    let phc = app.passwords.hash(new, Asker::Known).await?;
    app.store.reset_password(&token, &phc, Utc::now()).await?.ok_or_else(refused)
}

fn check_new(new: Secret, email: &Email) -> Result<NewPassword, Problem> {
    NewPassword::check(new, &[email.as_str()]).map_err(|fault| Problem::password("new", fault))
}
