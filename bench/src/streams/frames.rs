//! The frames of one stream: counted, their stamps read, the end recognised. A frame counts by its
//! line of data, so that server-sent events and lines of JSON are read alike.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::{self, Finder};

use crate::dialect::Dialect;
use crate::upstream::STAMP_BASE;

/// Before the stamp, at the beginning of a text.
const STAMP_MARK: &[u8] = b"\"@";
const STAMP_DIGITS: usize = 19;

static STAMP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(STAMP_MARK));

#[derive(Debug)]
pub struct Frames {
    dialect: Dialect,
    /// The beginning of a line that came in pieces.
    part: Vec<u8>,
    chunks: u64,
    done: bool,
    failed: bool,
    again: bool,
}

impl Frames {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, part: Vec::new(), chunks: 0, done: false, failed: false, again: false }
    }

    /// Reads on, and gives the time at which each chunk was sent.
    pub fn feed(&mut self, mut content: &[u8], mut sent: impl FnMut(u64)) {
        if !self.part.is_empty() {
            // Few lines are cut: the rest of this one is joined, those behind it are read in place.
            let end = memchr(b'\n', content).map_or(content.len(), |at| at.saturating_add(1));
            let (head, rest) = content.split_at_checked(end).unwrap_or((content, &[]));
            self.part.extend_from_slice(head);
            let part = std::mem::take(&mut self.part);
            let left = self.lines(&part, &mut sent).to_vec();
            self.part = left;
            content = rest;
        }
        let left = self.lines(content, &mut sent);
        self.part.extend_from_slice(left);
    }

    /// Chunks with content so far.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether the stream ended as its dialect wants it, with no chunk behind that and no error.
    pub fn is_complete(&self) -> bool {
        self.done && !self.failed && self.part.is_empty()
    }

    /// Whether this isn't the connection's first stream.
    pub fn again(&self) -> bool {
        self.again
    }

    pub fn restart(&mut self) {
        *self = Self { again: true, ..Self::new(self.dialect) };
    }

    /// Reads whole lines; returns what is left.
    fn lines<'c>(&mut self, mut content: &'c [u8], sent: &mut impl FnMut(u64)) -> &'c [u8] {
        while let Some(end) = memchr(b'\n', content) {
            let (line, rest) =
                content.split_at_checked(end.saturating_add(1)).unwrap_or((content, &[]));
            self.line(line, sent);
            content = rest;
        }
        content
    }

    fn line(&mut self, line: &[u8], sent: &mut impl FnMut(u64)) {
        let data = match self.dialect {
            // Names, comments and the blank line that ends an event say nothing.
            Dialect::Chat | Dialect::Messages | Dialect::Responses => line.strip_prefix(b"data: "),
            Dialect::Ollama => {
                self.failed = self.failed || !line.starts_with(b"{");
                Some(line)
            }
        };
        let Some(data) = data else { return };
        if let Some(at) = STAMP.find(data) {
            let digits = data.iter().skip(at.saturating_add(STAMP_MARK.len())).take(STAMP_DIGITS);
            let stamp = digits.fold(0u64, |sum, digit| {
                sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
            });
            self.chunks = self.chunks.saturating_add(1);
            self.failed = self.failed || self.done;
            sent(stamp.saturating_sub(STAMP_BASE));
        } else if memmem::find(data, end_mark(self.dialect)).is_some() {
            self.done = true;
        } else if memmem::find(data, b"\"error\"").is_some() {
            self.failed = true;
        }
    }
}

/// What the data holds that ends a stream.
fn end_mark(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::Chat => b"[DONE]",
        Dialect::Messages => b"\"type\":\"message_stop\"",
        Dialect::Responses => b"\"type\":\"response.completed\"",
        Dialect::Ollama => b"\"done\":true",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    /// Two chunks, the end, and an error of each dialect.
    const STREAMS: [(Dialect, &str, &str, &str); 4] = [
        (
            Dialect::Chat,
            "data: {\"x\":\"@1000000000000000007\"}\n\n: keep-alive\n\n\
             data: {\"x\":\"@1000000000000000009\"}\n\n",
            "data: [DONE]\n\n",
            "data: {\"error\":{}}\n\n",
        ),
        (
            Dialect::Messages,
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n\
             event: content_block_delta\ndata: {\"text\":\"@1000000000000000007\"}\n\n\
             event: content_block_delta\ndata: {\"text\":\"@1000000000000000009\"}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n",
        ),
        (
            Dialect::Responses,
            "event: response.output_text.delta\ndata: {\"delta\":\"@1000000000000000007\"}\n\n\
             event: response.output_text.delta\ndata: {\"delta\":\"@1000000000000000009\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n",
        ),
        (
            Dialect::Ollama,
            "{\"message\":{\"content\":\"@1000000000000000007\"},\"done\":false}\n\
             {\"message\":{\"content\":\"@1000000000000000009\"},\"done\":false}\n",
            "{\"message\":{\"content\":\"\"},\"done\":true}\n",
            "{\"error\":\"x\",\"code\":\"y\"}\n",
        ),
    ];

    fn complete(dialect: Dialect, stream: &str) -> bool {
        let mut frames = Frames::new(dialect);
        frames.feed(stream.as_bytes(), |_| {});
        frames.is_complete()
    }

    #[test]
    fn frames_are_read_wherever_the_reads_were_cut() {
        for (dialect, chunks, end, _) in STREAMS {
            let stream = [chunks.as_bytes(), end.as_bytes()].concat();
            for cut in 0..=stream.len() {
                let (mut frames, mut sent) = (Frames::new(dialect), Vec::new());
                frames.feed(&stream[..cut], |stamp| sent.push(stamp));
                frames.feed(&stream[cut..], |stamp| sent.push(stamp));
                let seen = (sent.as_slice(), frames.chunks());
                assert_eq!(seen, (&[7, 9][..], 2), "{dialect}, cut at {cut}");
                assert!(frames.is_complete(), "{dialect}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_stream_without_its_end_or_with_an_error_is_not_complete() {
        for (dialect, chunks, end, error) in STREAMS {
            assert!(!complete(dialect, chunks), "{dialect}");
            assert!(!complete(dialect, end.trim_end()), "{dialect}");
            assert!(!complete(dialect, &[end, chunks].concat()), "{dialect}");
            assert!(!complete(dialect, &[chunks, error, end].concat()), "{dialect}");
        }
    }

    #[test]
    fn a_stream_in_another_dialect_is_not_complete() {
        for (dialect, ..) in STREAMS {
            for (other, chunks, end, _) in STREAMS.into_iter().filter(|one| one.0 != dialect) {
                assert!(!complete(dialect, &[chunks, end].concat()), "{other} for {dialect}");
            }
        }
    }
}
