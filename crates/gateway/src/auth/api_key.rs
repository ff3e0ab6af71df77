//! API keys: `sk-fg-<public id>-<secret>`. The id has 12 base62 characters; the secret has 32
//! random ones and 6 of a CRC-32 over all before them, so that a mistyped key is refused before
//! any look-up. Stored is the SHA-256 of the secret: 190 bits of randomness need no salt.

use std::fmt;

use fluxgate_core::KeyId;
use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &[u8] = b"sk-fg-";
const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const SECRET_LEN: usize = RANDOM_LEN + CHECKSUM_LEN;
const KEY_LEN: usize = PREFIX.len() + KeyId::LEN + 1 + SECRET_LEN;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new key, which is shown once.
pub struct NewKey {
    pub id: KeyId,
    pub secret_sha256: SecretHash,
    text: String,
}

impl NewKey {
    /// Draws a key from the system's random source.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(&draw(KeyId::LEN))
    }

    /// Another secret for a key that exists.
    #[must_use]
    pub fn under(id: KeyId) -> Self {
        Self::of(id.as_str().as_bytes())
    }

    fn of(id: &[u8]) -> Self {
        let mut text = [PREFIX, id, b"-", &draw(RANDOM_LEN)].concat();
        text.extend_from_slice(&checksum(&text));
        let presented = PresentedKey::parse(&text);
        let (id, secret_sha256) = match &presented {
            Some(key) => (key.id, key.hash()),
            None => unreachable!("a generated key is well-formed"),
        };
        Self { id, secret_sha256, text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// The whole key, for the one who asked for it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

fn draw(count: usize) -> Vec<u8> {
    let mut random = rand::rng();
    let letter = |_| BASE62.get(random.random_range(0..BASE62.len())).copied();
    (0..count).filter_map(letter).collect()
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}, ***)", self.id)
    }
}

/// SHA-256 of a key's secret.
#[derive(Clone, Copy)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}, ***)", self.id)
    }
}

/// A well-formed key that somebody presents. Whether it exists isn't known yet.
pub struct PresentedKey<'a> {
    pub id: KeyId,
    secret: &'a [u8],
}

impl<'a> PresentedKey<'a> {
    /// Checks length, alphabet and checksum.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() != KEY_LEN {
            return None;
        }
        let rest = text.strip_prefix(PREFIX)?;
        let (id, rest) = rest.split_at_checked(KeyId::LEN)?;
        let secret = rest.strip_prefix(b"-")?;
        let (checked, sum) = text.split_at_checked(KEY_LEN - CHECKSUM_LEN)?;
        if checksum(checked) != sum || !secret.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        Some(Self { id: KeyId::from_bytes(id).ok()?, secret })
    }

    /// What is compared with the stored hash.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret).into())
    }
}

/// CRC-32 (ISO-HDLC, as in zlib) in base62, the most significant digit first.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut left = crc32fast::hash(bytes) as usize;
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        if let Some(character) = BASE62.get(left % BASE62.len()) {
            *digit = *character;
        }
        left /= BASE62.len();
    }
    digits
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_well_formed_and_has_its_own_hash() {
        let key = NewKey::generate();
        let presented = PresentedKey::parse(key.reveal().as_bytes()).unwrap();
        assert_eq!(presented.id, key.id);
        assert!(presented.hash().matches(&key.secret_sha256));
        assert!(!presented.hash().matches(&NewKey::generate().secret_sha256));
        assert_eq!(key.reveal().len(), 57);
    }

    #[test]
    fn a_known_key_keeps_its_checksum() {
        // CRC-32 of "sk-fg-abcDEF012345-" and 32 times "a", as zlib gives it, in base62.
        let text = b"sk-fg-abcDEF012345-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let mut whole = text.to_vec();
        whole.extend_from_slice(&checksum(text));
        assert!(PresentedKey::parse(&whole).is_some());
    }

    #[test]
    fn any_single_changed_character_is_refused() {
        let key = NewKey::generate();
        for at in 0..key.reveal().len() {
            let mut wrong = key.reveal().as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(PresentedKey::parse(&wrong).is_none(), "position {at}");
        }
        for text in ["", "sk-fg-", "sk-proj-abc", &key.reveal()[1..], &format!("{}0", key.reveal())]
        {
            assert!(PresentedKey::parse(text.as_bytes()).is_none());
        }
    }

    #[test]
    fn debugging_a_key_shows_no_secret() {
        let key = NewKey::generate();
        assert!(!format!("{key:?}").contains(&key.reveal()[19..]));
    }
}
