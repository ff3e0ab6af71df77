//! What stands in the log for a person whom a key stands for: programs name their people by
//! e-mail as likely as by number. The same person is the same on every replica, and who doesn't
//! have the deployment's secret can't try names.

use std::fmt;

use fluxgate_core::KeyId;
use fluxgate_core::subject::EndUserId;
use hkdf::Hkdf;
use sha2::Sha256;

/// Tells a few thousand people apart.
const BYTES: usize = 8;

/// The key of all pseudonyms of a deployment.
pub struct Pseudonyms(Hkdf<Sha256>);

impl Pseudonyms {
    #[must_use]
    pub fn new(deployment_secret: &[u8; 32]) -> Self {
        Self(Hkdf::new(Some(b"fluxgate log people v1"), deployment_secret))
    }

    /// In hexadecimal digits.
    #[must_use]
    pub fn of(&self, key: KeyId, person: &EndUserId) -> String {
        let mut bytes = [0; BYTES];
        let name = [key.as_str().as_bytes(), b":", person.as_str().as_bytes()];
        // It fails for far longer outputs alone.
        let _ = self.0.expand_multi_info(&name, &mut bytes);
        hex::encode(bytes)
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(***)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_one_and_the_same_for_one_key_of_one_deployment() {
        let (ours, theirs) = (Pseudonyms::new(&[1; 32]), Pseudonyms::new(&[2; 32]));
        let (key, other) = ("abcDEF012345".parse().unwrap(), "abcDEF012346".parse().unwrap());
        let person = |name: &str| EndUserId::from_bytes(name.as_bytes()).unwrap();
        let ada = ours.of(key, &person("ada@example.org"));
        assert_eq!(ada.len(), 2 * BYTES);
        assert_eq!(ada, ours.of(key, &person("ada@example.org")));
        for another in [
            ours.of(key, &person("bob@example.org")),
            ours.of(other, &person("ada@example.org")),
            theirs.of(key, &person("ada@example.org")),
        ] {
            assert_ne!(ada, another);
        }
    }
}
