//! The file's layer: TOML, read with the line of every value, so that a fault can name it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Sources};
use super::path::{Path, Step};
use super::reading::Reading;
use super::shape::{Kind, Shape};
use super::variable::FILE_VARIABLE;

/// The file that is read where none was asked for.
const DEFAULT_FILE: &str = "fluxgate.toml";
/// Hundreds of upstreams fit; a wrong path does not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// After a few faults of syntax the rest follows from them.
const SYNTAX_FAULTS_MAX: usize = 5;

/// The file that was asked for, else the one of that name in the working folder where there is one.
pub fn locate(sources: &Sources) -> Option<PathBuf> {
    let by_variable = || {
        let (_, path) =
            sources.env.iter().find(|(name, path)| name == FILE_VARIABLE && !path.is_empty())?;
        Some(PathBuf::from(path))
    };
    let by_default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    sources.file.clone().or_else(by_variable).or_else(by_default)
}

/// Reads the file. `false`: its content is unknown, and so is what is missing.
pub fn read(path: &FilePath, reading: &mut Reading) -> bool {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(error) => {
            reading.faults.add(
                path.display(),
                format!("the file can't be read: {error}"),
                &Layer::Default,
            );
            return false;
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        for error in errors.iter().take(SYNTAX_FAULTS_MAX) {
            // The message alone: the whole error quotes the line, and with it a secret perhaps.
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            let problem = format!("line {line}, column {column}: {}", error.message());
            reading.faults.add(path.display(), problem, &Layer::Default);
        }
        return false;
    }
    let first = reading.faults.0.len();
    Walk { file: path, text: &text, reading }.table(
        table.get_ref(),
        Shape::root(),
        &Path::default(),
    );
    if let Some(found) = reading.faults.0.get_mut(first..) {
        // The parser sorts tables by key; people read from the top.
        found.sort_by_key(|fault| match fault.layer {
            Some(Layer::File { line, .. }) => line,
            _ => 0,
        });
    }
    true
}

fn text_of(path: &FilePath) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

/// Line and column of a byte, from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

struct Walk<'a> {
    file: &'a FilePath,
    text: &'a str,
    reading: &'a mut Reading,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, shape: Shape, path: &Path) {
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let layer = self.layer(key.span().start);
            match shape.step(&Step::Key(key.get_ref().to_string())) {
                Some(below) => {
                    let is_table = matches!(value.get_ref(), DeValue::Table(_));
                    if shape.property(key.get_ref()).is_none() && is_table {
                        self.reading.entry(path.clone(), &layer);
                    }
                    self.value(value, below, path, &layer);
                }
                None => self.reading.unknown(&path, &layer),
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, shape: Shape, path: Path, layer: &Layer) {
        match (shape.kind(), value.get_ref()) {
            (Kind::Table, DeValue::Table(table)) => self.table(table, shape, &path),
            (Kind::Table, _) => {
                self.reading.faults.add(&path, format!("expected a section: [{path}]"), layer);
            }
            (Kind::List, given) if shape.is_list_of_tables() => {
                self.entries(given, shape, &path, layer)
            }
            (Kind::List | Kind::Integer | Kind::Boolean | Kind::Text, given) => {
                self.reading.value(path, json(given), shape, layer);
            }
        }
    }

    fn entries(&mut self, given: &DeValue<'_>, shape: Shape, path: &Path, layer: &Layer) {
        let (DeValue::Array(entries), Some(item)) = (given, shape.item()) else {
            self.reading.faults.add(path, format!("expected entries: [[{path}]]"), layer);
            return;
        };
        for (index, entry) in entries.iter().enumerate() {
            let at = path.index(index);
            let layer = self.layer(entry.span().start);
            match entry.get_ref() {
                DeValue::Table(table) if table.is_empty() => {
                    let required: Vec<&str> = item.required().collect();
                    let problem =
                        format!("the entry is empty: it needs {}", required.join(" and "));
                    self.reading.faults.add(at, problem, &layer);
                }
                DeValue::Table(table) => self.table(table, item, &at),
                _ => self.reading.faults.add(at, format!("expected an entry: [[{path}]]"), &layer),
            }
        }
    }

    fn layer(&self, byte: usize) -> Layer {
        Layer::File { path: self.file.to_owned(), line: position(self.text, byte).0 }
    }
}

/// TOML's value as JSON's. What JSON has no type for becomes a text, which no check takes for a
/// number.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        DeValue::Float(number) => {
            let finite = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            finite.map_or_else(|| number.as_str().into(), Value::Number)
        }
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            Value::Object(entries.collect())
        }
    }
}
