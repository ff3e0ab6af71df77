//! An instance of a JSON Schema, made of the words and numbers of a prompt.
//! Knows what structured output and tools use of JSON Schema: types, properties, items, enum, const, bounds,
//! local `$ref`, `anyOf`, `oneOf`, `allOf` and the common formats; of `pattern` and `not` nothing.

use serde_json::{Map, Number, Value, json};

/// Below this depth only what a schema requires is made, or a schema that contains itself had no end.
const DEPTH_FULL: usize = 8;
/// Below this depth nothing is made: the schema requires itself.
const DEPTH_MAX: usize = 64;
/// How many values an instance holds: a schema that contains itself twice doubles with each level.
const VALUES_MAX: u32 = 20_000;
/// A float holds whole numbers up to 2⁵³; larger ones of a prompt are cut there.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Longest array, and longest string, that a minimum can ask for.
const LENGTH_MAX: u64 = 4096;

/// What instances are made of.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Stands in front of each free string.
    label: &'static str,
    words: Vec<String>,
    numbers: Vec<f64>,
    words_used: usize,
    numbers_used: usize,
}

impl Words {
    /// The words and numbers of a prompt, the telling ones first: what is quoted, what is capitalised
    /// within a sentence, then the longest. `without` are words that name something else.
    pub(crate) fn of(prompt: &str, label: &'static str, without: &str) -> Self {
        let trimmed = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        let named: Vec<_> = without.split_whitespace().collect();
        let mut ranked: Vec<(usize, String)> = Vec::new();
        for (at, quoted) in prompt.split('"').enumerate() {
            if at % 2 == 1 && !quoted.is_empty() && quoted.len() < 200 {
                ranked.push((0, quoted.to_owned()));
            }
        }
        let mut starts = true;
        for word in prompt.split_whitespace().take(1000) {
            let plain = trimmed(word);
            let number = plain.parse::<f64>().is_ok();
            if !plain.is_empty() && !number && !named.contains(&&*plain.to_lowercase()) {
                let capital = !starts && plain.starts_with(char::is_uppercase);
                ranked
                    .push((if capital { 1 } else { 1000 - plain.chars().count().min(900) }, plain));
            }
            starts = word.ends_with(['.', '!', '?', ':']);
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let number = |word: &str| {
            let number = word.trim_matches(|c: char| !c.is_ascii_digit() && c != '-');
            number.parse::<f64>().ok().filter(|number| number.is_finite())
        };
        Self {
            label,
            words: ranked.into_iter().map(|(_, word)| word).collect(),
            numbers: prompt.split_whitespace().filter_map(number).take(100).collect(),
            words_used: 0,
            numbers_used: 0,
        }
    }

    fn next_word(&mut self) -> String {
        let word = self.words.get(self.words_used % self.words.len().max(1));
        self.words_used += 1;
        word.cloned().unwrap_or_else(|| "demo".to_owned())
    }

    fn next_number(&mut self) -> Option<f64> {
        let number = self.numbers.get(self.numbers_used % self.numbers.len().max(1));
        self.numbers_used += 1;
        number.copied()
    }
}

/// An instance of the schema.
pub(crate) fn instance(schema: &Value, words: &mut Words) -> Value {
    Maker { root: schema, words, values_left: VALUES_MAX }.make(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    words: &'a mut Words,
    values_left: u32,
}

impl<'a> Maker<'a> {
    fn make(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.values_left == 0 {
            return Value::Null;
        }
        self.values_left -= 1;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self
                .referred(target)
                .map_or(Value::Null, |target| self.make(target, depth + 1));
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.one_of(values);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema.get(choice).and_then(Value::as_array) {
                return choose(schemas, depth)
                    .map_or(Value::Null, |chosen| self.make(chosen, depth + 1));
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.make(&self.merged(schema, parts), depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => self.integer(schema),
            "number" => self.number(schema),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => self.string(schema),
        }
    }

    /// What a `$ref` within the schema points to.
    fn referred(&self, target: &str) -> Option<&'a Value> {
        let root: &'a Value = self.root;
        root.pointer(target.strip_prefix('#')?)
    }

    /// A value that the prompt names, else the first.
    fn one_of(&self, values: &[Value]) -> Value {
        let named = |value: &&Value| {
            value.as_str().is_some_and(|value| {
                self.words.words.iter().any(|word| word.eq_ignore_ascii_case(value))
            })
        };
        values.iter().find(named).or(values.first()).cloned().unwrap_or_default()
    }

    fn merged(&self, schema: &Value, parts: &[Value]) -> Value {
        let mut whole = schema.as_object().cloned().unwrap_or_default();
        whole.remove("allOf");
        for part in parts {
            let target = part.get("$ref").and_then(Value::as_str);
            let part = target.and_then(|target| self.referred(target)).unwrap_or(part);
            for (key, value) in part.as_object().into_iter().flatten() {
                match (whole.get_mut(key), value) {
                    (Some(Value::Object(have)), Value::Object(more)) => have.extend(more.clone()),
                    (Some(Value::Array(have)), Value::Array(more)) => {
                        have.extend(more.iter().cloned())
                    }
                    (_, value) => {
                        whole.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Value::Object(whole)
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        let mut object = Map::new();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if depth < DEPTH_FULL || is_required(name) {
                object.insert(name.clone(), self.make(property, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let prefix =
            schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let usual = if depth < DEPTH_FULL { 1 } else { 0 };
        let min = bound(schema, "minItems").unwrap_or(0);
        let max = bound(schema, "maxItems").unwrap_or(u64::MAX);
        let wanted = min.max(usual).max(prefix.len() as u64).min(max).min(LENGTH_MAX);
        let free = json!({"type": "string"});
        let items = schema.get("items").filter(|items| items.is_object()).unwrap_or(&free);
        let prefix = prefix.iter().chain(std::iter::repeat(items));
        prefix.zip(0..wanted).map(|(item, _)| self.make(item, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let number = self.words.next_number().unwrap_or(1.0).trunc();
        let step = schema.get("multipleOf").and_then(Value::as_f64).unwrap_or(1.0).max(1.0);
        let number = within(schema, number, step);
        let number = number.clamp(-WHOLE_MAX, WHOLE_MAX);
        Value::from(number as i64)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let step = schema.get("multipleOf").and_then(Value::as_f64).unwrap_or(0.0);
        let number = self.words.next_number().unwrap_or(1.0);
        let number = within(schema, number, step);
        // As models write it: who reads a count of milliseconds takes no `1.0`.
        if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
            return Value::from(number as i64);
        }
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }

    fn string(&mut self, schema: &Value) -> Value {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
            Some("date") => "2026-01-01".to_owned(),
            Some("time") => "00:00:00Z".to_owned(),
            Some("duration") => "PT1S".to_owned(),
            Some("email") => "demo@example.com".to_owned(),
            Some("hostname") => "example.com".to_owned(),
            Some("ipv4") => "192.0.2.1".to_owned(),
            Some("ipv6") => "2001:db8::1".to_owned(),
            Some("uri" | "url") => "https://example.com/demo".to_owned(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
            _ => self.words.label.to_owned() + &self.words.next_word(),
        };
        let short =
            bound(schema, "minLength").unwrap_or(0).saturating_sub(text.chars().count() as u64);
        let padded = text.chars().chain((0..short.min(LENGTH_MAX)).map(|_| '.'));
        let max = bound(schema, "maxLength").and_then(|max| usize::try_from(max).ok());
        Value::String(padded.take(max.unwrap_or(usize::MAX)).collect())
    }
}

/// The first choice that is not `null`; deep down the `null`, where there is one.
fn choose(schemas: &[Value], depth: usize) -> Option<&Value> {
    let wants_null = depth >= DEPTH_FULL;
    let is_null = |schema: &&Value| (kind(schema) == "null") == wants_null;
    schemas.iter().find(is_null).or(schemas.first())
}

fn kind(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::String(one)) => Some(one.as_str()),
        Some(Value::Array(several)) => {
            let mut names = several.iter().filter_map(Value::as_str);
            names.clone().find(|name| *name != "null").or_else(|| names.next())
        }
        _ => None,
    };
    let implied = || match schema {
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    };
    named.unwrap_or_else(implied)
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// The number moved into the schema's bounds, onto a multiple of `step`.
fn within(schema: &Value, number: f64, step: f64) -> f64 {
    let get = |name: &str| schema.get(name).and_then(Value::as_f64);
    let nudge = if step > 0.0 { step } else { 0.5 };
    let above = get("exclusiveMinimum").map(|min| min + nudge);
    let below = get("exclusiveMaximum").map(|max| max - nudge);
    let min = get("minimum").into_iter().chain(above).fold(f64::NEG_INFINITY, f64::max);
    let max = get("maximum").into_iter().chain(below).fold(f64::INFINITY, f64::min);
    let number = number.min(max).max(min);
    if step <= 0.0 {
        return number;
    }
    let down = (number / step).floor() * step;
    if down < min { down + step } else { down }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
