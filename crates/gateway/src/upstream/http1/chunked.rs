//! Takes the chunked transfer coding off (RFC 9112 §7.1), whatever way the network cut it.

use bytes::BytesMut;
use thiserror::Error;

/// The most that a chunk's size may have, with what some servers pad it with: 16 digits are all
/// that count.
const SIZE_BYTES_MAX: u32 = 32;
/// The most that all chunks' extensions and the trailers may have: nobody uses either for more, and
/// they cost us work for nothing.
const EXTRA_BYTES_MAX: u32 = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadChunk {
    #[error("a chunk's size isn't a hexadecimal number")]
    Size,
    #[error("a chunk's line doesn't end as it must")]
    LineEnd,
    #[error("a chunk is larger than its size")]
    Overlong,
    #[error("the chunks' extensions and the trailers are over {EXTRA_BYTES_MAX} bytes")]
    TooMuchExtra,
}

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first digit of a size.
    Start,
    Size,
    /// Behind a size, where some servers pad.
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer's line, or of the last one, which is empty.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// See the module.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Of the present chunk: while its size is read that size, then what is left.
    left: u64,
    size_bytes: u32,
    extra_bytes: u32,
}

impl ChunkedDecoder {
    pub const fn new() -> Self {
        Self { state: State::Start, left: 0, size_bytes: 0, extra_bytes: 0 }
    }

