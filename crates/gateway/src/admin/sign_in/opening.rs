//! A session that is opened or goes on: its tokens, and the answer that has them, by its grant.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fluxgate_core::admin_api::{Account, BearerTokens, Grant, SignIn, SignedIn};
use fluxgate_core::{Reason, SessionId};
use http::StatusCode;
use http::header::SET_COOKIE;
use http::request::Parts;

use super::door::Door;
use crate::admin::STORED_DIGITS;
use crate::admin::actor::{Actor, Named};
use crate::admin::problem::Problem;
use crate::app::App;
use crate::auth::cookies;
use crate::auth::tagged::Sealed;
use crate::store::{NewSession, UserRecord};

/// Opens a session for whoever has just proven who they are.
///
/// # Errors
/// 401 where the account or its password was changed meanwhile.
pub async fn open(
    app: &App,
    head: &Parts,
    door: &Door,
    user: &UserRecord,
    expected_phc: Option<&str>,
    grant: Grant,
    status: StatusCode,
) -> Result<Response, Problem> {
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let id = SessionId::generate();
    let refresh = app.refresh_tokens.draw(id, grant);
    let new = NewSession {
        id,
        user: user.id,
        grant,
        refresh_sha256: refresh.sha256,
        created_at: now,
        expires_at: now + app.settings.load().session_max,
        device: door.device.clone(),
        address: door.client.to_string(),
    };
    if !app.store.open_session(&new, expected_phc).await? {
        let text = "The account was changed meanwhile. Sign in again.";
        return Err(Problem::new(Reason::InvalidCredentials, text));
    }
    let opened = Opened { id, grant, ends: new.expires_at, account: account(user) };
    answer(app, head, opened, &refresh, now, status)
}

/// A session and whose it is.
pub struct Opened {
    pub id: SessionId,
    pub grant: Grant,
    /// However often it is used.
    pub ends: DateTime<Utc>,
    pub account: Account,
}

/// Gives the session's new tokens.
///
/// # Errors
/// 500 where none can be signed.
pub fn answer(
    app: &App,
    head: &Parts,
    opened: Opened,
    refresh: &Sealed,
    now: DateTime<Utc>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let Opened { id, grant, ends, account } = opened;
    let settings = app.settings.load();
    let drawn = settings.access_tokens.draw(id, ends, now);
    let (access, expires_at) = drawn.map_err(Problem::internal)?;
    let actor = Actor::Person { user: account.id, role: account.role, session: id };
    Named::name(head, actor);
    let (body, set) = match grant {
        Grant::Bearer => {
            let expires_in = u32::try_from((expires_at - now).num_seconds()).unwrap_or(0);
            let tokens = BearerTokens {
                access_token: access.expose().to_owned(),
                token_type: "Bearer".to_owned(),
                expires_in,
                refresh_token: refresh.text.expose().to_owned(),
                user: account,
            };
            (SignIn::Bearer(tokens), None)
        }
        Grant::Cookie => {
            let refresh_for = lasts(settings.session_idle.min(ends - now));
            let cookies =
                cookies::set(&access, lasts(expires_at - now), &refresh.text, refresh_for);
            (SignIn::Cookie(SignedIn { user: account, expires_at }), Some(cookies))
        }
    };
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    for cookie in set.into_iter().flatten() {
        headers.append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A user, as the answers about signing in say.
pub fn account(user: &UserRecord) -> Account {
    let email = user.email.as_ref().map(|email| email.as_str().to_owned());
    Account { id: user.id, email, role: user.role, team: user.team }
}

fn lasts(time: TimeDelta) -> Duration {
    time.to_std().unwrap_or_default()
}
