//! The frames of one stream: counted, their stamps read, the end recognised.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::upstream::STAMP_BASE;

const STAMP_FIELD: &[u8] = b"\"created_ns\":";
const STAMP_DIGITS: usize = 19;

static FRAME_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n\n"));
static STAMP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(STAMP_FIELD));

#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a frame that came in pieces.
    part: Vec<u8>,
    chunks: u64,
    done: bool,
    failed: bool,
    again: bool,
}

impl Frames {
    /// Reads on, and gives the time at which each chunk was sent.
    pub fn feed(&mut self, mut content: &[u8], mut sent: impl FnMut(u64)) {
        if !self.part.is_empty() {
            // Few frames are cut: the rest of this one is joined, those behind it are read in place.
            let end = FRAME_END.find(content).map_or(content.len(), |at| at.saturating_add(2));
            let (head, rest) = content.split_at_checked(end).unwrap_or((content, &[]));
            self.part.extend_from_slice(head);
            let part = std::mem::take(&mut self.part);
            let left = self.frames(&part, &mut sent).to_vec();
            self.part = left;
            content = rest;
        }
        let left = self.frames(content, &mut sent);
        self.part.extend_from_slice(left);
    }

    /// Chunks with content so far.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether the stream ended as it should: with `[DONE]`, nothing behind it, and no error.
    pub fn is_complete(&self) -> bool {
        self.done && !self.failed && self.part.is_empty()
    }

    /// Whether this isn't the connection's first stream.
    pub fn again(&self) -> bool {
        self.again
    }

    pub fn restart(&mut self) {
        *self = Self { again: true, ..Self::default() };
    }

    /// Reads whole frames; returns what is left.
    fn frames<'c>(&mut self, mut content: &'c [u8], sent: &mut impl FnMut(u64)) -> &'c [u8] {
        while let Some(end) = FRAME_END.find(content) {
            let (frame, rest) =
                content.split_at_checked(end.saturating_add(2)).unwrap_or((content, &[]));
            self.frame(frame, sent);
            content = rest;
        }
        content
    }

    fn frame(&mut self, frame: &[u8], sent: &mut impl FnMut(u64)) {
        if let Some(at) = STAMP.find(frame) {
            let digits = frame.iter().skip(at.saturating_add(STAMP_FIELD.len())).take(STAMP_DIGITS);
            let stamp = digits.fold(0u64, |sum, digit| {
                sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
            });
            self.chunks = self.chunks.saturating_add(1);
            self.failed = self.failed || self.done;
            sent(stamp.saturating_sub(STAMP_BASE));
        } else if frame.starts_with(b"data: [DONE]") {
            self.done = true;
        } else if memchr::memmem::find(frame, b"\"error\"").is_some() {
            self.failed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    const STREAM: &[u8] = b"data: {\"created_ns\":1000000000000000007,\"x\":1}\n\n: keep-alive\n\n\
        data: {\"created_ns\":1000000000000000009}\n\ndata: [DONE]\n\n";

    #[test]
    fn frames_are_read_wherever_the_reads_were_cut() {
        for cut in 0..=STREAM.len() {
            let (mut frames, mut sent) = (Frames::default(), Vec::new());
            frames.feed(&STREAM[..cut], |stamp| sent.push(stamp));
            frames.feed(&STREAM[cut..], |stamp| sent.push(stamp));
            assert_eq!((sent.as_slice(), frames.chunks()), (&[7, 9][..], 2), "cut at {cut}");
            assert!(frames.is_complete(), "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_without_its_end_or_with_an_error_is_not_complete() {
        let mut cut = Frames::default();
        cut.feed(&STREAM[..STREAM.len() - 14], |_| {});
        assert!(!cut.is_complete());
        let mut failed = Frames::default();
        failed.feed(b"data: {\"error\":{}}\n\ndata: [DONE]\n\n", |_| {});
        assert!(!failed.is_complete());
    }
}
