//! Users, for the operator: made, listed, changed. Passwords are hashed on the way in and never
//! shown.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{CreateUser, Page, Role, UpdateUser, User, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{Reason, Secret, UserId};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::keys::STORED_DIGITS;
use super::list_query::ListQuery;
use super::problem::Problem;
use super::{idempotency, json_body};
use crate::app::SharedApp;
use crate::auth::password::NewPassword;
use crate::store::{CreatedUser, Email, UserRecord};

/// `POST /api/v1/admin/users`.
///
/// # Errors
/// 400 for what can't be a user's facts; 409 where the address is taken.
pub async fn create(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<User>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateUser = json_body::read(&headers, body).await?;
    let expected = "`email`: expected an email address.";
    let email: Email =
        asked.email.parse().map_err(|_| Problem::new(Reason::InvalidRequest, expected))?;
    let phc = match asked.password {
        Some(password) => {
            let password = NewPassword::check(Secret::from(password), &[email.as_str()])?;
            Some(app.passwords.hash(password).await?)
        }
        None => None,
    };
    let user = UserRecord {
        id: UserId::generate(),
        email: Some(email.clone()),
        role: asked.role.unwrap_or(Role::Member),
        state: UserState::Active,
        created_at: Utc::now().trunc_subsecs(STORED_DIGITS),
    };
    let created = app.store.create_user(&user, &email, phc, OPERATOR, idempotency_key).await?;
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
    Ok((StatusCode::CREATED, Json(shape(user))))
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

/// `PATCH /api/v1/admin/users/{id}`: what is absent stays as it is. A disabled user's keys are
/// refused everywhere within a second.
///
/// # Errors
/// 404 where there is no such user; 409 for the built-in one.
pub async fn update(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<User>, Problem> {
    let unknown = || Problem::new(Reason::NotFound, "There is no user with this id.");
    let id: UserId = id.parse().map_err(|_| unknown())?;
    if id == OPERATOR {
        let text = "The built-in user can't be changed: revoke its keys, or set another token.";
        return Err(Problem::new(Reason::Conflict, text));
    }
    let asked: UpdateUser = json_body::read(&headers, body).await?;
    let user = app.store.update_user(id, asked, Utc::now()).await?.ok_or_else(unknown)?;
    app.directory.forget();
    app.workers.forget_owner(id);
    info!(user.id = %id, role = user.role.name(), state = user.state.name(), "a user was changed");
    Ok(Json(shape(user)))
}

/// A user as our API shows them.
pub fn shape(user: UserRecord) -> User {
    User {
        id: user.id,
        email: user.email.map(|email| email.as_str().to_owned()),
        role: user.role,
        state: user.state,
        created_at: user.created_at,
    }
}
