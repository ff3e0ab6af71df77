//! The log's section.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is logged, and in which form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// "auto" is "pretty" on a terminal, else "json".
    pub format: LogFormat,
    /// Levels by target, in the form of `RUST_LOG`: `info,fluxgate_gateway=debug`.
    #[schemars(length(min = 1, max = 1024))]
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Pretty,
    #[default]
    Auto,
}
