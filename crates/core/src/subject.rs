//! The subject: who is counted, limited and penalised. One type, one spelling, everywhere.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{KeyId, MalformedId, TeamId, UserId};
use crate::text::is_printable;

/// Who consumes. Its text form is the one of logs, of the admin API and of stored keys:
/// `user:<uuid>`, `team:<uuid>`, `key:<public id>`, `end:<public id>:<external id>`, `ip:<prefix>`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    User(UserId),
    Team(TeamId),
    Key(KeyId),
    /// One of the people whom a key stands for.
    EndUser(KeyId, EndUserId),
    Address(AddressPrefix),
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 site holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddressPrefix(IpAddr);

/// How a program that uses a key for many people names one of them: 1 to 128 characters of
/// printable text, as it stands in a header.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EndUserId(Arc<str>);

impl EndUserId {
    const CHARS_MAX: usize = 128;

    /// `None` for what is empty, too long, not text, or has characters in it that can't be seen.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let fits = (1..=Self::CHARS_MAX).contains(&text.chars().count());
        (fits && text.chars().all(is_printable)).then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<IpAddr> for AddressPrefix {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::EndUser(key, id) => write!(f, "end:{key}:{}", id.0),
            Self::Address(prefix) => write!(f, "ip:{prefix}"),
        }
    }
}

impl FromStr for Subject {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        const EXPECTED: MalformedId = MalformedId(
            "subject: expected user:<uuid>, team:<uuid>, key:<id>, end:<id>:<who> or ip:<address>",
        );
        let (kind, id) = text.split_once(':').ok_or(EXPECTED)?;
        match kind {
            "user" => Ok(Self::User(id.parse()?)),
            "team" => Ok(Self::Team(id.parse()?)),
            "key" => Ok(Self::Key(id.parse()?)),
            "end" => {
                let (key, id) = id.split_once(':').ok_or(EXPECTED)?;
                let id = EndUserId::from_bytes(id.as_bytes()).ok_or(EXPECTED)?;
                Ok(Self::EndUser(key.parse()?, id))
            }
            "ip" => {
                let address: IpAddr = id.trim_end_matches("/64").parse().map_err(|_| EXPECTED)?;
                Ok(Self::Address(address.into()))
            }
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_as_it_was_written() {
        for text in [
            "user:00000000-0000-7000-8000-6f7065726174",
            "team:00000000-0000-7000-8000-6f7065726174",
            "key:abcDEF012345",
            "end:abcDEF012345:ada@example.org",
            "end:abcDEF012345:a:b",
            "ip:192.0.2.7",
            "ip:2001:db8:1:2::/64",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn one_ipv6_site_is_one_subject() {
        let one: Subject = "ip:2001:db8::1".parse().unwrap();
        let other: Subject = "ip:2001:db8::ffff:2".parse().unwrap();
        assert_eq!(one, other);
        assert_eq!("ip:::ffff:192.0.2.7".parse::<Subject>().unwrap().to_string(), "ip:192.0.2.7");
    }
}
