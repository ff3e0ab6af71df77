//! The shape of `/api/v1/admin/audit`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{AuditId, RequestId};

/// An administrative act, or a sign-in, good or bad.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    /// `operator`, `user:<uuid>`, `key:<id>` or `anonymous`.
    pub actor: String,
    /// Its method and route, such as `POST /api/v1/keys`.
    pub act: String,
    /// Upon what: a subject or an id.
    pub object: Option<String>,
    /// `ok`, or the refusal's code.
    pub outcome: String,
    /// The client's address.
    pub address: String,
    /// The request's, as in `x-request-id`; absent where several are counted as one.
    pub request_id: Option<RequestId>,
    /// Equal failures of strangers within a second are one entry.
    pub count: u32,
}
