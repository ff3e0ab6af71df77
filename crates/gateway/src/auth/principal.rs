//! What a request needs to know of its key: read from the store once, shared by everybody who uses
//! the key, and never changed.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use fluxgate_core::admin_api::{Scope, UserState};
use fluxgate_core::subject::EndUserId;
use fluxgate_core::{KeyId, Reason, UserId, glob};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::api_key::SecretHash;
use crate::dialect::{Refusal, tagged_name};
use crate::store::KeyRecord;

/// See the module.
#[derive(Debug)]
pub struct Principal {
    pub key: KeyId,
    pub owner: UserId,
    secret_sha256: SecretHash,
    /// The secret before a rotation, and until when it opens as well.
    previous: Option<(SecretHash, DateTime<Utc>)>,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
    owner_disabled: bool,
    scopes: Box<[Scope]>,
    models: Box<[String]>,
    ips: Box<[IpNet]>,
    end_user_header: Option<HeaderName>,
    pub in_path: bool,
}

impl Principal {
    /// What it takes to remember it, in units of a key without restrictions.
    #[must_use]
    pub fn weight(&self) -> usize {
        let names: usize = self.models.iter().map(|glob| glob.len() + size_of::<String>()).sum();
        let all = size_of::<Self>() + names + size_of_val(&*self.ips) + size_of_val(&*self.scopes);
        all.div_ceil(size_of::<Self>() + size_of::<Scope>())
    }

    /// Whether a secret is this key's.
    #[must_use]
    pub fn opens_with(&self, secret: &SecretHash, now: DateTime<Utc>) -> bool {
        let previous = self.previous.as_ref().filter(|(_, until)| *until > now);
        self.secret_sha256.matches(secret)
            | previous.is_some_and(|(previous, _)| previous.matches(secret))
    }

    /// What the key has become. Told only to whoever knows its secret.
    ///
    /// # Errors
    /// 401 for a key that has ended.
    pub fn check_alive(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.revoked {
            return Err(Refusal::new(Reason::KeyRevoked, "This API key was revoked."));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(Refusal::new(Reason::KeyExpired, "This API key has expired."));
        }
        if self.owner_disabled {
            let text = "The account that this API key belongs to is disabled.";
            return Err(Refusal::new(Reason::AccountDisabled, text));
        }
        Ok(())
    }

    /// Whether the key may be used from there and for that.
    ///
    /// # Errors
    /// 403.
    pub fn check_use(&self, address: IpAddr, scope: Scope) -> Result<(), Refusal> {
        let address = address.to_canonical();
        if !self.ips.is_empty() && !self.ips.iter().any(|network| network.contains(&address)) {
            let text = "This API key may not be used from this address.";
            return Err(Refusal::new(Reason::AddressNotAllowed, text));
        }
        if !self.scopes.contains(&scope) {
            let text = format!("This API key doesn't have the scope `{}`.", scope.name());
            return Err(Refusal::new(Reason::ScopeMissing, text));
        }
        Ok(())
    }

    /// Whether it may use a model of this name. `llama3`, `llama3:latest` and its full form in
    /// Ollama's registry are one name.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        if self.models.is_empty() {
            return true;
        }
        let tagged = tagged_name(model);
        let untagged = tagged.strip_suffix(":latest").unwrap_or(&tagged);
        self.models.iter().any(|glob| {
            [model, &tagged, untagged].iter().any(|name| glob::matches(glob, name))
                || tagged_name(glob) == tagged
        })
    }

    /// The header that names one of the people whom the key stands for. It goes no further.
    #[must_use]
    pub fn end_user_header(&self) -> Option<&HeaderName> {
        self.end_user_header.as_ref()
    }

    /// For whom of them a request is, where it says so.
    ///
    /// # Errors
    /// 400 for what can't name anybody: it would count for somebody else.
    pub fn end_user(&self, headers: &HeaderMap) -> Result<Option<EndUserId>, Refusal> {
        let Some(name) = &self.end_user_header else { return Ok(None) };
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
            key: record.id,
            owner: record.owner,
            secret_sha256: SecretHash(record.secret_sha256),
            previous: record.previous.map(|(hash, until)| (SecretHash(hash), until)),
            expires_at: record.expires_at,
            revoked: record.revoked_at.is_some(),
            owner_disabled: record.owner_state == UserState::Disabled,
            scopes: settings.scopes.into(),
            models: settings.models.into(),
            ips: settings.ips.into(),
            end_user_header: settings.end_user_header.and_then(|name| name.parse().ok()),
            in_path: settings.in_path,
        }
    }
}
