//! The keys that Fluxgate uses in Redis: no other place builds one.
//!
//! In a cluster a key's slot comes from the text between its first `{` and the next `}`. Keys that
//! one script touches have the same text there. What people named may hold braces itself; it is
//! escaped, so that nobody chooses a slot or another scope's key by a name.

use std::fmt::{self, Display, Write};

use crate::quota::{Measure, QuotaScope};

/// What all of them begin with. A Redis may serve other programs too.
pub const PREFIX: &str = "fluxgate:";

/// Which life of this Redis it is.
///
/// String; no TTL; written by the first replica that finds none; read by every replica: another
/// epoch than before tells that Redis came back empty.
pub const EPOCH: &str = "fluxgate:epoch";

/// Which replicas are alive.
///
/// Sorted set of replica names by when they were last seen; no TTL, its members are taken out when
/// they are too old; written and read by every replica.
pub const REPLICAS: &str = "fluxgate:replicas";

/// What a scope used in the last 60 s.
///
/// Hash of bucket number (of 250 ms) to units, and `sum`, `oldest` and `newest` of them; TTL 61 s from the last grant or charge; written and
/// read by the scripts of leases, for every replica.
#[must_use]
pub fn quota_window(scope: &QuotaScope, measure: Measure) -> String {
    format!("{PREFIX}quota:{{{}}}:{}", Tag(scope), measure.name())
}

/// How many of a scope's requests each replica may have under way.
///
/// Hash of replica name to `count:expires_ms` (Redis's time); TTL 6 s from the last renewal;
/// written and read by the script of slots, for every replica.
#[must_use]
pub fn quota_slots(scope: &QuotaScope) -> String {
    format!("{PREFIX}quota:{{{}}}:slots", Tag(scope))
}

/// A text inside of braces: `{`, `}` and the sign of the escape itself are percent-encoded.
struct Tag<T>(T);

impl<T: Display> Display for Tag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaped(f), "{}", self.0)
    }
}

struct Escaped<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '{' => self.0.write_str("%7B"),
            '}' => self.0.write_str("%7D"),
            '%' => self.0.write_str("%25"),
            other => self.0.write_char(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn end_user(name: &str) -> QuotaScope {
        QuotaScope::Subject(format!("end:abcDEF012345:{name}").parse().unwrap())
    }

    /// Redis Cluster Specification, "Hash tags" and "Appendix A".
    fn slot(key: &str) -> u16 {
        let tag = key.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0));
        let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
        let crc = hashed.bytes().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        });
        crc % 16_384
    }

    #[test]
    fn the_slots_of_the_specification_come_out() {
        // The CRC of Appendix A, and the examples in the documentation of `CLUSTER KEYSLOT`.
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!(slot("somekey"), 11_058);
        assert_eq!(slot("foo{hash_tag}"), 2_515);
    }

    #[test]
    fn keys_read_as_documented() {
        let scope = QuotaScope::Subject("key:abcDEF012345".parse().unwrap());
        assert_eq!(
            quota_window(&scope, Measure::Requests),
            "fluxgate:quota:{key:abcDEF012345}:requests"
        );
        assert_eq!(quota_slots(&QuotaScope::Gateway), "fluxgate:quota:{gateway}:slots");
        assert!([EPOCH, REPLICAS].iter().all(|key| key.starts_with(PREFIX)));
    }

    #[test]
    fn the_keys_of_one_scope_share_a_slot() {
        let named = ["ada", "{ada}", "}{", "{}", "a%7Db", "100%"].map(end_user);
        for scope in
            named.into_iter().chain([QuotaScope::Model("{a}*".into()), QuotaScope::Gateway])
        {
            let keys = [
                quota_window(&scope, Measure::Requests),
                quota_window(&scope, Measure::Tokens),
                quota_slots(&scope),
            ];
            assert!(keys.iter().all(|key| slot(key) == slot(&keys[0])), "{keys:?}");
            assert!(keys.iter().all(|key| key.matches(['{', '}']).count() == 2), "{keys:?}");
        }
    }

    #[test]
    fn nobody_gets_anothers_key_by_a_name() {
        let requests = |name: &str| quota_window(&end_user(name), Measure::Requests);
        assert_ne!(requests("a}"), requests("a%7D"));
        assert_ne!(requests("a}:slots"), quota_slots(&end_user("a")));
        assert_eq!(requests("a{b}%"), "fluxgate:quota:{end:abcDEF012345:a%7Bb%7D%25}:requests");
    }
}
