//! One-time tokens of links: 256 random bits, of which the store keeps the SHA-256. That much
//! randomness needs no salt.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluxgate_core::Secret;
use sha2::{Digest, Sha256};

/// Bytes of randomness in a token.
pub const TOKEN_BYTES: usize = 32;

/// A token's text, and what the store keeps of it.
#[must_use]
pub fn draw() -> (Secret, [u8; 32]) {
    let text = text(&rand::random());
    let sha256 = token_sha256(&text);
    (text.into(), sha256)
}

/// How a token stands in a link.
#[must_use]
pub fn text(token: &[u8; TOKEN_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(token)
}

/// What the store keeps of a token.
#[must_use]
pub fn token_sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
