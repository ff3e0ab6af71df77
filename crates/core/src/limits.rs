//! Limits as they are given to a key, a user or a team. They are stored and shown; who enforces
//! them reads them from here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::object;

/// What may be used. Absent is unlimited.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub requests_per_min: Option<u64>,
    /// Tokens of prompt and answer in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub tokens_per_min: Option<u64>,
    /// Requests under way at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4_294_967_295_u64)]
    pub concurrent: Option<u32>,
    /// At most one for each period.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "object::list")]
    #[schema(max_items = 2)]
    pub budgets: Vec<Budget>,
}

/// What may be used in a period of the calendar, in UTC: tokens, money or both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 2)]
pub struct Budget {
    pub period: Period,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub tokens: Option<u64>,
    /// Millionths of the currency of `[prices]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub cost_micros: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

impl Budget {
    /// Their names, as those of [`Limits`].
    pub const FIELDS: [&str; 3] = ["period", "tokens", "cost_micros"];
}

impl Limits {
    /// Their names, for whoever reads those of another version.
    pub const FIELDS: [&str; 4] = ["requests_per_min", "tokens_per_min", "concurrent", "budgets"];

    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with them, by field.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let numbers = [
            ("requests_per_min", self.requests_per_min),
            ("tokens_per_min", self.tokens_per_min),
            ("concurrent", self.concurrent.map(u64::from)),
        ];
        let budgets = self.budgets.iter().flat_map(|budget| {
            [("budgets.tokens", budget.tokens), ("budgets.cost_micros", budget.cost_micros)]
        });
        let mut all = numbers.into_iter().chain(budgets);
        if let Some((field, _)) =
            all.find(|(_, value)| value.is_some_and(|value| !(1..=MAX).contains(&value)))
        {
            return Some(format!("`limits.{field}`: expected 1 to {MAX}."));
        }
        if self.budgets.iter().any(|budget| budget.tokens.is_none() && budget.cost_micros.is_none())
        {
            return Some("`limits.budgets`: each needs `tokens` or `cost_micros`.".to_owned());
        }
        let of = |period| self.budgets.iter().filter(|budget| budget.period == period).count();
        if of(Period::Day) > 1 || of(Period::Month) > 1 {
            return Some("`limits.budgets`: at most one for each period.".to_owned());
        }
        None
    }
}

/// The greatest limit: sums of many stay within 64 bits.
const MAX: u64 = 1_000_000_000_000_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_field() {
        for (json, says) in [
            (r#"{"requests_per_min":0}"#, "`limits.requests_per_min`"),
            (r#"{"tokens_per_min":1000000000000001}"#, "`limits.tokens_per_min`"),
            (r#"{"budgets":[{"period":"day"}]}"#, "`limits.budgets`: each needs"),
            (r#"{"budgets":[{"period":"day","tokens":0}]}"#, "`limits.budgets.tokens`"),
            (
                r#"{"budgets":[{"period":"day","tokens":1},{"period":"day","tokens":2}]}"#,
                "at most one",
            ),
        ] {
            let limits: Limits = serde_json::from_str(json).unwrap();
            assert!(limits.fault().unwrap().contains(says), "{json}");
        }
        let good = r#"{"concurrent":3,"budgets":[{"period":"month","cost_micros":5}]}"#;
        let limits: Limits = serde_json::from_str(good).unwrap();
        assert_eq!(limits.fault(), None);
        assert_eq!(serde_json::to_string(&limits).unwrap(), good);
    }
}
