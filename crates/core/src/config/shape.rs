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

/// Stands for a key of the operator's choice.
const ANY_KEY: &str = "NAME";

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
            Step::Key(key) => self.property(key).or_else(|| self.entry()),
            Step::Index(_) => self.item(),
        }
    }

    /// The place of a path whose keys may look like numbers: as a table's key a number is a name.
    pub fn find(path: &Path) -> Option<(Path, Self)> {
        path.steps().iter().try_fold((Path::default(), Self::root()), |(path, shape), step| {
            let step = match step {
                Step::Index(number) if shape.entry().is_some() => Step::Key(number.to_string()),
                step => step.clone(),
            };
            Some((path.then(step.clone()), shape.step(&step)?))
        })
    }

    /// A table's setting of that name.
    pub fn property(self, key: &str) -> Option<Self> {
        self.get("properties")?.get(key).map(Self)
    }

    /// The shape of what a table has under keys of the operator's choice: `[models."glob"]`.
    pub fn entry(self) -> Option<Self> {
        self.get("additionalProperties").filter(|shape| shape.is_object()).map(Self)
    }

    /// The form of those keys.
    pub fn entry_name(self) -> Option<Self> {
        self.get("propertyNames").map(Self)
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
        if self.get("properties").is_some() || self.entry().is_some() {
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

    /// Of a list, or of a table's entries.
    pub fn items_max(self) -> usize {
        self.size("maxItems").or_else(|| self.size("maxProperties")).unwrap_or(usize::MAX)
    }

    /// Every setting with its path; a list of tables, and a table with keys of the operator's
    /// choice, as if it had one entry.
    pub fn leaves() -> Vec<(Path, Self)> {
        Self::root().leaves_below(&Path::default())
    }

    /// Those of this shape, which stands at that path.
    pub fn leaves_below(self, path: &Path) -> Vec<(Path, Self)> {
        let mut found = Vec::new();
        self.collect(path, &mut found);
        found
    }

    fn collect(self, path: &Path, found: &mut Vec<(Path, Self)>) {
        if self.kind() == Kind::Table {
            for (key, shape) in self.properties() {
                shape.collect(&path.key(key), found);
            }
            if let Some(entry) = self.entry() {
                entry.collect(&path.key(ANY_KEY), found);
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
    fn every_table_with_free_keys_limits_them() {
        let mut found = 0;
        for (path, _) in Shape::leaves() {
            let tables = path.steps().iter().scan(Shape::root(), |shape, step| {
                let table = *shape;
                *shape = shape.step(step)?;
                Some(table)
            });
            for table in tables.filter(|table| table.entry().is_some()) {
                assert!(table.items_max() < usize::MAX, "{path}");
                assert!(table.entry_name().and_then(Shape::format).is_some(), "{path}");
                found += 1;
            }
        }
        assert!(found > 0);
    }

    #[test]
    fn a_table_may_have_free_keys_beside_its_own() {
        let table = Shape(Box::leak(Box::new(serde_json::json!({
            "type": "object",
            "properties": { "currency": { "type": "string" } },
            "additionalProperties": { "properties": { "input": { "type": "integer" } } },
        }))));
        assert_eq!(table.kind(), Kind::Table);
        let step = |key: &str| table.step(&Step::from(key)).map(Shape::kind);
        assert_eq!((step("currency"), step("gpt-4*")), (Some(Kind::Text), Some(Kind::Table)));
        let leaves = table.leaves_below(&Path::dotted("prices"));
        let leaves: Vec<String> = leaves.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(leaves, ["prices.currency", "prices.NAME.input"]);
    }

    #[test]
    fn every_setting_is_described() {
        for (path, shape) in Shape::leaves() {
            assert!(shape.get("description").is_some(), "{path}");
        }
    }
}
