//! Shapes of `/api/v1/admin/teams`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::TeamId;
use crate::limits::Limits;

/// The body of `POST /api/v1/admin/teams`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTeam {
    /// 1 to 64 printable characters; no other team's.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What its members may use together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// The body of `PATCH /api/v1/admin/teams/{id}`: what is absent stays.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTeam {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// A team: a name with limits of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Team {
    pub id: TeamId,
    /// `team:<id>`.
    pub subject: String,
    pub name: String,
    pub limits: Limits,
    pub created_at: DateTime<Utc>,
}
