//! Whether the store answers, so that what can wait isn't asked of it again and again while it
//! doesn't, and that its failure and its return are told once.

use std::time::{Duration, Instant};

/// While the store is away, a known key's facts are asked for this often, whatever key it is.
pub const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Outage {
    /// When it was asked last; `None` while it answers.
    asked: Option<Instant>,
}

impl Outage {
    /// Whether it may be asked for what can wait. Who may, does.
    pub fn may_ask(&mut self, now: Instant) -> bool {
        match &mut self.asked {
            None => true,
            Some(asked) if now.duration_since(*asked) < TRY_AGAIN_AFTER => false,
            Some(asked) => {
                *asked = now;
                true
            }
        }
    }

    /// It didn't answer. `true` for the first time in a row.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.asked.replace(now).is_none()
    }

    /// It answered. `true` where it hadn't before.
    pub fn answered(&mut self) -> bool {
        self.asked.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_store_is_asked_once_a_second_and_told_of_twice() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        assert!(outage.may_ask(start) && outage.may_ask(start) && !outage.answered());
        assert!(outage.failed(start));
        let (mut asked, mut told) = (0, 0);
        for tenth in 1..=50 {
            let now = start + Duration::from_millis(100) * tenth;
            if outage.may_ask(now) {
                asked += 1;
                told += u32::from(outage.failed(now));
            }
        }
        assert_eq!((asked, told), (5, 0));
        assert!(outage.answered());
        assert!(!outage.answered() && outage.may_ask(start) && outage.failed(start));
    }
}
