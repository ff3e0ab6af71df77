//! Errors of our own API: `application/problem+json` (RFC 9457). The status comes from the
//! [`Reason`] alone; the cause goes to the log, the client gets a safe sentence.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fluxgate_core::admin_api::ProblemDetails;
use fluxgate_core::reason::Fault;
use fluxgate_core::{Reason, RequestId};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use tracing::{error, warn};

use super::audit::Upon;
use crate::auth::login_throttle::{ThrottleReason, Throttled};
use crate::auth::password::{PasswordError, PasswordFault};
use crate::refusal::Refusal;
use crate::store::StoreError;

pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
/// Until a store may be back.
pub const STORE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a request to our own API was refused. Handlers return it; [`name_the_request`] completes it.
#[derive(Clone, Debug)]
pub struct Problem {
    reason: Reason,
    detail: Cow<'static, str>,
    id: Option<String>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
    upon: Option<Upon>,
}

impl Problem {
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), id: None, retry_after: None, cause: None, upon: None }
    }

    /// A fault of ours: the cause is logged, the client learns that there was one.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let mut problem = Self::new(Reason::Internal, "The gateway failed; its log has the cause.");
        problem.cause = Some(Arc::new(cause));
        problem
    }

    /// A password that can't be one, by the field that has it.
    #[must_use]
    pub fn password(field: &str, fault: PasswordFault) -> Self {
        Self::new(Reason::InvalidRequest, format!("`{field}`: {fault}."))
    }

    /// A query that can't be read. What it held isn't told: somebody may have put a key there.
    #[must_use]
    pub fn query(expected: &'static str) -> Self {
        Self::new(Reason::InvalidRequest, format!("The query can't be used: expected {expected}."))
    }

    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What the audit log says that it happened to.
    #[must_use]
    pub fn upon(mut self, object: Upon) -> Self {
        self.upon = Some(object);
        self
    }

    /// Names the object that the problem is about.
    #[must_use]
    pub fn about(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The document of a request that axum doesn't see.
    #[must_use]
    pub fn document(&self, request_id: RequestId) -> Bytes {
        // Strings and numbers: there is nothing in it that JSON can't hold.
        serde_json::to_vec(&self.details(Some(request_id))).unwrap_or_default().into()
    }

    fn details(&self, request_id: Option<RequestId>) -> ProblemDetails {
        let status = self.reason.status();
        ProblemDetails {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.reason.code().to_owned(),
            request_id,
            id: self.id.clone(),
        }
    }

    fn answer(&self, request_id: Option<RequestId>) -> Response {
        let status = self.reason.status();
        let mut response = (status, Json(self.details(request_id))).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, BEARER);
        }
        if let Some(wait) = self.retry_after {
            let whole_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_s.max(1)));
        }
        response
    }

    fn log(&self, request_id: RequestId) {
        let Some(cause) = &self.cause else { return };
        let cause: &(dyn Error + 'static) = &**cause;
        match self.reason.fault() {
            Fault::Gateway if self.reason == Reason::Internal => {
                error!(error = cause, request.id = %request_id, "our own API failed");
            }
            Fault::Gateway | Fault::Upstream | Fault::Client => {
                warn!(error = cause, request.id = %request_id, "our own API couldn't serve a request");
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.answer(None);
        if let Some(upon) = self.upon.clone() {
            response.extensions_mut().insert(upon);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(refusal.reason, refusal.message);
        problem.retry_after = refusal.retry_after;
        problem
    }
}

impl From<Throttled> for Problem {
    fn from(throttled: Throttled) -> Self {
        let problem = match throttled.reason {
            ThrottleReason::TooMany => {
                let text = "Too many attempts. Wait before the next one.";
                Self::new(Reason::LoginThrottled, text)
            }
            ThrottleReason::Busy => {
                let text = "Too many passwords are being checked. Try again shortly.";
                Self::new(Reason::PasswordsBusy, text)
            }
        };
        problem.retry_after(throttled.retry_after)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !error.is_unavailable() {
            return Self::internal(error);
        }
        let text = "The accounts database can't answer right now. Try again shortly.";
        let mut problem = Self::new(Reason::StoreUnavailable, text).retry_after(STORE_RETRY_AFTER);
        problem.cause = Some(Arc::new(error));
        problem
    }
}

impl From<PasswordFault> for Problem {
    fn from(fault: PasswordFault) -> Self {
        Self::new(Reason::InvalidRequest, format!("`password`: {fault}."))
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Fault(fault) => fault.into(),
            PasswordError::Busy { retry_after } => {
                let text = "Too many passwords are being checked. Try again shortly.";
                Self::new(Reason::PasswordsBusy, text).retry_after(retry_after)
            }
            PasswordError::Hash(_) | PasswordError::Stored(_) | PasswordError::Thread => {
                Self::internal(error)
            }
        }
    }
}

/// Outermost around the routes: puts the request's id into a problem, and its cause into the log.
pub async fn name_the_request(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().copied();
    let mut response = next.run(request).await;
    let (Some(request_id), Some(problem)) =
        (request_id, response.extensions_mut().remove::<Problem>())
    else {
        return response;
    };
    problem.log(request_id);
    let named = problem.answer(Some(request_id));
    // For the record of the request.
    response.extensions_mut().insert(problem.reason);
    // The head stays: a fallback's has `Allow` in it.
    let headers = response.headers_mut();
    headers.remove(http::header::CONTENT_LENGTH);
    headers.extend(named.headers().clone());
    *response.body_mut() = named.into_body();
    response
}

/// A known path with another method; axum adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(Reason::MethodNotAllowed, "This route takes another method: see `Allow`.")
}

/// Anything else.
pub async fn unknown_route() -> Problem {
    Problem::new(Reason::UnknownRoute, "There is no such route.")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str) -> (Response, ProblemDetails) {
        let app = Router::new()
            .route("/known", post(async || Problem::new(Reason::NotFound, "no").about("x7")))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(unknown_route)
            .layer(axum::middleware::from_fn(name_the_request));
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(RequestId(uuid::Uuid::from_u128(7)));
        let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 4_096).await.unwrap();
        (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_problem_says_what_and_names_the_request() {
        let (response, problem) = ask("POST", "/known").await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            problem,
            ProblemDetails {
                kind: "about:blank".into(),
                title: "Not Found".into(),
                status: 404,
                detail: "no".into(),
                code: "not_found".into(),
                request_id: Some(RequestId(uuid::Uuid::from_u128(7))),
                id: Some("x7".into()),
            }
        );
    }

    #[tokio::test]
    async fn the_fallbacks_are_problems_too() {
        let (response, problem) = ask("GET", "/known").await;
        assert_eq!((response.status().as_u16(), problem.status), (405, 405));
        assert_eq!(response.headers()[http::header::ALLOW], "POST");
        assert!(problem.request_id.is_some());
        let (_, problem) = ask("GET", "/other").await;
        assert_eq!((problem.status, problem.code.as_str()), (404, "unknown_route"));
    }

    #[test]
    fn a_store_that_cant_answer_is_503_and_a_fault_of_it_500() {
        let away = Problem::from(StoreError::TimedOut).into_response();
        assert_eq!(away.status(), 503);
        assert_eq!(away.headers()[RETRY_AFTER], "2");
        let broken = Problem::from(StoreError::Malformed("api_keys")).into_response();
        assert_eq!(broken.status(), 500);
    }

    #[test]
    fn a_refused_password_is_400_a_full_queue_503_and_a_fault_of_ours_500() {
        let refused = Problem::from(PasswordError::Fault(PasswordFault::TooShort));
        assert!(refused.detail.starts_with("`password`: too short"), "{}", refused.detail);
        assert_eq!(
            (refused.reason, refused.reason.status().as_u16()),
            (Reason::InvalidRequest, 400)
        );
        let retry_after = Duration::from_secs(2);
        let busy = Problem::from(PasswordError::Busy { retry_after }).into_response();
        assert_eq!(
            (busy.status().as_u16(), &busy.headers()[RETRY_AFTER]),
            (503, &"2".parse().unwrap())
        );
        assert_eq!(Problem::from(PasswordError::Thread).into_response().status(), 500);
    }
}
