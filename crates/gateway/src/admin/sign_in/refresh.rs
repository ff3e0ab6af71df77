//! Going on with a session: each refresh token opens it once.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{SubsecRound, Utc};
use fluxgate_core::admin_api::{Account, Grant, Refresh, SignIn};
use fluxgate_core::{Reason, Subject};
use http::StatusCode;
use http::request::Parts;
use tracing::warn;

use super::door::Door;
use super::opening::{self, Opened};
use crate::admin::audit::Upon;
use crate::admin::problem::Problem;
use crate::admin::refusals::{Always, Refused, ToBodies, ToStrangers};
use crate::admin::{STORED_DIGITS, json_body};
use crate::app::SharedApp;
use crate::auth::cookies;
use crate::auth::credential::CredentialId;
use crate::auth::refresh_token::PresentedRefreshToken;
use crate::store::Refreshed;

/// Goes on with a session.
///
/// The refresh token is in the body, else in its cookie, and works once. Tokens come back as they
/// came: in the answer, or in both cookies.
///
/// # Errors
/// 401 for a token that isn't, or is no more, one of ours; 409 for one that was replaced within the
/// last 10 seconds.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refresh",
    tag = "sign-in",
    request_body = Option<Refresh>,
    responses(
        (status = 200, description = "The session's next tokens, by its grant.", body = SignIn),
        Always, ToBodies, ToStrangers, Refused<409>,
    ),
)]
pub async fn refresh(
    State(app): State<SharedApp>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asked: Refresh = json_body::read_or_default(&head.headers, body).await?;
    let door = Door::of(&app, &head)?;
    let (text, grant) = match &asked.refresh_token {
        Some(text) => (text.as_bytes(), Grant::Bearer),
        None => {
            let cookie = cookies::find(&head.headers, cookies::REFRESH);
            (cookie.ok_or_else(|| no_token("There is no refresh token."))?, Grant::Cookie)
        }
    };
    door.check(grant)?;
    let presented = std::str::from_utf8(text).ok().and_then(|text| app.refresh_tokens.check(text));
    // One that was given in a cookie doesn't come back in a body, where a script could put it.
    let presented = presented.filter(|presented| presented.grant == grant);
    let PresentedRefreshToken { session, sha256, .. } =
        presented.ok_or_else(|| no_token("This refresh token isn't valid."))?;
    let next = app.refresh_tokens.draw(session, grant);
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let idle = app.settings.load().session_idle;
    let address = door.client.to_string();
    let refreshed = app.store.refresh_session(session, &sha256, &next.sha256, idle, &address, now);
    match refreshed.await? {
        Refreshed::Refreshed(record) => {
            let email = record.email.as_ref().map(|email| email.as_str().to_owned());
            let account = Account { id: record.user, email, role: record.role, team: record.team };
            let opened = Opened { id: session, grant, ends: record.expires_at, account };
            opening::answer(&app, &head, opened, &next, now, StatusCode::OK)
        }
        Refreshed::Superseded => {
            let text = "This refresh token was replaced a moment ago, by another tab as a rule.";
            Err(Problem::new(Reason::RefreshSuperseded, text))
        }
        Refreshed::Replayed(user) => {
            app.forget(CredentialId::Session(session));
            warn!(user.id = %user, session.id = %session, "a refresh token was replayed: its session has ended");
            let text = "This refresh token was used before. Its session has ended: sign in.";
            let problem = Problem::new(Reason::RefreshReplayed, text);
            Err(problem.upon(Upon(Subject::User(user).to_string())))
        }
        Refreshed::Ended | Refreshed::Unknown => {
            Err(Problem::new(Reason::SessionEnded, "This session has ended: sign in."))
        }
    }
}

fn no_token(text: &'static str) -> Problem {
    Problem::new(Reason::InvalidSession, text)
}
