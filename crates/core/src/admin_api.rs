//! Shapes of the gateway's own API, as its listeners serve it. The gateway, the guard and the
//! command line use those alone.
//!
//! They only carry: what a value must be like is the gateway's business.

mod audit;
pub mod forms;
mod keys;
mod links;
mod sessions;
pub mod status;
mod teams;
mod usage;
mod users;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::ids::RequestId;

pub use audit::AuditEntry;
pub use keys::{CreateKey, CreatedKey, Key, KeySettings, RotateKey, Scope, UpdateKey};
pub use links::{CreateInvite, CreateReset, CreatedLink, Invite};
pub use sessions::{
    Account, BearerTokens, Grant, LogIn, Me, Refresh, Register, Session, SetPassword, SetUp,
    SignIn, SignedIn,
};
pub use teams::{CreateTeam, Team, UpdateTeam};
pub use usage::{UsageBy, UsageItem};
pub use users::{CreateUser, Role, UpdateUser, User, UserState};

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins: the query's `cursor`. Absent on the last page.
    pub next_cursor: Option<String>,
}

/// An error of our own API: `application/problem+json` (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// Always `about:blank`: the title is the status's own, `code` says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One or two sentences for people.
    pub detail: String,
    /// The stable code of the [`Reason`](crate::Reason).
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// `already_created` alone: what was created by the earlier request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Tells `null` from absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}
