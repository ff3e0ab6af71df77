//! Who is signed in, and where else.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use chrono::Utc;
use fluxgate_core::admin_api::{Me, Page, Session};
use fluxgate_core::{Reason, SessionId};
use http::StatusCode;

use super::opening::account;
use crate::admin::actor::Actor;
use crate::admin::audit::Upon;
use crate::admin::list_query::ListQuery;
use crate::admin::path_id::PathId;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToStrangers};
use crate::app::SharedApp;
use crate::auth::credential::CredentialId;
use crate::store::{SessionRecord, UserRef};

/// Tells who is signed in.
///
/// # Errors
/// 401, 503.
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    operation_id = "who_am_i",
    tag = "sign-in",
    responses(
        (status = 200, description = "Who, and by which session.", body = Me),
        Always, ToStrangers, Refused<404>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn me(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Me>, Problem> {
    let unknown = || Problem::new(Reason::NotFound, "There is no such user.");
    let user = app.store.find_user(&UserRef::Id(actor.user())).await?.ok_or_else(unknown)?;
    let session = match actor.session() {
        Some(id) => app.store.find_session(id).await?.map(|record| shape(record, Some(id))),
        None => None,
    };
    Ok(Json(Me { user: account(&user), session }))
}

/// Lists one's own sessions that can still be used.
///
/// The newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/auth/sessions",
    operation_id = "list_sessions",
    tag = "sign-in",
    params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<Session>), Always, ToStrangers),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Session>>, Problem> {
    let asked = ListQuery::read(query)?;
    let idle = app.settings.load().session_idle;
    let open = app.store.open_sessions(actor.user(), asked.after, asked.limit(), idle, Utc::now());
    let current = actor.session();
    Ok(Json(asked.page(open.await?, SessionRecord::cursor, |record| shape(record, current))))
}

/// Ends a session of one's own.
///
/// # Errors
/// 404 where it isn't.
#[utoipa::path(
    delete,
    path = "/api/v1/auth/sessions/{id}",
    operation_id = "end_session",
    tag = "sign-in",
    params(("id" = SessionId, Path, description = "A session's.")),
    responses((status = 204, description = "It has ended."), Always, ToStrangers, Refused<404>),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn end(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    PathId(id): PathId,
) -> Result<(StatusCode, Extension<Upon>), Problem> {
    let unknown = || Problem::new(Reason::NotFound, "There is no session of yours with this id.");
    let id: SessionId = id.parse().map_err(|_| unknown())?;
    if !app.store.end_session(id, Some(actor.user()), Utc::now()).await? {
        return Err(unknown());
    }
    app.forget(CredentialId::Session(id));
    Ok((StatusCode::NO_CONTENT, Extension(Upon(format!("session:{id}")))))
}

fn shape(record: SessionRecord, current: Option<SessionId>) -> Session {
    Session {
        id: record.id,
        current: current == Some(record.id),
        grant: record.grant,
        device: record.device,
        address: record.address,
        created_at: record.created_at,
        last_used_at: record.last_used_at,
        expires_at: record.expires_at,
    }
}
