//! Identities: what names a key, a user, a request. Bare strings and integers stop here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The built-in user `operator`: owner of the keys that the operator makes without naming a user.
/// It can't log in.
pub const OPERATOR: UserId = UserId(Uuid::from_u128(0x0000_0000_0000_7000_8000_6f70_6572_6174));

/// A user of this deployment.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

/// A session: what a person who signed in has until they sign out.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

/// A team of users.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct TeamId(pub Uuid);

/// A one-time link: an invitation, or to set another password.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct LinkId(pub Uuid);

/// An entry of the audit log.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct AuditId(pub Uuid);

/// Our own id of a request (UUIDv7): the same in `x-request-id`, in the log and in the records.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

/// Ids that we draw.
macro_rules! drawn_ids {
    ($($name:ident: $what:literal;)+) => {$(
        impl $name {
            /// A new id; ids that were made later sort later (UUIDv7, RFC 9562).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                const EXPECTED: MalformedId = MalformedId(concat!($what, " id: expected a UUID"));
                Uuid::parse_str(text).map(Self).map_err(|_| EXPECTED)
            }
        }
    )+};
}

drawn_ids! {
    UserId: "user";
    SessionId: "session";
    TeamId: "team";
    LinkId: "link";
    AuditId: "audit";
    RequestId: "request";
}

/// The public id of an API key: twelve base62 characters, safe to log and to show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9A-Za-z]{12}$")]
pub struct KeyId([u8; KeyId::LEN]);

impl KeyId {
    /// Characters in a public id.
    pub const LEN: usize = 12;

    /// Takes exactly twelve base62 characters.
    ///
    /// # Errors
    /// [`MalformedId`] for any other length or character.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedId> {
        const EXPECTED: MalformedId = MalformedId("key id: expected 12 letters or digits");
        let id: [u8; Self::LEN] = bytes.try_into().map_err(|_| EXPECTED)?;
        if id.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(id)) } else { Err(EXPECTED) }
    }

    /// The twelve characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII letters and digits get past `from_bytes`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        Self::from_bytes(text.as_bytes())
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An id that isn't of its form; the text says which form that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MalformedId(pub &'static str);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_twelve_base62_characters_and_nothing_else() {
        assert_eq!("abcDEF012345".parse::<KeyId>().unwrap().as_str(), "abcDEF012345");
        for wrong in ["", "abcDEF01234", "abcDEF0123456", "abcDEF01234-", "abcDEF01234é"] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_operator_is_a_fixed_user() {
        assert_eq!(OPERATOR.to_string(), "00000000-0000-7000-8000-6f7065726174");
    }
}
