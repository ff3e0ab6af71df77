//! Ollama's `options`, one by one: what each is called at a server that speaks OpenAI's dialect.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fluxgate_core::config::MaxTokensField;
use serde_json::value::RawValue;

use super::fault::wrong;
use super::members::kind_of;
use super::request::Writing;
use crate::dialect::outline::Kind;
use crate::refusal::Refusal;

/// `options` as they came.
pub type Options<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// What becomes of an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counterpart {
    /// OpenAI's API has it under the same name.
    Same,
    /// The most tokens of the answer; zero and less mean as many as it takes.
    MaxTokens,
    /// OpenAI's API doesn't have it; llama.cpp or vLLM take it under these names.
    Extra(&'static [&'static str]),
    /// It is set where the model server is started.
    None,
}

use Counterpart::{Extra, MaxTokens, None as Nothing, Same};

/// Every option of Ollama's: its name, what it may be, what becomes of it.
pub const OPTIONS: [(&str, &[Kind], Counterpart); 31] = {
    const NUMBER: &[Kind] = &[Kind::Number];
    const BOOL: &[Kind] = &[Kind::Bool];
    [
        ("temperature", NUMBER, Same),
        ("top_p", NUMBER, Same),
        ("seed", NUMBER, Same),
        ("stop", &[Kind::Array, Kind::String], Same),
        ("presence_penalty", NUMBER, Same),
        ("frequency_penalty", NUMBER, Same),
        ("num_predict", NUMBER, MaxTokens),
        ("top_k", NUMBER, Extra(&["top_k"])),
        ("min_p", NUMBER, Extra(&["min_p"])),
        ("typical_p", NUMBER, Extra(&["typical_p"])),
        ("repeat_penalty", NUMBER, Extra(&["repeat_penalty", "repetition_penalty"])),
        ("repeat_last_n", NUMBER, Extra(&["repeat_last_n"])),
        ("mirostat", NUMBER, Extra(&["mirostat"])),
        ("mirostat_tau", NUMBER, Extra(&["mirostat_tau"])),
        ("mirostat_eta", NUMBER, Extra(&["mirostat_eta"])),
        ("num_keep", NUMBER, Extra(&["n_keep"])),
        ("tfs_z", NUMBER, Nothing),
        ("penalize_newline", BOOL, Nothing),
        ("num_ctx", NUMBER, Nothing),
        ("num_batch", NUMBER, Nothing),
        ("num_gpu", NUMBER, Nothing),
        ("main_gpu", NUMBER, Nothing),
        ("num_thread", NUMBER, Nothing),
        ("numa", BOOL, Nothing),
        ("low_vram", BOOL, Nothing),
        ("f16_kv", BOOL, Nothing),
        ("logits_all", BOOL, Nothing),
        ("vocab_only", BOOL, Nothing),
        ("use_mmap", BOOL, Nothing),
        ("use_mlock", BOOL, Nothing),
        ("embedding_only", BOOL, Nothing),
    ]
};

/// Writes the options into the request. One that Ollama doesn't know is dropped, as Ollama does.
///
/// # Errors
/// An option of a wrong type, by its name.
pub fn write(options: &Options<'_>, to: &mut Writing<'_>) -> Result<(), Refusal> {
    for (name, value) in options {
        let Some((name, kinds, counterpart)) = OPTIONS.iter().find(|(known, ..)| known == name)
        else {
            to.dropped.note(name);
            continue;
        };
        let kind = kind_of(value);
        if kind == Some(Kind::Null) {
            continue;
        }
        if !kind.is_some_and(|kind| kinds.contains(&kind)) {
            let wanted: Vec<&str> = kinds.iter().map(|kind| kind.description()).collect();
            return Err(wrong(&format!("options.{name}"), &wanted.join(" or ")));
        }
        if kind == Some(Kind::Array) && !all_texts(value) {
            return Err(wrong(&format!("options.{name}"), "an array of strings"));
        }
        match counterpart {
            Same => to.members.put(name, value),
            MaxTokens => write_max_tokens(value, to)?,
            Extra(names) => to.extra(name, names, value),
            Nothing => to.dropped.note(name),
        }
    }
    Ok(())
}

/// `stop` is the one option that is a list.
fn all_texts(list: &RawValue) -> bool {
    let texts: Result<Vec<&RawValue>, _> = serde_json::from_str(list.get());
    texts.is_ok_and(|texts| texts.iter().all(|text| kind_of(text) == Some(Kind::String)))
}

fn write_max_tokens(value: &RawValue, to: &mut Writing<'_>) -> Result<(), Refusal> {
    // Ollama takes 128.0 for 128.
    let tokens = value.get().parse::<f64>().ok().filter(|tokens| tokens.fract() == 0.0);
    let tokens = tokens.ok_or_else(|| wrong("options.num_predict", "a whole number"))?;
    if tokens > 0.0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It saturates.
        let tokens = tokens as u64;
        let field = match to.target.max_tokens_field {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        to.members.put(field, &tokens);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The docs' table and ours are one.
    #[test]
    fn every_option_stands_in_the_docs_with_its_counterpart() {
        let docs = include_str!("../../../../../docs/ollama.md");
        for (name, _, counterpart) in OPTIONS {
            let row = docs.lines().find_map(|line| line.strip_prefix(&format!("| `{name}` |")));
            let told = row.map(str::trim).unwrap_or_default();
            let expected: Vec<String> = match counterpart {
                Same => vec![format!("`{name}` |")],
                MaxTokens => vec!["`max_tokens`, or `max_completion_tokens` where".to_owned()],
                Extra(names) => names.iter().map(|name| format!("`{name}`")).collect(),
                Nothing => vec!["dropped".to_owned()],
            };
            assert!(told.starts_with(expected.first().unwrap()), "{name}: {told}");
            assert!(expected.iter().all(|part| told.contains(part)), "{name}: {told}");
            assert_eq!(told.ends_with(", extra |"), matches!(counterpart, Extra(_)), "{told}");
        }
    }
}