    /// The last chunk and its trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Puts the data of `input` at the end of `out`; gives how many bytes were used, which is all
    /// of them unless the body ends before.
    ///
    /// # Errors
    /// [`BadChunk`]; `out` then holds what was sound.
    pub fn decode(&mut self, input: &[u8], out: &mut BytesMut) -> Result<usize, BadChunk> {
        let mut rest = input;
        while self.state != State::Done && !rest.is_empty() {
            if self.state == State::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                let (data, after) = rest.split_at(take);
                out.extend_from_slice(data);
                rest = after;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else if let Some((byte, after)) = rest.split_first() {
                self.state = self.step(*byte)?;
                rest = after;
            }
        }
        Ok(input.len() - rest.len())
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        match (self.state, byte) {
            (State::Start, _) => {
                self.size_bytes = 1;
                self.left = u64::from(hex(byte).ok_or(BadChunk::Size)?);
                Ok(State::Size)
            }
            (State::Size | State::Padding, b' ' | b'\t') => {
                self.count_size_byte()?;
                Ok(State::Padding)
            }
            (State::Size | State::Padding, b';')
            | (State::Extension, b' '..=b'~' | b'\t' | 128..) => {
                self.count_extra_byte()?;
                Ok(State::Extension)
            }
            (State::Size | State::Padding | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size, _) => {
                let digit = u64::from(hex(byte).ok_or(BadChunk::Size)?);
                // The top digit must be free before another one comes in.
                if self.left >> 60 != 0 {
                    return Err(BadChunk::Size);
                }
                self.left = self.left << 4 | digit;
                self.count_size_byte()?;
                Ok(State::Size)
            }
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Start),
            (State::DataCr | State::DataLf, _) => Err(BadChunk::Overlong),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerStart | State::Trailer, b' '..=b'~' | b'\t' | 128..) => {
                self.count_extra_byte()?;
                Ok(State::Trailer)
            }
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            (
                State::Padding
                | State::Extension
                | State::SizeLf
                | State::TrailerStart
                | State::Trailer
                | State::TrailerLf
                | State::EndLf
                | State::Data
                | State::Done,
                _,
            ) => Err(BadChunk::LineEnd),
        }
    }

    fn count_size_byte(&mut self) -> Result<(), BadChunk> {
        self.size_bytes += 1;
        if self.size_bytes > SIZE_BYTES_MAX { Err(BadChunk::Size) } else { Ok(()) }
    }

    fn count_extra_byte(&mut self) -> Result<(), BadChunk> {
        self.extra_bytes += 1;
        if self.extra_bytes > EXTRA_BYTES_MAX { Err(BadChunk::TooMuchExtra) } else { Ok(()) }
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(wire: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadChunk> {
        let (mut decoder, mut out, mut used) = (ChunkedDecoder::new(), BytesMut::new(), 0);
        for piece in wire.chunks(step) {
            used += decoder.decode(piece, &mut out)?;
            if decoder.is_done() {
                break;
            }
        }
        Ok((out.to_vec(), used, decoder.is_done()))
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back_at_every_split(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            extension in "(;[a-z]{1,4}(=[a-z]{1,4})?)?",
            trailers in prop::collection::vec("[a-z]{1,6}: [a-z ]{0,6}", 0..3),
            upper: bool,
            step in 1_usize..50,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                let size = if upper { format!("{:X}", chunk.len()) } else { format!("{:x}", chunk.len()) };
                wire.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n");
            for trailer in &trailers {
                wire.extend_from_slice(format!("{trailer}\r\n").as_bytes());
            }
            wire.extend_from_slice(b"\r\n");
            let length = wire.len();
            wire.extend_from_slice(b"HTTP/1.1 200 OK");
            let (data, used, done) = decode(&wire, step).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(used, length, "the next answer's bytes are left alone");
            prop_assert!(done);
        }

        #[test]
        fn no_bytes_make_it_panic(wire in prop::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
            let _ = decode(&wire, step);
        }
    }

    #[test]
    fn faults_are_named() {
        let long = format!("1;{}\r\n", "x".repeat(EXTRA_BYTES_MAX as usize + 1));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(EXTRA_BYTES_MAX as usize / 4 + 1));
        let extensions = "1;abcdefg\r\nx\r\n".repeat(EXTRA_BYTES_MAX as usize / 8 + 1);
        let zeros = "0".repeat(SIZE_BYTES_MAX as usize + 1);
        let padded = format!("1{}", " ".repeat(SIZE_BYTES_MAX as usize));
        let cases: [(&[u8], BadChunk); 21] = [
            (b"g\r\n", BadChunk::Size),
            (b"\r\n", BadChunk::Size),
            (b"-1\r\n", BadChunk::Size),
            (b"0x1\r\n", BadChunk::Size),
            (b"fffffffffffffffff\r\n", BadChunk::Size),
            (b"1\r\nab\r\n", BadChunk::Overlong),
            (b"1\n", BadChunk::Size),
            (b"1\r\r", BadChunk::LineEnd),
            (long.as_bytes(), BadChunk::TooMuchExtra),
            (trailers.as_bytes(), BadChunk::TooMuchExtra),
            (extensions.as_bytes(), BadChunk::TooMuchExtra),
            (zeros.as_bytes(), BadChunk::Size),
            (padded.as_bytes(), BadChunk::Size),
            (b" 1\r\n", BadChunk::Size),
            (b"+1\r\n", BadChunk::Size),
            (b"1 2\r\n", BadChunk::LineEnd),
            (b"1;a\nb\r\n", BadChunk::LineEnd),
            (b"1\r\na\n", BadChunk::Overlong),
            (b"0\r\n\n", BadChunk::LineEnd),
            (b"0\r\na: b\n", BadChunk::LineEnd),
            (b"0\r\n\r\r", BadChunk::LineEnd),
        ];
        for (wire, fault) in cases {
            assert_eq!(decode(wire, 3), Err(fault), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn sizes_may_be_padded_in_every_chunk() {
        let wire = "0000001 \t \r\nx\r\n".repeat(10_000) + "00000000  \r\n\r\n";
        assert_eq!(decode(wire.as_bytes(), 7).unwrap().0.len(), 10_000);
    }

    #[test]
    fn a_body_that_stops_in_the_middle_is_not_done() {
        let wire = b"3\r\nabc\r\n0\r\n\r\n";
        for until in 0..wire.len() {
            let (_, _, done) = decode(&wire[..until], wire.len()).unwrap();
            assert!(!done, "after {until} bytes");
        }
        assert_eq!(decode(wire, 1).unwrap(), (b"abc".to_vec(), wire.len(), true));
    }
}
