//! The fields of a request that its upstream has no counterpart for: told to the client, by name.

use http::HeaderValue;

/// What a header may hold of them.
const NAMES_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 40;

/// See the module.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Dropped(Vec<Box<str>>);

impl Dropped {
    /// Notes a field. A name that isn't one of Ollama's is the client's own text: it is kept only
    /// where it could be a field's name.
    pub fn note(&mut self, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain);
        if fits && self.0.len() < NAMES_MAX && !self.0.iter().any(|known| **known == *name) {
            self.0.push(name.into());
        }
    }

    /// The names, for a header; `None` where nothing was dropped.
    pub fn header(&self) -> Option<HeaderValue> {
        let names = self.0.join(", ");
        HeaderValue::try_from(names).ok().filter(|names| !names.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_holds_fields_names_alone_each_once() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.header(), None);
        for name in ["num_ctx", "a\r\nx: y", "num_ctx", "", "keep_alive", &"x".repeat(41)] {
            dropped.note(name);
        }
        assert_eq!(dropped.header().unwrap(), "num_ctx, keep_alive");
    }
}
