//! Shapes of one-time links: `/api/v1/admin/invites` and `/api/v1/admin/users/{id}/reset`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::forms::EmailAddress;
use super::users::Role;
use crate::ids::{LinkId, TeamId};

/// The body of `POST /api/v1/admin/invites`.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// The one address that may register by it; without one any may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EmailAddress>)]
    pub email: Option<String>,
    /// What whoever registers becomes: a member, where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// A team's id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub team: Option<String>,
    /// Within 30 days; 7 days from now, where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The body of `POST /api/v1/admin/users/{id}/reset`. It may be left out.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReset {
    /// Within 7 days; a day from now, where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A link that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedLink {
    pub id: LinkId,
    /// It works once. It is shown this once and kept nowhere.
    pub link: String,
    pub expires_at: DateTime<Utc>,
}

impl fmt::Debug for CreatedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedLink").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An item of `GET /api/v1/admin/invites`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    pub id: LinkId,
    pub email: Option<String>,
    pub role: Role,
    pub team: Option<TeamId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Somebody registered by it.
    pub used_at: Option<DateTime<Utc>>,
    /// An administrator took it back.
    pub withdrawn_at: Option<DateTime<Utc>>,
}
