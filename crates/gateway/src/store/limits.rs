//! Limits as they are kept: JSON. What a newer version has put beside them is left out, so that one
//! row doesn't take the others' list away while replicas are being replaced.

use fluxgate_core::limits::{Budget, Limits, Period};
use serde::Deserialize;
use serde_json::Value;

/// `None` for what no version writes.
pub fn read(text: &str) -> Option<Limits> {
    let mut stored = serde_json::from_str(text).ok()?;
    keep_known(&mut stored);
    serde_json::from_value(stored).ok()
}

/// Leaves out what this version doesn't know: members, and budgets of a period or for something
/// that it can't count.
pub fn keep_known(stored: &mut Value) {
    let Some(limits) = stored.as_object_mut() else { return };
    limits.retain(|name, _| Limits::FIELDS.contains(&name.as_str()));
    let Some(budgets) = limits.get_mut("budgets").and_then(Value::as_array_mut) else { return };
    budgets.retain_mut(|budget| {
        let Some(budget) = budget.as_object_mut() else { return true };
        let knows_period =
            budget.get("period").is_none_or(|period| Period::deserialize(period).is_ok());
        let members = budget.len();
        budget.retain(|name, _| Budget::FIELDS.contains(&name.as_str()));
        let is_for_something_else = budget.len() < members && budget.len() < 2;
        knows_period && !is_for_something_else
    });
}

pub fn text(limits: &Limits) -> String {
    serde_json::to_string(limits).unwrap_or_default()
}
