//! Shapes of `/api/v1/auth`: signing in and out, sessions, passwords.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::forms::{ChosenPassword, EmailAddress};
use super::users::Role;
use crate::ids::{SessionId, TeamId, UserId};

/// How a session's tokens travel.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// In cookies that no script can read: for pages of ours.
    #[default]
    Cookie,
    /// In the answer: for programs.
    Bearer,
}

/// The body of `POST /api/v1/auth/setup`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// The one-time token of the setup link.
    pub token: String,
    #[schema(value_type = EmailAddress)]
    pub email: String,
    #[schema(value_type = ChosenPassword)]
    pub password: String,
    #[serde(default)]
    pub grant: Grant,
}

/// The body of `POST /api/v1/auth/register`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    #[schema(value_type = EmailAddress)]
    pub email: String,
    #[schema(value_type = ChosenPassword)]
    pub password: String,
    /// The token of an invitation's link. Where anybody may register it isn't needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    #[serde(default)]
    pub grant: Grant,
}

/// The body of `POST /api/v1/auth/login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    #[schema(value_type = EmailAddress)]
    pub email: String,
    #[schema(format = Password)]
    pub password: String,
    #[serde(default)]
    pub grant: Grant,
}

/// The body of `POST /api/v1/auth/refresh`, and of `logout`: none where the token is in its cookie.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// The body of `POST /api/v1/auth/password`: the present password, or the token of a reset's link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub current: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[schema(value_type = ChosenPassword)]
    pub new: String,
}

/// Who signed in, as the answers about it say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Account {
    pub id: UserId,
    /// In small letters. The built-in user `operator` has none.
    pub email: Option<String>,
    pub role: Role,
    pub team: Option<TeamId>,
}

/// Signed in by cookie: the tokens are in the cookies alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    pub user: Account,
    /// The access token's end: refresh it by then.
    pub expires_at: DateTime<Utc>,
}

/// Signed in by bearer: what a program keeps (RFC 6749 §5.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BearerTokens {
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Of the access token, in seconds.
    pub expires_in: u32,
    /// It works once: each answer to a refresh has the next.
    pub refresh_token: String,
    pub user: Account,
}

/// The answer of signing in: by its grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SignIn {
    Bearer(BearerTokens),
    Cookie(SignedIn),
}

/// The answer of `GET /api/v1/auth/me`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    pub user: Account,
    /// Absent for the operator's token and for API keys, which aren't sessions.
    pub session: Option<Session>,
}

/// An item of `GET /api/v1/auth/sessions`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: SessionId,
    /// The one that asks.
    pub current: bool,
    pub grant: Grant,
    /// The user agent that signed in, cut to a line.
    pub device: String,
    /// From where it was last refreshed.
    pub address: String,
    pub created_at: DateTime<Utc>,
    /// When its tokens were last drawn.
    pub last_used_at: DateTime<Utc>,
    /// It ends then, however often it is used.
    pub expires_at: DateTime<Utc>,
}

macro_rules! masked {
    ($($name:ident)+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    )+};
}

masked! { SetUp Register LogIn Refresh SetPassword BearerTokens }

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn debugging_shows_no_secret() {
        let set_up: SetUp =
            serde_json::from_str(r#"{"token":"t0ken","email":"a@b.example","password":"p4ss"}"#)
                .unwrap();
        assert_eq!(format!("{set_up:?}"), "SetUp(***)");
        assert_eq!(set_up.grant, Grant::Cookie);
        let tokens = BearerTokens {
            access_token: "s3cret".into(),
            token_type: "Bearer".into(),
            expires_in: 600,
            refresh_token: "s3cret".into(),
            user: Account { id: crate::ids::OPERATOR, email: None, role: Role::Member, team: None },
        };
        assert!(!format!("{:?}", SignIn::Bearer(tokens)).contains("s3cret"));
    }
}
