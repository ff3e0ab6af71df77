//! Who is signed in, and where else.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use chrono::Utc;
use fluxgate_core::admin_api::{Me, Page, Session};
use fluxgate_core::{Reason, SessionId};
use http::StatusCode;

use super::opening::account;
use crate::admin::actor::Actor;
use crate::admin::audit::Upon;
use crate::admin::list_query::ListQuery;
use crate::admin::problem::Problem;
use crate::app::SharedApp;
use crate::auth::credential::CredentialId;
use crate::store::{SessionRecord, UserRef};

/// `GET /api/v1/auth/me`.
///
/// # Errors
/// 401, 503.
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

/// `GET /api/v1/auth/sessions?limit=&cursor=`: one's own that can still be used, the newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
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

/// `DELETE /api/v1/auth/sessions/{id}`: ends one of one's own.
///
/// # Errors
/// 404 where it isn't.
pub async fn end(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
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
