//! What a request shows of itself: a key, an access token in a header, or one in a cookie. Only its
//! form and its signature are checked here; whether it is still good is looked up.

use chrono::{DateTime, Utc};
use fluxgate_core::{KeyId, Reason, SessionId};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::access_token::{AccessTokens, TokenFault};
use super::api_key::PresentedKey;
use super::cookies;
use super::in_path::KeyInPath;
use crate::refusal::Refusal;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// By which a principal is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CredentialId {
    Key(KeyId),
    Session(SessionId),
}

/// A well-formed credential that somebody presents.
#[derive(Debug)]
pub enum Credential<'a> {
    Key(PresentedKey<'a>),
    Session {
        id: SessionId,
        /// A browser sends it by itself, for whatever page asks.
        by_cookie: bool,
    },
}

impl<'a> Credential<'a> {
    /// A key in the path, else `Authorization: Bearer …`, else `x-api-key`; where there is none of
    /// them, the cookie. A bad one never falls back to another.
    ///
    /// # Errors
    /// 401.
    pub fn read(
        headers: &'a HeaderMap,
        in_path: Option<&'a KeyInPath>,
        tokens: &AccessTokens,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        if let Some(key) = in_path {
            return Self::key(key.as_bytes());
        }
        if let Some(value) = only(headers, &AUTHORIZATION)? {
            let bearer = bearer(value.as_bytes())?;
            return match looks_like_a_token(bearer) {
                true => Self::session(bearer, false, tokens, now),
                false => Self::key(bearer),
            };
        }
        if let Some(value) = only(headers, &X_API_KEY)? {
            return Self::key(value.as_bytes());
        }
        match cookies::find(headers, cookies::SESSION) {
            Some(token) => Self::session(token, true, tokens, now),
            None => Err(Refusal::new(
                Reason::MissingKey,
                "No API key. Send it as `Authorization: Bearer sk-fg-…` or `x-api-key: sk-fg-…`.",
            )),
        }
    }

    #[must_use]
    pub const fn id(&self) -> CredentialId {
        match self {
            Self::Key(key) => CredentialId::Key(key.id),
            Self::Session { id, .. } => CredentialId::Session(*id),
        }
    }

    fn key(text: &'a [u8]) -> Result<Self, Refusal> {
        PresentedKey::parse(text).map(Self::Key).ok_or_else(invalid_key)
    }

    fn session(
        token: &[u8],
        by_cookie: bool,
        tokens: &AccessTokens,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        match tokens.check(token, now) {
            Ok(id) => Ok(Self::Session { id, by_cookie }),
            Err(TokenFault::Expired) => Err(Refusal::new(
                Reason::SessionExpired,
                "This access token has expired: refresh it.",
            )),
            Err(TokenFault::Invalid) => {
                Err(Refusal::new(Reason::InvalidSession, "This access token isn't valid."))
            }
        }
    }
}

/// The header, where it stands once: of two nobody knows which counts.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => {
            Err(Refusal::new(Reason::InvalidKey, format!("The header `{name}` stands twice.")))
        }
    }
}

/// The right form of a key, and not of one that we know.
pub fn invalid_key() -> Refusal {
    Refusal::new(Reason::InvalidKey, "This API key isn't valid.")
}

/// What stands behind `Bearer`.
pub fn bearer(value: &[u8]) -> Result<&[u8], Refusal> {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token.trim_ascii()),
        _ => Err(Refusal::new(
            Reason::InvalidKey,
            "The Authorization header must be `Bearer` and an API key.",
        )),
    }
}

/// Keys have no dots, and a JWS has two (RFC 7515 §3.1).
fn looks_like_a_token(text: &[u8]) -> bool {
    text.contains(&b'.')
}
