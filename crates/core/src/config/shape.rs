//! The JSON Schema of the configuration, and the view on it that reading uses: which settings
//! there are, of which type, within which limits.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::Config;
use super::format::{self, Format};
use super::path::{Path, Step};

/// The JSON Schema (2020-12) of the file, self-contained, with descriptions and defaults.
#[must_use]
pub fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    RecursiveTransform(tidy).transform(&mut schema);
    schema.to_value()
}

/// Takes out what only repeats: a section's defaults (each field has its own), Rust's integer
/// widths (which editors warn about), and "no default".
fn tidy(schema: &mut Schema) {
    let repeats = |value: &Value| value.is_object() || value.is_null();
    if schema.get("default").is_some_and(repeats) {
        schema.remove("default");
    }
    let width = |value: &Value| {
        value.as_str().is_some_and(|name| name.starts_with("uint") || name.starts_with("int"))
    };
    if schema.get("format").is_some_and(width) {
        schema.remove("format");
    }
}

static ROOT: LazyLock<Value> = LazyLock::new(schema);

/// A place in the schema.
#[derive(Clone, Copy)]
pub struct Shape(&'static Value);

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Table,
    List,
    Integer,
    Boolean,
    Text,
}

impl Shape {
    pub fn root() -> Self {
        Self(&ROOT)
    }

    pub fn at(path: &Path) -> Option<Self> {
        path.steps().iter().try_fold(Self::root(), |shape, step| shape.step(step))
    }

    pub fn step(self, step: &Step) -> Option<Self> {
        match step {
            Step::Key(key) => self.get("properties")?.get(key).map(Self),
            Step::Index(_) => self.item(),
        }
    }

    /// The shape of a list's items.
    pub fn item(self) -> Option<Self> {
        self.get("items").map(Self)
    }

    /// A table's settings.
    pub fn properties(self) -> impl Iterator<Item = (&'static String, Self)> {
        self.get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, Self(value)))
    }

    /// A table's settings that have no default.
    pub fn required(self) -> impl Iterator<Item = &'static str> {
        self.get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    pub fn kind(self) -> Kind {
        if self.get("properties").is_some() {
            Kind::Table
        } else if self.has_type("array") {
            Kind::List
        } else if self.has_type("integer") {
            Kind::Integer
        } else if self.has_type("boolean") {
            Kind::Boolean
        } else {
            Kind::Text
        }
    }

    /// A list whose items are tables: `[[upstreams]]`.
    pub fn is_list_of_tables(self) -> bool {
        self.item().is_some_and(|item| item.kind() == Kind::Table)
    }

    /// It may be left out, and has no default.
    pub fn is_optional(self) -> bool {
        self.has_type("null")
    }

    pub fn is_secret(self) -> bool {
        self.get("writeOnly").and_then(Value::as_bool).unwrap_or(false)
    }

    /// A number that may also be written as "32MiB".
    pub fn is_byte_size(self) -> bool {
        self.kind() == Kind::Integer && self.has_type("string")
    }

    pub fn format(self) -> Option<&'static Format> {
        format::named(self.get("format")?.as_str()?)
    }

    /// The texts that are allowed, where they are a closed list.
    pub fn choices(self) -> Vec<&'static str> {
        self.get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// The least and the greatest number.
    pub fn range(self) -> (i64, i64) {
        (self.limit("minimum").unwrap_or(0), self.limit("maximum").unwrap_or(i64::MAX))
    }

    /// The least and the greatest length of a text, in bytes.
    pub fn length(self) -> (usize, usize) {
        (self.size("minLength").unwrap_or(0), self.size("maxLength").unwrap_or(usize::MAX))
    }

    pub fn items_max(self) -> usize {
        self.size("maxItems").unwrap_or(usize::MAX)
    }

    /// Every setting with its path; a list of tables as if it had one entry.
    pub fn leaves() -> Vec<(Path, Self)> {
        let mut found = Vec::new();
        Self::root().collect(&Path::default(), &mut found);
        found
    }

    fn collect(self, path: &Path, found: &mut Vec<(Path, Self)>) {
        if self.kind() == Kind::Table {
            for (key, shape) in self.properties() {
                shape.collect(&path.key(key), found);
            }
        } else if let Some(item) = self.item().filter(|_| self.is_list_of_tables()) {
            item.collect(&path.index(0), found);
        } else {
            found.push((path.clone(), self));
        }
    }

    fn get(self, keyword: &str) -> Option<&'static Value> {
        self.0.get(keyword)
    }

    fn has_type(self, name: &str) -> bool {
        match self.get("type") {
            Some(Value::String(only)) => only == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        }
    }

    fn limit(self, keyword: &str) -> Option<i64> {
        self.get(keyword)?.as_i64()
    }

    fn size(self, keyword: &str) -> Option<usize> {
        usize::try_from(self.limit(keyword)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_in_the_schema_has_its_check() {
        for (path, shape) in Shape::leaves() {
            for place in [Some(shape), shape.item()].into_iter().flatten() {
                assert_eq!(place.get("format").is_some(), place.format().is_some(), "{path}");
            }
        }
    }

    #[test]
    fn every_number_has_limits_and_every_list_a_greatest_length() {
        for (path, shape) in Shape::leaves() {
            match shape.kind() {
                Kind::Integer => assert!(
                    shape.limit("minimum").is_some() && shape.limit("maximum").is_some(),
                    "{path}"
                ),
                Kind::List => assert!(shape.items_max() < usize::MAX, "{path}"),
                Kind::Table | Kind::Boolean | Kind::Text => {}
            }
        }
    }

    #[test]
    fn every_setting_is_described() {
        for (path, shape) in Shape::leaves() {
            assert!(shape.get("description").is_some(), "{path}");
        }
    }
}
