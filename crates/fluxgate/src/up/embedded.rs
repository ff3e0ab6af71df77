//! What `up` makes where nobody gave it: secrets, kept in the data folder, and the accounts
//! database.

use fluxgate_core::Secret;
use fluxgate_core::config::{Config, Upstream};
use fluxgate_core::secret::SecretUrl;
use fluxgate_gateway::data_folder::DataFolder;
use url::Url;

use crate::failure::Failure;
use crate::gateway_client::ADMIN_TOKEN_FILE;

/// Letters and digits of a made secret: more than 256 random bits.
const SECRET_CHARS: usize = 48;
/// SQLite's file of the accounts.
const ACCOUNTS_FILE: &str = "accounts.db";

/// The embedded parts, made once for a data folder.
#[derive(Debug)]
pub struct Embedded {
    data_dir: std::path::PathBuf,
    admin_token: Secret,
    guard_token: Secret,
    jwt_secret: Secret,
    database: SecretUrl,
}

impl Embedded {
    /// Makes what the folder doesn't hold yet.
    ///
    /// # Errors
    /// Where the folder can't be read or written.
    pub fn prepare(folder: &DataFolder) -> Result<Self, Failure> {
        let secret = |name: &str| {
            folder.secret(name, SECRET_CHARS).map_err(|source| Failure::File {
                what: folder.file(name).display().to_string(),
                source,
            })
        };
        // The guard signs with it; it is made now, so that all secrets are there from the start.
        secret("audit-key")?;
        Ok(Self {
            data_dir: folder.path().to_owned(),
            admin_token: secret(ADMIN_TOKEN_FILE)?,
            guard_token: secret("guard-token")?,
            jwt_secret: secret("jwt-secret")?,
            database: sqlite(folder)?,
        })
    }

    /// The configuration with everything that the gateway needs; what was given stays.
    pub fn complete(&self, mut config: Config, model: Option<&Upstream>) -> Config {
        config.data_dir.clone_from(&self.data_dir);
        let auth = &mut config.auth;
        auth.admin_token.get_or_insert_with(|| self.admin_token.clone());
        auth.guard_token.get_or_insert_with(|| self.guard_token.clone());
        auth.jwt_secret.get_or_insert_with(|| self.jwt_secret.clone());
        config.database.url.get_or_insert_with(|| self.database.clone());
        if config.effective_upstreams().is_empty() {
            config.upstreams.extend(model.cloned());
        }
        config
    }
}

fn sqlite(folder: &DataFolder) -> Result<SecretUrl, Failure> {
    let path = folder.file(ACCOUNTS_FILE);
    let unusable = || Failure::Configuration(format!("{}: can't stand in a URL", path.display()));
    // A file's URL has the path percent-encoded, as SQLite's needs it.
    let url = Url::from_file_path(&path).map_err(|()| unusable())?;
    url.as_str().replacen("file:", "sqlite:", 1).parse().map_err(|_| unusable())
}
