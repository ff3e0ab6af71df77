//! The tokens of JSON: keys, strings, numbers and literals, each checked and stepped over. It knows
//! no field but those under which payloads stand.

use super::OutlineFault;
use super::scan::{Scanner, not_json};

/// Strings up to this length are text whatever they hold: a link, a word, a short note.
const PAYLOAD_BYTES_MIN: usize = 1024;

/// A member's name, as it stands between its quotes.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
    /// Where the member's value begins.
    pub value: usize,
}

/// A string that has been read over.
struct Text {
    /// Right behind its closing quote.
    end: usize,
    /// How many bytes shorter the text is than what stands for it. An escape saves one or more.
    saved: usize,
}

impl<'a> Scanner<'a> {
    /// Reads a key and its colon.
    #[inline(always)]
    pub fn key(&mut self, at: usize) -> Result<Key<'a>, OutlineFault> {
        if self.byte(at) != b'"' {
            return Err(not_json(at, "a key"));
        }
        let start = at + 1;
        let text = self.text(start)?;
        let raw = self.body.get(start..text.end - 1).unwrap_or_default();
        self.key_start = start;
        let value = self.colon(text.end)?;
        Ok(Key { raw, escaped: text.saved > 0, value })
    }

    #[inline(always)]
    fn colon(&self, at: usize) -> Result<usize, OutlineFault> {
        let at = self.skip_space(at);
        if self.byte(at) != b':' {
            return Err(not_json(at, "a colon"));
        }
        Ok(self.skip_space(at + 1))
    }

    #[inline(always)]
    pub(super) fn string_value(&mut self, at: usize) -> Result<usize, OutlineFault> {
        let start = at + 1;
        let text = self.text(start)?;
        let raw_bytes = text.end - 1 - start;
        if raw_bytes > PAYLOAD_BYTES_MIN && self.is_payload(start, text.end - 1) {
            self.tally.payloads += 1;
            self.tally.payload_bytes += raw_bytes as u64;
        } else {
            self.tally.text_bytes += (raw_bytes - text.saved) as u64;
        }
        Ok(text.end)
    }

    /// Whether the string in `start..end` is an image or a file rather than text.
    #[cold]
    fn is_payload(&self, start: usize, end: usize) -> bool {
        const KEYS: [&[u8]; 5] = [b"url\"", b"image_url\"", b"data\"", b"file_data\"", b"images\""];
        let key = self.body.get(self.key_start..).unwrap_or_default();
        let raw = self.body.get(start..end).unwrap_or_default();
        KEYS.iter().any(|name| key.starts_with(name))
            && memchr::memchr(b' ', raw).is_none()
            && raw.is_ascii()
    }

    /// Reads a string from behind its opening quote.
    #[inline(always)]
    fn text(&mut self, start: usize) -> Result<Text, OutlineFault> {
        let stop = self.stops.next(start);
        if self.byte(stop) == b'"' {
            return Ok(Text { end: stop + 1, saved: 0 });
        }
        self.escaped_text(stop)
    }

    /// Reads the rest of a string whose first stop isn't its end.
    fn escaped_text(&mut self, mut stop: usize) -> Result<Text, OutlineFault> {
        let mut saved = 0;
        loop {
            match self.byte(stop) {
                b'"' => {
                    return Ok(Text { end: stop + 1, saved });
                }
                b'\\' => match self.byte(stop + 1) {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                        saved += 1;
                        stop = self.stops.next(stop + 2);
                    }
                    b'u' => {
                        saved += 6 - self.code_unit_bytes(stop + 2)?;
                        stop = self.stops.next(stop + 6);
                    }
                    _ => return Err(not_json(stop + 1, "an escape")),
                },
                _ if stop >= self.body.len() => return Err(not_json(stop, "the end of a string")),
                _ => return Err(not_json(stop, "no control byte in a string")),
            }
        }
    }

    /// How many bytes of UTF-8 the UTF-16 code unit of `\uXXXX` takes: either half of a pair two.
    /// Halves needn't be paired (RFC 8259 §8.2).
    fn code_unit_bytes(&self, at: usize) -> Result<usize, OutlineFault> {
        let mut unit = 0;
        for offset in 0..4 {
            let digit = char::from(self.byte(at + offset)).to_digit(16);
            unit = unit * 16 + digit.ok_or_else(|| not_json(at + offset, "a hexadecimal digit"))?;
        }
        Ok(match unit {
            0..=0x7f => 1,
            0x80..=0x7ff | 0xd800..=0xdfff => 2,
            _ => 3,
        })
    }

    #[inline(always)]
    pub(super) fn literal(&self, at: usize, word: &'static [u8]) -> Result<usize, OutlineFault> {
        let end = at + word.len();
        if self.body.get(at..end) != Some(word) {
            return Err(not_json(at, "a value"));
        }
        Ok(end)
    }

    #[inline(always)]
    pub(super) fn number(&mut self, mut at: usize) -> Result<usize, OutlineFault> {
        if self.byte(at) == b'-' {
            at += 1;
        }
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            at += 1;
            if matches!(self.byte(at), b'+' | b'-') {
                at += 1;
            }
            at = self.digits(at)?;
        }
        self.tally.numbers += 1;
        Ok(at)
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&self, start: usize) -> Result<usize, OutlineFault> {
        let mut at = start;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        if at == start { Err(not_json(at, "a digit")) } else { Ok(at) }
    }
}
