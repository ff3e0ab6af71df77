//! Times that people give.

use chrono::{DateTime, Datelike, Utc};
use fluxgate_core::Reason;

use super::problem::Problem;

/// Years that RFC 3339 can write. The databases' calendars have more of them, and not all of ours.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;

/// # Errors
/// 400 for one that no answer could tell again.
pub fn check(field: &str, time: Option<DateTime<Utc>>) -> Result<(), Problem> {
    if time.is_none_or(|time| YEARS.contains(&time.year())) {
        return Ok(());
    }
    let text = format!("`{field}`: expected a time before the year 10000, in UTC.");
    Err(Problem::new(Reason::InvalidRequest, text))
}
