//! The shape of `/api/v1/usage`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// By what usage is added up.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    User,
    Team,
    #[default]
    Key,
    EndUser,
    Model,
}

/// What one of them used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageItem {
    /// The subject, or the model.
    pub group: String,
    pub requests: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cached_tokens: u64,
    /// Millionths of the currency of `[prices]`.
    pub cost_micros: u64,
    /// Of the requests: those whose tokens the model server didn't tell.
    pub estimated_requests: u64,
}
