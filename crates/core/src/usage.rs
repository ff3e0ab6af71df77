//! What a request consumed, in tokens, by kind.

use serde::{Deserialize, Serialize};

/// Tokens of one request. `prompt` includes `cached` and `cache_writes`; `completion` includes
/// `reasoning`. An explicit zero from the provider stays zero.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    /// Prompt tokens that the provider read from its cache.
    pub cached: u64,
    /// Prompt tokens that the provider wrote into its cache.
    pub cache_writes: u64,
    /// Completion tokens spent on reasoning that isn't part of the answer.
    pub reasoning: u64,
    pub source: UsageSource,
}

/// Whose count it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own figure.
    Reported,
    /// Ours, from bytes: the provider reported nothing that could be read.
    #[default]
    Estimated,
}
