//! What a request needs to know of whoever sends it: read from the store once for a key or a
//! session, shared by everybody who uses it, and never changed.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{Role, Scope, UserState};
use fluxgate_core::subject::EndUserId;
use fluxgate_core::{KeyId, Reason, UserId, glob};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::api_key::SecretHash;
use super::credential::CredentialId;
use crate::dialect::tagged_name;
use crate::refusal::Refusal;
use crate::store::{KeyRecord, SessionRecord};

/// See the module.
#[derive(Debug)]
pub struct Principal {
    pub caller: Caller,
    user_disabled: bool,
    by: By,
}

/// Whose a request is, for whatever is written about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub credential: CredentialId,
    /// The key's owner, or whoever signed in.
    pub user: UserId,
}

impl Caller {
    #[must_use]
    pub const fn key(self) -> Option<KeyId> {
        match self.credential {
            CredentialId::Key(key) => Some(key),
            CredentialId::Session(_) => None,
        }
    }
}

#[derive(Debug)]
enum By {
    Key(KeyFacts),
    Session(SessionFacts),
}

#[derive(Debug)]
struct KeyFacts {
    secret_sha256: SecretHash,
    /// The secret before a rotation, and until when it opens as well.
    previous: Option<(SecretHash, DateTime<Utc>)>,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
    scopes: Box<[Scope]>,
    models: Box<[String]>,
    ips: Box<[IpNet]>,
    end_user_header: Option<HeaderName>,
    in_path: bool,
}

#[derive(Debug)]
struct SessionFacts {
    role: Role,
    expires_at: DateTime<Utc>,
    ended: bool,
}

impl Principal {
    /// What it takes to remember it, in units of a key without restrictions.
    #[must_use]
    pub fn weight(&self) -> usize {
        let By::Key(key) = &self.by else { return 1 };
        let names: usize = key.models.iter().map(|glob| glob.len() + size_of::<String>()).sum();
        let all = size_of::<Self>() + names + size_of_val(&*key.ips) + size_of_val(&*key.scopes);
        all.div_ceil(size_of::<Self>() + size_of::<Scope>())
    }

    /// Whether a secret is this key's.
    #[must_use]
    pub fn opens_with(&self, secret: &SecretHash, now: DateTime<Utc>) -> bool {
        let By::Key(key) = &self.by else { return false };
        let previous = key.previous.as_ref().filter(|(_, until)| *until > now);
        key.secret_sha256.matches(secret)
            | previous.is_some_and(|(previous, _)| previous.matches(secret))
    }

    /// What the credential has become. Told only to whoever knows its secret.
    ///
    /// # Errors
    /// 401 for one that has ended.
    pub fn check_alive(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let refused = |reason, text: &'static str| Err(Refusal::new(reason, text));
        match &self.by {
            By::Key(key) if key.revoked => {
                return refused(Reason::KeyRevoked, "This API key was revoked.");
            }
            By::Key(key) if key.expires_at.is_some_and(|end| end <= now) => {
                return refused(Reason::KeyExpired, "This API key has expired.");
            }
            By::Session(session) if session.ended => {
                return refused(Reason::SessionEnded, "This session has ended: sign in.");
            }
            By::Session(session) if session.expires_at <= now => {
                return refused(Reason::SessionExpired, "This session has expired: sign in.");
            }
            By::Key(_) | By::Session(_) => {}
        }
        if self.user_disabled {
            let text = "The account that this belongs to is disabled.";
            return refused(Reason::AccountDisabled, text);
        }
        Ok(())
    }

    /// Whether it may be used from there and for that. A person may do whatever a key can.
    ///
    /// # Errors
    /// 403.
    pub fn check_use(&self, address: IpAddr, scope: Scope) -> Result<(), Refusal> {
        self.check_from(address)?;
        if self.has(scope) {
            return Ok(());
        }
        let text = format!("This API key doesn't have the scope `{}`.", scope.name());
        Err(Refusal::new(Reason::ScopeMissing, text))
    }

    /// Whether it may be used for that at all.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        match &self.by {
            By::Key(key) => key.scopes.contains(&scope),
            By::Session(_) => true,
        }
    }

    /// Whether it may be used from there.
    ///
    /// # Errors
    /// 403.
    pub fn check_from(&self, address: IpAddr) -> Result<(), Refusal> {
        let By::Key(key) = &self.by else { return Ok(()) };
        let address = address.to_canonical();
        if !key.ips.is_empty() && !key.ips.iter().any(|network| network.contains(&address)) {
            let text = "This API key may not be used from this address.";
            return Err(Refusal::new(Reason::AddressNotAllowed, text));
        }
        Ok(())
    }

    /// Whether it may use a model of this name. `llama3`, `llama3:latest` and its full form in
    /// Ollama's registry are one name.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        let By::Key(KeyFacts { models, .. }) = &self.by else { return true };
        if models.is_empty() {
            return true;
        }
        let tagged = tagged_name(model);
        let untagged = tagged.strip_suffix(":latest").unwrap_or(&tagged);
        models.iter().any(|glob| {
            [model, &tagged, untagged].iter().any(|name| glob::matches(glob, name))
                || tagged_name(glob) == tagged
        })
    }

    /// The header that names one of the people whom the key stands for. It goes no further.
    #[must_use]
    pub fn end_user_header(&self) -> Option<&HeaderName> {
        match &self.by {
            By::Key(key) => key.end_user_header.as_ref(),
            By::Session(_) => None,
        }
    }

    #[must_use]
    pub const fn may_stand_in_a_path(&self) -> bool {
        match &self.by {
            By::Key(key) => key.in_path,
            By::Session(_) => false,
        }
    }

    /// What a person may do who signed in; a key may do nothing of it.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match &self.by {
            By::Key(_) => None,
            By::Session(session) => Some(session.role),
        }
    }

    /// For whom of them a request is, where it says so.
    ///
    /// # Errors
    /// 400 for what can't name anybody: it would count for somebody else.
    pub fn end_user(&self, headers: &HeaderMap) -> Result<Option<EndUserId>, Refusal> {
        let Some(name) = self.end_user_header() else { return Ok(None) };
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let id = EndUserId::from_bytes(value.as_bytes()).filter(|_| values.next().is_none());
        id.map(Some).ok_or_else(|| {
            let text = format!("The header `{name}` must be one name of 1 to 128 characters.");
            Refusal::new(Reason::InvalidField, text).param(name.as_str().to_owned())
        })
    }
}

impl From<KeyRecord> for Principal {
    fn from(record: KeyRecord) -> Self {
        let settings = record.settings;
        Self {
            caller: Caller { credential: CredentialId::Key(record.id), user: record.owner },
            user_disabled: record.owner_state == UserState::Disabled,
            by: By::Key(KeyFacts {
                secret_sha256: SecretHash(record.secret_sha256),
                previous: record.previous.map(|(hash, until)| (SecretHash(hash), until)),
                expires_at: record.expires_at,
                revoked: record.revoked_at.is_some(),
                scopes: settings.scopes.into(),
                models: settings.models.into(),
                ips: settings.ips.into(),
                end_user_header: settings.end_user_header.and_then(|name| name.parse().ok()),
                in_path: settings.in_path,
            }),
        }
    }
}

impl From<SessionRecord> for Principal {
    fn from(record: SessionRecord) -> Self {
        Self {
            caller: Caller { credential: CredentialId::Session(record.id), user: record.user },
            user_disabled: record.user_state == UserState::Disabled,
            by: By::Session(SessionFacts {
                role: record.role,
                expires_at: record.expires_at,
                ended: record.ended_at.is_some(),
            }),
        }
    }
}
