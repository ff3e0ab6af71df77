//! Teams, for administrators: a name with limits of its own, which its members share.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{CreateTeam, Page, Team, UpdateTeam};
use fluxgate_core::limits::Limits;
use fluxgate_core::{Reason, Subject, TeamId};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::actor::Actor;
use super::audit::Upon;
use super::idempotency::IdempotencyKey;
use super::list_query::ListQuery;
use super::path_id::PathId;
use super::problem::Problem;
use super::refusals::{Always, Refused, ToBodies, ToStrangers};
use super::{STORED_DIGITS, idempotency, json_body, names};
use crate::app::{App, SharedApp};
use crate::store::{CreatedTeam, TeamChange, TeamRecord, TeamRef};

/// Makes a team.
///
/// # Errors
/// 400 for what can't be a team's facts; 409 where the name is taken.
#[utoipa::path(
    post,
    path = "/api/v1/admin/teams",
    operation_id = "create_team",
    tag = "teams",
    params(IdempotencyKey),
    request_body = CreateTeam,
    responses(
        (status = 201, description = "The team.", body = Team),
        Always, ToStrangers, ToBodies, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn create(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<Team>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateTeam = json_body::read(&headers, body).await?;
    check(Some(&asked.name), asked.limits.as_ref())?;
    let team = TeamRecord {
        id: TeamId::generate(),
        name: asked.name,
        limits: asked.limits.unwrap_or_default(),
        created_at: Utc::now().trunc_subsecs(STORED_DIGITS),
    };
    match app.store.create_team(&team, actor.user(), idempotency_key).await? {
        CreatedTeam::Created => {}
        CreatedTeam::NameTaken => return Err(name_taken()),
        CreatedTeam::AlreadyCreated(id) => {
            let text = "This request was repeated: the team was made before.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
    }
    info!(team.id = %team.id, "a team was made");
    Ok((StatusCode::CREATED, upon(team.id), Json(shape(team))))
}

/// Lists the teams.
///
/// The newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/admin/teams",
    operation_id = "list_teams",
    tag = "teams",
    params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<Team>), Always, ToStrangers),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Team>>, Problem> {
    let asked = ListQuery::read(query)?;
    let records = app.store.list_teams(asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, TeamRecord::cursor, shape)))
}

/// Changes a team.
///
/// What is absent stays as it is.
///
/// # Errors
/// 404 where there is no such team; 409 where the name is taken.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/teams/{id}",
    operation_id = "update_team",
    tag = "teams",
    params(("id" = TeamId, Path, description = "A team's.")),
    request_body = UpdateTeam,
    responses(
        (status = 200, description = "As it is now.", body = Team),
        Always, ToStrangers, ToBodies, Refused<404>, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn update(
    State(app): State<SharedApp>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<Upon>, Json<Team>), Problem> {
    let id: TeamId = id.parse().map_err(|_| unknown())?;
    let UpdateTeam { name, limits } = json_body::read(&headers, body).await?;
    check(name.as_deref(), limits.as_ref())?;
    let team = match app.store.update_team(id, name, limits, Utc::now()).await? {
        TeamChange::Changed(team) => team,
        TeamChange::NameTaken => return Err(name_taken()),
        TeamChange::Unknown => return Err(unknown()),
    };
    info!(team.id = %id, "a team was changed");
    Ok((upon(id), Json(shape(team))))
}

/// Deletes a team.
///
/// Its members stay, without a team.
///
/// # Errors
/// 404 where there is no such team.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/teams/{id}",
    operation_id = "delete_team",
    tag = "teams",
    params(("id" = TeamId, Path, description = "A team's.")),
    responses((status = 204, description = "It is gone."), Always, ToStrangers, Refused<404>),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn delete(
    State(app): State<SharedApp>,
    PathId(id): PathId,
) -> Result<(StatusCode, Extension<Upon>), Problem> {
    let id: TeamId = id.parse().map_err(|_| unknown())?;
    if !app.store.delete_team(id, Utc::now()).await? {
        return Err(unknown());
    }
    info!(team.id = %id, "a team was deleted");
    Ok((StatusCode::NO_CONTENT, upon(id)))
}

/// The team that a body names by its id or its name.
///
/// # Errors
/// 400 where there is none.
pub(super) async fn find(app: &App, team: &str) -> Result<TeamId, Problem> {
    let unknown = || Problem::new(Reason::InvalidRequest, "`team`: there is no such team.");
    let by = match team.parse() {
        Ok(id) => TeamRef::Id(id),
        // Postgres refuses a NUL in a text.
        Err(_) if names::check(team).is_err() => return Err(unknown()),
        Err(_) => TeamRef::Name(team.to_owned()),
    };
    let found = app.store.find_team(&by).await?;
    Ok(found.ok_or_else(unknown)?.id)
}

fn check(name: Option<&str>, limits: Option<&Limits>) -> Result<(), Problem> {
    if let Some(name) = name {
        names::check(name)?;
        // It would be taken for an id wherever a team is named.
        if name.parse::<TeamId>().is_ok() {
            let text = "`name`: expected a name that isn't an id.";
            return Err(Problem::new(Reason::InvalidRequest, text));
        }
    }
    match limits.and_then(Limits::fault) {
        Some(fault) => Err(Problem::new(Reason::InvalidRequest, fault)),
        None => Ok(()),
    }
}

fn name_taken() -> Problem {
    Problem::new(Reason::Conflict, "`name`: another team has this name.")
}

fn unknown() -> Problem {
    Problem::new(Reason::NotFound, "There is no team with this id.")
}

fn upon(id: TeamId) -> Extension<Upon> {
    Extension(Upon(Subject::Team(id).to_string()))
}

fn shape(team: TeamRecord) -> Team {
    Team {
        id: team.id,
        subject: Subject::Team(team.id).to_string(),
        name: team.name,
        limits: team.limits,
        created_at: team.created_at,
    }
}
