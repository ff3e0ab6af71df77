//! What the first start on a database makes: an administrator or a link to become one, and a first
//! key. Who may see them is the caller's decision; they are told to nobody else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use fluxgate_core::KeyId;
use fluxgate_core::admin_api::KeySettings;
use fluxgate_core::config::Config;
use fluxgate_core::ids::OPERATOR;
use thiserror::Error;

use crate::auth::api_key::NewKey;
use crate::auth::one_time::OneTimeTokens;
use crate::auth::password::{Asker, NewPassword, PasswordError, PasswordHasher};
use crate::auth::tagged::{self, Sealed};
use crate::data_folder::write_private;
use crate::store::{Email, FirstAdmin, NewKeyRecord, Store, StoreError};

/// The name of the first key.
const KEY_NAME: &str = "first-key";
/// Files in the data folder, for whoever starts without a terminal.
const KEY_FILE: &str = "first-key";
const LINK_FILE: &str = "setup-link";
/// How often a deployment can lose all its administrators and be set up anew.
const SETUPS_MAX: u32 = 1_000;

/// What was made by this start. On a later one nothing is.
#[derive(Default)]
pub struct FirstStart {
    /// The first key of the database, made once.
    pub key: Option<NewFirstKey>,
    /// By which a browser may make the first administrator, while there is none: the same at every
    /// start and on every replica.
    pub setup_token: Option<String>,
    /// The configuration's administrator was made.
    pub admin_created: bool,
}

/// A key that is shown once.
#[derive(Debug)]
pub struct NewFirstKey(NewKey);

/// Why a first start failed.
#[derive(Debug, Error)]
pub enum FirstStartError {
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error("auth.admin_password: {0}")]
    Password(#[from] PasswordError),
    #[error("auth.admin_email: not an email address")]
    Email,
    #[error("auth.admin_email: another user has this address; choose another")]
    EmailTaken,
    #[error("{}: can't be removed: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Makes what isn't there yet.
///
/// # Errors
/// [`FirstStartError`].
pub async fn prepare(
    store: &Store,
    passwords: &PasswordHasher,
    config: &Config,
    data_dir: &Path,
    make_first_key: bool,
) -> Result<FirstStart, FirstStartError> {
    let mut made = FirstStart::default();
    let mut has_admin = store.has_admin().await?;
    if !has_admin {
        made.admin_created = make_admin(store, passwords, config).await?;
        has_admin = made.admin_created || store.has_admin().await?;
    }
    if has_admin {
        // Its token has ended.
        remove(data_dir.join(LINK_FILE))?;
    } else {
        made.setup_token = Some(make_setup_token(store).await?);
    }
    if make_first_key {
        made.key = make_key(store).await?;
    }
    Ok(made)
}

/// The administrator that the configuration names, if it does.
async fn make_admin(
    store: &Store,
    passwords: &PasswordHasher,
    config: &Config,
) -> Result<bool, FirstStartError> {
    let (Some(email), Some(password)) = (&config.auth.admin_email, &config.auth.admin_password)
    else {
        return Ok(false);
    };
    let email: Email = email.parse().map_err(|_| FirstStartError::Email)?;
    let password =
        NewPassword::check(password.clone(), &[email.as_str()]).map_err(PasswordError::Fault)?;
    let phc = passwords.hash(password, Asker::Known).await?;
    match store.create_first_admin(&email, &phc, None, Utc::now()).await? {
        FirstAdmin::Created(_) => Ok(true),
        // Another replica was faster.
        FirstAdmin::Exists => Ok(false),
        FirstAdmin::EmailTaken => Err(FirstStartError::EmailTaken),
        // None was given.
        FirstAdmin::TokenRefused => Ok(false),
    }
}

/// One link for the deployment: replicas that start at the same time, each on a database without an
/// administrator, all show one that works. A used one is never good again.
async fn make_setup_token(store: &Store) -> Result<String, StoreError> {
    let secret = store.deployment_secret().await?;
    for round in 0..SETUPS_MAX {
        let token = setup_token(&secret, round);
        if store.put_setup_token(&token.sha256, Utc::now()).await? {
            return Ok(token.text.expose().to_owned());
        }
    }
    Err(StoreError::Malformed("setup_tokens"))
}

/// The same on every replica, and another in each round.
fn setup_token(deployment_secret: &[u8; 32], round: u32) -> Sealed {
    let random = tagged::derive(deployment_secret, &format!("fluxgate setup link v1 {round}"));
    OneTimeTokens::new(deployment_secret).of(&random)
}

async fn make_key(store: &Store) -> Result<Option<NewFirstKey>, StoreError> {
    let key = NewKey::generate();
    let record = NewKeyRecord {
        id: key.id,
        owner: OPERATOR,
        name: KEY_NAME.to_owned(),
        secret_sha256: key.secret_sha256.0,
        created_at: Utc::now(),
        expires_at: None,
        settings: KeySettings::default(),
    };
    Ok(store.create_first_key(record).await?.then_some(NewFirstKey(key)))
}

impl FirstStart {
    /// Writes what was made into files of the data folder that only its owner may read: the key,
    /// and the link that the caller made of the token. Returns the files' paths.
    ///
    /// # Errors
    /// The system's own.
    pub fn write_to_files(
        &self,
        data_dir: &Path,
        setup_link: Option<&str>,
    ) -> io::Result<Vec<PathBuf>> {
        let key = self.key.as_ref().map(|key| (KEY_FILE, key.reveal()));
        let link = setup_link.map(|link| (LINK_FILE, link));
        let mut written = Vec::new();
        for (file, text) in key.into_iter().chain(link) {
            let path = data_dir.join(file);
            write_private(&path, format!("{text}\n").as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }
}

impl NewFirstKey {
    /// Its public id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.0.id
    }

    /// The whole key, for the one who may see it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl fmt::Debug for FirstStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstStart")
            .field("key", &self.key)
            .field("setup_token", &self.setup_token.as_ref().map(|_| "***"))
            .field("admin_created", &self.admin_created)
            .finish()
    }
}

fn remove(path: PathBuf) -> Result<(), FirstStartError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FirstStartError::File { path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
