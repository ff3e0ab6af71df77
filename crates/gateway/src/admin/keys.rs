//! API keys: made, listed, changed, given another secret, revoked. Members see and manage their own,
//! administrators all.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use fluxgate_core::admin_api::{
    CreateKey, CreatedKey, Key, KeySettings, Page, RotateKey, Scope, UpdateKey, UserState,
};
use fluxgate_core::text::is_printable;
use fluxgate_core::{KeyId, Reason, Subject, UserId};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::STORED_DIGITS;
use super::actor::Actor;
use super::audit::Upon;
use super::idempotency::IdempotencyKey;
use super::list_query::ListQuery;
use super::path_id::PathId;
use super::problem::Problem;
use super::refusals::{Always, Refused, ToBodies, ToStrangers};
use super::{idempotency, json_body, names, times};
use crate::app::SharedApp;
use crate::auth::api_key::NewKey;
use crate::auth::credential::CredentialId;
use crate::header_policy;
use crate::store::{CreateOutcome, KeyRecord, NewKeyRecord, Revocation, Rotation, UserRef};

/// Of a member, in use at the same time.
const KEYS_MAX: u64 = 100;
/// Globs of models, and networks, of one key.
const ENTRIES_MAX: usize = 64;
const MODEL_BYTES_MAX: usize = 256;
/// 30 days.
const OVERLAP_S_MAX: u32 = 30 * 24 * 3600;

/// Makes a key.
///
/// The key stands in this answer and nowhere else.
///
/// # Errors
/// 400 for what can't be a key's facts; 409 with the id where it is a repeat.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    operation_id = "create_key",
    tag = "keys",
    params(IdempotencyKey),
    request_body = CreateKey,
    responses(
        (status = 201, description = "The key.", body = CreatedKey),
        Always, ToStrangers, ToBodies, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn create(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Extension<Upon>, Json<CreatedKey>), Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let asked: CreateKey = json_body::read(&headers, body).await?;
    names::check(&asked.name)?;
    let settings = asked.settings();
    check_settings(&settings)?;
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let expires_at = asked.expires_at.map(|end| end.trunc_subsecs(STORED_DIGITS));
    check_end(expires_at, now)?;
    let owner = match &asked.user {
        None => actor.user(),
        Some(user) => find_owner(&app, actor, user).await?,
    };
    if !actor.is_admin() && app.store.count_open_keys(owner, now).await? >= KEYS_MAX {
        let text = format!("You have {KEYS_MAX} keys that are in use: revoke one first.");
        return Err(Problem::new(Reason::Conflict, text));
    }
    let key = NewKey::generate();
    let new = NewKeyRecord {
        id: key.id,
        owner,
        name: asked.name,
        secret_sha256: key.secret_sha256.0,
        created_at: now,
        expires_at,
        settings,
    };
    match app.store.create_key(new.clone(), actor.user(), idempotency_key).await? {
        CreateOutcome::Created => {}
        CreateOutcome::AlreadyCreated(id) => {
            let text = "This request was repeated: the key was made before, and shown then.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
    }
    info!(key.id = %key.id, owner.id = %owner, "a key was made");
    let about = Key {
        id: new.id,
        subject: Subject::Key(new.id).to_string(),
        name: new.name,
        owner,
        created_at: now,
        expires_at,
        revoked_at: None,
        last_used_at: None,
        previous_until: None,
        settings: new.settings,
    };
    let upon = Extension(Upon(about.subject.clone()));
    let created = CreatedKey { key: key.reveal().to_owned(), about };
    Ok((StatusCode::CREATED, upon, Json(created)))
}

/// Lists keys.
///
/// The newest first; to a member, their own.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    operation_id = "list_keys",
    tag = "keys",
    params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<Key>), Always, ToStrangers),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Key>>, Problem> {
    let asked = ListQuery::read(query)?;
    let owner = (!actor.is_admin()).then(|| actor.user());
    let records = app.store.list_keys(owner, asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, KeyRecord::cursor, shape)))
}

