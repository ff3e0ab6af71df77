//! Finds a member's value in JSON that passes in pieces, without reading the rest of it.
//!
//! In valid JSON the bytes `"name"` followed by a colon are always a member's name: inside a
//! string a quote is escaped, so the sequence can't stand there.

use memchr::memmem;
use serde::de::DeserializeOwned;

/// The most that is kept of a value: usage objects have a few hundred bytes.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// What follows the last `"name":` in `json`, from the first byte of the value.
pub fn value_after<'a>(json: &'a [u8], quoted_name: &[u8]) -> Option<&'a [u8]> {
    values_after(json, quoted_name).next()
}

/// What follows each `"name":` in `json`, the last one first.
pub fn values_after<'a>(json: &'a [u8], quoted_name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::rfind_iter(json, quoted_name).filter_map(|at| {
        let rest = json.get(at + quoted_name.len()..)?.trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// What follows each `"name":` in `json`, the first one first: for what every frame is searched
/// for, since the finder is made once.
pub fn values_of<'a>(
    json: &'a [u8],
    quoted_name: &memmem::Finder<'_>,
) -> impl Iterator<Item = &'a [u8]> {
    let length = quoted_name.needle().len();
    quoted_name.find_iter(json).filter_map(move |at| {
        let rest = json.get(at + length..)?.trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// Reads the value at the start of `json`, whatever follows it.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::Deserializer::from_slice(json).into_iter().next()?.ok()
}

/// Keeps the last value of one member of a document that passes in pieces.
#[derive(Debug)]
pub struct Capture {
    /// With its quotes.
    name: &'static [u8],
    /// The end of what has passed, in which the name may have begun.
    tail: Vec<u8>,
    /// What follows the newest mention of the name, as far as it has come.
    newest: Option<Vec<u8>>,
    /// What followed the mention before it, if that was a member.
    member: Option<Vec<u8>>,
}

impl Capture {
    pub fn new(name: &'static [u8]) -> Self {
        Self { name, tail: Vec::new(), newest: None, member: None }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.extend(piece);
        // Neither half of the seam is long enough to hold the name alone.
        let keep = self.name.len() - 1;
        let head = piece.get(..keep.min(piece.len())).unwrap_or_default();
        let seam = [self.tail.as_slice(), head].concat();
        for at in memmem::find_iter(&seam, self.name) {
            self.begin(piece.get(at + self.name.len() - self.tail.len()..).unwrap_or_default());
        }
        for at in memmem::find_iter(piece, self.name) {
            self.begin(piece.get(at + self.name.len()..).unwrap_or_default());
        }
        self.tail
            .extend_from_slice(piece.get(piece.len().saturating_sub(keep)..).unwrap_or_default());
        let excess = self.tail.len().saturating_sub(keep);
        self.tail.drain(..excess);
    }

    /// The value, where the member was found and its value is of this type.
    pub fn value<T: DeserializeOwned>(&self) -> Option<T> {
        let value = member_value(self.newest.as_ref()).or(member_value(self.member.as_ref()))?;
        read(value)
    }

    fn begin(&mut self, rest: &[u8]) {
        let before = self.newest.replace(Vec::new());
        if member_value(before.as_ref()).is_some() {
            self.member = before;
        }
        self.extend(rest);
    }

    fn extend(&mut self, piece: &[u8]) {
        let Some(newest) = &mut self.newest else { return };
        let room = VALUE_BYTES_MAX.saturating_sub(newest.len());
        newest.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
    }
}

/// The value, where what follows the name makes it a member's.
fn member_value(after_name: Option<&Vec<u8>>) -> Option<&[u8]> {
    after_name?.trim_ascii_start().strip_prefix(b":")
}

/// Bytes of the string values of the members of this name (escapes counted as they are written).
pub fn string_bytes(json: &[u8], quoted_name: &memmem::Finder<'_>) -> u64 {
    let (mut rest, mut total) = (json, 0);
    while let Some(at) = quoted_name.find(rest) {
        rest = rest.get(at + quoted_name.needle().len()..).unwrap_or_default();
        let Some(value) = rest.trim_ascii_start().strip_prefix(b":") else { continue };
        let Some(text) = value.trim_ascii_start().strip_prefix(b"\"") else { continue };
        let length = string_end(text);
        total += length as u64;
        rest = text.get(length..).unwrap_or_default();
    }
    total
}

/// The length of the string whose opening quote stands just before `text`.
fn string_end(text: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if text.get(from + at) == Some(&b'"') {
            return from + at;
        }
        from += at + 2;
    }
    text.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_captured_at_every_split() {
        let json = br#"{"id":"usage","note":"\"usage\": 7","usage" : {"n":12} ,"kind":"usage"}"#;
        for step in 1..=json.len() {
            let mut capture = Capture::new(b"\"usage\"");
            json.chunks(step).for_each(|piece| capture.push(piece));
            let value: serde_json::Value = capture.value().unwrap();
            assert_eq!(value["n"], 12, "step {step}");
        }
    }

    #[test]
    fn a_name_inside_a_string_or_as_a_value_is_no_member() {
        let json = br#"{"usage":{"n":1},"kind":"usage","text":"\"usage\": {}"}"#;
        assert_eq!(
            read::<serde_json::Value>(value_after(json, b"\"usage\"").unwrap()).unwrap()["n"],
            1
        );
        assert_eq!(value_after(br#"{"kind":"usage"}"#, b"\"usage\""), None);
    }

    #[test]
    fn string_values_are_measured_without_their_quotes() {
        let finder = memmem::Finder::new(b"\"content\"");
        let json = br#"{"content":"ab\"c","x":{"content" : "d"},"content":null,"y":"content"}"#;
        assert_eq!(string_bytes(json, &finder), 6);
    }
}
