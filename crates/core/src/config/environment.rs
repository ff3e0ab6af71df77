//! The environment's layer: variables with names of their own, `FLUXGATE__SECTION__FIELD` for any
//! other setting, and `NAME_FILE` for secrets.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::layer::Layer;
use super::leaves::Leaves;
use super::path::{Path, Step};
use super::reading::Reading;
use super::shape::Shape;
use super::variable::VARIABLES;

/// Begins the variables that follow the file's own structure.
pub const PREFIX: &str = "FLUXGATE__";
/// Ends the variables that name a file with the value in it.
const FILE_SUFFIX: &str = "_FILE";
/// More than any secret, little enough to be read from a wrong path.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// What a variable's name means.
struct Meaning {
    path: Path,
    shape: Shape,
    /// Its value is the path of a file.
    by_file: bool,
}

/// Reads the variables that are ours. An empty one counts as not set: compose files write those.
pub fn read(env: &[(String, String)], reading: &mut Reading) {
    let mut given: Vec<(Meaning, &str, &str)> = Vec::new();
    for (name, value) in env.iter().filter(|(_, value)| !value.trim().is_empty()) {
        match meaning(name, &reading.leaves) {
            Some(meaning) => given.push((meaning, name, value)),
            None if name.starts_with(PREFIX) => {
                let path = structured(name, &reading.leaves);
                reading.unknown(&path, &Layer::Env(name.clone()));
            }
            None => {}
        }
    }
    // A list before its items: an item replaces one of the list's.
    given.sort_by(|(one, name, _), (other, other_name, _)| {
        (&one.path, name).cmp(&(&other.path, other_name))
    });
    for pair in given.windows(2) {
        if let [(one, first, _), (other, second, _)] = pair
            && one.path == other.path
        {
            let problem = format!("{first} and {second} are both set: keep one of them");
            reading.faults.add(&one.path, problem, &Layer::Env((*second).to_owned()));
        }
    }
    for (meaning, name, value) in given {
        if meaning.by_file {
            read_by_file(meaning, name, value, reading);
        } else {
            reading.text(meaning.path, value, meaning.shape, &Layer::Env(name.to_owned()));
        }
    }
}

fn read_by_file(meaning: Meaning, name: &str, value: &str, reading: &mut Reading) {
    let file = PathBuf::from(value);
    let layer = Layer::EnvFile(name.to_owned(), file.clone());
    match secret_in(&file) {
        Ok(secret) if secret.is_empty() => {
            reading.faults.add(&meaning.path, "the file is empty", &layer)
        }
        Ok(secret) => reading.text(meaning.path, &secret, meaning.shape, &layer),
        Err(error) => {
            reading.faults.add(&meaning.path, format!("the file can't be read: {error}"), &layer)
        }
    }
}

/// The content of a file without the line's end that editors put behind it.
fn secret_in(path: &std::path::Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        let problem = format!("it has more than {SECRET_FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn meaning(name: &str, file: &Leaves) -> Option<Meaning> {
    direct(name, file).or_else(|| {
        let named = direct(name.strip_suffix(FILE_SUFFIX)?, file)?;
        named.shape.is_secret().then_some(Meaning { by_file: true, ..named })
    })
}

fn direct(name: &str, file: &Leaves) -> Option<Meaning> {
    let well_known = VARIABLES.iter().find(|variable| variable.name == name);
    let path = match well_known {
        Some(variable) => Path::dotted(variable.path),
        None => {
            Some(name).filter(|name| name.starts_with(PREFIX)).map(|name| structured(name, file))?
        }
    };
    Some(Meaning { shape: Shape::at(&path)?, path, by_file: false })
}

/// `FLUXGATE__LISTEN__IDLE_S` as the path that it spells.
fn structured(name: &str, file: &Leaves) -> Path {
    let words = name.strip_prefix(PREFIX).unwrap_or(name).split("__");
    let root = (Path::default(), Some(Shape::root()));
    let (path, _) = words.fold(root, |(path, shape), word| {
        let lower = word.to_ascii_lowercase();
        let step = match shape {
            Some(table) if table.entry().is_some() && table.property(&lower).is_none() => {
                Step::Key(key_of_the_file(word, &file.keys(&path)).unwrap_or(lower))
            }
            _ => Step::from(lower.as_str()),
        };
        let below = shape.and_then(|shape| shape.step(&step));
        (path.then(step), below)
    });
    path
}

/// Names of variables are upper case by custom: a key that the file has is meant without regard to
/// case, unless there is one of exactly that case.
fn key_of_the_file(word: &str, keys: &[String]) -> Option<String> {
    let exact = keys.iter().find(|key| *key == word);
    exact.or_else(|| keys.iter().find(|key| key.eq_ignore_ascii_case(word))).cloned()
}
