//! API keys, for the operator: made, listed, revoked.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{CreateKey, CreatedKey, Key, Page};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{KeyId, Reason, Subject, UserId};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use tracing::info;

use super::json_body;
use super::problem::Problem;
use crate::app::SharedApp;
use crate::auth::api_key::NewKey;
use crate::store::{
    CreateOutcome, KeyCursor, KeyRecord, NewKeyRecord, Revocation, State as UserState, UserRef,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Members of the published API that this version doesn't have.
const LATER: [&str; 6] = ["scopes", "models", "ips", "limits", "end_user_header", "in_path"];
const NAME_CHARS_MAX: usize = 64;
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Of a second, in the stores: an answer says what a later one will.
const STORED_DIGITS: u16 = 6;
const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 500;

/// The query of `GET /api/v1/keys`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `POST /api/v1/keys`. The key stands in this answer and nowhere else.
///
/// # Errors
/// 400 for what can't be a key's facts; 409 with the id where it is a repeat.
pub async fn create(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<CreatedKey>), Problem> {
    let idempotency_key = idempotency_key(&headers)?;
    let asked: CreateKey = json_body::read(&headers, body, &LATER).await?;
    check_name(&asked.name)?;
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let expires_at = asked.expires_at.map(|end| end.trunc_subsecs(STORED_DIGITS));
    if expires_at.is_some_and(|end| end <= now) {
        return Err(invalid("`expires_at`: expected a time to come."));
    }
    let owner = match &asked.user {
        None => OPERATOR,
        Some(user) => find_owner(&app, user).await?,
    };
    let key = NewKey::generate();
    let record = NewKeyRecord {
        id: key.id,
        owner,
        name: asked.name.clone(),
        secret_sha256: key.secret_sha256.0,
        created_at: now,
        expires_at,
    };
    match app.store.create_key(record, OPERATOR, idempotency_key).await? {
        CreateOutcome::Created => {}
        CreateOutcome::AlreadyCreated(id) => {
            let text = "This request was repeated: the key was made before, and shown then.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
    }
    info!(key.id = %key.id, owner.id = %owner, "a key was made");
    let created = CreatedKey {
        id: key.id,
        key: key.reveal().to_owned(),
        subject: Subject::Key(key.id).to_string(),
        name: asked.name,
        owner,
        created_at: now,
        expires_at,
    };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, NO_STORE)], Json(created)))
}

/// `GET /api/v1/keys?limit=&cursor=`: every key, the newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Key>>, Problem> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(invalid(format!("`limit`: expected 1 to {PAGE_MAX}.")));
    }
    let after = query.cursor.map(|cursor| cursor.parse::<KeyCursor>()).transpose();
    let after = after.map_err(|error| invalid(format!("`cursor`: {error}.")))?;

    // One more than is shown tells whether there is another page.
    let mut records = app.store.list_keys(None, after, limit + 1).await?;
    let shown = limit as usize;
    let more = records.len() > shown;
    records.truncate(shown);
    let last = records.last().filter(|_| more);
    let next_cursor = last.map(|record| record.cursor().to_string());
    Ok(Json(Page { items: records.into_iter().map(shape).collect(), next_cursor }))
}

/// `DELETE /api/v1/keys/{id}`. Revoking it again changes nothing.
///
/// # Errors
/// 404 where there is no such key.
pub async fn revoke(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::new(Reason::NotFound, "There is no key with this id.");
    let id: KeyId = id.parse().map_err(|_| unknown())?;
    let revocation = app.store.revoke_key(&id, Utc::now()).await?.ok_or_else(unknown)?;
    app.directory.forget();
    app.workers.forget(id);
    match revocation {
        Revocation::Now => info!(key.id = %id, "a key was revoked"),
        Revocation::Before => {}
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn find_owner(app: &SharedApp, user: &str) -> Result<UserId, Problem> {
    let by = match user.parse::<UserId>() {
        Ok(id) => UserRef::Id(id),
        Err(_) => UserRef::Email(
            user.parse().map_err(|_| invalid("`user`: expected a user's id or e-mail."))?,
        ),
    };
    match app.store.find_user(&by).await? {
        Some(user) if user.state == UserState::Active => Ok(user.id),
        Some(_) => Err(invalid("`user`: this user is disabled.")),
        None => Err(invalid("`user`: there is no such user.")),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let length_fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if length_fits && !name.trim().is_empty() && name.chars().all(is_printable) {
        return Ok(());
    }
    Err(invalid("`name`: expected 1 to 64 printable characters."))
}

/// Not what moves a cursor, breaks a line or turns the direction of the text around it.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text =
        value.to_str().ok().filter(|text| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()));
    let text = text
        .ok_or_else(|| invalid("`Idempotency-Key`: expected 1 to 255 visible ASCII characters."))?;
    Ok(Some(text))
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
    }
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Reason::InvalidRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_64_printable_characters() {
        for name in ["laptop", "Ada's key", "schlüssel", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "  ", "a\nb", "a\u{202e}b", "a\u{1b}[0m", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
