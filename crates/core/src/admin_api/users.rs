//! Shapes of `/api/v1/admin/users`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::forms::{ChosenPassword, EmailAddress};
use super::given;
use crate::ids::{TeamId, UserId};
use crate::limits::Limits;
use crate::object;

/// The body of `POST /api/v1/admin/users`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    #[schema(value_type = EmailAddress)]
    pub email: String,
    /// Without one nobody can log in as that user yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChosenPassword>)]
    pub password: Option<String>,
    /// A member, where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// A team's id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub team: Option<String>,
}

impl fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUser").field("role", &self.role).finish_non_exhaustive()
    }
}

/// The body of `PATCH /api/v1/admin/users/{id}`: what is absent stays; `null` takes the team away.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<UserState>,
    /// A team's id or name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 64)]
    pub team: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::option")]
    pub limits: Option<Limits>,
}

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    /// In small letters. The built-in user `operator` has none.
    pub email: Option<String>,
    pub role: Role,
    pub state: UserState,
    pub team: Option<TeamId>,
    pub limits: Limits,
    pub created_at: DateTime<Utc>,
    /// When they last signed in, stayed signed in or used a key, within a minute or so.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// What a person may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// What is their own.
    Member,
}

/// Whether a person may do anything at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    Active,
    /// Neither they nor their keys are served.
    Disabled,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::Admin, Self::Member];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

impl UserState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_shows_no_secret() {
        let (email, password) = ("a@b.example".into(), Some("p4ss".into()));
        let user = CreateUser { email, password, role: None, team: None };
        assert!(!format!("{user:?}").contains("p4ss"));
    }
}
