//! One-time links, for administrators: invitations here, and what they share with those that set
//! another password.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fluxgate_core::admin_api::{CreateInvite, CreatedLink, Invite, Page, Role};
use fluxgate_core::config::Registration;
use fluxgate_core::{LinkId, Reason};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::actor::Actor;
use super::audit::Upon;
use super::list_query::ListQuery;
use super::problem::Problem;
use super::{STORED_DIGITS, idempotency, json_body, teams, users};
use crate::app::{App, SharedApp};
use crate::auth::one_time;
use crate::store::{InviteRecord, LinkAbout, LinkCreation as Outcome, NewLink, Withdrawal};

/// A kind of link: where it leads, and how long it may be good for.
pub(super) struct LinkKind {
    page: &'static str,
    lasts: TimeDelta,
    lasts_at_most: TimeDelta,
}

const INVITES: LinkKind =
    LinkKind { page: "register", lasts: TimeDelta::days(7), lasts_at_most: TimeDelta::days(30) };
pub(super) const RESETS: LinkKind =
    LinkKind { page: "reset", lasts: TimeDelta::days(1), lasts_at_most: TimeDelta::days(7) };

/// `POST /api/v1/admin/invites`.
///
/// # Errors
/// 400 for what can't be an invitation's facts; 409 where nobody may register.
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
    let created = link(&app, actor, &INVITES, about, asked.expires_at, idempotency_key).await?;
    info!(link.id = %created.id, "an invitation was made");
    Ok((StatusCode::CREATED, upon(created.id), Json(created)))
}

/// `GET /api/v1/admin/invites?limit=&cursor=`: the newest first, without their tokens.
///
/// # Errors
/// 400 for a query that can't be answered.
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Invite>>, Problem> {
    let asked = ListQuery::read(query)?;
    let records = app.store.list_invites(asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, InviteRecord::cursor, shape)))
}

/// `DELETE /api/v1/admin/invites/{id}`: nobody can register by it any more.
///
/// # Errors
/// 404 where there is none; 409 where somebody has registered by it.
pub async fn withdraw(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
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

/// Makes a link. Its token stands in the answer and nowhere else.
pub(super) async fn link(
    app: &App,
    actor: Actor,
    kind: &LinkKind,
    about: LinkAbout,
    expires_at: Option<DateTime<Utc>>,
    idempotency_key: Option<&str>,
) -> Result<CreatedLink, Problem> {
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let expires_at = expires_at.map_or(now + kind.lasts, |end| end.trunc_subsecs(STORED_DIGITS));
    if expires_at <= now || expires_at > now + kind.lasts_at_most {
        let days = kind.lasts_at_most.num_days();
        let text = format!("`expires_at`: expected a time within {days} days.");
        return Err(Problem::new(Reason::InvalidRequest, text));
    }
    let (token, sha256) = one_time::draw();
    let new = NewLink { id: LinkId::generate(), sha256, created_at: now, expires_at, about };
    match app.store.create_link(&new, actor.user(), idempotency_key).await? {
        Outcome::Created => {}
        Outcome::AlreadyCreated(id) => {
            let text = "This request was repeated: the link was made before, and shown then.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
        Outcome::UnknownUser => {
            return Err(Problem::new(Reason::NotFound, "There is no user with this id."));
        }
        Outcome::UserDisabled => {
            let text = "This user is disabled: enable them first.";
            return Err(Problem::new(Reason::Conflict, text));
        }
    }
    let origin = app.page_origin().unwrap_or_default();
    let link = format!("{origin}/{}#{}", kind.page, token.expose());
    Ok(CreatedLink { id: new.id, link, expires_at })
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
