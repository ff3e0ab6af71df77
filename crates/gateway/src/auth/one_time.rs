//! One-time tokens, `fgl_…`, of links: 256 random bits that whoever has the link may use once. A
//! forged one costs no look-up.

use super::tagged::{Sealed, Tagger};

const PURPOSE: &str = "fluxgate links v1";
const PREFIX: &str = "fgl_";
/// Bytes of randomness in a token.
pub const RANDOM_BYTES: usize = 32;

/// Draws and checks them.
#[derive(Debug)]
pub struct OneTimeTokens(Tagger);

impl OneTimeTokens {
    #[must_use]
    pub fn new(deployment_secret: &[u8; 32]) -> Self {
        Self(Tagger::new(deployment_secret, PURPOSE, PREFIX))
    }

    #[must_use]
    pub fn draw(&self) -> Sealed {
        self.of(&rand::random())
    }

    /// The token of these bytes, where every replica has to draw the same.
    #[must_use]
    pub fn of(&self, random: &[u8; RANDOM_BYTES]) -> Sealed {
        self.0.seal(random)
    }

    /// What the store keeps of a token; `None` for what we never drew.
    #[must_use]
    pub fn check(&self, text: &str) -> Option<[u8; 32]> {
        self.0.open(text.trim()).map(|opened| opened.sha256)
    }
}
