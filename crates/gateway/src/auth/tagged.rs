//! Tokens that we know for our own before anything is looked up: what they tell, and a tag by a key
//! that has this one purpose. The store keeps their SHA-256; that much randomness needs no salt.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluxgate_core::Secret;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const TAG_BYTES: usize = 32;
/// Ours tell less.
const TEXT_BYTES_MAX: usize = 256;

/// Seals and opens the tokens of one purpose.
pub struct Tagger {
    prefix: &'static str,
    key: Zeroizing<[u8; 32]>,
}

/// A token that was just made.
#[derive(Debug)]
pub struct Sealed {
    pub text: Secret,
    pub sha256: [u8; 32],
}

/// What a token of ours tells.
pub struct Opened {
    pub told: Zeroizing<Vec<u8>>,
    pub sha256: [u8; 32],
}

impl Tagger {
    /// The key is derived for the purpose, which no two have in common.
    #[must_use]
    pub fn new(deployment_secret: &[u8; 32], purpose: &str, prefix: &'static str) -> Self {
        Self { prefix, key: derive(deployment_secret, purpose) }
    }

    #[must_use]
    pub fn seal(&self, told: &[u8]) -> Sealed {
        let tag = self.mac(told).finalize().into_bytes();
        let whole = Zeroizing::new([told, &tag].concat());
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*whole));
        let text = [self.prefix, &encoded].concat();
        Sealed { text: text.into(), sha256: Sha256::digest(&*whole).into() }
    }

    /// `None` for what we never sealed.
    #[must_use]
    pub fn open(&self, text: &str) -> Option<Opened> {
        let encoded = text.strip_prefix(self.prefix).filter(|_| text.len() <= TEXT_BYTES_MAX)?;
        let whole = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (told, tag) = whole.split_at_checked(whole.len().checked_sub(TAG_BYTES)?)?;
        self.mac(told).verify_slice(tag).ok()?;
        Some(Opened { told: Zeroizing::new(told.to_vec()), sha256: Sha256::digest(&*whole).into() })
    }

    fn mac(&self, told: &[u8]) -> Hmac<Sha256> {
        let mut mac = match Hmac::<Sha256>::new_from_slice(self.key.as_slice()) {
            Ok(mac) => mac,
            Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
        };
        mac.update(told);
        mac
    }
}

/// A key for one purpose (HKDF-SHA256, RFC 5869).
#[must_use]
pub fn derive(deployment_secret: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let expanded =
        Hkdf::<Sha256>::new(None, deployment_secret).expand(purpose.as_bytes(), key.as_mut_slice());
    match expanded {
        Ok(()) => key,
        Err(_) => unreachable!("HKDF gives up to 255 hashes' worth, of which this is one (§2.3)"),
    }
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tagger({}***)", self.prefix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_we_didnt_seal_doesnt_open() {
        let tagger = Tagger::new(&[1; 32], "a purpose", "t_");
        let sealed = tagger.seal(b"what it tells");
        let good = sealed.text.expose();
        let opened = tagger.open(good).unwrap();
        assert_eq!((opened.told.as_slice(), opened.sha256), (&b"what it tells"[..], sealed.sha256));
        for other in [
            Tagger::new(&[2; 32], "a purpose", "t_"),
            Tagger::new(&[1; 32], "another purpose", "t_"),
            Tagger::new(&[1; 32], "a purpose", "u_"),
        ] {
            assert!(other.open(good).is_none());
        }
        for at in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(tagger.open(&String::from_utf8(bytes).unwrap()).is_none(), "{at}");
        }
        for text in ["", "t_", &good[..good.len() - 1], &format!("{good}A"), &good[2..]] {
            assert!(tagger.open(text).is_none(), "{text}");
        }
    }
}
