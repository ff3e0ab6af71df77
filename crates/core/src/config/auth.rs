//! The section of secrets, sessions and passwords.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, format};
use crate::secret::Secret;

const DAY: Duration = Duration::from_secs(86_400);

/// Tokens, signing keys, who may register, how long sessions last and how passwords are hashed.
/// Secrets are better given as `NAME_FILE` than in the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Signs sessions and nothing else; at least 32 bytes.
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
    /// Who may become a user by themselves: nobody, as administrators make users; who has the link
    /// of an invitation; everybody.
    pub registration: Registration,
    /// What was done, and who signed in, is kept this long.
    #[schemars(range(min = 1, max = 3650))]
    pub audit_kept_days: u32,
    pub sessions: Sessions,
    pub argon2: Argon2,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_secret_previous: None,
            admin_token: None,
            guard_token: None,
            admin_email: None,
            admin_password: None,
            registration: Registration::default(),
            audit_kept_days: 365,
            sessions: Sessions::default(),
            argon2: Argon2::default(),
        }
    }
}

/// Who may become a user by themselves.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    #[default]
    Closed,
    Invite,
    Open,
}

/// How long a session lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// A session that isn't used for this long ends; at most `max_s`.
    #[serde(rename = "idle_s", with = "duration")]
    #[schemars(with = "u64", range(min = 600, max = 31_536_000))]
    pub idle: Duration,
    /// A session that is older than this ends, however often it is used.
    #[serde(rename = "max_s", with = "duration")]
    #[schemars(with = "u64", range(min = 600, max = 31_536_000))]
    pub max: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle: 7 * DAY, max: 30 * DAY }
    }
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