/// Revokes a key.
///
/// Revoking it again changes nothing.
///
/// # Errors
/// 404 where there is no such key.
#[utoipa::path(
    delete,
    path = "/api/v1/keys/{id}",
    operation_id = "revoke_key",
    tag = "keys",
    params(("id" = KeyId, Path, description = "A key's.")),
    responses(
        (status = 204, description = "It opens nothing any more."),
        Always, ToStrangers, Refused<404>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn revoke(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    PathId(id): PathId,
) -> Result<(StatusCode, Extension<Upon>), Problem> {
    let id = theirs(&app, actor, &id).await?;
    let revocation = app.store.revoke_key(&id, Utc::now()).await?.ok_or_else(unknown)?;
    app.forget(CredentialId::Key(id));
    match revocation {
        Revocation::Now => info!(key.id = %id, "a key was revoked"),
        Revocation::Before => {}
    }
    Ok((StatusCode::NO_CONTENT, upon(id)))
}

/// Changes a key.
///
/// What is absent stays as it is.
///
/// # Errors
/// 400 for what can't be a key's facts; 404 where there is no such key.
#[utoipa::path(
    patch,
    path = "/api/v1/keys/{id}",
    operation_id = "update_key",
    tag = "keys",
    params(("id" = KeyId, Path, description = "A key's.")),
    request_body = UpdateKey,
    responses(
        (status = 200, description = "As it is now.", body = Key),
        Always, ToStrangers, ToBodies, Refused<404>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn update(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<Upon>, Json<Key>), Problem> {
    let id = theirs(&app, actor, &id).await?;
    let mut asked: UpdateKey = json_body::read(&headers, body).await?;
    if let Some(name) = &asked.name {
        names::check(name)?;
    }
    let now = Utc::now();
    asked.expires_at = asked.expires_at.map(|end| end.map(|end| end.trunc_subsecs(STORED_DIGITS)));
    check_end(asked.expires_at.flatten(), now)?;
    if asked.scopes.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("`scopes`: expected at least one."));
    }
    let mut settings = KeySettings::default();
    asked.clone().apply(&mut settings);
    check_settings(&settings)?;
    let record = app.store.update_key(&id, asked, now).await?.ok_or_else(unknown)?;
    app.forget(CredentialId::Key(id));
    info!(key.id = %id, "a key was changed");
    Ok((upon(id), Json(shape(record))))
}

