//! Shapes of the gateway's own API, as its listeners serve it. The gateway, the guard and the
//! command line use those alone.
//!
//! They only carry: what a value must be like is the gateway's business.

pub mod status;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, RequestId, UserId};
use crate::secret::MASK;

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins: the query's `cursor`. Absent on the last page.
    pub next_cursor: Option<String>,
}

/// The body of `POST /api/v1/keys`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// 1 to 64 printable characters.
    pub name: String,
    /// The owner's id or e-mail; without one the key is the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The key ends then; without one it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    pub id: KeyId,
    /// The whole key. It is shown this once and kept nowhere.
    pub key: String,
    /// `key:<id>`.
    pub subject: String,
    pub name: String,
    pub owner: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKey")
            .field("id", &self.id)
            .field("key", &format_args!("{MASK}"))
            .field("name", &self.name)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// An item of `GET /api/v1/keys`: the newest comes first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    /// `key:<id>`.
    pub subject: String,
    pub name: String,
    pub owner: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The body of `POST /api/v1/auth/setup`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// The one-time token of the setup link.
    pub token: String,
    pub email: String,
    /// 15 to 1,024 bytes.
    pub password: String,
}

impl fmt::Debug for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetUp(***)")
    }
}

/// The answer of `POST /api/v1/auth/setup`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetUpDone {
    pub user: User,
}

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    /// In small letters. The built-in user `operator` has none.
    pub email: Option<String>,
    pub role: Role,
}

/// What a person may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// What is their own.
    Member,
}

/// An error of our own API: `application/problem+json` (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProblemDetails {
    /// Always `about:blank`: the title is the status's own, `code` says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One or two sentences for people.
    pub detail: String,
    /// The stable code of the [`Reason`](crate::Reason).
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// `already_created` alone: what was created by the earlier request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn debugging_shows_no_secret() {
        let set_up =
            SetUp { token: "t0ken".into(), email: "a@b.example".into(), password: "p4ss".into() };
        assert_eq!(format!("{set_up:?}"), "SetUp(***)");
        let key = CreatedKey {
            id: "abcDEF012345".parse().unwrap(),
            key: "sk-fg-abcDEF012345-s3cret".into(),
            subject: "key:abcDEF012345".into(),
            name: "laptop".into(),
            owner: crate::ids::OPERATOR,
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
        };
        assert!(!format!("{key:?}").contains("s3cret"));
    }

    #[test]
    fn a_key_is_asked_for_with_its_name_alone() {
        let asked: CreateKey = serde_json::from_str(r#"{"name":"laptop"}"#).unwrap();
        assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"name":"laptop"}"#);
        assert!(serde_json::from_str::<CreateKey>(r#"{"name":"x","scope":[]}"#).is_err());
    }
}
