//! The `[models."glob"]` entries: what is known of models by name, and the names that stand for
//! others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;
use crate::glob;

/// What is known of the models whose names a glob matches.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// The model that requests for such a name are sent to.
    #[schemars(with = "Option<format::ModelName>", length(min = 1, max = 256))]
    pub alias_of: Option<String>,
    /// The member under which an OpenAI-kind server takes the most tokens of an answer.
    pub max_tokens_field: MaxTokensField,
    /// The model's window: the tokens of prompt and answer together.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_tokens: Option<u32>,
}

/// OpenAI's old name for it, which most servers know, and the one that its newer models ask for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

/// The entries by their globs.
pub type Models = BTreeMap<String, ModelSettings>;

/// The name under which a request for this one is sent on: its alias's, followed to the end;
/// without an alias the name itself.
#[must_use]
pub fn sent_as<'a>(models: &'a Models, name: &'a str) -> &'a str {
    let mut entry = glob::most_specific(models, name);
    let mut sent = name;
    // A loop is a fault: no chain is longer than there are entries.
    for _ in models {
        let Some((from, target)) =
            entry.and_then(|(glob, model)| Some((glob, model.alias_of.as_deref()?)))
        else {
            break;
        };
        sent = target;
        entry = glob::most_specific(models, target).filter(|(glob, _)| *glob != from);
    }
    sent
}

/// The entries whose aliases lead from one to the next and back to the first, each loop once.
/// A glob's own alias that it matches too is none: `"*"` may send all to one model. Only a name
/// that stands for itself is.
pub(super) fn loops<'a>(models: &'a Models) -> Vec<Vec<&'a str>> {
    let step = |(glob, model): (&'a String, &'a ModelSettings)| {
        let target = model.alias_of.as_deref()?;
        let (next, _) = glob::most_specific(models, target)?;
        (next != glob || target == glob).then_some((glob.as_str(), next))
    };
    let steps: BTreeMap<&str, &str> = models.iter().filter_map(step).collect();
    models.keys().filter_map(|start| loop_of(&steps, start)).collect()
}

/// The loop that this entry is the first of, in their order.
fn loop_of<'a>(steps: &BTreeMap<&'a str, &'a str>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut chain = vec![start];
    let mut glob = start;
    loop {
        glob = *steps.get(glob)?;
        if glob == start {
            return Some(chain);
        }
        // Another one's, or one that this entry only leads into.
        if glob < start || chain.contains(&glob) {
            return None;
        }
        chain.push(glob);
    }
}
