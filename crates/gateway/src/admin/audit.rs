//! The audit log: every administrative act and every sign-in, good or bad. One layer around our own
//! API writes it, so that no route can be forgotten.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{AuditEntry, Page};
use fluxgate_core::subject::AddressPrefix;
use fluxgate_core::text::is_printable;
use fluxgate_core::{AuditId, Reason, RequestId};
use http::Method;
use serde::Deserialize;
use tracing::error;
use utoipa::IntoParams;

use super::actor::{Actor, Named};
use super::list_query::ListQuery;
use super::problem::Problem;
use super::refusals::{Always, ToStrangers};
use super::times;
use crate::app::{App, SharedApp};
use crate::listen::ClientAddr;
use crate::store::{AuditFilter, AuditRecord, StoreError};

/// Who shows no credential, or a wrong one.
const ANONYMOUS: &str = "anonymous";
const DONE: &str = "ok";
const REFRESH: &str = "/api/v1/auth/refresh";

/// Upon what somebody acted: a handler puts it among its response's extensions.
#[derive(Clone, Debug)]
pub struct Upon(pub String);

/// Around the routes of our own API: writes down what was done, before the answer is given.
pub async fn record(State(app): State<SharedApp>, mut request: Request, next: Next) -> Response {
    let seen = Seen::of(&request);
    let named = Named::default();
    request.extensions_mut().insert(named.clone());
    let response = next.run(request).await;
    if let Some(seen) = seen {
        let extensions = response.extensions();
        let refused = extensions.get::<Problem>().map(Problem::reason);
        let object = extensions.get::<Upon>().map(|upon| upon.0.clone());
        write(&app, seen, named.get(), refused, object).await;
    }
    response
}

/// What is known of a request before it is served.
struct Seen {
    method: Method,
    route: MatchedPath,
    client: Option<ClientAddr>,
    request_id: Option<RequestId>,
    at: DateTime<Utc>,
}

impl Seen {
    /// `None` for what is none of our routes, and a method that none of them takes.
    fn of(request: &Request) -> Option<Self> {
        const METHODS: [Method; 5] =
            [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let extensions = request.extensions();
        Some(Self {
            method: METHODS.into_iter().find(|method| method == request.method())?,
            route: extensions.get::<MatchedPath>()?.clone(),
            client: extensions.get::<ClientAddr>().copied(),
            request_id: extensions.get::<RequestId>().copied(),
            at: Utc::now(),
        })
    }

    /// Reading is no act, and going on with a session is none either; a wrong token of the
    /// operator's is one, whatever it was for.
    fn is_act(&self, refused: Option<Reason>) -> bool {
        match refused {
            None => !self.method.is_safe() && self.route.as_str() != REFRESH,
            Some(reason) => !self.method.is_safe() || reason == Reason::InvalidAdminToken,
        }
    }
}

/// What was done, and what somebody known was refused, is written before they are told. What
/// strangers try is gathered: it costs the database little, however much it is.
async fn write(
    app: &App,
    seen: Seen,
    actor: Option<Actor>,
    refused: Option<Reason>,
    object: Option<String>,
) {
    if !seen.is_act(refused) {
        return;
    }
    let Seen { method, route, client, request_id, at } = seen;
    let entry = AuditRecord {
        id: AuditId::generate(),
        at,
        actor: actor.map_or_else(|| ANONYMOUS.to_owned(), Actor::name),
        act: format!("{method} {}", route.as_str()),
        object,
        outcome: refused.map_or(DONE, Reason::code).to_owned(),
        address: client.map(|client| client.to_string()).unwrap_or_default(),
        request_id,
        count: 1,
    };
    if let (None, Some(_), Some(client)) = (actor, refused, client) {
        let address = AddressPrefix::from(client.0).to_string();
        return app.attempts.note(AuditRecord { address, ..entry });
    }
    // A store that has just not answered isn't waited for once more.
    let written = match refused {
        Some(Reason::StoreUnavailable) => Err(StoreError::TimedOut),
        _ => app.store.put_audit(std::slice::from_ref(&entry)).await,
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
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// `operator`, `user:<uuid>`, `key:<id>` or `anonymous`.
    #[param(
        nullable = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
    )]
    actor: Option<String>,
    /// Its method and route, such as `POST /api/v1/keys`.
    #[param(
        nullable = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
    )]
    act: Option<String>,
    /// `ok`, or a refusal's code.
    #[param(
        nullable = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
    )]
    outcome: Option<String>,
    /// From then on.
    #[param(nullable = false)]
    since: Option<DateTime<Utc>>,
    /// Before then.
    #[param(nullable = false)]
    until: Option<DateTime<Utc>>,
    /// Items on a page: 50, where it isn't given.
    #[param(minimum = 1, maximum = 500, nullable = false)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]+-[0-9A-Za-z-]{12,36}$", nullable = false)]
    cursor: Option<String>,
}

/// Lists what was done, and who signed in.
///
/// The newest first. Entries have to be like everything that is given.
///
/// # Errors
/// 400 for a query that can't be answered.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(AuditQuery),
    responses(
        (status = 200, description = "A page.", body = Page<AuditEntry>),
        Always, ToStrangers,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub async fn list(
    State(app): State<SharedApp>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let expected = "`actor`, `act`, `outcome`, the times `since` and `until`, `limit`, `cursor`";
    let Query(query) = query.map_err(|_| Problem::query(expected))?;
    let AuditQuery { actor, act, outcome, since, until, limit, cursor } = query;
    let asked = ListQuery { limit, cursor }.asked::<AuditId>()?;
    for (field, text) in [("actor", &actor), ("act", &act), ("outcome", &outcome)] {
        check(field, text.as_deref())?;
    }
    times::check("since", since)?;
    times::check("until", until)?;
    let filter = AuditFilter { actor, act, outcome, since, until };
    let records = app.store.list_audit(&filter, asked.after, asked.limit()).await?;
    Ok(Json(asked.page(records, AuditRecord::cursor, shape)))
}

/// Nothing else is in the log; Postgres refuses a NUL in a text.
fn check(field: &str, text: Option<&str>) -> Result<(), Problem> {
    if text.is_none_or(|text| text.chars().all(is_printable)) {
        return Ok(());
    }
    let text = format!("`{field}`: expected printable characters.");
    Err(Problem::new(Reason::InvalidRequest, text))
}

fn shape(record: AuditRecord) -> AuditEntry {
    let AuditRecord { id, at, actor, act, object, outcome, address, request_id, count } = record;
    AuditEntry { id, at, actor, act, object, outcome, address, request_id, count }
}
