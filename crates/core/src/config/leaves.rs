//! All values given so far, by path: a later layer replaces what an earlier one gave.
//! It knows the tree's form and nothing of what the values mean.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::layer::Layer;
use super::leaf::Leaf;
use super::path::{Path, Step};
use super::shape::{Kind, Shape};

/// See the module. A list given as a whole stands as an empty list at its own path and its items
/// below it, so that an item can be replaced alone. An entry of the operator's choice stands as an
/// empty table at its path.
#[derive(Clone, Default)]
pub struct Leaves(BTreeMap<Path, Leaf>);

impl Leaves {
    /// Gives a setting its value, instead of the one that it had.
    pub fn set(&mut self, path: Path, value: Value, layer: &Layer) {
        self.0.retain(|given, _| !given.starts_with(&path));
        let mut insert = |path, value| self.0.insert(path, Leaf { value, layer: layer.clone() });
        if let Value::Array(items) = value {
            for (index, item) in items.into_iter().enumerate() {
                insert(path.index(index), item);
            }
            insert(path, Value::Array(Vec::new()));
        } else {
            insert(path, value);
        }
    }

    pub fn get(&self, path: &Path) -> Option<&Leaf> {
        self.0.get(path)
    }

    pub fn remove(&mut self, path: &Path) {
        self.0.remove(path);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Leaf)> {
        self.0.iter()
    }

    /// What was given at this path and below it.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Leaf)> {
        self.0.range(path.clone()..).take_while(|(given, _)| given.starts_with(path))
    }

    /// The numbers of the items that a list has, in their order.
    pub fn indices(&self, list: &Path) -> Vec<usize> {
        let step = |path: &Path| match path.steps().get(list.steps().len()) {
            Some(Step::Index(index)) => Some(*index),
            Some(Step::Key(_)) | None => None,
        };
        let mut indices: Vec<usize> = self.below(list).filter_map(|(path, _)| step(path)).collect();
        indices.dedup();
        indices
    }

    /// The keys that a table has.
    pub fn keys(&self, table: &Path) -> Vec<String> {
        let step = |path: &Path| match path.steps().get(table.steps().len()) {
            Some(Step::Key(key)) => Some(key.clone()),
            Some(Step::Index(_)) | None => None,
        };
        let mut keys: Vec<String> = self.below(table).filter_map(|(path, _)| step(path)).collect();
        keys.dedup();
        keys
    }

    /// The tree that the configuration is deserialized from. A list's entry that lacks a required
    /// setting is left out: that it is missing was said before.
    pub fn tree(&self) -> Value {
        self.table(Shape::root(), &Path::default()).unwrap_or_default()
    }

    fn node(&self, shape: Shape, path: &Path) -> Option<Value> {
        match shape.kind() {
            Kind::Table => self.table(shape, path),
            Kind::List => self.list(shape, path),
            Kind::Integer | Kind::Boolean | Kind::Text => {
                self.get(path).map(|leaf| leaf.value.clone())
            }
        }
    }

    fn table(&self, shape: Shape, path: &Path) -> Option<Value> {
        let mut table = Map::new();
        for (key, shape) in shape.properties() {
            if let Some(value) = self.node(shape, &path.key(key)) {
                table.insert(key.clone(), value);
            }
        }
        for (key, shape) in self.entries(shape, path) {
            if let Some(value) = self.node(shape, &path.key(&key)) {
                table.insert(key, value);
            }
        }
        shape.required().all(|key| table.contains_key(key)).then_some(Value::Object(table))
    }

    /// What a table has under keys of the operator's choice.
    pub fn entries(&self, table: Shape, path: &Path) -> Vec<(String, Shape)> {
        let Some(entry) = table.entry() else { return Vec::new() };
        let keys = self.keys(path).into_iter().filter(|key| table.property(key).is_none());
        keys.map(|key| (key, entry)).collect()
    }

    fn list(&self, shape: Shape, path: &Path) -> Option<Value> {
        let item = shape.item()?;
        let indices = self.indices(path);
        if indices.is_empty() && self.get(path).is_none() {
            return None;
        }
        Some(indices.into_iter().filter_map(|index| self.node(item, &path.index(index))).collect())
    }
}
