//! What was used: one's own, to administrators everybody's. A key needs the scope for it.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use chrono::{DateTime, Utc};
use fluxgate_core::Reason;
use fluxgate_core::admin_api::{Page, UsageBy, UsageItem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::refusals::{Always, ToStrangers};
use super::times;

/// `?by=&since=&until=&step_s=`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    #[serde(default)]
    #[expect(dead_code, reason = "read, so that a wrong one is refused")]
    by: UsageBy,
    /// From then on.
    #[param(nullable = false)]
    since: Option<DateTime<Utc>>,
    /// Before then: later than `since`.
    #[param(nullable = false)]
    until: Option<DateTime<Utc>>,
    /// A sum for each so many seconds.
    #[param(minimum = 1, maximum = 4_294_967_295_u64, nullable = false)]
    step_s: Option<u32>,
}

/// Adds up what was used.
///
/// One's own, to administrators everybody's. An API key needs the scope `usage:read`. Nothing is
/// kept of what was used yet, so there is none to add up.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    operation_id = "list_usage",
    tag = "usage",
    params(UsageQuery),
    responses((status = 200, description = "A page.", body = Page<UsageItem>), Always, ToStrangers),
    security(("bearer" = []), ("session" = []), ("api_key" = [])),
)]
pub async fn list(
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Json<Page<UsageItem>>, Problem> {
    let expected = "`by`, the times `since` and `until`, and `step_s`, a number";
    let Query(UsageQuery { since, until, step_s, .. }) =
        query.map_err(|_| Problem::query(expected))?;
    times::check("since", since)?;
    times::check("until", until)?;
    if since.zip(until).is_some_and(|(since, until)| until <= since) {
        return Err(Problem::new(
            Reason::InvalidRequest,
            "`until`: expected a time after `since`.",
        ));
    }
    if step_s == Some(0) {
        return Err(Problem::new(Reason::InvalidRequest, "`step_s`: expected at least 1."));
    }
    Ok(Json(Page { items: Vec::new(), next_cursor: None }))
}
