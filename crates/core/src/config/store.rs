//! The sections of the two outside stores: the database and Redis.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;
use crate::secret::SecretUrl;

/// The port on which Supabase's transaction pooler listens.
const TRANSACTION_POOLER_PORT: u16 = 6543;

/// The accounts' database.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://` or `sqlite://`. Not set: `fluxgate up` keeps its own in the data folder.
    #[schemars(with = "Option<format::DatabaseUrl>")]
    pub url: Option<SecretUrl>,
    /// A pooler between us and Postgres. "transaction": no session state, no prepared statements
    /// and no LISTEN. Not set: transaction on port 6543, else none.
    pub pooler: Option<Pooler>,
}

impl Database {
    /// The pooler that was chosen, else the one that the URL's port tells of.
    #[must_use]
    pub fn effective_pooler(&self) -> Option<Pooler> {
        self.pooler.or_else(|| {
            (self.url.as_ref()?.port() == Some(TRANSACTION_POOLER_PORT))
                .then_some(Pooler::Transaction)
        })
    }
}

/// How a pooler shares connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    Session,
    Transaction,
}

/// The shared state.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://` or `rediss://`. Not set: `fluxgate up` works without.
    #[schemars(with = "Option<format::RedisUrl>")]
    pub url: Option<SecretUrl>,
}
