//! Refresh tokens: `fgr_` and 81 bytes in base64url, which are a session's id and grant, 256 random
//! bits and a tag by which we know our own. So a forged one is refused before any look-up, and one of ours
//! that was replaced long ago is known for a replay. The store keeps the SHA-256 of the present one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluxgate_core::admin_api::Grant;
use fluxgate_core::{Secret, SessionId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

const PREFIX: &str = "fgr_";
const ID_BYTES: usize = 16;
const GRANT_BYTES: usize = 1;
const RANDOM_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
const TOLD_BYTES: usize = ID_BYTES + GRANT_BYTES + RANDOM_BYTES;
const BYTES: usize = TOLD_BYTES + TAG_BYTES;

/// Draws and checks them, with a key of their own.
pub struct RefreshTokens(Zeroizing<[u8; 32]>);

/// One that was just drawn.
#[derive(Debug)]
pub struct NewRefreshToken {
    pub text: Secret,
    pub sha256: [u8; 32],
}

/// One that we drew once, as somebody presents it.
#[derive(Clone, Copy)]
pub struct PresentedRefreshToken {
    pub session: SessionId,
    /// How it was given, and so how it may come back.
    pub grant: Grant,
    pub sha256: [u8; 32],
}

impl RefreshTokens {
    #[must_use]
    pub fn new(deployment_secret: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // RFC 5869 §2.3: it fails for far longer outputs alone.
        let _ = Hkdf::<Sha256>::new(None, deployment_secret)
            .expand(b"fluxgate refresh tokens v1", key.as_mut_slice());
        Self(key)
    }

    #[must_use]
    pub fn draw(&self, session: SessionId, grant: Grant) -> NewRefreshToken {
        let random: [u8; RANDOM_BYTES] = rand::random();
        let told =
            Zeroizing::new([session.0.as_bytes().as_slice(), &[letter(grant)], &random].concat());
        let tag = self.mac(&told).finalize().into_bytes();
        let whole = Zeroizing::new([told.as_slice(), &tag].concat());
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*whole));
        NewRefreshToken { text: text.into(), sha256: Sha256::digest(&*whole).into() }
    }

    /// `None` for what we never drew.
    #[must_use]
    pub fn check(&self, text: &str) -> Option<PresentedRefreshToken> {
        let encoded = text.strip_prefix(PREFIX)?;
        if encoded.len() != BYTES / 3 * 4 {
            return None;
        }
        let whole = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (told, tag) = whole.split_at_checked(TOLD_BYTES)?;
        self.mac(told).verify_slice(tag).ok()?;
        let session = SessionId(Uuid::from_slice(told.get(..ID_BYTES)?).ok()?);
        let grant = [Grant::Cookie, Grant::Bearer];
        let grant = grant.into_iter().find(|grant| told.get(ID_BYTES) == Some(&letter(*grant)))?;
        Some(PresentedRefreshToken { session, grant, sha256: Sha256::digest(&*whole).into() })
    }

    fn mac(&self, told: &[u8]) -> Hmac<Sha256> {
        let mut mac = match Hmac::<Sha256>::new_from_slice(self.0.as_slice()) {
            Ok(mac) => mac,
            Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
        };
        mac.update(told);
        mac
    }
}

const fn letter(grant: Grant) -> u8 {
    match grant {
        Grant::Cookie => b'c',
        Grant::Bearer => b'b',
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshTokens(***)")
    }
}

impl fmt::Debug for PresentedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedRefreshToken({}, ***)", self.session)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session_and_no_two_are_equal() {
        let tokens = RefreshTokens::new(&[1; 32]);
        let session = SessionId::generate();
        let (one, two) = (tokens.draw(session, Grant::Cookie), tokens.draw(session, Grant::Cookie));
        assert_ne!(one.sha256, two.sha256);
        let presented = tokens.check(one.text.expose()).unwrap();
        assert_eq!((presented.session, presented.sha256), (session, one.sha256));
        assert_eq!(presented.grant, Grant::Cookie);
    }

    #[test]
    fn what_we_didnt_draw_is_none_of_ours() {
        let tokens = RefreshTokens::new(&[1; 32]);
        let good = tokens.draw(SessionId::generate(), Grant::Bearer).text;
        let good = good.expose();
        assert!(RefreshTokens::new(&[2; 32]).check(good).is_none(), "another deployment's");
        for at in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert!(tokens.check(&forged).is_none(), "{at}");
        }
        for text in ["", "fgr_", &good[..good.len() - 1], &format!("{good}A"), &good[4..]] {
            assert!(tokens.check(text).is_none(), "{text}");
        }
    }
}
