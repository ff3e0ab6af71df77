//! Cuts a stream into whole frames as it passes, whatever way the network cut it.
//!
//! The client only ever sees whole frames: what has no end yet waits here, up to a limit, so that
//! a comment or an error frame can be put between two frames at any time. A frame larger than the
//! limit passes in pieces.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2, memmem};

use super::Framing;

/// The most that waits for the end of its frame. A usage frame has well under 4 KiB; a larger
/// frame holds text or a call's arguments, which nobody needs to see in one piece.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// What is done with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Pass,
    Withhold,
}

/// Looks at what passes.
pub trait Inspect {
    /// A whole frame, with its end.
    fn frame(&mut self, frame: &[u8]) -> Verdict;
    /// A piece of a frame that is too large to be held.
    fn piece(&mut self, piece: &[u8]);
}

/// The name of a server-sent event: its `event` field, else the first `type` of its data, which is
/// the same name where a server leaves the field out.
pub fn event_name(frame: &[u8]) -> &[u8] {
    let named = frame
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .take_while(|line| !line.starts_with(b"data:"))
        .find_map(|line| line.strip_prefix(b"event:"));
    if let Some(name) = named {
        return name.trim_ascii();
    }
    let Some(at) = memmem::find(frame, b"\"type\"") else { return b"" };
    let value = frame.get(at + b"\"type\"".len()..).unwrap_or_default().trim_ascii_start();
    let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
    let name = value.strip_prefix(b"\"").unwrap_or_default();
    memchr(b'"', name).and_then(|end| name.get(..end)).unwrap_or_default()
}

/// The data of a server-sent event, its lines joined; `None` where it has none (a comment).
pub fn event_data(frame: &[u8]) -> Option<Cow<'_, [u8]>> {
    // A stream may begin with a byte order mark (WHATWG HTML §9.2.5).
    let frame = frame.strip_prefix(b"\xef\xbb\xbf").unwrap_or(frame);
    let mut lines = frame
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"data:"))
        .map(|data| data.strip_prefix(b" ").unwrap_or(data));
    let first = lines.next()?;
    Some(match lines.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut joined = [first, second].join(&b'\n');
            for line in lines {
                joined.push(b'\n');
                joined.extend_from_slice(line);
            }
            Cow::Owned(joined)
        }
    })
}

#[derive(Debug)]
pub struct FrameSplitter {
    framing: Framing,
    held_bytes_max: usize,
    held: BytesMut,
    /// The present frame is over the limit; its pieces pass as they come.
    oversize: bool,
}

impl FrameSplitter {
    pub fn new(framing: Framing) -> Self {
        Self::holding(framing, HELD_BYTES_MAX)
    }

    /// One whose frames may be larger or smaller than usual.
    pub fn holding(framing: Framing, held_bytes_max: usize) -> Self {
        Self { framing, held_bytes_max, held: BytesMut::new(), oversize: false }
    }

    /// Whether the client has seen whole frames only.
    pub fn between_frames(&self) -> bool {
        !self.oversize
    }

    /// Takes what arrived and puts what may pass at the end of `out`.
    pub fn push(&mut self, chunk: Bytes, inspect: &mut impl Inspect, out: &mut VecDeque<Bytes>) {
        if self.held.is_empty() {
            return self.cut(chunk, 0, inspect, out);
        }
        // The end may straddle what was held, by the three bytes of `\r\n\r` at most.
        let from = self.held.len().saturating_sub(3);
        self.held.extend_from_slice(&chunk);
        if self.end(&self.held, from).is_some()
            || self.held.len() > self.held_bytes_max
            || self.oversize
        {
            let joined = self.held.split().freeze();
            self.cut(joined, from, inspect, out);
        }
    }

    /// The stream is over: what was held, if anything, is the rest of it.
    pub fn finish(&mut self, inspect: &mut impl Inspect) -> Bytes {
        let rest = self.held.split().freeze();
        if !rest.is_empty() {
            let _ = inspect.frame(&rest);
        }
        rest
    }

    fn cut(
        &mut self,
        mut buffer: Bytes,
        mut search: usize,
        inspect: &mut impl Inspect,
        out: &mut VecDeque<Bytes>,
    ) {
        let mut frame_start = 0;
        while let Some(end) = self.end(&buffer, search) {
            let frame = buffer.get(frame_start..end).unwrap_or_default();
            if self.oversize {
                self.oversize = false;
                inspect.piece(frame);
            } else if inspect.frame(frame) == Verdict::Withhold {
                let mut passed = buffer.split_to(end);
                passed.truncate(frame_start);
                emit(passed, out);
                (frame_start, search) = (0, 0);
                continue;
            }
            (frame_start, search) = (end, end);
        }
        let rest = buffer.split_off(frame_start);
        emit(buffer, out);
        if rest.is_empty() {
            return;
        }
        if self.oversize || rest.len() > self.held_bytes_max {
            self.oversize = true;
            // Line ends at the very end may be the first half of the frame's end.
            let ends = rest.iter().rev().take(3).take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let mut piece = rest.clone();
            let line_ends = piece.split_off(rest.len() - ends.count());
            inspect.piece(&piece);
            emit(piece, out);
            self.held.extend_from_slice(&line_ends);
        } else {
            self.held.extend_from_slice(&rest);
        }
    }

