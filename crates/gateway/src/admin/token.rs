//! Who may use the admin listener: whoever shows the operator's token.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fluxgate_core::{Reason, Secret};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::actor::{Actor, Named};
use super::problem::Problem;
use crate::app::SharedApp;
use crate::listen::ClientAddr;

/// Wrong tokens are answered this late, one after the other: ten guesses a second, all told.
const WRONG_TAKES: Duration = Duration::from_millis(100);
/// The longest that a wrong one waits for its turn. Connections are limited, and so is who waits.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// Right tokens never wait for it.
static WRONG_TURN: Semaphore = Semaphore::const_new(1);

/// Lets a request pass that carries `Authorization: Bearer <ADMIN_TOKEN>`.
pub async fn require_operator(
    State(app): State<SharedApp>,
    request: Request,
    next: Next,
) -> Response {
    let Some(shown) = bearer(request.headers()) else {
        let text = "Send the operator's token as `Authorization: Bearer <ADMIN_TOKEN>`.";
        return Problem::new(Reason::InvalidAdminToken, text).into_response();
    };
    if Secret::from(shown) == app.admin_token {
        let (mut head, body) = request.into_parts();
        Named::name(&head, Actor::Operator);
        head.extensions.insert(Actor::Operator);
        return next.run(Request::from_parts(head, body)).await;
    }
    let client = request.extensions().get::<ClientAddr>().copied();
    slow_down(client).await;
    Problem::new(Reason::InvalidAdminToken, "This isn't the operator's token.").into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn slow_down(client: Option<ClientAddr>) {
    if let Ok(Ok(_turn)) = timeout(TURN_WITHIN, WRONG_TURN.acquire()).await {
        // Within the turn: a flood of guesses isn't a flood of lines.
        let client = client.map(tracing::field::display);
        warn!(client.address = client, "a wrong operator's token");
        sleep(WRONG_TAKES).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_a_token() {
        let shown = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(shown("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(shown("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(shown("Basic abc"), None);
        assert_eq!(shown("abc"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn wrong_tokens_wait_for_each_other() {
        let before = tokio::time::Instant::now();
        tokio::join!(slow_down(None), slow_down(None), slow_down(None));
        assert!(before.elapsed() >= 3 * WRONG_TAKES);
    }
}
