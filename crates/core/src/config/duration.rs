//! Durations in the file: whole seconds, so that a number never needs a unit beside its name.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// # Errors
/// Where it is no whole number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}
