//! What is asked of a scope's windows and slots, and what comes back.

use std::time::Duration;

use fluxgate_core::Measure;

/// How long a lease may be used, counted from when it was asked for.
pub const LEASE: Duration = Duration::from_millis(500);

/// How long slots are held, counted from when they were asked for; whoever still needs them asks
/// again before. A replica that died holds its slots for as long.
pub const HOLD: Duration = Duration::from_secs(6);

/// What a count stops at. Sums of two stay exact in the doubles that Redis's Lua counts in.
pub const UNITS_MAX: u64 = 1 << 52;

/// What is wanted of one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseAsk {
    pub measure: Measure,
    /// Units in any 60 s; what is above [`UNITS_MAX`] counts as that, here and below.
    pub limit: u64,
    /// Units that could be used within [`LEASE`]; 0 grants none and tells how it stands.
    pub want: u64,
    /// Fewer are of no use: where not even these are free, none is granted.
    pub at_least: u64,
}

impl LeaseAsk {
    /// With no number above what can be counted.
    pub(crate) fn bounded(self) -> Self {
        Self {
            limit: self.limit.min(UNITS_MAX),
            want: self.want.min(UNITS_MAX),
            at_least: self.at_least.min(UNITS_MAX),
            ..self
        }
    }
}

/// The answer to one [`LeaseAsk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Units that may be used until [`LEASE`] after they were asked for: all that were wanted, or
    /// fewer where the window is short, or 0.
    pub granted: u64,
    /// For giving back what isn't used.
    pub stamp: Stamp,
    /// Units that are free after this grant.
    pub left: u64,
    /// How long until more units are free than now, and at least as many as were asked for at
    /// least (one, if 0 were), should nobody else ask. `None` where nothing is counted, or where
    /// the limit is below that.
    pub free_after: Option<Duration>,
}

/// The bucket that units were granted from, and that they go back to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp(pub(crate) u64);

impl Stamp {
    /// Its number, for logs.
    #[must_use]
    pub const fn bucket(self) -> u64 {
        self.0
    }
}

/// What becomes of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Return {
    pub measure: Measure,
    pub stamp: Stamp,
    /// Units that nobody used, or, negative, units that were used beyond the lease.
    pub units: i64,
}

/// The slots of a scope that a replica holds until [`HOLD`] after it asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    pub granted: u32,
    /// Slots that nobody holds.
    pub left: u32,
}
