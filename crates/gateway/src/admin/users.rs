//! Users, for administrators: made, listed, changed, given a link for another password. Passwords
//! are hashed on the way in and never shown.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{
    CreateReset, CreateUser, CreatedLink, Page, Role, UpdateUser, User, UserState,
};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::Limits;
use fluxgate_core::{Reason, Secret, Subject, TeamId, UserId};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::actor::Actor;
use super::audit::Upon;
use super::idempotency::IdempotencyKey;
use super::list_query::ListQuery;
use super::path_id::PathId;
use super::problem::Problem;
use super::refusals::{Always, Refused, ToBodies, ToStrangers};
use super::{STORED_DIGITS, idempotency, json_body, links, teams};
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword};
use crate::store::{CreatedUser, Email, LinkAbout, UserChange, UserRecord, UserRef, UserUpdate};

/// Makes a user.
///
/// # Errors
/// 400 for what can't be a user's facts; 409 where the address is taken.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users",
    operation_id = "create_user",
    tag = "users",
    params(IdempotencyKey),
    request_body = CreateUser,
    responses(
        (status = 201, description = "The user.", body = User),
        Always, ToStrangers, ToBodies, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn create(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<User>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateUser = json_body::read(&headers, body).await?;
    let email: Email = email(&asked.email)?;
    let team = match &asked.team {
        Some(team) => Some(teams::find(&app, team).await?),
        None => None,
    };
    let phc = match asked.password {
        Some(password) => {
            let password = NewPassword::check(Secret::from(password), &[email.as_str()])?;
            Some(app.passwords.hash(password, Asker::Known).await?)
        }
        None => None,
    };
    let user = UserRecord {
        id: UserId::generate(),
        email: Some(email.clone()),
        role: asked.role.unwrap_or(Role::Member),
        state: UserState::Active,
        team,
        limits: Limits::default(),
        created_at: Utc::now().trunc_subsecs(STORED_DIGITS),
        last_seen_at: None,
    };
    let created = app.store.create_user(&user, &email, phc, actor.user(), idempotency_key).await?;
    match created {
        CreatedUser::Created => {}
        CreatedUser::AlreadyCreated(id) => {
            let text = "This request was repeated: the user was made before.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
        CreatedUser::EmailTaken => return Err(email_taken()),
    }
    info!(user.id = %user.id, role = user.role.name(), "a user was made");
    Ok((StatusCode::CREATED, upon(user.id), Json(shape(user))))
}

/// Lists every person.
///
/// The newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    operation_id = "list_users",
    tag = "users",
    params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<User>), Always, ToStrangers),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<User>>, Problem> {
    let asked = ListQuery::read(query)?;
    let records = app.store.list_users(asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, UserRecord::cursor, shape)))
}

/// Changes a user.
///
/// What is absent stays as it is. A disabled user's keys and sessions are refused everywhere within
/// a second.
///
/// # Errors
/// 404 where there is no such user; 409 for the built-in one and the last administrator.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}",
    operation_id = "update_user",
    tag = "users",
    params(("id" = String, Path, description = "A user's id or e-mail address.", min_length = 1)),
    request_body = UpdateUser,
    responses(
        (status = 200, description = "As they are now.", body = User),
        Always, ToStrangers, ToBodies, Refused<404>, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn update(
    State(app): State<SharedApp>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<Upon>, Json<User>), Problem> {
    let id = person(&app, &id).await?;
    let asked: UpdateUser = json_body::read(&headers, body).await?;
    if let Some(fault) = asked.limits.as_ref().and_then(Limits::fault) {
        return Err(Problem::new(Reason::InvalidRequest, fault));
    }
    let team: Option<Option<TeamId>> = match &asked.team {
        Some(Some(team)) => Some(Some(teams::find(&app, team).await?)),
        Some(None) => Some(None),
        None => None,
    };
    let UpdateUser { role, state, limits, team: _ } = asked;
    let update = UserUpdate { role, state, team, limits };
    let user = match app.store.update_user(id, update, Utc::now()).await? {
        UserChange::Changed(user) => user,
        UserChange::Unknown => return Err(unknown()),
        UserChange::LastAdmin => {
            let text = "This is the last administrator: make another first.";
            return Err(Problem::new(Reason::Conflict, text));
        }
    };
    app.forget_user(id);
    info!(user.id = %id, role = user.role.name(), state = user.state.name(), "a user was changed");
    Ok((upon(id), Json(shape(user))))
}

/// Makes a link by which a user sets another password, once.
///
/// # Errors
/// 404 where there is no such user; 409 for the built-in one.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/reset",
    operation_id = "create_reset",
    tag = "users",
    params(
        ("id" = String, Path, description = "A user's id or e-mail address.", min_length = 1),
        IdempotencyKey,
    ),
    request_body = Option<CreateReset>,
    responses(
        (status = 201, description = "The link.", body = CreatedLink),
        Always, ToStrangers, ToBodies, Refused<404>, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn reset(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<CreatedLink>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateReset = json_body::read_or_default(&headers, body).await?;
    let user = person(&app, &id).await?;
    let about = LinkAbout::Reset { user };
    let created =
        links::make(&app, actor, &links::RESETS, about, asked.expires_at, idempotency_key).await?;
    info!(user.id = %user, "a link to set a password was made");
    Ok((StatusCode::CREATED, upon(user), Json(created)))
}

/// A user who isn't the built-in one, by id or e-mail.
async fn person(app: &App, id: &str) -> Result<UserId, Problem> {
    let by: UserRef = id.parse().map_err(|_| unknown())?;
    match app.store.find_user(&by).await? {
        Some(user) if user.id == OPERATOR => {
            let text = "The built-in user can't be changed: revoke its keys, or set another token.";
            Err(Problem::new(Reason::Conflict, text))
        }
        Some(user) => Ok(user.id),
        None => Err(unknown()),
    }
}

/// An address in one of our bodies.
///
/// # Errors
/// 400.
pub(super) fn email(text: &str) -> Result<Email, Problem> {
    let expected = "`email`: expected an email address.";
    text.parse().map_err(|_| Problem::new(Reason::InvalidRequest, expected))
}

/// Another user is known by it.
pub(super) fn email_taken() -> Problem {
    Problem::new(Reason::Conflict, "`email`: another user has this address.")
}

fn unknown() -> Problem {
    Problem::new(Reason::NotFound, "There is no user with this id.")
}

fn upon(id: UserId) -> Extension<Upon> {
    Extension(Upon(Subject::User(id).to_string()))
}

fn shape(user: UserRecord) -> User {
    User {
        id: user.id,
        email: user.email.map(|email| email.as_str().to_owned()),
        role: user.role,
        state: user.state,
        team: user.team,
        limits: user.limits,
        created_at: user.created_at,
        last_seen_at: user.last_seen_at,
    }
}
