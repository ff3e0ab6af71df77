//! Refusals of a request that can't be translated: they name the field, and quote nothing of it.

use fluxgate_core::Reason;
use serde_path_to_error::Path;

use crate::refusal::Refusal;

/// A field of a wrong type or value: "must be …".
pub fn wrong(field: &str, expected: &str) -> Refusal {
    invalid(field, &format!("must be {expected}"))
}

/// A field that is refused: a sentence about it.
pub fn invalid(field: &str, how: &str) -> Refusal {
    Refusal::new(Reason::InvalidField, format!("The field `{field}` {how}."))
        .param(field.to_owned())
}

/// What serde couldn't read. Its own words quote the body, so only what kind of fault it is, and
/// which type it expected there, is taken from them.
pub fn unreadable(path: &Path, error: &serde_json::Error) -> Refusal {
    let (path, said) = (path.to_string(), error.to_string());
    for (begins, how) in
        [("missing field `", "is required"), ("duplicate field `", "must stand once")]
    {
        if let Some(field) = said.strip_prefix(begins).and_then(|rest| rest.split('`').next()) {
            let place = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
            return invalid(&place, how);
        }
    }
    let expected = said.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let known = TYPES.iter().find(|(theirs, _)| expected.starts_with(theirs));
    match known {
        Some((_, ours)) => wrong(&path, ours),
        None => invalid(&path, "has a value that can't be used there"),
    }
}

/// serde's words for what it expected, and ours.
const TYPES: [(&str, &str); 8] = [
    ("a string", "a string"),
    ("string", "a string"),
    ("a borrowed string", "a string"),
    ("a boolean", "a boolean"),
    ("a sequence", "an array"),
    ("a map", "an object"),
    ("struct", "an object"),
    ("u32", "a whole number"),
];
