//! What was used: one's own, to administrators everybody's. A key needs the scope for it.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use chrono::{DateTime, Utc};
use fluxgate_core::Reason;
use fluxgate_core::admin_api::{Page, UsageBy, UsageItem};
use serde::Deserialize;

use super::problem::Problem;

/// `?by=&since=&until=&step_s=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    #[serde(default)]
    #[expect(dead_code, reason = "read, so that a wrong one is refused")]
    by: UsageBy,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    step_s: Option<u32>,
}

/// `GET /api/v1/usage`. Nothing is kept of what was used yet, so there is none to add up.
///
/// # Errors
/// 400 for a query that can't be answered.
pub async fn list(
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Json<Page<UsageItem>>, Problem> {
    let expected = "`by`, the times `since` and `until`, and `step_s`, a number";
    let Query(UsageQuery { since, until, step_s, .. }) =
        query.map_err(|_| Problem::query(expected))?;
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
