//! Moments: how far ahead people give them, and how tables show them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::failure::Failure;

/// The end that `--expires` tells.
///
/// # Errors
/// Where no calendar reaches so far.
pub fn expiry(after: Duration) -> Result<DateTime<Utc>, Failure> {
    TimeDelta::from_std(after)
        .ok()
        .and_then(|delta| Utc::now().checked_add_signed(delta))
        .ok_or_else(|| Failure::Usage("--expires: that is too far away".to_owned()))
}

/// A table's cell.
pub fn cell(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_lies_ahead_and_within_the_calendar() {
        let hour = Duration::from_secs(3_600);
        let ahead = expiry(hour).ok().map(|end| end - Utc::now());
        assert!(ahead.is_some_and(|ahead| (3_590..=3_600).contains(&ahead.num_seconds())));
        assert!(expiry(Duration::MAX).is_err());
    }

    #[test]
    fn a_cell_has_whole_seconds_or_a_dash() {
        assert_eq!(cell(Some(DateTime::UNIX_EPOCH)), "1970-01-01T00:00:00Z");
        assert_eq!(cell(None), "-");
    }
}
