//! One given value: how a text becomes a value of the type that the schema asks for, and what may
//! be wrong with it.

use serde_json::Value;

use super::format::{self, Verdict};
use super::layer::Layer;
use super::path::Path;
use super::shape::{Kind, Shape};

/// Characters of a wrong value that a fault quotes.
const QUOTED_CHARS_MAX: usize = 60;

/// A value, and where it came from.
#[derive(Clone)]
pub struct Leaf {
    pub value: Value,
    pub layer: Layer,
}

/// Reads the text of a variable or a flag. A text that does not fit the type stays a text, so that
/// [`problem`] can quote it.
pub fn from_text(text: &str, shape: Shape) -> Value {
    let trimmed = text.trim();
    match shape.kind() {
        Kind::Integer => match trimmed.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => normal(trimmed.into(), shape),
        },
        Kind::Boolean => match trimmed {
            "true" | "1" => true.into(),
            "false" | "0" => false.into(),
            other => other.into(),
        },
        Kind::List => match shape.item() {
            Some(item) => {
                let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(|part| from_text(part, item)).collect()
            }
            None => trimmed.into(),
        },
        // A secret's spaces may be part of it.
        Kind::Text if shape.is_secret() => text.into(),
        Kind::Text | Kind::Table => trimmed.into(),
    }
}

/// "32MiB" as the number that it is; anything else as it was.
pub fn normal(value: Value, shape: Shape) -> Value {
    let size = value.as_str().filter(|_| shape.is_byte_size()).and_then(format::byte_size);
    size.map_or(value, Value::from)
}

/// An empty text where nothing is a possible value: as good as not given.
pub fn is_blank(value: &Value, shape: Shape) -> bool {
    shape.is_optional() && value.as_str().is_some_and(str::is_empty)
}

/// What is wrong with a value, and what would be right. Never quotes a secret.
pub fn problem(path: &Path, value: &Value, shape: Shape) -> Option<String> {
    let wrong = |expected: String| {
        Some(match found(value, shape) {
            Some(found) => format!("expected {expected}, found {found}"),
            None => format!("expected {expected}"),
        })
    };
    match (shape.kind(), value) {
        (Kind::Integer, Value::Number(number)) => {
            let (min, max) = shape.range();
            let fits = number.as_i64().is_some_and(|number| (min..=max).contains(&number));
            if fits { None } else { wrong(expected(path, shape)) }
        }
        (Kind::Boolean, Value::Bool(_)) => None,
        // An entry's mark.
        (Kind::Table, Value::Object(_)) => None,
        (Kind::List, Value::Array(items)) if items.len() <= shape.items_max() => None,
        (Kind::List, Value::Array(items)) => {
            Some(format!("expected at most {} entries, found {}", shape.items_max(), items.len()))
        }
        (Kind::Text, Value::String(text)) => match text_verdict(text, shape) {
            Verdict::Good => None,
            Verdict::Malformed => wrong(expected(path, shape)),
            Verdict::Refused(problem) => Some(problem.to_owned()),
        },
        _ => wrong(expected(path, shape)),
    }
}

fn text_verdict(text: &str, shape: Shape) -> Verdict {
    let choices = shape.choices();
    let (min, max) = shape.length();
    if !(choices.is_empty() || choices.contains(&text)) || !(min..=max).contains(&text.len()) {
        return Verdict::Malformed;
    }
    shape.format().map_or(Verdict::Good, |format| (format.check)(text))
}

/// What would be right: completes "expected …".
pub fn expected(path: &Path, shape: Shape) -> String {
    match shape.kind() {
        Kind::Table => "a section".to_owned(),
        Kind::List => match shape.item() {
            Some(item) => format!("a list, each entry {}", expected(path, item)),
            None => "a list".to_owned(),
        },
        Kind::Boolean => "true or false".to_owned(),
        Kind::Integer => {
            let (min, max) = shape.range();
            let or_size = if shape.is_byte_size() { " (or a text such as \"32MiB\")" } else { "" };
            format!("a whole number{} from {min} to {max}{or_size}", unit(path.name()))
        }
        Kind::Text => expected_text(shape),
    }
}

fn expected_text(shape: Shape) -> String {
    let choices = shape.choices();
    if !choices.is_empty() {
        return format!("one of {}", choices.join(", "));
    }
    let what = shape.format().map_or("a text", |format| format.expected);
    match shape.length() {
        (0, usize::MAX) => what.to_owned(),
        (min, usize::MAX) if min <= 1 => format!("{what} that is not empty"),
        (min, max) => format!("{what} of {min} to {max} bytes"),
    }
}

/// Names end in their unit.
fn unit(name: &str) -> &'static str {
    if name.ends_with("_s") {
        " of seconds"
    } else if name.ends_with("_kib") {
        " of KiB"
    } else if name.ends_with("_days") {
        " of days"
    } else if name.ends_with("_bytes_max") {
        " of bytes"
    } else {
        ""
    }
}

/// The wrong value, as far as it may be shown: of a secret its length at most, of a URL nothing
/// where it could hold a password.
fn found(value: &Value, shape: Shape) -> Option<String> {
    let Value::String(text) = value else {
        return (!shape.is_secret()).then(|| described(value));
    };
    if shape.is_secret() {
        let (min, max) = shape.length();
        return (!(min..=max).contains(&text.len())).then(|| format!("{} bytes", text.len()));
    }
    if text.contains('@') {
        return None;
    }
    let quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let more = if quoted.len() < text.len() { "…" } else { "" };
    Some(format!("{quoted:?}{more}"))
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a section".to_owned(),
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