    /// Where the first frame that ends at or after `from` ends.
    fn end(&self, buffer: &[u8], from: usize) -> Option<usize> {
        match self.framing {
            Framing::Sse => blank_line_end(buffer, from),
            Framing::Ndjson => memchr(b'\n', buffer.get(from..)?).map(|at| from + at + 1),
            Framing::Whole => None,
        }
    }
}

fn emit(bytes: Bytes, out: &mut VecDeque<Bytes>) {
    if !bytes.is_empty() {
        out.push_back(bytes);
    }
}

/// The end of the first blank line: two line ends in a row, each `\n`, `\r\n` or `\r`.
fn blank_line_end(buffer: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let first = from + memchr2(b'\n', b'\r', buffer.get(from..)?)?;
        let second = line_end(buffer, first)?;
        match buffer.get(second)? {
            b'\n' | b'\r' => {
                // A lone `\r` at the very end may yet become `\r\n`.
                return line_end(buffer, second);
            }
            _ => from = second,
        }
    }
}

/// The index after the line end that begins at `at`, once it is certain where it ends.
fn line_end(buffer: &[u8], at: usize) -> Option<usize> {
    match (buffer.get(at)?, buffer.get(at + 1)) {
        (b'\n', _) => Some(at + 1),
        (_, Some(b'\n')) => Some(at + 2),
        (_, Some(_)) => Some(at + 1),
        (_, None) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen {
        frames: Vec<Vec<u8>>,
        pieces: usize,
    }

    impl Inspect for Seen {
        fn frame(&mut self, frame: &[u8]) -> Verdict {
            self.frames.push(frame.to_vec());
            if memchr::memmem::find(frame, b"secret").is_some() {
                Verdict::Withhold
            } else {
                Verdict::Pass
            }
        }

        fn piece(&mut self, _piece: &[u8]) {
            self.pieces += 1;
        }
    }

    fn run(framing: Framing, stream: &[u8], step: usize) -> (Vec<u8>, Seen, usize) {
        let (mut splitter, mut seen) = (FrameSplitter::new(framing), Seen::default());
        let (mut out, mut passed, mut whole_at) = (VecDeque::new(), Vec::new(), 0);
        for chunk in stream.chunks(step) {
            splitter.push(Bytes::copy_from_slice(chunk), &mut seen, &mut out);
            out.drain(..).for_each(|bytes: Bytes| passed.extend_from_slice(&bytes));
            if splitter.between_frames() {
                whole_at = passed.len();
            }
        }
        passed.extend_from_slice(&splitter.finish(&mut seen));
        (passed, seen, whole_at)
    }

    #[test]
    fn frames_are_the_same_at_every_split() {
        let streams: [(Framing, &[u8]); 5] = [
            (Framing::Sse, b"data: a\n\ndata: b\ndata: c\n\n: ping\n\ndata: [DONE]\n\n"),
            (Framing::Sse, b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n"),
            (Framing::Sse, b"data: a\r\rdata: b\r\rx"),
            (Framing::Sse, b"data: a\n\r\ndata: b\r\n\ndata: \xc3\xa4\n\n"),
            (Framing::Ndjson, b"{\"a\":1}\n{\"b\":\"\xe2\x82\xac\"}\n{\"done\":true}\n"),
        ];
        for (framing, stream) in streams {
            let (_, whole, _) = run(framing, stream, stream.len());
            assert!(whole.frames.len() >= 2, "{framing:?}");
            for step in 1..stream.len() {
                let (passed, seen, _) = run(framing, stream, step);
                assert_eq!(passed, stream, "step {step}");
                assert_eq!(seen.frames, whole.frames, "step {step}");
            }
        }
    }

    #[test]
    fn a_withheld_frame_goes_missing_alone_at_every_split() {
        let stream = b"data: a\n\ndata: secret\n\ndata: b\n\n";
        for step in 1..=stream.len() {
            let (passed, ..) = run(Framing::Sse, stream, step);
            assert_eq!(passed, b"data: a\n\ndata: b\n\n", "step {step}");
        }
    }

    #[test]
    fn a_frame_over_the_limit_passes_in_pieces_and_the_next_is_whole_again() {
        let big = format!("data: {}\r\n\r\n", "x".repeat(3 * HELD_BYTES_MAX));
        let stream = format!("data: a\r\n\r\n{big}data: secret\r\n\r\ndata: b\r\n\r\n");
        for step in [1000, 4096, 65_536, stream.len()] {
            let (passed, seen, whole_at) = run(Framing::Sse, stream.as_bytes(), step);
            assert_eq!(
                passed,
                stream.replace("data: secret\r\n\r\n", "").as_bytes(),
                "step {step}"
            );
            assert_eq!(whole_at, passed.len());
            assert_eq!(seen.pieces > 0, step < stream.len(), "step {step}");
        }
    }
}
