//! Invitations, for administrators: links by which somebody registers, once.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use chrono::Utc;
use fluxgate_core::admin_api::{CreateInvite, CreatedLink, Invite, Page, Role};
use fluxgate_core::config::Registration;
use fluxgate_core::{LinkId, Reason};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::actor::Actor;
use super::audit::Upon;
use super::idempotency::IdempotencyKey;
use super::list_query::ListQuery;
use super::path_id::PathId;
use super::problem::Problem;
use super::refusals::{Always, Refused, ToBodies, ToStrangers};
use super::{idempotency, json_body, links, teams, users};
use crate::app::SharedApp;
use crate::store::{InviteRecord, LinkAbout, Withdrawal};

/// Makes an invitation.
///
/// Its link stands in this answer and nowhere else.
///
/// # Errors
/// 400 for what can't be an invitation's facts; 409 where nobody may register.
#[utoipa::path(
    post,
    path = "/api/v1/admin/invites",
    operation_id = "create_invite",
    tag = "invitations",
    params(IdempotencyKey),
    request_body = Option<CreateInvite>,
    responses(
        (status = 201, description = "The link.", body = CreatedLink),
        Always, ToStrangers, ToBodies, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn create(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<CreatedLink>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateInvite = json_body::read_or_default(&headers, body).await?;
    if app.settings.load().registration == Registration::Closed {
        let text = "Nobody may register here: set `auth.registration` to `invite` or `open`.";
        return Err(Problem::new(Reason::Conflict, text));
    }
    let email = asked.email.as_deref().map(users::email).transpose()?;
    let team = match &asked.team {
        Some(team) => Some(teams::find(&app, team).await?),
        None => None,
    };
    let about = LinkAbout::Invite { email, role: asked.role.unwrap_or(Role::Member), team };
    let created =
        links::make(&app, actor, &links::INVITES, about, asked.expires_at, idempotency_key).await?;
    info!(link.id = %created.id, "an invitation was made");
    Ok((StatusCode::CREATED, upon(created.id), Json(created)))
}

/// Lists the invitations.
///
/// The newest first, without their tokens.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/admin/invites",
    operation_id = "list_invites",
    tag = "invitations",
    params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<Invite>), Always, ToStrangers),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Invite>>, Problem> {
    let asked = ListQuery::read(query)?;
    let records = app.store.list_invites(asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, InviteRecord::cursor, shape)))
}

/// Withdraws an invitation.
///
/// Nobody can register by it any more.
///
/// # Errors
/// 404 where there is none; 409 where somebody has registered by it.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/invites/{id}",
    operation_id = "withdraw_invite",
    tag = "invitations",
    params(("id" = LinkId, Path, description = "An invitation's.")),
    responses(
        (status = 204, description = "It is withdrawn."), Always, ToStrangers, Refused<404>,
        Refused<409>
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn withdraw(
    State(app): State<SharedApp>,
    PathId(id): PathId,
) -> Result<(StatusCode, Extension<Upon>), Problem> {
    let unknown = || Problem::new(Reason::NotFound, "There is no invitation with this id.");
    let id: LinkId = id.parse().map_err(|_| unknown())?;
    match app.store.withdraw_invite(id, Utc::now()).await? {
        Withdrawal::Withdrawn => {}
        Withdrawal::Used => {
            let text = "Somebody has registered by this invitation.";
            return Err(Problem::new(Reason::Conflict, text));
        }
        Withdrawal::Unknown => return Err(unknown()),
    }
    info!(link.id = %id, "an invitation was withdrawn");
    Ok((StatusCode::NO_CONTENT, upon(id)))
}

fn upon(id: LinkId) -> Extension<Upon> {
    Extension(Upon(id.to_string()))
}

fn shape(record: InviteRecord) -> Invite {
    Invite {
        id: record.id,
        email: record.email.map(|email| email.as_str().to_owned()),
        role: record.role,
        team: record.team,
        created_at: record.created_at,
        expires_at: record.expires_at,
        used_at: record.used_at,
        withdrawn_at: record.withdrawn_at,
    }
}
