//! Shapes of `/api/v1/admin/teams`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::forms::Name;
use crate::ids::TeamId;
use crate::limits::Limits;
use crate::object;

/// The body of `POST /api/v1/admin/teams`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTeam {
    /// No other team's, and not of an id's form.
    #[schema(value_type = Name)]
    pub name: String,
    /// What its members may use together.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::option")]
    pub limits: Option<Limits>,
}

/// The body of `PATCH /api/v1/admin/teams/{id}`: what is absent stays.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTeam {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::option")]
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
