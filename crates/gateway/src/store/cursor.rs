//! Where a page of a list ends: the next one begins behind it. Lists are by time, then by id.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use thiserror::Error;

/// The last item of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor<Id> {
    pub created_at: DateTime<Utc>,
    pub id: Id,
}

/// The text isn't a cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected the next_cursor of an earlier answer")]
pub struct MalformedCursor;

impl<Id: fmt::Display> fmt::Display for Cursor<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.created_at.timestamp_micros(), self.id)
    }
}

impl<Id: FromStr> FromStr for Cursor<Id> {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let (micros, id) = text.split_once('-').ok_or(MalformedCursor)?;
        let micros = i64::from_str_radix(micros, 16).map_err(|_| MalformedCursor)?;
        Ok(Self {
            created_at: DateTime::from_timestamp_micros(micros).ok_or(MalformedCursor)?,
            id: id.parse().map_err(|_| MalformedCursor)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluxgate_core::{KeyId, UserId};

    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let created_at = DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap();
        let key: Cursor<KeyId> = Cursor { created_at, id: "abcDEF012345".parse().unwrap() };
        assert_eq!(key.to_string().parse(), Ok(key));
        let user = Cursor { created_at, id: UserId::generate() };
        assert_eq!(user.to_string().parse(), Ok(user));
        for text in ["", "-", "0-short", "zz-abcDEF012345", "7fffffffffffffff-abcDEF012345"] {
            assert_eq!(text.parse::<Cursor<KeyId>>(), Err(MalformedCursor), "{text}");
        }
    }
}
