//! Limits as they are kept: JSON. What a newer version has put beside them is left out, so that one
//! row doesn't take the others' list away while replicas are being replaced.

use fluxgate_core::limits::Limits;
use serde_json::Value;

/// `None` for what no version writes.
pub fn read(text: &str) -> Option<Limits> {
    let mut stored = serde_json::from_str(text).ok()?;
    keep_known(&mut stored);
    serde_json::from_value(stored).ok()
}

/// Leaves out what this version doesn't know.
pub fn keep_known(stored: &mut Value) {
    if let Some(limits) = stored.as_object_mut() {
        limits.retain(|name, _| Limits::FIELDS.contains(&name.as_str()));
    }
}

pub fn text(limits: &Limits) -> String {
    serde_json::to_string(limits).unwrap_or_default()
}
