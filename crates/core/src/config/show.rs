//! The merged configuration for people and programs: each setting, its value, and who gave it.
//! Secrets mask themselves when they are serialized; no value gets here another way.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Config;
use super::layer::{Layer, Origins};
use super::path::Path;

/// All settings, by path.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Shown {
    #[serde(rename = "items")]
    pub rows: Vec<Row>,
}

/// One setting.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Its dotted path.
    pub path: String,
    /// Masked; null where it is not set.
    pub value: Value,
    /// `default`, `file`, `env`, `env_file` or `flag`.
    pub layer: &'static str,
    /// The layer in words: the file with its line, the variable's name.
    pub source: String,
}

pub(super) fn shown(config: &Config, origins: &Origins) -> Shown {
    let mut rows = Vec::new();
    // Serializing plain data into memory does not fail.
    if let Ok(tree) = serde_json::to_value(config) {
        collect(&Path::default(), tree, origins, &mut rows);
    }
    Shown { rows }
}

fn collect(path: &Path, value: Value, origins: &Origins, rows: &mut Vec<Row>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (key, value) in table {
                collect(&path.key(&key), value, origins, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.into_iter().enumerate() {
                collect(&path.index(index), item, origins, rows);
            }
        }
        value => {
            let layer: &Layer = origins.at(path);
            let source = layer.to_string();
            rows.push(Row { path: path.to_string(), value, layer: layer.name(), source });
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.rows.iter().map(|row| plain(&row.value)).collect();
        let path_width = self.rows.iter().map(|row| row.path.len()).max().unwrap_or_default();
        let value_width = values
            .iter()
            .map(|value| value.chars().count())
            .max()
            .unwrap_or_default()
            .min(VALUE_WIDTH_MAX);
        for (row, value) in self.rows.iter().zip(&values) {
            writeln!(f, "{:path_width$}  {value:value_width$}  {}", row.path, row.source)?;
        }
        Ok(())
    }
}

/// A longer value pushes its line's last column out alone.
const VALUE_WIDTH_MAX: usize = 48;

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // Quoted where it could be taken for something else, or would reach the terminal raw.
        Value::String(text)
            if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) =>
        {
            format!("{text:?}")
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
