//! The arithmetic of slots: how many requests of a scope each replica may have under way. Pure, as
//! [`window`](crate::window) is; `redis/hold.lua` does the same inside Redis.

use crate::lease::{HOLD, Held};

/// [`HOLD`], as the script has it.
pub const HOLD_MS: u64 = 6_000;

const _: () = assert!(HOLD.as_millis() == HOLD_MS as u128);

/// Who holds slots of one scope.
#[derive(Clone, Default, Debug)]
pub struct Slots {
    // A handful of replicas: a scan is quicker than a hash.
    holders: Vec<Holder>,
}

#[derive(Clone, Debug)]
struct Holder {
    replica: Box<str>,
    count: u32,
    expires_ms: u64,
}

impl Slots {
    /// What a replica holds from now on instead of what it held before.
    pub fn hold(&mut self, now_ms: u64, replica: &str, limit: u32, want: u32) -> Held {
        self.forget(now_ms);
        self.holders.retain(|holder| *holder.replica != *replica);
        let others = self.holders.iter().fold(0, |sum: u32, other| sum.saturating_add(other.count));
        let free = limit.saturating_sub(others);
        let granted = want.min(free);
        if granted > 0 {
            let expires_ms = now_ms.saturating_add(HOLD_MS);
            self.holders.push(Holder { replica: replica.into(), count: granted, expires_ms });
        }
        Held { granted, left: free - granted }
    }

    /// Drops what wasn't renewed in time.
    pub fn forget(&mut self, now_ms: u64) {
        self.holders.retain(|holder| holder.expires_ms > now_ms);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }
}
