//! How many keys that don't exist may be looked up: a small budget for each address and a larger
//! one for all, so that a stranger who guesses costs the database little and keeps nobody else's
//! key out.

use std::collections::HashMap;
use std::time::Instant;

use fluxgate_core::subject::AddressPrefix;

use super::purse::{Purse, Rate};

/// A proxy in front is one address, and so is an office: room for everybody's mistakes there.
const OF_AN_ADDRESS: Rate = Rate { burst: 100.0, per_s: 20.0 };
/// What any database answers without noticing.
const OF_ALL: Rate = Rate { burst: 1_000.0, per_s: 200.0 };
/// Addresses remembered: under a megabyte. Beyond it the budget of all alone counts.
const ADDRESSES_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct GuessBudget {
    all: Purse,
    by_address: HashMap<AddressPrefix, Purse>,
}

impl GuessBudget {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { all: Purse::full(OF_ALL, now), by_address: HashMap::new() }
    }

    /// Whether a key may be looked up that somebody at `address` presents.
    pub fn has_room(&mut self, address: AddressPrefix, now: Instant) -> bool {
        let own = self.by_address.get_mut(&address);
        self.all.left(now) >= 1.0 && own.is_none_or(|own| own.left(now) >= 1.0)
    }

    /// It didn't exist.
    pub fn spend(&mut self, address: AddressPrefix, now: Instant) {
        self.all.spend(now);
        if self.by_address.len() >= ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, purse| purse.left(now) < OF_AN_ADDRESS.burst);
            if self.by_address.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let own = self.by_address.entry(address);
        own.or_insert_with(|| Purse::full(OF_AN_ADDRESS, now)).spend(now);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;

    fn address(number: u32) -> AddressPrefix {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn who_guesses_spends_their_own_budget_and_earns_it_again() {
        let start = Instant::now();
        let mut guesses = GuessBudget::new(start);
        for _ in 0..100 {
            assert!(guesses.has_room(address(1), start));
            guesses.spend(address(1), start);
        }
        assert!(!guesses.has_room(address(1), start));
        assert!(guesses.has_room(address(2), start), "another address has its own");
        let later = start + Duration::from_millis(100);
        for _ in 0..2 {
            assert!(guesses.has_room(address(1), later));
            guesses.spend(address(1), later);
        }
        assert!(!guesses.has_room(address(1), later));
    }

    #[test]
    fn many_addresses_share_a_bound_and_little_memory() {
        let start = Instant::now();
        let mut guesses = GuessBudget::new(start);
        (0..1_000).for_each(|number| guesses.spend(address(number), start));
        assert!(!guesses.has_room(address(5_000), start), "all have spent what there is");
        (0..20_000).for_each(|number| guesses.spend(address(number), start));
        assert_eq!(guesses.by_address.len(), ADDRESSES_MAX);
        // Whoever has all of it back is forgotten.
        let later = start + Duration::from_secs(3600);
        guesses.spend(address(30_000), later);
        assert_eq!(guesses.by_address.len(), 1);
    }
}
