//! An address of mail: what users are known by.

use std::fmt;
use std::str::FromStr;

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
        let text = text.trim();
        let (local, domain) = text.split_once('@').ok_or(MalformedEmail)?;
        let sound = !local.is_empty()
            && domain.contains('.')
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && text.len() <= BYTES_MAX
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if sound { Ok(Self(text.to_lowercase())) } else { Err(MalformedEmail) }
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
        for text in
            ["", "ada", "@example.org", "ada@", "ada@host", "a b@example.org", "a@b@c.d", &long]
        {
            assert_eq!(text.parse::<Email>(), Err(MalformedEmail), "{text}");
        }
    }
}
