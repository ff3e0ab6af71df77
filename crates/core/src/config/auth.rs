//! The section of secrets and passwords.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;
use crate::secret::Secret;

/// Tokens, signing keys and how passwords are hashed. Secrets are better given as `NAME_FILE`
/// than in the file.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Signs sessions; at least 32 bytes.
    #[schemars(with = "Option<format::Opaque>", length(min = 32, max = 4096))]
    pub jwt_secret: Option<Secret>,
    /// Still verifies sessions while `jwt_secret` is being rotated; at least 32 bytes.
    #[schemars(with = "Option<format::Opaque>", length(min = 32, max = 4096))]
    pub jwt_secret_previous: Option<Secret>,
    /// The operator's token for the admin API; at least 32 characters.
    #[schemars(with = "Option<format::Token>", length(min = 32, max = 4096))]
    pub admin_token: Option<Secret>,
    /// The guard's token for the admin API; at least 32 characters.
    #[schemars(with = "Option<format::Token>", length(min = 32, max = 4096))]
    pub guard_token: Option<Secret>,
    /// With `admin_password`: creates the first administrator without a browser.
    #[schemars(with = "Option<format::Email>")]
    pub admin_email: Option<String>,
    /// The first administrator's password; 15 to 1024 bytes.
    #[schemars(with = "Option<format::Opaque>", length(min = 15, max = 1024))]
    pub admin_password: Option<Secret>,
    pub argon2: Argon2,
}

/// The cost of hashing a password (Argon2id). The defaults are the least that OWASP recommends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Argon2 {
    /// Memory for one hash.
    #[schemars(range(min = 19_456, max = 1_048_576))]
    pub memory_kib: u32,
    /// Passes over that memory.
    #[schemars(range(min = 2, max = 20))]
    pub iterations: u32,
    /// Lanes.
    #[schemars(range(min = 1, max = 16))]
    pub parallelism: u32,
}

impl Default for Argon2 {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}
