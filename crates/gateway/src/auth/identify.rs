//! Identify: whose request it is, from its headers or its path, and whether that key may be used
//! for it. The address only bounds guesses.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use fluxgate_core::Reason;
use fluxgate_core::admin_api::Scope;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use super::api_key::PresentedKey;
use super::cache::KeyCache;
use super::directory::Found;
use super::in_path::KeyInPath;
use super::principal::Principal;
use crate::dialect::Refusal;
use crate::listen::ClientAddr;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Until the store may be back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Finds the principal of a key whose secret is right.
///
/// # Errors
/// 401 for a credential that is missing or wrong, 503 where we can't tell.
pub async fn caller(
    keys: &KeyCache,
    client: ClientAddr,
    headers: &HeaderMap,
    in_path: Option<&KeyInPath>,
) -> Result<Arc<Principal>, Refusal> {
    let text = match in_path {
        Some(key) => key.as_bytes(),
        None => credential(headers)?,
    };
    let presented = PresentedKey::parse(text).ok_or_else(invalid)?;
    let principal = match keys.find(presented.id, client.0.into()).await {
        Found::Known(principal) => principal,
        Found::Unknown => return Err(invalid()),
        Found::CantTell => {
            let text = "The key can't be checked right now. Try again shortly.";
            return Err(Refusal::new(Reason::KeyCheckUnavailable, text).retry_after(RETRY_AFTER));
        }
    };
    if !principal.opens_with(&presented.hash(), Utc::now()) {
        return Err(invalid());
    }
    Ok(principal)
}

/// Whether the key may be used for model traffic, from there and in this way.
///
/// # Errors
/// 401 for a key that has ended, 403 where it may not be used for this.
pub fn check(
    principal: &Principal,
    client: ClientAddr,
    in_path: Option<&KeyInPath>,
) -> Result<(), Refusal> {
    principal.check_alive(Utc::now())?;
    if in_path.is_some() && !principal.in_path {
        let text = "This API key may not stand in a path: send it in a header.";
        return Err(Refusal::new(Reason::InvalidKey, text));
    }
    principal.check_use(client.0, Scope::Models)
}

/// `Authorization: Bearer …`, else `x-api-key`.
fn credential(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let bytes = value.as_bytes();
        return match bytes.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                Ok(token.trim_ascii())
            }
            _ => Err(Refusal::new(
                Reason::InvalidKey,
                "The Authorization header must be `Bearer` and an API key.",
            )),
        };
    }
    headers.get(X_API_KEY).map(|value| value.as_bytes()).ok_or_else(|| {
        Refusal::new(
            Reason::MissingKey,
            "No API key. Send it as `Authorization: Bearer sk-fg-…` or `x-api-key: sk-fg-…`.",
        )
    })
}

fn invalid() -> Refusal {
    Refusal::new(Reason::InvalidKey, "This API key isn't valid.")
}
