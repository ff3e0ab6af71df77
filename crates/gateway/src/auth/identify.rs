//! Identify: whose request it is, from its headers or its path, and whether that credential may be
//! used for it. The address only bounds guesses.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use fluxgate_core::Reason;
use fluxgate_core::admin_api::Scope;
use http::request::Parts;
use url::Url;

use super::access_token::AccessTokens;
use super::cache::PrincipalCache;
use super::credential::{Credential, invalid_key};
use super::directory::Found;
use super::in_path::KeyInPath;
use super::origin::Origin;
use super::principal::Principal;
use crate::listen::{ClientAddr, ListenerKind};
use crate::refusal::Refusal;

/// Until the store may be back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What a model request shows. A cookie counts from pages of ours alone.
///
/// # Errors
/// 401 for a credential that is missing or malformed, 403 for a cookie that another site's page had
/// sent.
pub fn shown<'a>(
    head: &'a Parts,
    kind: ListenerKind,
    tokens: &AccessTokens,
    public_url: Option<&Url>,
) -> Result<Credential<'a>, Refusal> {
    let in_path = head.extensions.get::<KeyInPath>();
    let credential = Credential::read(&head.headers, in_path, tokens, Utc::now())?;
    if let Credential::Session { by_cookie: true, .. } = credential {
        Origin::of(&head.headers, &head.uri, kind, public_url).require_ours()?;
    }
    Ok(credential)
}

/// Finds the principal of a model request's credential.
///
/// # Errors
/// 401 for one that is wrong, 503 where we can't tell.
pub async fn principal(
    principals: &PrincipalCache,
    client: ClientAddr,
    credential: &Credential<'_>,
) -> Result<Arc<Principal>, Refusal> {
    let found = principals.find(credential.id(), client.0.into()).await;
    open(found, credential)
}

/// What was found, to whoever shows the right secret.
///
/// # Errors
/// 401, or 503 where we can't tell.
pub fn open(found: Found, credential: &Credential<'_>) -> Result<Arc<Principal>, Refusal> {
    match (found, credential) {
        (Found::Known(principal), Credential::Key(key)) => {
            if principal.opens_with(&key.hash(), Utc::now()) {
                Ok(principal)
            } else {
                Err(invalid_key())
            }
        }
        // The signature was checked.
        (Found::Known(principal), Credential::Session { .. }) => Ok(principal),
        (Found::Unknown, Credential::Key(_)) => Err(invalid_key()),
        (Found::Unknown, Credential::Session { .. }) => {
            Err(Refusal::new(Reason::SessionEnded, "This session has ended: sign in."))
        }
        (Found::CantTell, _) => {
            let text = "The key can't be checked right now. Try again shortly.";
            Err(Refusal::new(Reason::KeyCheckUnavailable, text).retry_after(RETRY_AFTER))
        }
    }
}

/// Whether the credential may be used for model traffic, from there and in this way.
///
/// # Errors
/// 401 for one that has ended, 403 where it may not be used for this.
pub fn check(
    principal: &Principal,
    client: ClientAddr,
    in_path: Option<&KeyInPath>,
) -> Result<(), Refusal> {
    principal.check_alive(Utc::now())?;
    if in_path.is_some() && !principal.may_stand_in_a_path() {
        let text = "This API key may not stand in a path: send it in a header.";
        return Err(Refusal::new(Reason::InvalidKey, text));
    }
    principal.check_use(client.0, Scope::Models)
}
