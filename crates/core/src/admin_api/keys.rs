//! Shapes of `/api/v1/keys`.

use std::fmt;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::forms::{ModelGlob, Name, Network, PersonHeader};
use super::given;
use crate::ids::{KeyId, UserId};
use crate::limits::Limits;
use crate::object;
use crate::secret::MASK;

/// What a key opens.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
pub enum Scope {
    /// Model traffic.
    #[serde(rename = "models")]
    Models,
    /// Names resolved by DNS over HTTPS.
    #[serde(rename = "dns")]
    Dns,
    /// What its owner has used.
    #[serde(rename = "usage:read")]
    UsageRead,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Models, Self::Dns, Self::UsageRead];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Dns => "dns",
            Self::UsageRead => "usage:read",
        }
    }
}

/// What a key may be used for, by whom and how much.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct KeySettings {
    pub scopes: Vec<Scope>,
    /// Globs of the models that it may use; none: all.
    pub models: Vec<String>,
    /// Networks that it may be used from; none: anywhere.
    #[schema(value_type = Vec<String>)]
    pub ips: Vec<IpNet>,
    pub limits: Limits,
    /// The header in which a program tells for whom of its people a request is.
    pub end_user_header: Option<String>,
    /// It may stand in the path: `/k/<key>/…`.
    pub in_path: bool,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            scopes: vec![Scope::Models],
            models: Vec::new(),
            ips: Vec::new(),
            limits: Limits::default(),
            end_user_header: None,
            in_path: false,
        }
    }
}

/// The body of `POST /api/v1/keys`.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    #[schema(value_type = Name)]
    pub name: String,
    /// The owner's id or e-mail; without one the key is theirs who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 254)]
    pub user: Option<String>,
    /// The key ends then; without one it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// None given means `models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashSet<Scope>>)]
    pub scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ModelGlob>>, max_items = 64)]
    pub models: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Network>>, max_items = 64)]
    pub ips: Option<Vec<IpNet>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::option")]
    pub limits: Option<Limits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PersonHeader>)]
    pub end_user_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_path: Option<bool>,
}

impl CreateKey {
    /// Its settings, the defaults where it gives none.
    #[must_use]
    pub fn settings(&self) -> KeySettings {
        let default = KeySettings::default();
        KeySettings {
            scopes: self
                .scopes
                .clone()
                .filter(|scopes| !scopes.is_empty())
                .unwrap_or(default.scopes),
            models: self.models.clone().unwrap_or_default(),
            ips: self.ips.clone().unwrap_or_default(),
            limits: self.limits.clone().unwrap_or_default(),
            end_user_header: self.end_user_header.clone(),
            in_path: self.in_path.unwrap_or(false),
        }
    }
}

/// The body of `PATCH /api/v1/keys/{id}`: what is absent stays; `null` takes away what may be
/// absent.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateKey {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashSet<Scope>>, min_items = 1)]
    pub scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ModelGlob>>, max_items = 64)]
    pub models: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Network>>, max_items = 64)]
    pub ips: Option<Vec<IpNet>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::option")]
    pub limits: Option<Limits>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<PersonHeader>)]
    pub end_user_header: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_path: Option<bool>,
}

impl UpdateKey {
    /// Puts what is given into the settings.
    pub fn apply(self, settings: &mut KeySettings) {
        let KeySettings { scopes, models, ips, limits, end_user_header, in_path } = settings;
        put(scopes, self.scopes);
        put(models, self.models);
        put(ips, self.ips);
        put(limits, self.limits);
        put(end_user_header, self.end_user_header);
        put(in_path, self.in_path);
    }
}

fn put<T>(to: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *to = given;
    }
}

/// The body of `POST /api/v1/keys/{id}/rotate`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the old secret opens as well: up to 30 days; without it, it ends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_s: Option<u32>,
}

/// A key that was just made, or given a new secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The whole key. It is shown this once and kept nowhere.
    pub key: String,
    #[serde(flatten)]
    pub about: Key,
}

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKey")
            .field("key", &format_args!("{MASK}"))
            .field("about", &self.about)
            .finish()
    }
}

/// An item of `GET /api/v1/keys`: the newest comes first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Key {
    pub id: KeyId,
    /// `key:<id>`.
    pub subject: String,
    pub name: String,
    pub owner: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// Within a minute or so; absent where it was never used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until then the secret before the present one opens as well.
    pub previous_until: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub settings: KeySettings,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_asked_for_with_its_name_alone() {
        let asked: CreateKey = serde_json::from_str(r#"{"name":"laptop"}"#).unwrap();
        assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"name":"laptop"}"#);
        assert_eq!(asked.settings(), KeySettings::default());
        assert!(serde_json::from_str::<CreateKey>(r#"{"name":"x","scope":[]}"#).is_err());
    }

    #[test]
    fn an_update_tells_null_from_absent() {
        let update: UpdateKey = serde_json::from_str(r#"{"expires_at":null}"#).unwrap();
        assert_eq!((update.expires_at, update.end_user_header), (Some(None), None));
        let mut settings =
            KeySettings { end_user_header: Some("x-user".into()), ..KeySettings::default() };
        let update: UpdateKey =
            serde_json::from_str(r#"{"end_user_header":null,"models":["a*"],"in_path":true}"#)
                .unwrap();
        update.apply(&mut settings);
        let expected =
            KeySettings { models: vec!["a*".into()], in_path: true, ..KeySettings::default() };
        assert_eq!(settings, expected);
    }

    #[test]
    fn debugging_shows_no_secret() {
        let about = Key {
            id: "abcDEF012345".parse().unwrap(),
            subject: "key:abcDEF012345".into(),
            name: "laptop".into(),
            owner: crate::ids::OPERATOR,
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            previous_until: None,
            settings: KeySettings::default(),
        };
        let key = CreatedKey { key: "sk-fg-abcDEF012345-s3cret".into(), about };
        assert!(!format!("{key:?}").contains("s3cret"));
        let shown = serde_json::to_value(&key).unwrap();
        assert_eq!((&shown["id"], &shown["scopes"][0]), (&"abcDEF012345".into(), &"models".into()));
    }
}
