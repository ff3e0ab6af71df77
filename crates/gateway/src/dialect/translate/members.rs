//! Writes one JSON object member by member.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::outline::Kind;

/// What a value is.
pub fn kind_of(value: &RawValue) -> Option<Kind> {
    Kind::of(*value.get().as_bytes().first()?)
}

/// An object that is being written.
#[derive(Debug)]
pub struct Members(Vec<u8>);

impl Members {
    pub fn new() -> Self {
        Self(vec![b'{'])
    }

    /// Puts a member behind the others. The name is one of ours: it needs no escapes.
    pub fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.name(name);
        // Writing to a `Vec` doesn't fail, and what we write has text keys alone.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// The same where there is a value.
    pub fn put_some(&mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Puts an object that was written the same way.
    pub fn put_written(&mut self, name: &str, value: Self) {
        self.name(name);
        self.0.append(&mut value.end());
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}
