//! What may be spent: so much at once, earned again with time. It knows no clock.

use std::time::Instant;

/// So many at once, then so many a second.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: f64,
    pub per_s: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Purse {
    rate: Rate,
    left: f64,
    refilled: Instant,
}

impl Purse {
    pub const fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst, refilled: now }
    }

    pub fn left(&mut self, now: Instant) -> f64 {
        let earned = now.duration_since(self.refilled).as_secs_f64() * self.rate.per_s;
        self.refilled = now;
        self.left = (self.left + earned).min(self.rate.burst);
        self.left
    }

    pub fn spend(&mut self, now: Instant) {
        self.left = self.left(now) - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_spent_is_earned_again_and_no_more() {
        let start = Instant::now();
        let mut purse = Purse::full(Rate { burst: 2.0, per_s: 0.5 }, start);
        purse.spend(start);
        purse.spend(start);
        assert_eq!(purse.left(start), 0.0);
        assert_eq!(purse.left(start + Duration::from_secs(2)), 1.0);
        assert_eq!(purse.left(start + Duration::from_secs(60)), 2.0);
    }
}
