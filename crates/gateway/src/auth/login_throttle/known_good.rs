//! From which addresses each account logged in well: an owner is not kept waiting there for what
//! others fail at.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fluxgate_core::subject::AddressPrefix;

use super::AccountTag;

/// How long a log-in vouches for its address.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Accounts remembered, ten megabytes at most. Beyond it the one goes whose last log-in is the
/// longest ago.
const ACCOUNTS_MAX: usize = 20_000;
/// Addresses of one account: whoever logs in from many pushes out only their own.
const ADDRESSES_MAX: usize = 10;

/// See the module.
#[derive(Default, Debug)]
pub struct KnownGood {
    /// The last log-in last.
    by_account: HashMap<AccountTag, Vec<LoggedIn>>,
}

#[derive(Clone, Copy, Debug)]
struct LoggedIn {
    address: AddressPrefix,
    at: Instant,
}

impl LoggedIn {
    fn counts(self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < KNOWN_FOR
    }
}

impl KnownGood {
    pub fn has(&self, address: AddressPrefix, account: AccountTag, now: Instant) -> bool {
        let known = self.by_account.get(&account);
        known.is_some_and(|known| {
            known.iter().any(|known| known.address == address && known.counts(now))
        })
    }

    pub fn remember(&mut self, address: AddressPrefix, account: AccountTag, now: Instant) {
        if self.by_account.len() >= ACCOUNTS_MAX && !self.by_account.contains_key(&account) {
            self.forget_one(now);
        }
        let known = self.by_account.entry(account).or_default();
        known.retain(|known| known.address != address && known.counts(now));
        if known.len() >= ADDRESSES_MAX {
            known.remove(0);
        }
        known.push(LoggedIn { address, at: now });
    }

    fn forget_one(&mut self, now: Instant) {
        let last = |known: &Vec<LoggedIn>| known.last().map(|known| known.at);
        let oldest = self.by_account.iter().min_by_key(|(_, known)| last(known));
        let Some(oldest) = oldest.map(|(account, _)| *account) else { return };
        self.by_account.remove(&oldest);
        self.by_account.retain(|_, known| known.last().is_some_and(|known| known.counts(now)));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(number: u32) -> AddressPrefix {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn an_address_is_known_for_thirty_days_for_the_account_that_logged_in() {
        let (start, mut known) = (Instant::now(), KnownGood::default());
        known.remember(address(1), AccountTag(1), start);
        let days = |days: u64| start + Duration::from_secs(days * 24 * 3_600);
        assert!(known.has(address(1), AccountTag(1), days(29)));
        assert!(!known.has(address(1), AccountTag(1), days(30)));
        assert!(
            !known.has(address(2), AccountTag(1), start)
                && !known.has(address(1), AccountTag(2), start)
        );
        known.remember(address(1), AccountTag(1), days(29));
        assert!(known.has(address(1), AccountTag(1), days(58)), "it begins anew");
    }

    #[test]
    fn who_logs_in_from_many_addresses_pushes_out_only_their_own() {
        let (start, mut known) = (Instant::now(), KnownGood::default());
        known.remember(address(1), AccountTag(1), start);
        for number in 0..100 {
            known.remember(
                address(number),
                AccountTag(2),
                start + Duration::from_secs(number.into()),
            );
        }
        assert!(known.has(address(1), AccountTag(1), start));
        let kept = (0..100).filter(|number| known.has(address(*number), AccountTag(2), start));
        assert!(kept.eq(90..100), "the last ten");
    }

    #[test]
    fn the_accounts_remembered_are_bounded() {
        let (start, mut known) = (Instant::now(), KnownGood::default());
        for number in 0..=ACCOUNTS_MAX as u64 {
            known.remember(address(1), AccountTag(number), start + Duration::from_millis(number));
        }
        assert_eq!(known.by_account.len(), ACCOUNTS_MAX);
        assert!(
            !known.has(address(1), AccountTag(0), start)
                && known.has(address(1), AccountTag(1), start)
        );
    }
}