/// Gives a key another secret.
///
/// It keeps its id. The whole key is shown in this answer alone.
///
/// # Errors
/// 404 where there is no such key; 409 where it has ended.
#[utoipa::path(
    post,
    path = "/api/v1/keys/{id}/rotate",
    operation_id = "rotate_key",
    tag = "keys",
    params(("id" = KeyId, Path, description = "A key's.")),
    request_body = Option<RotateKey>,
    responses(
        (status = 200, description = "The key.", body = CreatedKey),
        Always, ToStrangers, ToBodies, Refused<404>, Refused<409>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn rotate(
    State(app): State<SharedApp>,
    Extension(actor): Extension<Actor>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<Upon>, Json<CreatedKey>), Problem> {
    let id = theirs(&app, actor, &id).await?;
    let asked: RotateKey = json_body::read_or_default(&headers, body).await?;
    let overlap_s = asked.overlap_s.unwrap_or(0);
    if overlap_s > OVERLAP_S_MAX {
        return Err(invalid(format!("`overlap_s`: expected at most {OVERLAP_S_MAX}.")));
    }
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let overlap_until = (overlap_s > 0).then(|| now + TimeDelta::seconds(overlap_s.into()));
    let key = NewKey::under(id);
    let rotated = app.store.rotate_key(&id, key.secret_sha256.0, overlap_until, now).await?;
    let record = match rotated.ok_or_else(unknown)? {
        Rotation::Rotated(record) => *record,
        Rotation::Overlapping(until) => {
            let text = format!(
                "The secret before the present one opens until {}: wait for that, or rotate \
                 without an overlap, which ends both.",
                until.to_rfc3339_opts(SecondsFormat::Secs, true)
            );
            return Err(Problem::new(Reason::Conflict, text).about(id.to_string()));
        }
        Rotation::Ended => {
            let text = "This key was revoked or has expired: make another.";
            return Err(Problem::new(Reason::Conflict, text).about(id.to_string()));
        }
    };
    app.forget(CredentialId::Key(id));
    info!(key.id = %id, overlap_s, "a key got a new secret");
    let created = CreatedKey { key: key.reveal().to_owned(), about: shape(record) };
    Ok((upon(id), Json(created)))
}

/// A key that they may change: a member's own. Of others' they learn nothing.
async fn theirs(app: &SharedApp, actor: Actor, id: &str) -> Result<KeyId, Problem> {
    let id: KeyId = id.parse().map_err(|_| unknown())?;
    if !actor.is_admin() {
        let key = app.store.find_key(&id).await?;
        key.filter(|key| key.owner == actor.user()).ok_or_else(unknown)?;
    }
    Ok(id)
}

fn upon(id: KeyId) -> Extension<Upon> {
    Extension(Upon(Subject::Key(id).to_string()))
}

async fn find_owner(app: &SharedApp, actor: Actor, user: &str) -> Result<UserId, Problem> {
    if actor.is_admin() {
        return find_user(app, user).await;
    }
    // Whether there is another such user isn't told.
    let own = app.store.find_user(&UserRef::Id(actor.user())).await?;
    let email = own.and_then(|own| own.email);
    let is_own = match user.parse() {
        Ok(UserRef::Id(id)) => id == actor.user(),
        Ok(UserRef::Email(named)) => email == Some(named),
        Err(_) => false,
    };
    if is_own {
        return Ok(actor.user());
    }
    let text = "`user`: you may make keys for yourself alone.";
    Err(Problem::new(Reason::NotAllowed, text))
}

async fn find_user(app: &SharedApp, user: &str) -> Result<UserId, Problem> {
    let expected = "`user`: expected a user's id or e-mail.";
    let by: UserRef = user.parse().map_err(|_| invalid(expected))?;
    match app.store.find_user(&by).await? {
        Some(user) if user.state == UserState::Active => Ok(user.id),
        Some(_) => Err(invalid("`user`: this user is disabled.")),
        None => Err(invalid("`user`: there is no such user.")),
    }
}

fn unknown() -> Problem {
    Problem::new(Reason::NotFound, "There is no key with this id.")
}

fn check_end(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Problem> {
    times::check("expires_at", expires_at)?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(invalid("`expires_at`: expected a time to come."));
    }
    Ok(())
}

fn check_settings(settings: &KeySettings) -> Result<(), Problem> {
    let entry_fits = |glob: &String| {
        (1..=MODEL_BYTES_MAX).contains(&glob.len()) && glob.chars().all(is_printable)
    };
    if settings.models.len() > ENTRIES_MAX || !settings.models.iter().all(entry_fits) {
        return Err(invalid(format!(
            "`models`: expected at most {ENTRIES_MAX} globs of 1 to {MODEL_BYTES_MAX} bytes."
        )));
    }
    if settings.ips.len() > ENTRIES_MAX {
        return Err(invalid(format!("`ips`: expected at most {ENTRIES_MAX} networks.")));
    }
    let once = |scope: &Scope| settings.scopes.iter().filter(|other| *other == scope).count() == 1;
    if !settings.scopes.iter().all(once) {
        return Err(invalid("`scopes`: expected each at most once."));
    }
    if let Some(fault) = settings.limits.fault() {
        return Err(invalid(fault));
    }
    match settings.end_user_header.as_deref() {
        Some(name) if !header_policy::may_name_a_person(name) => Err(invalid(
            "`end_user_header`: expected the name of a header that means nothing else.",
        )),
        _ => Ok(()),
    }
}

fn shape(record: KeyRecord) -> Key {
    Key {
        id: record.id,
        subject: Subject::Key(record.id).to_string(),
        name: record.name,
        owner: record.owner,
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
        last_used_at: record.last_used_at,
        previous_until: record.previous.map(|(_, until)| until),
        settings: record.settings,
    }
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Reason::InvalidRequest, text)
}
