//! Refresh tokens, `fgr_…`: they tell their session and how they were given, so that one of ours
//! that was replaced long ago is known for a replay, and a forged one costs no look-up.

use fluxgate_core::SessionId;
use fluxgate_core::admin_api::Grant;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::tagged::{Sealed, Tagger};

const PURPOSE: &str = "fluxgate refresh tokens v1";
const PREFIX: &str = "fgr_";
const ID_BYTES: usize = 16;
const RANDOM_BYTES: usize = 32;

/// Draws and checks them.
#[derive(Debug)]
pub struct RefreshTokens(Tagger);

/// One that we drew once, as somebody presents it.
#[derive(Clone, Copy, Debug)]
pub struct PresentedRefreshToken {
    pub session: SessionId,
    /// How it was given, and so how it may come back.
    pub grant: Grant,
    pub sha256: [u8; 32],
}

impl RefreshTokens {
    #[must_use]
    pub fn new(deployment_secret: &[u8; 32]) -> Self {
        Self(Tagger::new(deployment_secret, PURPOSE, PREFIX))
    }

    #[must_use]
    pub fn draw(&self, session: SessionId, grant: Grant) -> Sealed {
        let random: Zeroizing<[u8; RANDOM_BYTES]> = Zeroizing::new(rand::random());
        let told = [session.0.as_bytes().as_slice(), &[letter(grant)], random.as_slice()].concat();
        self.0.seal(&Zeroizing::new(told))
    }

    /// `None` for what we never drew.
    #[must_use]
    pub fn check(&self, text: &str) -> Option<PresentedRefreshToken> {
        let opened = self.0.open(text)?;
        let (id, rest) = opened.told.split_at_checked(ID_BYTES)?;
        let grants = [Grant::Cookie, Grant::Bearer];
        let grant = grants.into_iter().find(|grant| rest.first() == Some(&letter(*grant)))?;
        let session = SessionId(Uuid::from_slice(id).ok()?);
        Some(PresentedRefreshToken { session, grant, sha256: opened.sha256 })
    }
}

const fn letter(grant: Grant) -> u8 {
    match grant {
        Grant::Cookie => b'c',
        Grant::Bearer => b'b',
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_session_and_no_two_are_equal() {
        let tokens = RefreshTokens::new(&[1; 32]);
        let session = SessionId::generate();
        for grant in [Grant::Cookie, Grant::Bearer] {
            let (one, two) = (tokens.draw(session, grant), tokens.draw(session, grant));
            assert_ne!(one.sha256, two.sha256);
            let presented = tokens.check(one.text.expose()).unwrap();
            assert_eq!((presented.session, presented.grant), (session, grant));
            assert_eq!(presented.sha256, one.sha256);
        }
    }
}
