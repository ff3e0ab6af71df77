//! An address of mail: what users are known by.

use std::fmt;
use std::str::FromStr;

use fluxgate_core::text::is_printable;
use thiserror::Error;

/// Octets in an address (RFC 5321 §4.5.3.1.3, less the angle brackets).
const BYTES_MAX: usize = 254;

/// An address in small letters: whoever writes it otherwise is the same user.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text isn't an address of mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected an email address")]
pub struct MalformedEmail;

impl Email {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = MalformedEmail;

    fn from_str(text: &str) -> Result<Self, MalformedEmail> {
        // First: small letters may be longer, and what is kept has to be read again.
        let text = text.trim().to_lowercase();
        let (local, domain) = text.split_once('@').ok_or(MalformedEmail)?;
        let sound = !local.is_empty()
            && domain.contains('.')
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && text.len() <= BYTES_MAX
            && text.chars().all(|c| is_printable(c) && !c.is_whitespace());
        if sound { Ok(Self(text)) } else { Err(MalformedEmail) }
    }
}

impl fmt::Debug for Email {
    /// Logs hold no addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_person_has_one_address_however_it_is_written() {
        let address: Email = " Ada@Example.ORG ".parse().unwrap();
        assert_eq!(address.as_str(), "ada@example.org");
        assert_eq!(format!("{address:?}"), "Email(***)");
    }

    #[test]
    fn what_cant_be_an_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(250));
        // In small letters each of them has a byte more.
        let lengthened = format!("{}@a.bc", "Ⱥ".repeat(120));
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@host",
            "a b@example.org",
            "a@b@c.d",
            "ada\u{202e}@example.org",
            "ad\u{200b}a@example.org",
            &long,
            &lengthened,
        ] {
            assert_eq!(text.parse::<Email>(), Err(MalformedEmail), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_again(local in "\\PC{1,130}", domain in "\\PC{1,130}[.]\\PC{1,4}") {
            if let Ok(email) = format!("{local}@{domain}").parse::<Email>() {
                prop_assert_eq!(email.as_str().parse(), Ok(email.clone()));
            }
        }
    }
}
