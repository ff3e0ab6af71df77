//! Percentiles of times.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time kept apart: what took longer counts as this long.
const LONGEST_NS: u64 = 120_000_000_000;
/// 0.1% of the value: finer than any noise here.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Times of one kind.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// What is reported of them, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Percentiles {
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

impl Latencies {
    /// # Errors
    /// None in practice: the bounds are constants.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS)?))
    }

    pub fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    pub fn clear(&mut self) {
        self.0.reset();
    }

    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile: f64| us(self.0.value_at_quantile(quantile));
        Percentiles {
            count: self.0.len(),
            mean_us: self.0.mean() / 1_000.0,
            p50_us: at(0.50),
            p90_us: at(0.90),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(self.0.max()),
        }
    }
}

#[allow(clippy::cast_precision_loss)] // 2^53 ns are 104 days
fn us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds_and_ordered() {
        let mut times = Latencies::new().unwrap();
        for us in 1..=1_000 {
            times.record_ns(us * 1_000);
        }
        let seen = times.percentiles();
        assert_eq!(seen.count, 1_000);
        assert!((seen.p50_us - 500.0).abs() < 1.0, "{seen:?}");
        assert!((seen.p99_us - 990.0).abs() < 1.5, "{seen:?}");
        assert!(seen.p50_us < seen.p90_us && seen.p99_us <= seen.max_us);
    }
}
