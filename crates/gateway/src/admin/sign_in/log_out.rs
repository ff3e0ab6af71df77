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

use crate::admin::actor;
use crate::admin::json_body;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, ToBodies, ToStrangers};
use crate::app::{App, SharedApp};
use crate::auth::cookies;
use crate::auth::credential::CredentialId;
use crate::auth::identify;
use crate::auth::origin::Origin;

/// Signs out.
///
/// The session ends everywhere; the answer takes both cookies back. It is that of the refresh token in the
/// body, else of what else the request shows. One that has ended already is signed out as well.
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
    let session = match &asked.refresh_token {
        Some(text) => app.refresh_tokens.check(text).map(|presented| presented.session),
        None if head.headers.contains_key(AUTHORIZATION) => actor::of(&app, &head).await?.session(),
        None => by_cookie(&app, &head)?,
    };
    if let Some(session) = session
        && app.store.end_session(session, None, Utc::now()).await?
    {
        app.forget(CredentialId::Session(session));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in cookies::clear() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The refresh token's session, else the access token's: either may have run out. Cookies that say
/// nothing any more are taken back.
fn by_cookie(app: &App, head: &Parts) -> Result<Option<SessionId>, Problem> {
    let cookie = |name| cookies::find(&head.headers, name);
    let (access, refresh) = (cookie(cookies::SESSION), cookie(cookies::REFRESH));
    if access.is_none() && refresh.is_none() {
        return Err(Problem::new(Reason::MissingKey, "Nobody is signed in here."));
    }
    let settings = app.settings.load();
    let public_url = settings.public_url.as_ref();
    if Origin::of(&head.headers, &head.uri, public_url) != Origin::Ours {
        return Err(identify::cross_origin().into());
    }
    let of_refresh = refresh.and_then(|token| std::str::from_utf8(token).ok());
    let of_refresh = of_refresh.and_then(|token| app.refresh_tokens.check(token));
    let of_access = || settings.access_tokens.check(access?, Utc::now()).ok();
    Ok(of_refresh.map(|presented| presented.session).or_else(of_access))
}
