//! Signing out: the session ends everywhere, and the browser gives its cookies back.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use fluxgate_core::admin_api::Refresh;
use fluxgate_core::{Reason, SessionId};
use http::StatusCode;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::request::Parts;
use tracing::debug;

use crate::admin::actor::{self, CameFrom};
use crate::admin::audit::Upon;
use crate::admin::json_body;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, ToBodies, ToStrangers};
use crate::app::{App, SharedApp};
use crate::auth::cookies;
use crate::auth::credential::{self, CredentialId};
use crate::auth::origin::Origin;

/// Signs out.
///
/// The session ends everywhere; the answer takes both cookies back. It is that of the refresh token
/// in the body, else of what else the request shows. One that has ended already is signed out as
/// well.
///
/// # Errors
/// 401 without any credential, 403 for another site's page.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    operation_id = "log_out",
    tag = "sign-in",
    request_body = Option<Refresh>,
    responses((status = 204, description = "Signed out."), Always, ToStrangers, ToBodies),
    security((), ("bearer" = []), ("session" = [])),
)]
pub async fn log_out(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: Refresh = json_body::read_or_default(&head.headers, body).await?;
    let by_header = head.headers.get(AUTHORIZATION);
    let by_cookie = asked.refresh_token.is_none() && by_header.is_none();
    let session = match (&asked.refresh_token, by_header) {
        (Some(text), _) => app.refresh_tokens.check(text).map(|presented| presented.session),
        // An access token whose time is over still tells whose session is to end.
        (None, Some(value)) => match session_of(&app, value.as_bytes()) {
            Some(session) => Some(session),
            None => actor::of(&app, &head).await?.session(),
        },
        (None, None) => {
            let kind = CameFrom::of(&head)?.kind;
            let public_url = app.settings.load().public_url.clone();
            if !has_cookies(&head) {
                return Err(Problem::new(Reason::MissingKey, "Nobody is signed in here."));
            }
            Origin::of(&head.headers, &head.uri, kind, public_url.as_ref()).require_ours()?;
            session_of_cookies(&app, &head)
        }
    };
    if let Some(session) = session
        && app.store.end_session(session, None, Utc::now()).await?
    {
        app.forget(CredentialId::Session(session));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if by_cookie {
        for cookie in cookies::clear() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    if let Some(session) = session {
        response.extensions_mut().insert(Upon(format!("session:{session}")));
    }
    Ok(response)
}

/// Ends the session that a browser has had up to now. Where that can't be done, it ends by itself.
pub async fn end_session_of_cookies(app: &App, head: &Parts) {
    let Some(session) = session_of_cookies(app, head) else { return };
    match app.store.end_session(session, None, Utc::now()).await {
        Ok(_) => app.forget(CredentialId::Session(session)),
        Err(error) => debug!(session.id = %session, %error, "a session can't be ended now"),
    }
}

fn has_cookies(head: &Parts) -> bool {
    [cookies::SESSION, cookies::REFRESH]
        .iter()
        .any(|name| cookies::find(&head.headers, name).is_some())
}

/// The refresh token's session, else the access token's: either may have run out.
fn session_of_cookies(app: &App, head: &Parts) -> Option<SessionId> {
    let cookie = |name| cookies::find(&head.headers, name);
    let refresh = cookie(cookies::REFRESH).and_then(|token| std::str::from_utf8(token).ok());
    let presented = refresh.and_then(|token| app.refresh_tokens.check(token));
    presented
        .map(|presented| presented.session)
        .or_else(|| app.settings.load().access_tokens.session_to_end(cookie(cookies::SESSION)?))
}

fn session_of(app: &App, authorization: &[u8]) -> Option<SessionId> {
    let token = credential::bearer(authorization).ok()?;
    app.settings.load().access_tokens.session_to_end(token)
}
