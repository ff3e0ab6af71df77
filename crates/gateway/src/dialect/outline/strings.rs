//! Where strings end: the places in a body at which the reading of a string must stop, found a
//! block at a time. It knows bytes alone, neither grammar nor fields.

use memchr::memchr2;
use wide::u8x16;

/// Bytes that are looked at in one go: one bit each of a word.
const BLOCK_BYTES: usize = 64;
/// After so many blocks without a stop a string is taken for a long one. Most end before.
const LONG_BLOCKS: usize = 32;
/// Bytes of a long string that are gone over twice while they are at hand.
const WINDOW_BYTES: usize = 4096;

/// The stops of one block at a time: quotes, backslashes and control bytes. A block's bits don't
/// depend on where a string begins, so a processor can work them out before that is known.
#[derive(Clone)]
pub struct Stops<'a> {
    body: &'a [u8],
    /// The block that `bits` stands for.
    block: usize,
    bits: u64,
    /// All bytes of the blocks so far, put over each other.
    seen: u8x16,
}

impl<'a> Stops<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        let mut stops = Self { body, block: 0, bits: 0, seen: u8x16::new([0; 16]) };
        stops.bits = stops.of_block(0);
        stops
    }

    /// Whether every string that was read has ASCII alone.
    pub fn all_ascii(&self) -> bool {
        self.seen.to_bitmask() == 0
    }

    /// The first stop at or behind `from`. Everything behind the body is one.
    #[inline(always)]
    pub fn next(&mut self, from: usize) -> usize {
        let block = from / BLOCK_BYTES;
        if block != self.block {
            self.block = block;
            self.bits = self.of_block(block);
        }
        let ahead = self.bits >> (from % BLOCK_BYTES);
        if ahead != 0 {
            return from + ahead.trailing_zeros() as usize;
        }
        let long = self.block + LONG_BLOCKS;
        loop {
            self.block += 1;
            if self.block == long {
                self.skip_windows();
            }
            self.bits = self.of_block(self.block);
            if self.bits != 0 {
                return self.block * BLOCK_BYTES + self.bits.trailing_zeros() as usize;
            }
        }
    }

    /// Goes to the block of the next stop, or to one before it: over what has none, in the widest
    /// steps that the processor has for it.
    #[inline(never)]
    fn skip_windows(&mut self) {
        while let Some(window) = self.window() {
            let found = memchr2(b'"', b'\\', window);
            let clean = window.get(..found.unwrap_or(WINDOW_BYTES)).unwrap_or_default();
            let (least, all) = clean
                .iter()
                .fold((u8::MAX, 0), |(least, all), byte| (least.min(*byte), all | byte));
            if least < b' ' {
                return;
            }
            self.seen |= u8x16::new([all; 16]);
            self.block += clean.len() / BLOCK_BYTES;
            if found.is_some() {
                return;
            }
        }
    }

    fn window(&self) -> Option<&'a [u8; WINDOW_BYTES]> {
        self.body.get(self.block * BLOCK_BYTES..)?.first_chunk()
    }

    #[inline(always)]
    fn of_block(&mut self, block: usize) -> u64 {
        let rest = self.body.get(block * BLOCK_BYTES..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) => self.of_bytes(bytes),
            None => self.of_last(rest),
        }
    }

    /// The stops of a block that isn't full: zero bytes fill it up, which are stops.
    #[cold]
    fn of_last(&mut self, rest: &[u8]) -> u64 {
        let mut bytes = [0; BLOCK_BYTES];
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        self.of_bytes(&bytes)
    }

    /// One bit a byte, the first byte's the lowest.
    #[inline(always)]
    fn of_bytes(&mut self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        const QUOTE: u8x16 = u8x16::new([b'"'; 16]);
        const BACKSLASH: u8x16 = u8x16::new([b'\\'; 16]);
        const LAST_CONTROL: u8x16 = u8x16::new([0x1f; 16]);
        let (lanes, _) = bytes.as_chunks::<16>();
        lanes.iter().rev().fold(0, |bits, lane| {
            let lane = u8x16::new(*lane);
            self.seen |= lane;
            // Not above the last control byte is the smaller of the two being the byte itself.
            let stops = lane.simd_eq(QUOTE)
                | lane.simd_eq(BACKSLASH)
                | lane.simd_eq(lane.min(LAST_CONTROL));
            bits << 16 | u64::from(stops.to_bitmask())
        })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_found_wherever_it_stands_in_a_long_string() {
        let mut body = vec![b'a'; 2 * WINDOW_BYTES + 700];
        // No common factor with a block or a window.
        for at in (1..body.len()).step_by(7) {
            for (byte, stops) in
                [(b'"', true), (b'\\', true), (0x1f, true), (0, true), (0x7f, false), (0x80, false)]
            {
                body[at] = byte;
                let mut found = Stops::new(&body);
                let end = if stops { at } else { body.len() };
                assert_eq!(found.next(1), end, "{byte:#x} at {at}");
                assert_eq!(found.all_ascii(), byte < 0x80, "{byte:#x} at {at}");
                body[at] = b'a';
            }
        }
    }

    #[test]
    fn the_stops_of_many_strings_are_those_that_a_plain_look_finds() {
        let mut body = Vec::new();
        for length in (0..9_000).step_by(97) {
            body.push(b'"');
            body.extend(std::iter::repeat_n(b'x', length));
        }
        let mut stops = Stops::new(&body);
        let mut from = 0;
        let plain = |from: usize| {
            let found = body[from..].iter().position(|byte| *byte == b'"');
            found.map_or(body.len(), |found| from + found)
        };
        while from < body.len() {
            let stop = stops.next(from);
            assert_eq!(stop, plain(from));
            from = stop + 1;
        }
    }
}
