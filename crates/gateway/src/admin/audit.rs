//! The audit log: every administrative act and every sign-in, good or bad. One layer around our own
//! API writes it, so that no route can be forgotten.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{AuditEntry, Page};
use fluxgate_core::{AuditId, Reason, RequestId};
use serde::Deserialize;
use tracing::error;

use super::actor::Actor;
use super::list_query::ListQuery;
use super::problem::Problem;
use crate::app::{App, SharedApp};
use crate::listen::ClientAddr;
use crate::store::{AuditFilter, AuditRecord, StoreError};

/// Who shows no credential, or a wrong one.
const ANONYMOUS: &str = "anonymous";

/// Upon what somebody acted: a handler puts it among its response's extensions.
#[derive(Clone, Debug)]
pub struct Upon(pub String);

/// Around the routes of our own API: writes down what was done, before the answer is given.
pub async fn record(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let seen = Seen::of(&request);
    let response = next.run(request).await;
    if let Some(entry) = seen.entry(&response) {
        write(&app, entry).await;
    }
    response
}

/// What is known of a request before it is served.
struct Seen {
    act: String,
    changes: bool,
    address: String,
    request_id: Option<RequestId>,
    at: DateTime<Utc>,
}

impl Seen {
    fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        let route = extensions.get::<MatchedPath>().map_or("", |path| path.as_str());
        Self {
            act: format!("{} {route}", request.method()),
            changes: !request.method().is_safe(),
            address: extensions.get::<ClientAddr>().map(ToString::to_string).unwrap_or_default(),
            request_id: extensions.get::<RequestId>().copied(),
            at: Utc::now(),
        }
    }

    /// Reading is no act, and going on with a session is none either; a wrong token of the
    /// operator's is one, whatever it was for.
    fn entry(self, response: &Response) -> Option<AuditRecord> {
        let extensions = response.extensions();
        let refused = extensions.get::<Problem>().map(Problem::reason);
        let goes_on = refused.is_none() && self.act.ends_with("/auth/refresh");
        if (!self.changes && refused != Some(Reason::InvalidAdminToken)) || goes_on {
            return None;
        }
        let object = extensions.get::<Upon>().map(|upon| upon.0.clone());
        Some(AuditRecord {
            id: AuditId::generate(),
            at: self.at,
            actor: extensions
                .get::<Actor>()
                .map_or_else(|| ANONYMOUS.to_owned(), |actor| actor.name()),
            act: self.act,
            object,
            outcome: refused.map_or("ok", Reason::code).to_owned(),
            address: self.address,
            request_id: self.request_id,
            count: 1,
        })
    }
}

/// What somebody known did is written before they are told. What strangers try is gathered: it
/// costs the database little, however much it is.
async fn write(app: &App, entry: AuditRecord) {
    if entry.actor == ANONYMOUS {
        app.attempts.note(entry);
        return;
    }
    // A store that has just not answered isn't waited for once more.
    let written = match entry.outcome == Reason::StoreUnavailable.code() {
        true => Err(StoreError::TimedOut),
        false => app.store.put_audit(std::slice::from_ref(&entry)).await,
    };
    if let Err(error) = written {
        // The log is what is left of it.
        error!(
            %error, audit.actor = entry.actor, audit.act = entry.act, audit.object = entry.object,
            audit.outcome = entry.outcome, client.address = entry.address,
            "an act can't be written into the audit log"
        );
    }
}

/// `?actor=&act=&outcome=&since=&until=&limit=&cursor=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    actor: Option<String>,
    act: Option<String>,
    outcome: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/admin/audit`: the newest first.
///
/// # Errors
/// 400 for a query that can't be answered.
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let Query(query) = query.map_err(Problem::query)?;
    let AuditQuery { actor, act, outcome, since, until, limit, cursor } = query;
    let asked = ListQuery { limit, cursor }.asked::<AuditId>()?;
    let filter = AuditFilter { actor, act, outcome, since, until };
    let records = app.store.list_audit(&filter, asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, AuditRecord::cursor, shape)))
}

fn shape(record: AuditRecord) -> AuditEntry {
    let AuditRecord { id, at, actor, act, object, outcome, address, request_id, count } = record;
    AuditEntry { id, at, actor, act, object, outcome, address, request_id, count }
}
