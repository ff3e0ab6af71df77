//! As many keys as a large company has, made from a counter: the look-up is what counts here.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

pub const KEYS: u32 = 100_000;
const PREFIX: &str = "sk-fg-";
const ID_BYTES: usize = 12;
const KNOWN: u32 = 77_777;

/// Public ids, each with the hash of its secret.
#[derive(Debug)]
pub struct Keys(HashMap<[u8; ID_BYTES], [u8; 32]>);

impl Keys {
    pub fn new() -> Self {
        let entry = |index| {
            let (id, secret) = parts(index);
            let id = id.as_bytes().first_chunk().copied().unwrap_or_default();
            (id, Sha256::digest(secret.as_bytes()).into())
        };
        Self((0..KEYS).map(entry).collect())
    }

    /// Whether it is one of them.
    pub fn holds(&self, key: &[u8]) -> bool {
        let Some((id, rest)) = key
            .strip_prefix(PREFIX.as_bytes())
            .and_then(|rest| rest.split_first_chunk::<ID_BYTES>())
        else {
            return false;
        };
        let Some(secret) = rest.strip_prefix(b"-") else { return false };
        let hash: [u8; 32] = Sha256::digest(secret).into();
        self.0.get(id).is_some_and(|known| *known == hash)
    }
}

/// A key that passes.
pub fn known() -> String {
    let (id, secret) = parts(KNOWN);
    format!("{PREFIX}{id}-{secret}")
}

fn parts(index: u32) -> (String, String) {
    (format!("{index:012}"), format!("{index:038}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_passes() {
        let (keys, known) = (Keys::new(), known());
        assert!(keys.holds(known.as_bytes()));
        assert!(!keys.holds(known.trim_end_matches('7').as_bytes()));
        assert!(!keys.holds(known.replace("sk-", "sx-").as_bytes()));
        assert!(!keys.holds(b"sk-fg-"));
    }
}
