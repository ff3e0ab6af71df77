//! Users, for administrators: made, listed, changed, given a link for another password. Passwords
//! are hashed on the way in and never shown.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
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
use super::invites::{RESETS, link};
use super::list_query::ListQuery;
use super::problem::Problem;
use super::{STORED_DIGITS, idempotency, json_body, teams};
use crate::app::{App, SharedApp};
use crate::auth::password::{Asker, NewPassword};
use crate::store::{CreatedUser, Email, LinkAbout, UserChange, UserRecord, UserRef, UserUpdate};

/// `POST /api/v1/admin/users`.
///
/// # Errors
/// 400 for what can't be a user's facts; 409 where the address is taken.
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
        CreatedUser::EmailTaken => {
            let text = "`email`: another user has this address.";
            return Err(Problem::new(Reason::Conflict, text));
        }
    }
    info!(user.id = %user.id, role = user.role.name(), "a user was made");
    Ok((StatusCode::CREATED, upon(user.id), Json(shape(user))))
}

/// `GET /api/v1/admin/users?limit=&cursor=`: every person, the newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<User>>, Problem> {
    let asked = ListQuery::read(query)?;
    let records = app.store.list_users(asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, UserRecord::cursor, shape)))
}

/// `PATCH /api/v1/admin/users/{id}`: what is absent stays as it is. A disabled user's keys and
/// sessions are refused everywhere within a second.
///
/// # Errors
/// 404 where there is no such user; 409 for the built-in one and the last administrator.
pub async fn update(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
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

/// `POST /api/v1/admin/users/{id}/reset`: a link by which they set another password, once.
///
/// # Errors
/// 404 where there is no such user; 409 for the built-in one.
pub async fn reset(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<CreatedLink>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateReset = json_body::read_or_default(&headers, body).await?;
    let user = person(&app, &id).await?;
    let about = LinkAbout::Reset { user };
    let created = link(&app, actor, &RESETS, about, asked.expires_at, idempotency_key).await?;
    info!(user.id = %user, "a link to set a password was made");
    Ok((StatusCode::CREATED, upon(user), Json(created)))
}

/// A user who isn't the built-in one, by id or e-mail.
async fn person(app: &App, id: &str) -> Result<UserId, Problem> {
    let by = match id.parse() {
        Ok(id) => UserRef::Id(id),
        Err(_) => UserRef::Email(id.parse().map_err(|_| unknown())?),
    };
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
