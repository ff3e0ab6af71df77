//! The configuration while it is being read: what was given so far, and what was wrong so far.

use serde_json::{Map, Value};

use super::fault::Faults;
use super::layer::Layer;
use super::leaf;
use super::leaves::Leaves;
use super::path::Path;
use super::shape::{Kind, Shape};
use super::suggestion;

#[derive(Default)]
pub struct Reading {
    pub leaves: Leaves,
    pub faults: Faults,
}

impl Reading {
    /// A value that the file gives in its own type.
    pub fn value(&mut self, path: Path, value: Value, shape: Shape, layer: &Layer) {
        if !leaf::is_blank(&value, shape) {
            self.leaves.set(path, leaf::normal(value, shape), layer);
        }
    }

    /// An entry under a key of the operator's choice: it is there even where none of its settings
    /// is.
    pub fn entry(&mut self, path: Path, layer: &Layer) {
        self.leaves.set(path, Value::Object(Map::new()), layer);
    }

    /// A text that a variable or a flag gives for a setting of any type.
    pub fn text(&mut self, path: Path, text: &str, shape: Shape, layer: &Layer) {
        if shape.kind() == Kind::Table || shape.is_list_of_tables() {
            let field = shape.leaves_below(&path).into_iter().map(|(leaf, _)| leaf).next();
            let example = field.map(|field| match layer {
                Layer::Flag => field.to_string(),
                Layer::Default | Layer::File { .. } | Layer::Env(_) | Layer::EnvFile(..) => {
                    field.variable()
                }
            });
            let problem =
                format!("is a section: give its fields, such as {}", example.unwrap_or_default());
            self.faults.add(path, problem, layer);
        } else {
            self.value(path, leaf::from_text(text, shape), shape, layer);
        }
    }

    /// A name that no setting has.
    pub fn unknown(&mut self, path: &Path, layer: &Layer) {
        let problem = match suggestion::nearest(path) {
            Some(near) if matches!(layer, Layer::Env(_)) => {
                format!("no such setting; did you mean {}?", near.variable())
            }
            Some(near) => format!("no such setting; did you mean {near}?"),
            None => "no such setting".to_owned(),
        };
        self.faults.add(path, problem, layer);
    }
}
