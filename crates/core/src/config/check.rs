//! The checks of single settings and of lists: types, ranges, forms, numbering, required fields.
//! What several settings say together is in `rules`.

use serde_json::Value;

use super::leaf;
use super::path::{Path, Step};
use super::reading::Reading;
use super::shape::{Kind, Shape};

/// Records what is wrong, and takes the wrong values out, so that the rest can be judged too.
pub fn settings(reading: &mut Reading) {
    lists(reading, Shape::root(), &Path::default());
    let wrong: Vec<(Path, String)> = reading
        .leaves
        .iter()
        .filter_map(|(path, leaf)| {
            let shape = Shape::at(path)?;
            Some((path.clone(), leaf::problem(path, &leaf.value, shape)?))
        })
        .collect();
    for (path, problem) in wrong {
        if let Some(leaf) = reading.leaves.get(&path) {
            reading.faults.add(&path, problem, &leaf.layer);
        }
        reading.leaves.remove(&path);
    }
}

/// Walks to every list that was given, and to every table with keys of the operator's choice, and
/// into their entries.
fn lists(reading: &mut Reading, shape: Shape, path: &Path) {
    match shape.kind() {
        Kind::Table => {
            for (key, shape) in shape.properties() {
                lists(reading, shape, &path.key(key));
            }
            entries(reading, shape, path);
        }
        Kind::List => list(reading, shape, path),
        Kind::Integer | Kind::Boolean | Kind::Text => {}
    }
}

fn list(reading: &mut Reading, shape: Shape, path: &Path) {
    let indices = reading.leaves.indices(path);
    let known_wrong = reading.faults.touch(path);
    for index in &indices {
        entry(reading, shape.item(), &path.index(*index));
    }
    let Some(last) = indices.last().map(|index| path.index(*index)) else {
        return;
    };
    // A number that is left out is most likely a mistyped one.
    let gap = indices.iter().enumerate().find(|(position, index)| position != *index);
    let problem = if indices.len() > shape.items_max() {
        too_many(shape, indices.len())
    } else if let Some((missing, _)) = gap.filter(|_| !known_wrong) {
        format!("entries are numbered from 0 without a gap: there is no {}", path.index(missing))
    } else {
        return;
    };
    fault_at(reading, &last, problem);
}

fn entries(reading: &mut Reading, table: Shape, path: &Path) {
    let entries = reading.leaves.entries(table, path);
    for (key, shape) in &entries {
        let at = path.key(key);
        let name = Value::from(key.as_str());
        let wrong = table.entry_name().and_then(|form| leaf::problem(&at, &name, form));
        if let Some(problem) = wrong {
            fault_at(reading, &at, format!("as a key: {problem}"));
        }
        entry(reading, Some(*shape), &at);
    }
    if let Some((last, _)) = entries.last().filter(|_| entries.len() > table.items_max()) {
        fault_at(reading, &path.key(last), too_many(table, entries.len()));
    }
}

fn too_many(shape: Shape, found: usize) -> String {
    format!("expected at most {} entries, found {found}", shape.items_max())
}

/// A fault of what was given here or below, first of all.
fn fault_at(reading: &mut Reading, path: &Path, problem: String) {
    let layer = reading.leaves.below(path).next().map(|(_, leaf)| leaf.layer.clone());
    if let Some(layer) = layer {
        reading.faults.add(path, problem, &layer);
    }
}

fn entry(reading: &mut Reading, shape: Option<Shape>, path: &Path) {
    let Some(item) = shape else { return };
    let Some(layer) = reading.leaves.below(path).next().map(|(_, leaf)| leaf.layer.clone()) else {
        return;
    };
    for key in item.required() {
        let at = path.key(key);
        if let Some(field) = item.step(&Step::Key(key.to_owned()))
            && reading.leaves.get(&at).is_none()
        {
            let problem = format!("missing: expected {}", leaf::expected(&at, field));
            reading.faults.add(at, problem, &layer);
        }
    }
    lists(reading, item, path);
}
